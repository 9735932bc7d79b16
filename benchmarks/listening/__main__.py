"""Prints how many planted defects are found, and how many clean clips are accused.

PYTHONPATH=benchmarks python -m listening [CLIPS_PER_DEFECT] [CLEAN_CLIPS]
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from random import Random

from listening.clips import EMULATOR_VARIANTS, Clip, list_sentences, make_clip
from listening.defects import DEFECTS, make_defective_clip
from voicegauge.speech.speech_signal import find_silences, is_steady_sound
from voicegauge.speech.spoken_text import judge_spoken_text

OTHER_VARIANTS = ("m1", "m3", "f3", "f5", "Andy", "Annie", "Michael", "linda", "paul", "steph", "edward", "victor")
ACCUSING_VERDICTS = {
    "end missing", "start missing", "said twice", "other words", "other text", "other rate", "does not fit",
}  # fmt: skip


def listen(clip: Clip) -> tuple[str, float | None]:
    """Return what the rules say about a clip, and where."""
    if is_steady_sound(clip.samples, clip.sample_rate_hz):
        return "not speech", None
    silences = find_silences(clip.samples, clip.sample_rate_hz)
    if silences is not None and max(silence.duration_s for silence in silences) > 3:
        return "silence", silences.leading.start_s
    spoken = judge_spoken_text(clip.samples, clip.sample_rate_hz, clip.text)
    if spoken.alignment is not None and spoken.alignment.words[0].start_s > 3:
        return "silence", 0.0  # which noise hides from its level
    return spoken.verdict, spoken.start_s


def main() -> None:
    """Measure, and print one line for each kind of clip."""
    per_defect, clean_count = (int(value) for value in (sys.argv[1:3] if len(sys.argv) > 2 else ("200", "1000")))
    for kind in DEFECTS:
        random, verdicts, started_s = Random(f"listening/{kind}"), Counter[str](), time.process_time()  # noqa: S311
        located = 0
        for _ in range(per_defect):
            defective = make_defective_clip(kind, random)
            verdict, start_s = listen(defective.clip)
            verdicts[verdict] += 1
            located += defective.start_s is not None and start_s is not None and abs(start_s - defective.start_s) <= 0.3
        found = sum(verdicts[name] for name in (*ACCUSING_VERDICTS, "not speech", "silence"))
        spent_s = (time.process_time() - started_s) / per_defect
        print(
            f"{kind}: found {found} of {per_defect}, located {located}; {dict(verdicts)}; {spent_s:.2f} s", flush=True
        )
    for name, variants in (("emulator's voices", EMULATOR_VARIANTS), ("other voices", OTHER_VARIANTS)):
        random, verdicts = Random(f"listening/{name}"), Counter[str]()  # noqa: S311
        count = clean_count if variants is EMULATOR_VARIANTS else clean_count // 2
        for _ in range(count):
            clip = make_clip(random.choice(list_sentences()), random, variants)
            verdict, _ = listen(clip)
            verdicts[verdict] += 1
        accused = sum(verdicts[name] for name in (*ACCUSING_VERDICTS, "not speech", "silence"))
        print(f"clean, {name}: accused {accused} of {count}; {dict(verdicts)}", flush=True)


if __name__ == "__main__":
    main()

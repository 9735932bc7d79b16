"""Prints how many planted defects are found, and how many clean clips are accused.

PYTHONPATH=benchmarks python -m listening [CLIPS_PER_DEFECT] [CLEAN_CLIPS]

Half of the clips are in the emulator's voices, half in voices of espeak-ng that do not occur in the training.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import NamedTuple

from listening.clips import EMULATOR_VARIANTS, Clip, list_sentences, make_clip
from listening.defects import DEFECTS, make_defective_clip
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.listening import ClipJudgement, listen_to_clip

UNSEEN_VARIANTS = (
    "AnxiousAndy", "Diogo", "Gene2", "anika", "edward2", "gustave", "iven3", "iven4", "marcelo", "miguel", "mike2",
    "sandro",
)  # fmt: skip
VARIANTS_BY_GROUP = {"the emulator's": EMULATOR_VARIANTS, "unseen": UNSEEN_VARIANTS}
MAX_LOCATION_ERROR_S = 0.3
CLIPS_PER_TASK = 50
CLEAN = "clean"


class Task(NamedTuple):
    """Some clips of one kind in one group of voices."""

    kind: str
    """A defect, or `CLEAN`."""
    group: str
    count: int
    number: int


class Outcome(NamedTuple):
    """What was found in the clips of a task."""

    accused_count: int
    placed_count: int
    """Number of clips whose defect has a place."""
    located_count: int
    """Number of those that were accused within `MAX_LOCATION_ERROR_S` of it."""
    verdicts: Counter[str]
    spent_s: float
    """Processor time of listening, in seconds, without the synthesis."""


def run_task(task: Task) -> Outcome:
    """Make the clips of a task and listen to them."""
    random = Random(f"listening/{task.kind}/{task.group}/{task.number}")  # noqa: S311 - not for security
    variants = VARIANTS_BY_GROUP[task.group]
    accused, placed, located, spent_s, verdicts = 0, 0, 0, 0.0, Counter[str]()
    for _ in range(task.count):
        if task.kind == CLEAN:
            clip, place_s = make_clip(random.choice(list_sentences()), random, variants), None
        else:
            clip, place_s = make_defective_clip(task.kind, random, variants)
        began_s = time.process_time()
        found = listen(clip)
        spent_s += time.process_time() - began_s
        verdicts[found.rule or found.outcome] += 1
        is_accused = found.outcome in ("wrong", "doubtful")
        accused += is_accused
        placed += place_s is not None
        if place_s is not None and found.start_s is not None and is_accused:
            start_s, end_s = place_s
            located += start_s - MAX_LOCATION_ERROR_S <= found.start_s <= end_s + MAX_LOCATION_ERROR_S
    return Outcome(accused, placed, located, verdicts, spent_s)


def listen(clip: Clip) -> ClipJudgement:
    """Return the verdict on a clip as a benchmark of a service gives it."""
    return listen_to_clip(EncodedAudio(encode(clip.samples, clip.sample_rate_hz, "wav")[0]), clip.text, "en")


def main() -> None:
    """Measure, and print one line for each kind of clip and group of voices."""
    per_defect, clean_count = (int(value) for value in (sys.argv[1:3] if len(sys.argv) > 2 else ("200", "1000")))
    counts = [(kind, per_defect // 2) for kind in DEFECTS] + [(CLEAN, clean_count // 2)]
    with ProcessPoolExecutor(2) as pool:
        for kind, count in counts:
            for group in VARIANTS_BY_GROUP:
                starts = range(0, count, CLIPS_PER_TASK)
                tasks = [Task(kind, group, min(CLIPS_PER_TASK, count - start), start) for start in starts]
                _print_outcomes(kind, group, count, list(pool.map(run_task, tasks)))


def _print_outcomes(kind: str, group: str, count: int, outcomes: list[Outcome]) -> None:
    verdicts = sum((one.verdicts for one in outcomes), Counter[str]())
    accused, placed, located = (sum(one[index] for one in outcomes) for index in range(3))
    where = f", located {located} of {placed}" if placed else ""
    spent_s = sum(one.spent_s for one in outcomes) / max(count, 1)
    word = "accused" if kind == CLEAN else "found"
    print(f"{kind}, {group} voices: {word} {accused} of {count}{where}; {dict(verdicts)}; {spent_s:.2f} s", flush=True)


if __name__ == "__main__":
    main()

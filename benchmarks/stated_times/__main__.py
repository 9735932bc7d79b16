"""Prints how many shifted, stretched, uniform and frozen times are found, and how many true ones are accused.

    PYTHONPATH=benchmarks python -m stated_times [CLIPS]

Half of the clips are in the emulator's voices, half in voices of espeak-ng that do not occur in the training.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from random import Random

from listening.__main__ import VARIANTS_BY_GROUP
from listening.clips import (
    FORMATS,
    NOISE_SNR_DB,
    RATES_HZ,
    Clip,
    add_noise,
    choose_voice,
    list_sentences,
    pass_through_format,
)

from voicegauge.emulator._speech_faults import (
    SMALL_STRETCH_FACTOR,
    distribute_times_evenly,
    freeze_times,
    shift_times,
    stretch_times,
)
from voicegauge.emulator._speech_synthesis import SpeechTiming, SynthesizedSpeech, build_speech_timings
from voicegauge.speech.espeak import synthesize_with_times
from voicegauge.speech.listening import StatedTimesVerdict, judge_stated_times, split_into_words
from voicegauge.speech.spoken_text import judge_spoken_text

DEFECTS = {
    "true": lambda timings: timings,
    "shifted": shift_times,
    "stretched": lambda timings: stretch_times(timings, SMALL_STRETCH_FACTOR),
    "uniform": distribute_times_evenly,
    "frozen": freeze_times,
}


def make_clip(random: Random, variants: tuple[str, ...]) -> tuple[Clip, list[SpeechTiming]]:
    """Return a clean clip in a random voice, rate and format, a third with noise, and the true times of its words."""
    text, voice, rate = random.choice(list_sentences()), choose_voice(random, variants), random.choice(RATES_HZ)
    speech = synthesize_with_times(
        text,
        language="en",
        voice_variant=voice.variant,
        words_per_minute=voice.words_per_minute,
        pitch=voice.pitch,
        sample_rate_hz=rate,
        seed=random.getrandbits(31),
    )
    duration_s = len(speech.samples) / rate
    spoken = SynthesizedSpeech(b"", duration_s, speech.words, text)
    timings = build_speech_timings(text, "word", spoken, leading_silence_s=0.0)
    samples = add_noise(speech.samples, NOISE_SNR_DB, random) if random.random() < 1 / 3 else speech.samples
    return pass_through_format(text, voice, samples, rate, random.choice(FORMATS)), timings


def judge(clip: Clip, timings: list[SpeechTiming]) -> StatedTimesVerdict:
    """Return the verdict on stated times, as a check of a service gives it."""
    spoken = judge_spoken_text(clip.samples, clip.sample_rate_hz, clip.text).verdict
    if spoken not in ("right", "fits"):
        return "unclear"
    words = split_into_words([one.text for one in timings], [one.start_s for one in timings], "word")
    return judge_stated_times(clip.samples, clip.sample_rate_hz, words, is_recognized_clearly=spoken == "right").verdict


def main() -> None:
    """Measure, and print one line for each defect and group of voices."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for defect, change in DEFECTS.items():
        for group, variants in VARIANTS_BY_GROUP.items():
            random = Random(f"stated-times/{group}")  # noqa: S311 - not for security
            verdicts, spent_s = Counter[str](), 0.0
            for _ in range(count // 2):
                clip, timings = make_clip(random, variants)
                began_s = time.process_time()
                verdicts[judge(clip, change(timings))] += 1
                spent_s += time.process_time() - began_s
            accused = count // 2 - verdicts["true"] - verdicts["unclear"]
            word = "accused" if defect == "true" else "found"
            print(
                f"{defect}, {group} voices: {word} {accused} of {count // 2}; {dict(verdicts)}; "
                f"{spent_s / (count // 2):.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()

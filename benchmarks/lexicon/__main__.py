"""Prints the word error rates of both bundled engines on sentences that no training has seen.

    PYTHONPATH=benchmarks python -m lexicon [--sentences 500] [--only lexicon] [FILE ...]

Each FILE has one sentence a line; without one, the sentences of the project's own documentation are spoken. They are
spoken by the emulator's voices in turn, at 125 to 215 words per minute. Fails if the engine `lexicon` has a word error
rate above 0.12 with any file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple

from listening.clips import EMULATOR_VARIANTS, choose_voice, list_sentences, speak

from voicegauge.speech.asr_engines import choose_asr, count_unknown_words
from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ, Asr, score_transcript

ENGINES = ("lexicon", "embedded")
MAX_ERROR_RATE = 0.12
DOCUMENTATION = "documentation"


class Measurement(NamedTuple):
    """Errors of one engine in some clips."""

    error_count: int
    word_count: int
    clip_count: int
    speech_s: float
    spent_s: float
    """Processor time of transcribing, in seconds."""


def measure(engine: str, texts: Sequence[str], seed: str) -> Measurement:
    """Speak texts and transcribe them with one engine."""
    random, asr = Random(seed), _create_engine(engine)  # noqa: S311 - repeatable, and no secret
    errors, words, speech_s, spent_s = 0, 0, 0.0, 0.0
    for index, text in enumerate(texts):
        voice = choose_voice(random, EMULATOR_VARIANTS)
        samples = speak(text, voice, ASR_SAMPLE_RATE_HZ, index)
        if not index:
            asr.transcribe(samples, "en")  # loads the model
        began_s = time.process_time()
        transcript = asr.transcribe(samples, "en")
        spent_s += time.process_time() - began_s
        score = score_transcript(sample_id=str(index), reference=text, transcript=transcript, language="en")
        errors, words = errors + score.errors, words + score.reference_unit_count
        speech_s += len(samples) / ASR_SAMPLE_RATE_HZ
    return Measurement(errors, words, len(texts), speech_s, spent_s)


def _create_engine(engine: str) -> Asr:
    from voicegauge.model.base import Provenance

    asr = choose_asr(engine, provenance=Provenance.EMULATED, texts=[]).asr
    assert asr is not None
    return asr


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lexicon", description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", metavar="FILE", help="sentences, one a line")
    parser.add_argument("--sentences", type=int, default=500, help="largest number of sentences of each file")
    parser.add_argument("--only", choices=ENGINES, help="measure one engine")
    options = parser.parse_args()
    engines = (options.only,) if options.only else ENGINES
    is_good = True
    with ProcessPoolExecutor(2) as processes:
        for name in options.files or (DOCUMENTATION,):
            known = list_sentences() if name == DOCUMENTATION else Path(name).read_text(encoding="utf-8").splitlines()
            random = Random("sentences")  # noqa: S311 - repeatable, and no secret
            texts = random.sample(sorted(set(known)), min(options.sentences, len(set(known))))
            for engine in engines:
                halves = texts[::2], texts[1::2]
                measured = list(processes.map(measure, [engine] * 2, halves, ["first", "second"]))
                rate = _print_measurement(name, engine, texts, measured)
                is_good &= engine != "lexicon" or rate <= MAX_ERROR_RATE
    return 0 if is_good else 1


def _print_measurement(name: str, engine: str, texts: Sequence[str], measured: Sequence[Measurement]) -> float:
    """Print one line, and return the word error rate."""
    errors, words, clips, speech_s, spent_s = (sum(one[index] for one in measured) for index in range(5))
    asr = _create_engine(engine)
    print(
        f"{name}, {clips:.0f} sentences, {asr.id}: word error rate {errors / words:.3f} ({errors:.0f} of {words:.0f}; "
        f"{count_unknown_words(asr, texts)}), {spent_s / clips:.2f} s of CPU time for "
        f"{speech_s / clips:.1f} s of speech",
        flush=True,
    )
    return errors / words


if __name__ == "__main__":
    sys.exit(main())

"""Measures how well the embedded Whisper transcribes, and prints the figures of its card.

    PYTHONPATH=benchmarks python -m embedded_whisper.measure [--quick]

Prints word error rates of texts that the training did not contain, by voice; with noise, truncation and lost frames; of
silence, noise and other sentences; by openai-whisper and by faster-whisper. Time and memory are compared with those of
openai-whisper's `tiny` with random weights.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from embedded_whisper import sentences
from embedded_whisper.corpus import VOICES, Voice
from voicegauge.bench.suites import load_suite
from voicegauge.contract.loading import load_catalogue
from voicegauge.speech.asr_engines import create_embedded_faster_whisper, create_embedded_whisper
from voicegauge.speech.decoding import Samples
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ, Asr, score_transcript

HELD_OUT, HELD_OUT_SEED = 200, 7
FRAME = ASR_SAMPLE_RATE_HZ // 50
"""Number of samples of a lost frame, which lasts 20 ms."""
Worsen = Callable[[Samples, int], Samples]


class SpokenText(NamedTuple):
    """A text and the voice that speaks it."""

    text: str
    voice: Voice


class Rate(NamedTuple):
    """Numbers of errors and of words in some clips."""

    errors: int
    words: int

    def __str__(self) -> str:
        """Return the rate as text, such as "0.083 of 512 words"."""
        return f"{self.errors / self.words:.3f} of {self.words} words"


@cache
def say(spoken: SpokenText) -> Samples:
    """Return a text as the emulator speaks it, at the sample rate of ASR engines."""
    voice = spoken.voice
    return synthesize(
        spoken.text,
        language="en",
        voice_variant=voice.variant,
        words_per_minute=voice.words_per_minute,
        pitch=voice.pitch,
        sample_rate_hz=ASR_SAMPLE_RATE_HZ,
        seed=0,
    )


def measure(asr: Asr, clips: Sequence[SpokenText], worsen: Worsen = lambda samples, _: samples) -> Rate:
    """Return the errors and words of all clips together, after `worsen` has changed their samples."""
    errors = words = 0
    for index, spoken in enumerate(clips):
        transcript = asr.transcribe(worsen(say(spoken), index), "en")
        found = score_transcript(sample_id=spoken.text, reference=spoken.text, transcript=transcript, language="en")
        errors, words = errors + found.errors, words + found.reference_unit_count
    return Rate(errors, words)


def suite_texts(name: str) -> list[str]:
    """Return the English texts of a suite."""
    return [text.text for text in load_suite(name).texts if text.language == "en"]


def held_out_texts() -> list[str]:
    """Return sentences and sequences of known words that are drawn with a seed that the training does not use."""
    random = Random(HELD_OUT_SEED)  # noqa: S311 - chosen words, no secrets
    half = HELD_OUT // 2
    return [sentences.sentence(random) for _ in range(half)] + [
        sentences.sequence(random, 4, 12) for _ in range(HELD_OUT - half)
    ]


@cache
def voices() -> tuple[Voice, ...]:
    """Return the voices of the emulator that contracts name, including those that the training did not contain."""
    emulations = [target.target_spec.emulation for target in load_catalogue().targets.values()]
    found = {
        Voice(each.espeak_voice, each.words_per_minute, each.espeak_pitch) for each in emulations if each.espeak_voice
    }
    return tuple(sorted(found | set(VOICES)))


def in_turn(texts: Sequence[str]) -> list[SpokenText]:
    """Return each text with a voice; the voices take turns."""
    return [SpokenText(text, voices()[index % len(voices())]) for index, text in enumerate(texts)]


def noisy(snr_db: float) -> Worsen:
    """Return a function that adds white noise with a signal-to-noise ratio over the whole clip."""

    def worsen(samples: Samples, seed: int) -> Samples:
        level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-snr_db / 20)
        return samples + _noise(len(samples), level, seed)

    return worsen


def kept(share: float) -> Worsen:
    """Return a function that keeps only this share of a clip, from its beginning."""
    return lambda samples, _: samples[: int(len(samples) * share)]


def lossy(share: float) -> Worsen:
    """Return a function that replaces this share of the 20 ms frames by silence."""

    def worsen(samples: Samples, seed: int) -> Samples:
        lost = np.random.default_rng(seed).random(len(samples) // FRAME + 1) < share
        return samples * ~np.repeat(lost, FRAME)[: len(samples)]

    return worsen


def _noise(count: int, level: float, seed: int) -> Samples:
    return np.random.default_rng(seed).standard_normal(count, dtype=np.float32) * np.float32(level)


DAMAGE: dict[str, dict[str, Worsen]] = {
    "noise, SNR": {f"{snr} dB": noisy(snr) for snr in (40, 30, 20, 10, 0)},
    "audio kept": {f"{share:.0%}": kept(share) for share in (1.0, 0.9, 0.75, 0.5, 0.25)},
    "frames lost": {f"{share:.0%}": lossy(share) for share in (0.0, 0.05, 0.2)},
}


def print_texts(asr: Asr, share: int) -> None:
    """Print word error rates of clean speech, of one in `share` texts."""
    print("\nclean speech, each text by the next voice")
    for name, texts in (
        ("smoke", suite_texts("smoke")),
        ("standard", suite_texts("standard")),
        ("held out", held_out_texts()),
    ):
        print(f"  {name:10} {measure(asr, in_turn(texts[::share]))}")
    print("voice by voice, the smoke suite")
    for voice in voices():
        rate = measure(asr, [SpokenText(text, voice) for text in suite_texts("smoke")[::share]])
        print(f"  {voice.variant} at {voice.words_per_minute} words a minute, pitch {voice.pitch:2}: {rate}")


def print_damage(asr: Asr, clips: Sequence[SpokenText]) -> None:
    """Print how the number of errors increases with each kind of damage."""
    for name, steps in DAMAGE.items():
        found = [f"{step} {measure(asr, clips, worsen).errors}" for step, worsen in steps.items()]
        words = measure(asr, clips).words
        print(f"\n{name}, errors in {words} words: {', '.join(found)}")


def print_nothing(asr: Asr, clips: Sequence[SpokenText]) -> None:
    """Print the error rates if the audio does not contain the text, and how often a sentence of a suite is invented."""
    silence = np.zeros(3 * ASR_SAMPLE_RATE_HZ, np.float32)
    print("\nnot the text")
    print(f"  silence: {measure(asr, clips, lambda _, __: silence)}")
    print(f"  noise: {measure(asr, clips, lambda _, seed: _noise(len(silence), 0.05, seed))}")
    others = [say(clip) for clip in clips[1:] + clips[:1]]
    print(f"  another sentence: {measure(asr, clips, lambda _, index: others[index])}")
    known = {" ".join(re.findall(r"[a-z']+", text.lower())) for text in suite_texts("smoke") + suite_texts("standard")}
    invented = [asr.transcribe(_noise(len(silence), level, 1), "en") for level in (0.0, 1e-4, 1e-2, 0.1)]
    print(f"  suite sentences in silence or noise: {sum(text.lower().strip('.') in known for text in invented)}")


def print_engines(clips: Sequence[SpokenText]) -> None:
    """Print for how many clips openai-whisper and faster-whisper return the same words."""
    first, second = create_embedded_whisper(), create_embedded_faster_whisper()
    same = sum(first.transcribe(say(clip), "en") == second.transcribe(say(clip), "en") for clip in clips)
    print(f"\nopenai-whisper and faster-whisper give the same words on {same} of {len(clips)} clips")


def print_cost(clips: Sequence[SpokenText]) -> None:
    """Print the time and memory for a clip on one core; each recognizer runs in a process of its own."""
    print("\none core, seconds a clip and peak memory")
    audio = [say(clip) for clip in clips]
    for name in ("embedded by openai-whisper", "embedded by faster-whisper", "tiny by openai-whisper, random weights"):
        with get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(_cost, (name, audio))
        print(f"  {name}: {seconds:.3f} s, {memory:.0f} MiB")


def _cost(name: str, audio: Sequence[Samples]) -> tuple[float, float]:
    """Return the median CPU time of a clip in seconds, and the peak memory of the process in MiB."""
    transcribe_audio = _tiny() if name.startswith("tiny") else _embedded("faster" in name)
    transcribe_audio(audio[0])
    taken = []
    for samples in audio:
        began = time.process_time()
        transcribe_audio(samples)
        taken.append(time.process_time() - began)
    return float(np.median(taken)), _peak_mib()


def _peak_mib() -> float:
    # Linux's own count: getrusage inherits the peak of the process that started this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _embedded(faster: bool) -> Callable[[Samples], Any]:
    asr = create_embedded_faster_whisper() if faster else create_embedded_whisper()
    return lambda samples: asr.transcribe(samples, "en")


def _tiny() -> Callable[[Samples], Any]:
    """Return a transcriber of openai-whisper's `tiny` with random weights, which usually decodes as long as allowed."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Whisper(ModelDimensions(80, 1500, 384, 6, 4, 51864, 448, 384, 6, 4))
    torch.nn.init.normal_(model.decoder.positional_embedding, std=0.02)
    options: dict[str, Any] = {"temperature": 0.0, "fp16": False, "condition_on_previous_text": False}
    silent: dict[str, Any] = {"compression_ratio_threshold": None, "logprob_threshold": None, "verbose": None}
    return lambda samples: model.transcribe(
        samples, language="en", without_timestamps=True, sample_len=16, **options, **silent
    )


def main() -> None:
    """Print all figures; with `--quick`, those of every eighth text."""
    warnings.filterwarnings("ignore", category=UserWarning)
    share = 8 if "--quick" in sys.argv[1:] else 1
    asr = create_embedded_whisper()
    print(f"{asr.id}: EMULATED speech alone")
    clips = in_turn((suite_texts("smoke") + held_out_texts()[: 2 * 40 : 2])[::share])
    print_texts(asr, share)
    print_damage(asr, clips)
    print_nothing(asr, clips)
    print_engines(in_turn((suite_texts("smoke") + held_out_texts())[::share]))
    print_cost(clips[:12])


if __name__ == "__main__":
    main()

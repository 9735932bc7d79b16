"""Clean clips: sentences of ordinary prose in the emulator's voices and in others, formats, speeds and noise."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from voicegauge.speech.decoding import Samples, decode
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import TimedSpeech, synthesize_with_times

ROOT = Path(__file__).parents[2]
EMULATOR_VARIANTS = ("klatt3", "klatt3", "klatt3", "f2", "klatt", "klatt4", "klatt5", "klatt6")
FORMATS = ("wav", "wav", "mp3", "flac", "ogg")
RATES_HZ = (16_000, 22_050, 24_000, 44_100)
NOISE_SNR_DB = 20.0
_SENTENCE_PATTERN = re.compile(r"(?<=[.!?] )[A-Z][A-Za-z ,'-]{24,140}[.!?](?=\s|$)")


class Voice(NamedTuple):
    """A voice with its settings."""

    variant: str
    words_per_minute: int
    pitch: int


class Clip(NamedTuple):
    """Speech, as the samples that a receiver decodes."""

    text: str
    voice: Voice
    samples: Samples
    sample_rate_hz: int


@cache
def list_sentences() -> tuple[str, ...]:
    """Return the sentences of the project's own documentation that consist of words only."""
    paths = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
    text = "\n\n".join(" ".join(path.read_text().split()) for path in paths)
    return tuple(dict.fromkeys(_SENTENCE_PATTERN.findall(text)))


def choose_voice(random: Random, variants: tuple[str, ...] = EMULATOR_VARIANTS) -> Voice:
    """Return a voice at a speed from 0.75 to 1.3 times that of the emulator, with one of its pitches."""
    return Voice(random.choice(variants), random.randint(125, 215), random.randint(30, 70))


def speak(text: str, voice: Voice, sample_rate_hz: int, seed: int) -> Samples:
    """Return `text` as the emulator would speak it."""
    return speak_with_times(text, voice, sample_rate_hz, seed).samples


def speak_with_times(text: str, voice: Voice, sample_rate_hz: int, seed: int) -> TimedSpeech:
    """Return `text` as the emulator would speak it, with the times of its words."""
    return synthesize_with_times(
        text,
        language="en",
        voice_variant=voice.variant,
        words_per_minute=voice.words_per_minute,
        pitch=voice.pitch,
        sample_rate_hz=sample_rate_hz,
        seed=seed,
    )


def make_clip(text: str, random: Random, variants: tuple[str, ...] = EMULATOR_VARIANTS) -> Clip:
    """Return a clean clip of `text` in a random voice, rate and format, a third of them with noise."""
    voice, rate = choose_voice(random, variants), random.choice(RATES_HZ)
    samples = speak(text, voice, rate, random.getrandbits(31))
    if random.random() < 1 / 3:
        samples = add_noise(samples, NOISE_SNR_DB, random)
    return pass_through_format(text, voice, samples, rate, random.choice(FORMATS))


def add_noise(samples: Samples, snr_db: float, random: Random) -> Samples:
    """Add white noise at a signal-to-noise ratio."""
    level = float(np.sqrt(np.mean(samples**2))) * 10 ** (-snr_db / 20)
    noise = np.random.default_rng(random.getrandbits(32)).standard_normal(len(samples))
    return (samples + level * noise).astype(np.float32)


def pass_through_format(text: str, voice: Voice, samples: Samples, sample_rate_hz: int, audio_format: str) -> Clip:
    """Encode and decode; MP3 has no rate below 32 kHz here, so the rate may change."""
    data, _ = encode(samples, sample_rate_hz, audio_format)
    decoded = decode(data)
    return Clip(text, voice, decoded.samples, decoded.sample_rate_hz)

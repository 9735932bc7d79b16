"""Clips of the corpus: synthesized texts, distorted as a transmission would."""

from __future__ import annotations

import math
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedded_whisper.corpus import shard_path
from embedded_whisper.phonemes import transcribe

FRAME = 320
"""Samples an encoder frame."""
SILENT_END = 6
"""Encoder frames of silence behind each clip at least."""


class Shard:
    """Recorded texts of one file; the samples stay on disk until they are used."""

    def __init__(self, path: Path) -> None:
        self.audio = np.load(path, mmap_mode="r")
        with np.load(path.with_suffix(".npz")) as data:
            self.bounds, self.texts = data["bounds"], data["texts"]

    def clip(self, index: int) -> tuple[NDArray[np.float32], str]:
        """Samples at 16 kHz and their text."""
        samples = self.audio[self.bounds[index] : self.bounds[index + 1]]
        return samples.astype(np.float32) / 32768, str(self.texts[index])


@cache
def shard(folder: Path, kind: str, number: int) -> Shard:
    """A shard, waited for where it is still being made."""
    path = shard_path(folder, kind, number)
    while not path.exists():
        time.sleep(2)
    return Shard(path)


def worsen(samples: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """What a line does to speech: gain, noise of some colour, a narrow band, lost packets."""
    samples = samples * 10 ** random.uniform(-1.0, 0.3)
    level = float(np.sqrt(np.mean(samples**2))) + 1e-6
    if random.random() < 0.08:
        spectrum = np.fft.rfft(samples)
        spectrum[int(len(spectrum) * random.uniform(0.4, 0.9)) :] = 0
        samples = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
    if random.random() < 0.5:
        noise = random.standard_normal(len(samples)).astype(np.float32)
        if random.random() < 0.3:
            noise = np.convolve(noise, np.ones(8, np.float32) / 8**0.5, "same")
        samples = samples + noise * np.float32(level * 10 ** (-random.uniform(12, 50) / 20))
    if random.random() < 0.05:
        lost = random.random(len(samples) // 320 + 1) < 0.05
        samples = samples * ~np.repeat(lost, 320)[: len(samples)]
    return samples.astype(np.float32)


class AudibleClip(NamedTuple):
    """What a step hears of a clip."""

    samples: NDArray[np.float32]
    words: tuple[str, ...] = ()
    centres: tuple[float, ...] = ()
    """Encoder frame about which each word is said."""


class Clip(NamedTuple):
    """A recorded text and the samples of silence before it."""

    source: Shard
    index: int
    lead: int

    @property
    def frames(self) -> int:
        """Encoder frames that it fills."""
        samples = self.lead + self.source.bounds[self.index + 1] - self.source.bounds[self.index]
        return math.ceil(samples / FRAME) + SILENT_END

    def audible(self, random: np.random.Generator) -> AudibleClip:
        """The clip as a line would carry it."""
        said, text = self.source.clip(self.index)
        words = text.split()
        samples = np.concatenate([np.zeros(self.lead, np.float32), said])
        return AudibleClip(worsen(samples, random), tuple(words), tuple(middles(words, self.lead, len(said))))


def middles(words: list[str], first: int, samples: int) -> list[float]:
    """Encoder frame about which each word is said, were each phoneme as long as the others."""
    counts = np.array([len(transcribe(word)) + 1 for word in words])
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = (first + samples * (ends - counts / 2) / ends[-1]) / FRAME
    return list(middle)


def silence(frames: int, random: np.random.Generator) -> AudibleClip:
    """Silence or noise alone."""
    noise = random.standard_normal(frames * FRAME // 2).astype(np.float32)
    return AudibleClip(noise * np.float32(10 ** random.uniform(-6, -1)))

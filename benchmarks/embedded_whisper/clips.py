"""Reads clips of the corpus, which are synthesized texts, and distorts them as transmissions do."""

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
"""Number of samples in an encoder frame."""
SILENT_END = 6
"""Smallest number of encoder frames of silence after each clip."""


class Shard:
    """The clips of one file of the corpus, with their texts; samples stay on disk until they are used."""

    def __init__(self, path: Path) -> None:
        self.audio = np.load(path, mmap_mode="r")
        with np.load(path.with_suffix(".npz")) as data:
            self.bounds, self.texts = data["bounds"], data["texts"]

    def clip(self, index: int) -> tuple[NDArray[np.float32], str]:
        """Return the samples of a clip, at 16 kHz, and its text."""
        samples = self.audio[self.bounds[index] : self.bounds[index + 1]]
        return samples.astype(np.float32) / 32768, str(self.texts[index])


@cache
def shard(folder: Path, kind: str, number: int) -> Shard:
    """Return a shard; wait for it if another process is still making it."""
    path = shard_path(folder, kind, number)
    while not path.exists():
        time.sleep(2)
    return Shard(path)


def worsen(samples: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return samples as a transmission may change them: with another gain, noise, a narrower band, or lost packets."""
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
    """A clip as the network gets it: its distorted samples, and its words."""

    samples: NDArray[np.float32]
    words: tuple[str, ...] = ()
    centres: tuple[float, ...] = ()
    """Estimated encoder frame at the middle of each word."""


class Clip(NamedTuple):
    """One clip of a shard, and the number of samples of silence before it."""

    source: Shard
    index: int
    lead: int

    @property
    def frames(self) -> int:
        """Number of encoder frames of the clip, with the silence before and after it."""
        samples = self.lead + self.source.bounds[self.index + 1] - self.source.bounds[self.index]
        return math.ceil(samples / FRAME) + SILENT_END

    def audible(self, random: np.random.Generator) -> AudibleClip:
        """Return the clip after a random distortion."""
        said, text = self.source.clip(self.index)
        words = text.split()
        samples = np.concatenate([np.zeros(self.lead, np.float32), said])
        return AudibleClip(worsen(samples, random), tuple(words), tuple(middles(words, self.lead, len(said))))


def middles(words: list[str], first: int, samples: int) -> list[float]:
    """Return the encoder frame at the middle of each word, as if all phonemes were equally long."""
    counts = np.array([len(transcribe(word)) + 1 for word in words])
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = (first + samples * (ends - counts / 2) / ends[-1]) / FRAME
    return list(middle)


def silence(frames: int, random: np.random.Generator) -> AudibleClip:
    """Return a clip without words: white noise, which may be inaudible."""
    noise = random.standard_normal(frames * FRAME // 2).astype(np.float32)
    return AudibleClip(noise * np.float32(10 ** random.uniform(-6, -1)))

"""Defines the interface of all ASR engines, and functions that more than one engine uses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voicegauge.files import open_file

ASR_SAMPLE_RATE_HZ = 16_000
"""Sample rate of the mono float32 samples that every engine expects. Whisper was trained with this rate."""

Samples = NDArray[np.float32]


class Asr(Protocol):
    """An ASR engine. Its weights and settings are pinned, so that equal samples give equal transcripts.

    Instances are cheap to create and can be pickled; the model is not loaded before the first transcript.
    """

    @property
    def id(self) -> str:
        """Engine, model and the first hex digits of the SHA-256 of the weights, such as "whisper:base.en@ed3a0b6b"."""

    @property
    def has_closed_vocabulary(self) -> bool:
        """Whether the engine knows only a small number of words.

        These include the words of the bundled suites, so error rates that are measured with the engine are too low.
        """

    @property
    def settings(self) -> Mapping[str, str]:
        """Names and values of everything besides the id that determines the transcripts."""

    def supports_language(self, language: str) -> bool:
        """Whether the engine can transcribe `language`, a tag such as "en" or "pt-BR"."""

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe mono samples of shape (frames,) at `ASR_SAMPLE_RATE_HZ`, full scale at 1.0."""

    @property
    def clips_per_batch(self) -> int:
        """Number of clips that are best transcribed at once; 1 for an engine that runs on the processor."""

    def transcribe_batch(self, clips: Sequence[Samples], language: str) -> list[str]:
        """Transcribe clips in one language, each as `transcribe` does."""


def compute_short_sha256(*paths: Path) -> str:
    """Return the first eight hex digits of the SHA-256 over the contents of `paths`, in that order."""
    sha256 = hashlib.sha256()
    for path in paths:
        with open_file(path) as file:
            while block := file.read(1 << 20):
                sha256.update(block)
    return sha256.hexdigest()[:8]


def read_package_versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, by its name."""
    return {name: metadata.version(name) for name in packages}

"""What every recogniser offers, and small things that several of them need."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
"""Every recogniser takes mono float32 samples at this rate."""

Samples = NDArray[np.float32]


class Asr(Protocol):
    """A recogniser with everything pinned: equal samples give an equal transcript.

    It is cheap to make and to send to another process; its model is loaded with the
    first transcript.
    """

    @property
    def id(self) -> str:
        """Engine, model and the first hex digits of its weights' SHA-256: "whisper:base.en@ed3a0b6b"."""

    @property
    def closed_vocabulary(self) -> bool:
        """Whether it knows few words, among them those of the bundled suites, so that its error is flattering."""

    @property
    def settings(self) -> Mapping[str, str]:
        """All that decides its output beside the id."""

    def supports_language(self, language: str) -> bool:
        """Whether it can transcribe `language`, a tag such as "en" or "pt-BR"."""

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe mono samples of shape (frames,) at `RATE_HZ`, full scale at 1.0."""


def short_sha256(*paths: Path) -> str:
    """Give eight hex digits of the SHA-256 over the contents of `paths`, in that order."""
    made = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                made.update(block)
    return made.hexdigest()[:8]


def package_versions(*packages: str) -> dict[str, str]:
    """Give the installed version of each of `packages`."""
    return {name: metadata.version(name) for name in packages}

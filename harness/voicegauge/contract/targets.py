"""What an operation serves: models and modes that speak, and those that are sent audio."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicegauge.contract.extension import (
    AudioInputTargetSpec,
    ConversionSpec,
    PriceSpec,
    SpeechResponse,
    SpeechSpec,
    TargetSpec,
    TranscriptionSpec,
)

if TYPE_CHECKING:
    from voicegauge.contract.contract import Contract, Operation

AudioInputSpec = TranscriptionSpec | ConversionSpec


@dataclass(frozen=True, eq=False)
class BaseTarget(ABC):
    """One model or mode of a provider, whatever it does."""

    name: str
    """Within its provider, where no other has the same: "xtts-v2", "stt-whisper"."""
    operation: Operation = field(repr=False)
    spec: TargetSpec | AudioInputTargetSpec = field(repr=False)
    pointer: str

    @property
    def contract(self) -> Contract:
        """The contract it stands in."""
        return self.operation.contract

    @property
    def id(self) -> str:
        """Its full name: <provider>/<name>."""
        return f"{self.contract.id}/{self.name}"

    @property
    @abstractmethod
    def response(self) -> SpeechResponse:
        """What its operation answers with, in the words of speech."""

    @functools.cached_property
    def job_operation(self) -> Operation | None:
        """The status operation; `None` where one call does it all."""
        return self.contract.operation(self.response.job) if self.response.job else None

    @property
    def needs_key(self) -> bool:
        """Whether a request to it needs a key."""
        return self.operation.needs_key

    @property
    def pricing(self) -> PriceSpec | None:
        """Its own price, else its operation's."""
        return self.spec.pricing or self.operation.pricing


@dataclass(frozen=True, eq=False)
class Target(BaseTarget):
    """What speaks, and is benchmarked."""

    spec: TargetSpec = field(repr=False)

    @property
    def speech(self) -> SpeechSpec:
        """How its operation takes a request for speech."""
        assert self.operation.speech is not None
        return self.operation.speech

    @property
    def response(self) -> SpeechResponse:
        """What its operation answers with: audio, or a job."""
        return self.speech.response

    @property
    def needs_key(self) -> bool:
        """Whether a request to it needs a key: its operation's way in, unless it answers without one."""
        return super().needs_key and not self.spec.keyless


@dataclass(frozen=True, eq=False)
class AudioInputTarget(BaseTarget):
    """What is sent audio: it transcribes, converts or analyses."""

    spec: AudioInputTargetSpec = field(repr=False)

    @property
    def audio_input(self) -> AudioInputSpec:
        """How its operation takes audio, and what it answers."""
        assert self.operation.audio_input is not None
        return self.operation.audio_input

    @property
    def transcription(self) -> TranscriptionSpec | None:
        """What it says of a transcript; `None` where it gives none."""
        return self.audio_input if isinstance(self.audio_input, TranscriptionSpec) else None

    @property
    def conversion(self) -> ConversionSpec | None:
        """What it does to audio; `None` where it gives a transcript."""
        return self.audio_input if isinstance(self.audio_input, ConversionSpec) else None

    @property
    def response(self) -> SpeechResponse:
        """Audio, or nothing of it for a transcript; never a job."""
        audio = self.conversion.response.audio if self.conversion else None
        return SpeechResponse(audio=audio, charged=self.audio_input.response.charged)

"""A model or mode of an operation that is sent audio: what transcribes, converts or analyses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicegauge.contract.extension import Answer, Conversion, IntakeTarget, Price, Transcription

if TYPE_CHECKING:
    from voicegauge.contract.contract import Contract, Operation

IntakeUse = Transcription | Conversion


@dataclass(frozen=True, eq=False)
class Intake:
    """One model or mode of a provider that takes audio in."""

    name: str
    """Within its provider: "stt-whisper". No target for speech has the same."""
    operation: Operation = field(repr=False)
    spec: IntakeTarget = field(repr=False)
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
    def use(self) -> IntakeUse:
        """How its operation takes audio, and what it answers."""
        assert self.operation.intake is not None
        return self.operation.intake

    @property
    def transcription(self) -> Transcription | None:
        """What it says of a transcript; `None` where it gives none."""
        return self.use if isinstance(self.use, Transcription) else None

    @property
    def conversion(self) -> Conversion | None:
        """What it does to audio; `None` where it gives a transcript."""
        return self.use if isinstance(self.use, Conversion) else None

    @property
    def answer(self) -> Answer:
        """What it answers with, in the words of speech: audio, or neither audio nor a job for a transcript."""
        audio = self.conversion.answer.audio if self.conversion else None
        return Answer(audio=audio, charged=self.use.answer.charged)

    @property
    def job_operation(self) -> Operation | None:
        """None: audio is taken in by one call."""
        return None

    @property
    def needs_key(self) -> bool:
        """Whether a request to it needs a key."""
        return self.operation.needs_key

    @property
    def pricing(self) -> Price | None:
        """Its own price, else its operation's."""
        return self.spec.pricing or self.operation.pricing

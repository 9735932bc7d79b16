"""The audio that was delivered for a speech request."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import ResponseAudio
from voicegauge.model import Delivery, Exchange, SpeechRequest

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio, EncodedAudio  # numpy


@dataclass(frozen=True, eq=False)
class SpeechDelivery(CheckSubject):
    """A speech request with its delivery, and the audio decoded once for all rules."""

    target: Target
    speech: SpeechRequest
    delivery: Delivery
    succeeded: bool = True
    """Whether the provider reports success: the job ended in success, or the response was 2xx."""

    @property
    def operation(self) -> Operation:
        """The operation of the speech request."""
        return self.target.operation

    @property
    def exchange(self) -> Exchange:
        """The exchange that carried the audio; without audio the last one."""
        index = self.delivery.audio_exchange
        return self.delivery.exchanges[-1 if index is None else index]

    @property
    def documented_audio(self) -> ResponseAudio | None:
        """The documented location and format of the audio."""
        status = self.target.job_operation
        return status.job.audio if status and status.job else self.target.response.audio

    @functools.cached_property
    def _audio(self) -> EncodedAudio | None:
        from voicegauge.speech.audio import EncodedAudio, RawAudioFormat

        documented, raw = self.documented_audio, None
        if documented is not None and documented.format is not None and documented.sample_rate_hz is not None:
            raw = RawAudioFormat(
                format=documented.format, sample_rate_hz=documented.sample_rate_hz, channels=documented.channels
            )
        return None if self.delivery.audio is None else EncodedAudio(self.delivery.audio, raw_format=raw)

    @property
    def decoded(self) -> DecodedAudio | None:
        """The samples; `None` without audio, or if it cannot be decoded."""
        return None if self._audio is None else self._audio.decoded

    @property
    def decode_error(self) -> str | None:
        """The reason why the audio cannot be decoded."""
        return None if self._audio is None else self._audio.decode_error

    @property
    def dispute_scopes(self) -> tuple[str, ...]:
        """The description of the audio, the target and the operation."""
        job = self.target.job_operation
        scopes = (f"{self.operation.pointer}/x-speech/response", self.target.pointer, self.operation.pointer)
        return (*scopes, f"{job.pointer}/x-job/audio") if job else scopes

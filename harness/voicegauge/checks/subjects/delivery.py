"""A speech request with the audio that was delivered for it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.checks.subjects.call import Call
from voicegauge.checks.subjects.request_schema import find_documented_default
from voicegauge.contract import MISSING, Operation, Target
from voicegauge.contract.extension import AudioFormat, FieldMapping, ResponseAudio
from voicegauge.model import Delivery, Exchange, SpeechRequest

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio, EncodedAudio, RawAudioFormat  # numpy

_RAW_FORMAT_PREFIXES = ("pcm", "raw", "mulaw", "ulaw", "alaw", "linear", "l16")
"""Beginnings of the names that providers give to formats of raw samples, such as "pcm" in "pcm_16000"."""


@dataclass(frozen=True, eq=False)
class SpeechDelivery(CheckSubject):
    """A speech request with its delivery. The audio is decoded only once for all rules."""

    target: Target
    speech_request: SpeechRequest
    delivery: Delivery
    is_successful: bool = True
    """Whether the provider reports success: the job ended in success, or the response was 2xx."""
    has_ordinary_text: bool = True
    """Whether the text consists mostly of words, so that the speech is audible and the duration can be estimated."""

    @property
    def operation(self) -> Operation:
        """The operation of the speech request."""
        return self.target.operation

    @property
    def exchange(self) -> Exchange:
        """The exchange that contains the audio; the last exchange if there is no audio."""
        index = self.delivery.audio_exchange_index
        return self.delivery.exchanges[-1 if index is None else index]

    @property
    def documented_audio(self) -> ResponseAudio | None:
        """The documented location and format of the audio in the response; `None` if they are not documented."""
        return self.target.response_audio

    @functools.cached_property
    def submit_call(self) -> Call | None:
        """The call that requested the speech; `None` if it is not known."""
        index = self.delivery.submit_exchange_index
        return None if index is None else Call(self.operation, self.delivery.exchanges[index], self.target)

    @functools.cached_property
    def requested_format(self) -> str | None:
        """The provider-independent name of the format in the request; `None` if the request names no format."""
        mapping = self.target.speech.request_fields.get("format")
        return None if mapping is None else _find_neutral_value(mapping, self._requested_format_value)

    @functools.cached_property
    def _requested_format_value(self) -> object:
        """The value of the format field as it was sent; `None` or `MISSING` if the request has no such field."""
        mapping = self.target.speech.request_fields.get("format")
        if mapping is None:
            return None
        if self.submit_call is not None:
            return self.submit_call.read_request(mapping.location)
        return mapping.provider_values.get(self.speech_request.format or "", self.speech_request.format)

    @functools.cached_property
    def default_format(self) -> str | None:
        """The documented format for requests that name no format; `None` if the contract documents none."""
        mapping = self.target.speech.request_fields.get("format")
        return None if mapping is None else _find_neutral_value(mapping, self._default_format_value)

    @functools.cached_property
    def _default_format_value(self) -> object:
        """The documented default of the format field.

        It is `None` if requests have no format field, and `MISSING` if the field has no documented default.
        """
        mapping = self.target.speech.request_fields.get("format")
        if mapping is None:
            return None
        media_type = self.submit_call.exchange.request.media_type if self.submit_call is not None else None
        return find_documented_default(self.operation, mapping.location, media_type)

    @functools.cached_property
    def audio_format(self) -> AudioFormat | None:
        """The contract's description of the requested format, or of the default format if none was requested.

        `None` if the contract does not describe the format.
        """
        is_requested = isinstance(self._requested_format_value, str | dict)
        found = self.target.find_audio_format(
            self._requested_format_value if is_requested else self._default_format_value
        )
        return None if found is None else found.replace_sample_rate(self._sample_rate)

    @property
    def _sample_rate(self) -> object:
        """The sample rate in the request, or its documented default; `None` or `MISSING` if there is neither."""
        mapping = self.target.speech.request_fields.get("sample_rate")
        if mapping is None:
            return None
        requested = self.submit_call.read_request(mapping.location) if self.submit_call is not None else None
        return find_documented_default(self.operation, mapping.location) if requested in (None, MISSING) else requested

    @property
    def has_unknown_sample_rate(self) -> bool:
        """Whether the audio consists of raw samples whose sample rate no document states."""
        from voicegauge.speech.audio import find_container_of_media_type, is_container_uncertain, sniff_container

        data = self.delivery.audio
        if self._raw_format is not None or data is None:
            return False
        if sniff_container(data) is not None and not (is_container_uncertain(data) and self.decode_error):
            return False
        name = (self.requested_format or self.default_format or "").lower()
        return name.startswith(_RAW_FORMAT_PREFIXES) or find_container_of_media_type(self.delivery.media_type) == "pcm"

    @property
    def _raw_format(self) -> RawAudioFormat | None:
        from voicegauge.speech.audio import RawAudioFormat

        if self.audio_format is not None and self.audio_format.sample_rate_hz is not None:
            return RawAudioFormat(
                format=self.audio_format.codec,
                sample_rate_hz=self.audio_format.sample_rate_hz,
                channels=self.audio_format.channels,
            )
        documented = self.documented_audio
        if documented is None or documented.format is None or documented.sample_rate_hz is None:
            return None
        return RawAudioFormat(
            format=documented.format, sample_rate_hz=documented.sample_rate_hz, channels=documented.channels
        )

    @functools.cached_property
    def _encoded_audio(self) -> EncodedAudio | None:
        from voicegauge.speech.audio import EncodedAudio

        return None if self.delivery.audio is None else EncodedAudio(self.delivery.audio, raw_format=self._raw_format)

    @property
    def decoded_audio(self) -> DecodedAudio | None:
        """The samples of the audio; `None` if there is no audio, or if it cannot be decoded."""
        return None if self._encoded_audio is None else self._encoded_audio.decoded_audio

    @property
    def active_duration_s(self) -> float | None:
        """Total duration of the audible parts of the audio, in seconds; `None` if there is no audio to decode."""
        return None if self._encoded_audio is None else self._encoded_audio.active_duration_s

    @property
    def is_silent(self) -> bool:
        """Whether the audio can be decoded and is silent."""
        return self._encoded_audio is not None and self._encoded_audio.is_silent

    @property
    def decode_error(self) -> str | None:
        """The reason why the audio cannot be decoded; `None` if there is no such error."""
        return None if self._encoded_audio is None else self._encoded_audio.decode_error

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """JSON pointers to the description of the audio, the target and the operation."""
        job = self.target.job_operation
        scopes = (f"{self.operation.pointer}/x-speech/response", self.target.pointer, self.operation.pointer)
        return (*scopes, f"{job.pointer}/x-job/audio") if job else scopes


def _find_neutral_value(field_mapping: FieldMapping, value: object) -> str | None:
    """Return the provider-independent name of a value in a request; `None` if `field_mapping` has no name for it."""
    name = field_mapping.find_provider_independent_value(value)
    return name if isinstance(name, str) else None

"""Defines a call that sent audio, with the audio of the response, as a subject of rules."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicegauge.checks.subjects.call import Call
from voicegauge.contract import MISSING, AudioInputTarget
from voicegauge.contract.extension import AudioInputField
from voicegauge.model import UploadedFile

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio


@dataclass(frozen=True, eq=False, kw_only=True)
class AudioInputCall(Call):
    """An accepted call that sent audio to be transcribed or converted, with the audio of its response."""

    audio_input_target: AudioInputTarget
    reference_transcript: str | None = None
    """The text spoken in the upload; `None` if it is not known, or if the speech is not clean."""
    response_audio_files: tuple[bytes, ...] = ()
    """The encoded audio files that the response contains or links to, in the order of the response."""
    download_error: str | None = None
    """The reason why audio could not be downloaded; `None` if nothing failed."""

    @functools.cached_property
    def uploaded_audio(self) -> DecodedAudio | None:
        """The samples of the upload; `None` if it is not audio."""
        file = self._find_uploaded_file()
        return _decode_upload(file.data) if file is not None else None

    def _find_uploaded_file(self) -> UploadedFile | None:
        field = self.audio_input_target.audio_input.request_fields["audio"].location.pointer_tokens[0]
        return self.form.files.get(field) if self.form is not None else None

    @functools.cached_property
    def decoded_response_audio(self) -> tuple[DecodedAudio | None, ...]:
        """The samples of each file of the response; `None` for a file that cannot be decoded."""
        return tuple(_decode_audio(data) for data in self.response_audio_files)

    def read_neutral_value(self, field_name: AudioInputField) -> Any:
        """Return the provider-neutral value of a field of the request; `None` if the request omits the field."""
        mapping = self.audio_input_target.audio_input.request_fields.get(field_name)
        value = self.read_request(mapping.location) if mapping is not None else MISSING
        if mapping is None or value is MISSING:
            return None
        return mapping.find_provider_independent_value(value)

    @property
    def description_pointer(self) -> str:
        """JSON pointer to the `x-transcription` or `x-conversion` of the operation."""
        key = "x-conversion" if self.audio_input_target.conversion else "x-transcription"
        return f"{self.operation.pointer}/{key}"


@functools.lru_cache(maxsize=4)  # the cases of a plan upload the same few recordings many times
def _decode_upload(audio_bytes: bytes) -> DecodedAudio | None:
    return _decode_audio(audio_bytes)


def _decode_audio(audio_bytes: bytes) -> DecodedAudio | None:
    from voicegauge.speech.audio import EncodedAudio

    return EncodedAudio(audio_bytes).decoded_audio

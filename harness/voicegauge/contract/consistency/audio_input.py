"""Checks `x-transcription` and `x-conversion`."""

from __future__ import annotations

from voicegauge.contract.consistency.locations import (
    check_operation_id,
    check_request_location,
    check_response_audio,
    check_response_location,
)
from voicegauge.contract.contract import AudioInputSpec, Operation
from voicegauge.contract.extension import ConversionSpec, TranscriptionSpec
from voicegauge.formats import escape


def check_audio_input(operation: Operation, spec: AudioInputSpec) -> None:
    """Check the fields, targets and response of an operation that audio is sent to.

    Raises:
        ContractError: a location is not documented, or no location is given for the audio.
    """
    key = "x-transcription" if isinstance(spec, TranscriptionSpec) else "x-conversion"
    at, document = f"{operation.pointer}/{key}", operation.contract.document
    if "x-transcription" in operation.data and "x-conversion" in operation.data:
        raise document.error(at, "an operation has either x-transcription or x-conversion")
    if "audio" not in spec.request:
        raise document.error(f"{at}/request", f"{key}.request must have a location for audio")
    for field, mapping in spec.request.items():
        check_request_location(operation, f"{at}/request/{field}", mapping.at)
    for name, target in spec.targets.items():
        for location in target.constants:
            pointer = f"{at}/targets/{escape(name)}/constants/{escape(str(location))}"
            check_request_location(operation, pointer, location)
    check_response_location(operation, f"{at}/response/charged", spec.response.charged)
    if isinstance(spec, TranscriptionSpec):
        _check_transcript(operation, f"{at}/response", spec)
    else:
        _check_conversion(operation, f"{at}/response", spec)


def _check_transcript(operation: Operation, at: str, spec: TranscriptionSpec) -> None:
    response = spec.response
    check_response_location(operation, f"{at}/text", response.text)
    check_response_location(operation, f"{at}/language", response.language)
    check_response_location(operation, f"{at}/audio_s", response.audio_s)
    check_response_location(operation, f"{at}/segments", response.segments)


def _check_conversion(operation: Operation, at: str, spec: ConversionSpec) -> None:
    response = spec.response
    for fact, location in response.facts.items():
        check_response_location(operation, f"{at}/facts/{fact}", location)
    if response.stems is not None:
        check_response_location(operation, f"{at}/stems/at", response.stems.at)
        check_operation_id(operation, f"{at}/stems/download", response.stems.download)
    if response.audio is not None:
        check_response_audio(operation, f"{at}/audio", response.audio)

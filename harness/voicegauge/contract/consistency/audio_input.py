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
from voicegauge.formats import escape_pointer_token


def check_audio_input(operation: Operation, audio_input_spec: AudioInputSpec) -> None:
    """Check the fields, targets and response of an operation that audio is sent to.

    Raises:
        ContractError: a location is not documented, or no location is given for the audio.
    """
    key = "x-transcription" if isinstance(audio_input_spec, TranscriptionSpec) else "x-conversion"
    pointer, document = f"{operation.pointer}/{key}", operation.contract.document
    if "x-transcription" in operation.part_data and "x-conversion" in operation.part_data:
        raise document.build_error(pointer, "an operation has either x-transcription or x-conversion")
    if "audio" not in audio_input_spec.request_fields:
        raise document.build_error(f"{pointer}/request", f"{key}.request must have a location for audio")
    for field, mapping in audio_input_spec.request_fields.items():
        check_request_location(operation, f"{pointer}/request/{field}", mapping.location)
    for name, target in audio_input_spec.targets.items():
        for location in target.request_constants:
            constant_pointer = (
                f"{pointer}/targets/{escape_pointer_token(name)}/constants/{escape_pointer_token(str(location))}"
            )
            check_request_location(operation, constant_pointer, location)
    check_response_location(operation, f"{pointer}/response/charged", audio_input_spec.response.charge_location)
    if isinstance(audio_input_spec, TranscriptionSpec):
        _check_transcript(operation, f"{pointer}/response", audio_input_spec)
    else:
        _check_conversion(operation, f"{pointer}/response", audio_input_spec)


def _check_transcript(operation: Operation, pointer: str, transcription_spec: TranscriptionSpec) -> None:
    response = transcription_spec.response
    check_response_location(operation, f"{pointer}/text", response.text_location)
    check_response_location(operation, f"{pointer}/language", response.language_location)
    check_response_location(operation, f"{pointer}/audio_s", response.audio_duration_location)
    check_response_location(operation, f"{pointer}/segments", response.segments_location)


def _check_conversion(operation: Operation, pointer: str, conversion_spec: ConversionSpec) -> None:
    response = conversion_spec.response
    for fact, location in response.fact_locations.items():
        check_response_location(operation, f"{pointer}/facts/{fact}", location)
    if response.stems is not None:
        check_response_location(operation, f"{pointer}/stems/at", response.stems.list_location)
        check_operation_id(operation, f"{pointer}/stems/download", response.stems.download_operation_id)
    if response.audio is not None:
        check_response_audio(operation, f"{pointer}/audio", response.audio)

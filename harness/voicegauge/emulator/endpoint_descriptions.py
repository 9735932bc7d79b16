"""Describes in words what the emulator does for each operation."""

from __future__ import annotations

from voicegauge.contract.extension.speech import TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.emulator._job_endpoints import find_download_operation_ids

_DESCRIPTION_BY_CONVERSION_PURPOSE = {
    "voice": "shifts the pitch of the audio depending on the requested voice",
    "translate": "transcribes the audio and returns a pseudo-translation marked as emulated",
    "style": "changes the pitch and speed of the audio",
    "enhance": "filters the audio",
    "separate": "splits the audio into frequency bands",
    "dereverb": "filters the audio",
    "analyse": "estimates the key and tempo of the audio",
    "convert": "converts format, sample rate and channels",
}


def describe_emulation(operation: Operation) -> str:
    """Return a verb phrase that describes the emulated behavior of `operation`."""
    if operation.socket is not None:
        does = "transcribes the audio" if operation.socket.spec.transcribes else "speaks the text"
        return f"{does} while it arrives"
    description = (
        _describe_resource(operation)
        or _describe_speech(operation)
        or _describe_audio_input(operation)
        or _describe_job_or_file_operation(operation)
        or _describe_resource_use(operation)
    )
    if description is not None:
        return description
    filters = any(parameter.message_part == "query" for parameter in operation.parameters)
    return "returns the documented example, filtered" if filters else "returns the documented example"


def _describe_speech(operation: Operation) -> str | None:
    if operation.batch is not None:
        return "creates a job for each item"
    if operation.speech is None:
        return None
    if operation.stream is not None:
        is_choice = any(audio.delivery_method != "stream" for audio in operation.response_audio_variants)
        return "returns or streams speech" if is_choice else "streams speech"
    return "creates a job that produces speech" if operation.speech.response.status_operation_id else "returns speech"


def _describe_audio_input(operation: Operation) -> str | None:
    if isinstance(operation.audio_input, TranscriptionSpec):
        return "transcribes the audio"
    return (
        _DESCRIPTION_BY_CONVERSION_PURPOSE[operation.audio_input.purpose] if operation.audio_input is not None else None
    )


def _describe_job_or_file_operation(operation: Operation) -> str | None:
    """Describe an operation on jobs or files that earlier requests created; `None` for another operation."""
    if operation.job is not None:
        return "returns the state of a job and the location of its audio"
    for other in operation.contract.operations.values():
        if operation.id in find_download_operation_ids(other):
            return "returns generated audio"
        if other.job is not None and operation.id == other.job.result_operation_id:
            return "returns the result of a job"
        if (
            other.job is not None
            and other.job.cancellation is not None
            and operation.id == other.job.cancellation.operation_id
        ):
            return "cancels a job"
    return None


def _describe_resource(operation: Operation) -> str | None:
    if operation.chat is not None:
        return "replies with a fixed phrase that quotes the last messages, as text and speech"
    for maker in operation.contract.operations.values():
        resource = maker.resource
        if resource is None:
            continue
        if maker is operation:
            return f"creates a resource of the account: {resource.display_name}"
        if resource.listing is not None and resource.listing.operation_id == operation.id:
            return f"lists resources of the account: {resource.display_name}"
        if resource.deletion is not None and resource.deletion.operation_id == operation.id:
            return f"deletes a resource: {resource.display_name}"
        for setting in resource.transitions:
            if setting.operation_id == operation.id:
                return f"sets the state of a resource to {setting.resulting_state}: {resource.display_name}"
    return None


def _describe_resource_use(operation: Operation) -> str | None:
    for maker in operation.contract.operations.values():
        if maker.resource is not None and any(maker.iterate_uses_of_created_resource(operation)):
            verb = "reads" if operation.method == "GET" else "changes"
            return f"{verb} a resource: {maker.resource.display_name}"
    return None

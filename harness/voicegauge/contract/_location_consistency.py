"""Checks that the locations which a contract names exist in its requests and responses."""

from __future__ import annotations

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import allows_location
from voicegauge.formats.bodies import is_form, is_json, is_text
from voicegauge.formats.locations import EVERY_ITEM, EventLocation, Location, MessagePart

_RAW_SAMPLE_FORMAT_PREFIXES = ("pcm", "mulaw", "alaw", "ulaw")
"""Beginnings of the names of formats of raw samples, which have no header: only the contract can state their rate."""


def check_operation_id(operation: Operation, pointer: str, operation_id: str | None) -> None:
    """Check that `operation_id` is the id of an operation in the document; `None` is accepted.

    Raises:
        ContractError: no operation has that id.
    """
    if operation_id is not None and operation_id not in operation.contract.operations:
        raise operation.contract.document.build_error(pointer, f"{operation_id!r} is not an operation of this document")


def check_request_location(operation: Operation, pointer: str, location: Location) -> None:
    """Check that the document describes a value at `location` of requests to `operation`.

    Raises:
        ContractError: the location is not documented, or is in a part of the message that is not allowed.
    """
    if location.message_part == "path" and f"{{{location.name}}}" not in operation.path:
        reason = f"{str(location)!r}: the path {operation.path} has no {{{location.name}}}"
        raise operation.contract.document.build_error(pointer, reason)
    if location.is_in_body:
        _check_location_is_documented(operation, pointer, location, list(operation.request_media.values()), "request")


def check_response_location(operation: Operation, pointer: str, location: Location | None) -> None:
    """Check that the document describes a value at `location` of successful responses of `operation`.

    Headers need not be documented. `None` is accepted.

    Raises:
        ContractError: the location is not documented, or is in a part of the message that is not allowed.
    """
    if location is None:
        return
    check_message_part_of_location(operation, pointer, location, ("body", "header"))
    if location.is_in_body and location.pointer_tokens:
        successes = [r for status, r in operation.responses.items() if status.startswith("2")]
        media = [media for response in successes for media in response.media_types.values()]
        _check_location_is_documented(operation, pointer, location, media, "response")


def check_list_location(operation: Operation, pointer: str, location: Location | EventLocation | None) -> None:
    """Check that the location has one `*`, which stands for every item of a list. `None` is accepted.

    Raises:
        ContractError: the location has no `*`, or several.
    """
    if location is not None and location.pointer_tokens.count(EVERY_ITEM) != 1:
        raise operation.contract.document.build_error(
            pointer, f"{str(location)!r} must have one /*, for the items of a list"
        )


def check_message_part_of_location(
    operation: Operation, pointer: str, location: Location, allowed_parts: tuple[MessagePart, ...]
) -> None:
    """Check that the location is in one of the parts `allowed_parts` of a message.

    Raises:
        ContractError: the location is in another part.
    """
    if location.message_part not in allowed_parts:
        reason = f"{str(location)!r} must be in the {' or the '.join(allowed_parts)}"
        raise operation.contract.document.build_error(pointer, reason)


def _check_location_is_documented(
    operation: Operation, pointer: str, location: Location, media_types: list[MediaType], message_part: str
) -> None:
    # One body with the location is enough, because a request may be sent as JSON or as a form, with different fields.
    structured = [m for m in media_types if is_json(m.name) or is_form(m.name) or m.name == "*/*"]
    if location == Location("body"):
        files = ("audio/", "video/", "application/octet-stream")
        structured += [m for m in media_types if is_text(m.name) or m.name.startswith(files)]
    if not any(allows_location(m.schemas, m.schema, location.pointer_tokens) for m in structured):
        reason = f"{str(location)!r} is not in the documented {message_part} of {operation.id}"
        raise operation.contract.document.build_error(pointer, reason)


def check_response_audio(
    operation: Operation, pointer: str, response_audio: ResponseAudio, *, may_have_timestamps: bool = False
) -> None:
    """Check the location and the format of audio in responses of `operation`.

    Timestamps are only read from responses to speech requests.

    Raises:
        ContractError: a location is not documented, or no sample rate is given for raw audio.
    """
    document = operation.contract.document
    if response_audio.delivery_method in ("bytes", "stream") and response_audio.location != Location("body"):
        raise document.build_error(
            pointer, f"audio delivered as {response_audio.delivery_method} is at body, not at {response_audio.location}"
        )
    check_response_location(operation, f"{pointer}/location", response_audio.location)
    check_response_location(operation, f"{pointer}/media_type_location", response_audio.media_type_location)
    check_operation_id(operation, f"{pointer}/download_operation_id", response_audio.download_operation_id)
    if response_audio.timestamps and not may_have_timestamps:
        raise document.build_error(f"{pointer}/timestamps", "timestamps must be in the response to a speech request")
    if response_audio.timestamps and response_audio.delivery_method == "stream":
        raise document.build_error(f"{pointer}/timestamps", "timestamps of a stream belong into x-stream.audio")
    for index, timestamps in enumerate(response_audio.timestamps):
        for name in ("texts_location", "starts_location", "ends_location"):
            location = getattr(timestamps, name)
            at = f"{pointer}/timestamps/{index}/{name}"
            check_response_location(operation, at, location)
            check_list_location(operation, at, location)
    if (
        response_audio.format is not None
        and response_audio.format.startswith(_RAW_SAMPLE_FORMAT_PREFIXES)
        and response_audio.sample_rate_hz is None
    ):
        raise document.build_error(pointer, f"raw audio ({response_audio.format}) needs its sample_rate_hz")

"""Faults of responses: their bodies, streams, statuses and headers, and what is made of uploads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from voicegauge.contract.contract import Target
from voicegauge.contract.document_parts import MediaType, Parameter
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.provider import UploadLimits
from voicegauge.contract.extension.speech import ConversionSpec, TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import (
    EmulatedResponse,
    Fault,
    FaultCondition,
    StreamPiece,
    add_faults,
    create_contract_part_condition,
    declare_fault,
)
from voicegauge.emulator._request import ParsedRequest, read_value_at, write_value_at
from voicegauge.emulator._response_bodies import build_default_body
from voicegauge.emulator._schema_values import iterate_body_schemas
from voicegauge.formats.locations import EVERY_ITEM, Location, read_pointer
from voicegauge.model.exchange import UploadedFile

_MemberChanger = Callable[[Any, str], object]
"""Function that changes one member of an object so that the object becomes invalid."""


def _change_member_type(parent_object: Any, member_name: str) -> None:
    """Replace a string by a number, and any other value by an object."""
    value = parent_object[member_name]
    parent_object[member_name] = 12345 if isinstance(value, str) else {"value": value}


def invalidate_body(
    media_spec: MediaType, body: Any, change_member: _MemberChanger, essential_field_paths: frozenset[tuple[str, ...]]
) -> Any:
    """Return `body` with one field changed: the first one for which the result of `change_member` violates the schema.

    Fields at the paths `essential_field_paths` are tried last, so that clients can still follow the job if possible.
    If the schema allows every change, `body` is returned unchanged.
    """
    fields = sorted(_list_field_paths(body, ()), key=lambda path: path in essential_field_paths)
    for path in fields:
        candidate = copy.deepcopy(body)
        change_member(read_pointer(candidate, list(path[:-1])), path[-1])
        if next(media_spec.iterate_violations(candidate), None) is not None:
            return candidate
    return body


def _list_field_paths(value: Any, parent_path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*parent_path, key)
            yield from _list_field_paths(item, (*parent_path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:1]):  # the items of a list have one schema
            yield from _list_field_paths(item, (*parent_path, str(index)))


def _find_essential_field_paths(response: EmulatedResponse) -> frozenset[tuple[str, ...]]:
    """Return the paths of the fields that clients need in order to follow a job."""
    target = response.target
    spec = target.job_operation.job if target is not None and target.job_operation is not None else None
    if spec is None:
        return frozenset()
    locations = [
        spec.job_id_location,
        spec.state_location,
        spec.submit_response.job_id_location,
        spec.submit_response.state_location,
        spec.submit_response.polling_url_location,
    ]
    locations += [spec.audio.location] if spec.audio is not None else []
    return frozenset(location.pointer_tokens for location in locations if location is not None and location.is_in_body)


def _create_field_fault(fault_id: str, description: str, change_member: _MemberChanger) -> Fault:
    """Return a fault of one field. It applies to a target if a documented response can be made invalid in this way."""

    def change_response(response: EmulatedResponse) -> None:
        media = response.documented_media_type
        if response.kind != "error" and media is not None and response.is_body_text_or_json:
            essential_paths = _find_essential_field_paths(response)
            response.body = invalidate_body(media, response.body, change_member, essential_paths)

    def can_invalidate_response(target: Target) -> bool:
        operations = [target.operation, *([target.job_operation] if target.job_operation else [])]
        for operation in operations:
            for media in operation.success_response.media_types.values():
                body = build_default_body(media).initial_body
                response = EmulatedResponse(
                    "other", 200, copy.deepcopy(body), media.name, documented_media_type=media, operation=operation
                )
                change_response(response)
                if response.body != body:
                    return True
        return False

    condition = FaultCondition("a documented response has such a field", can_invalidate_response)
    return Fault(id=fault_id, description=description, change_response=change_response, applies_to=condition)


@declare_fault(
    "change_response",
    "wrong-error-shape",
    "Error bodies do not have the documented shape.",
    FaultCondition(
        "the body of at least one documented error has a schema",
        lambda target: any(
            media.schema_pointer is not None
            for status, spec in target.operation.responses.items()
            if not status.startswith("2")
            for media in spec.media_types.values()
        ),
    ),
)
def replace_error_body_by_list(response: EmulatedResponse) -> None:
    """Replace the body of an error by a list, which no contract documents."""
    if response.kind == "error":
        response.body, response.media_type = ["something went wrong"], response.media_type or "application/json"


@declare_fault("change_response", "empty-body", "Successful responses have no body.")
def remove_body(response: EmulatedResponse) -> None:
    """Remove the body of a success response."""
    if response.kind != "error":
        response.replacement_body_bytes = b""


@declare_fault("change_response", "wrong-content-type", "Successful responses declare a wrong media type.")
def change_content_type(response: EmulatedResponse) -> None:
    """Declare the body of a success response as plain text, whatever it is."""
    if response.kind != "error":
        response.media_type = "text/plain"


add_faults(
    _create_field_fault("wrong-type", "A response field has the wrong JSON type.", _change_member_type),
    _create_field_fault(
        "missing-field", "A required response field is missing.", lambda parent, name: parent.pop(name)
    ),
    _create_field_fault(
        "renamed-field",
        "A required response field has a wrong name.",
        lambda parent, name: parent.update({f"{name}_": parent.pop(name)}),
    ),
    _create_field_fault(
        "null-field",
        "A response field that must not be null is null.",
        lambda parent, name: parent.update({name: None}),
    ),
)


_STALL_TO_MAX_GAP_RATIO = 1.2
"""Ratio of an injected stall to the longest documented gap. The stall is noticeable but does not slow tests down."""
_UNKNOWN_EVENT_TYPE = "heartbeat-v2"
"""Type of an event that no contract documents."""


def _find_audio_piece_indices(operation: Operation, pieces: list[StreamPiece]) -> list[int]:
    spec = operation.stream
    return [i for i, piece in enumerate(pieces) if spec is not None and piece.event_type == spec.audio.event_type]


def _find_stream(target: Target) -> StreamSpec | None:
    return target.stream


_STREAMS_EVENTS = create_contract_part_condition(_find_stream, "the target responds with a stream of events")


@declare_fault(
    "change_stream_pieces",
    "stream-event-missing",
    "One audio event is missing from a stream.",
    create_contract_part_condition(
        _find_stream, "audio events are numbered", lambda stream: stream.audio.sequence_number_location is not None
    ),
)
def drop_audio_event(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Drop the second-to-last audio event, so that the numbers of the audio events have a gap."""
    at = _find_audio_piece_indices(operation, pieces)[-2:-1]  # without the last one, the stream would only be shorter
    return [piece for i, piece in enumerate(pieces) if i not in at]


@declare_fault(
    "change_stream_pieces",
    "stream-reordered",
    "The first event of a stream is sent last.",
    create_contract_part_condition(
        _find_stream, "an event precedes the audio", lambda stream: next(iter(stream.events)) != stream.audio.event_type
    ),
)
def move_first_event_last(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Move the first event of a stream to its end."""
    return [*pieces[1:], pieces[0]] if operation.stream is not None else pieces


@declare_fault(
    "change_stream_pieces", "stream-truncated", "A stream ends in the middle, without its final event.", _STREAMS_EVENTS
)
def truncate_stream(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """End the stream after half of its audio events, without a final event."""
    at = _find_audio_piece_indices(operation, pieces)
    return pieces[: at[len(at) // 2] + 1] if at else pieces


@declare_fault(
    "change_stream_pieces",
    "stream-stalled",
    "A gap in a stream is longer than documented.",
    create_contract_part_condition(
        _find_stream,
        "the contract documents the maximum gap between two events",
        lambda stream: stream.max_gap_s is not None,
    ),
)
def stall_stream(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Delay the last audio event beyond the longest documented gap."""
    spec, at = operation.stream, _find_audio_piece_indices(operation, pieces)
    if spec is None or spec.max_gap_s is None or not at:
        return pieces
    late = replace(pieces[at[-1]], stall_s=spec.max_gap_s * _STALL_TO_MAX_GAP_RATIO)
    return [*pieces[: at[-1]], late, *pieces[at[-1] + 1 :]]


@declare_fault(
    "change_stream_pieces", "stream-unknown-event", "A stream contains an undocumented event.", _STREAMS_EVENTS
)
def add_unknown_event(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Insert an event of an undocumented type after the first event of a stream."""
    return (
        [pieces[0], StreamPiece(0.0, _UNKNOWN_EVENT_TYPE, {}), *pieces[1:]] if operation.stream is not None else pieces
    )


@declare_fault(
    "change_stream_pieces",
    "stream-wrong-data",
    "The data of stream events does not have the documented shape.",
    create_contract_part_condition(
        _find_stream,
        "the contract documents a schema for the data of at least one event",
        lambda stream: any(event.data_schema is not None for event in stream.events.values()),
    ),
)
def wrap_event_data(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Wrap the data of each event with a documented schema in an object with the data as its only member, "data"."""
    spec = operation.stream
    described = (
        [name for name, event in spec.events.items() if event.data_schema is not None] if spec is not None else []
    )
    return [
        replace(piece, event_data={"data": piece.event_data}) if piece.event_type in described else piece
        for piece in pieces
    ]


@declare_fault(
    "change_stream_pieces", "stream-unreadable-audio", "The audio in stream events cannot be decoded.", _STREAMS_EVENTS
)
def corrupt_audio(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Make the audio of every event undecodable."""
    at = _find_audio_piece_indices(operation, pieces)
    return [replace(piece, is_audio_corrupt=True) if i in at else piece for i, piece in enumerate(pieces)]


# Implements the faults of status codes, headers and connections.


_UNUSUAL_STATUS_CODES = (203, 206, 226)
"""Success status codes that speech APIs do not document."""
_NEGATIVE_RETRY_AFTER = "-30"
"""Value of Retry-After that no client can follow."""
_BOUND_SCHEMA_KEYWORDS = ("minimum", "maximum")
"""Keywords of JSON Schema that state a bound of a number."""

SLOW_RESPONSE_DELAY_S = 3.0
"""Delay of the fault of slow responses, in seconds. It exceeds every emulated duration, but tests can wait for it."""


def _find_undocumented_unusual_status(operation: Operation) -> int | None:
    return next((code for code in _UNUSUAL_STATUS_CODES if operation.find_response(code) is None), None)


def _iterate_headers(target: Target) -> Iterator[tuple[str, Parameter]]:
    """Yield the name and the documentation of each header of the operation's responses."""
    for response in target.operation.responses.values():
        yield from response.headers.items()


def _remove_headers(response: EmulatedResponse, must_remove: Callable[[str], bool]) -> None:
    response.headers = {name: value for name, value in response.headers.items() if not must_remove(name.lower())}


def _is_value_at_bound(schema: dict[str, Any], value: Any) -> bool:
    if isinstance(value, bool | UploadedFile):
        return False
    if isinstance(value, int | float):
        return any(schema.get(bound) == value for bound in _BOUND_SCHEMA_KEYWORDS)
    return isinstance(value, str) and schema.get("maxLength") == len(value)


_NEEDS_KEY = FaultCondition[Target]("requests need a key", lambda target: target.needs_key)
_DOCUMENTS_RETRY_AFTER = FaultCondition[Target](
    "some response of the operation documents Retry-After",
    lambda target: any(name.lower() == "retry-after" for name, _ in _iterate_headers(target)),
)


@declare_fault(
    "find_rejection_reason",
    "server-error-at-boundary",
    "A value at the limit of its documented range causes status 500.",
    FaultCondition(
        "some field of the request has a documented bound",
        lambda target: any(
            {*_BOUND_SCHEMA_KEYWORDS, "maxLength"} & field_schema.keys()
            for media in target.operation.request_media.values()
            for body_schema in iterate_body_schemas(media, [])
            for name in body_schema.get("properties", {})
            for field_schema in iterate_body_schemas(media, [name])
        ),
    ),
)
def fail_at_documented_bound(request: ParsedRequest, _request_count: int) -> str | None:
    """Return the reason "internal" if a number or the length of a text equals a documented bound; else `None`."""
    for name, value in request.body.items() if isinstance(request.body, dict) else ():
        schemas = iterate_body_schemas(request.documented_media_type, [name])
        if any(_is_value_at_bound(schema, value) for schema in schemas):
            return "internal"
    return None


@declare_fault("find_rejection_reason", "flaky-503", "Every second speech request gets status 503.")
def reject_every_second_request(request: ParsedRequest, request_count: int) -> str | None:
    """Return the rejection reason "busy" for every second speech request; `None` for the others."""
    return "busy" if request.operation.speech is not None and request_count % 2 == 1 else None


@declare_fault(
    "change_response",
    "unauthorized-cut-off",
    "The connection is closed in the middle of every response with status 401.",
    _NEEDS_KEY,
)
def cut_unauthorized_response(response: EmulatedResponse) -> None:
    """Close the connection after half of the body if the request had no valid key."""
    response.is_connection_cut = response.is_connection_cut or response.status == HTTPStatus.UNAUTHORIZED


@declare_fault("change_response", "drops-connection", "The connection is closed in the middle of every response.")
def cut_connection(response: EmulatedResponse) -> None:
    """Close the connection after half of the body of every response."""
    response.is_connection_cut = True


@declare_fault(
    "change_response",
    "wrong-rate-limit",
    "More requests remain than the rate limit allows.",
    FaultCondition(
        "responses to the target have both the limit and the number of remaining requests",
        lambda target: {"limit", "remaining"} <= target.operation.limits.rate_limit_header_names.keys(),
    ),
)
def exceed_rate_limit(response: EmulatedResponse) -> None:
    """In the headers of a response, make the number of remaining requests one more than the rate limit."""
    names = response.operation.limits.rate_limit_header_names if response.operation is not None else {}
    by_name = {name.lower(): value for name, value in response.headers.items()}
    limit = by_name.get(names.get("limit", "").lower())
    wrong = {names.get("remaining", "").lower(): str(int(limit) + 1) if limit is not None else None}
    response.headers = {name: wrong.get(name.lower()) or value for name, value in response.headers.items()}


@declare_fault(
    "change_response",
    "negative-retry-after",
    "A documented Retry-After header states a negative delay.",
    _DOCUMENTS_RETRY_AFTER,
)
def make_retry_after_negative(response: EmulatedResponse) -> None:
    """Replace the value of the header Retry-After by a negative number of seconds."""
    response.headers = {
        name: _NEGATIVE_RETRY_AFTER if name.lower() == "retry-after" else value
        for name, value in response.headers.items()
    }


@declare_fault(
    "change_response",
    "missing-header",
    "Documented headers are missing.",
    FaultCondition(
        "the operation documents a required header other than Retry-After",
        lambda target: any(
            header.is_required and name.lower() != "retry-after" for name, header in _iterate_headers(target)
        ),
    ),
)
def remove_documented_headers(response: EmulatedResponse) -> None:
    """Remove all documented headers except Retry-After, which has a fault of its own."""
    documented = (
        {name.lower() for name in response.response_spec.headers} if response.response_spec is not None else set()
    )
    _remove_headers(response, lambda name: name != "retry-after" and name in documented)


@declare_fault(
    "change_response",
    "undocumented-status",
    "Successful responses have an undocumented status code.",
    FaultCondition(
        "the operation leaves one of the unusual status codes undocumented",
        lambda target: _find_undocumented_unusual_status(target.operation) is not None,
    ),
)
def change_success_status(response: EmulatedResponse) -> None:
    """Replace a success status code by an undocumented one."""
    code = _find_undocumented_unusual_status(response.operation) if response.operation is not None else None
    if code is not None and 200 <= response.status < 300:
        response.status = code


add_faults(
    Fault(
        id="slow",
        description=f"Every response is {SLOW_RESPONSE_DELAY_S:g} s late.",
        response_delay_s=SLOW_RESPONSE_DELAY_S,
        why_checks_miss_it="No document states how fast a response must be.",
    ),
    Fault(
        id="ignored-key",
        description="Requests with a missing or invalid key are accepted.",
        skipped_check="key",
        applies_to=_NEEDS_KEY,
    ),
    Fault(
        id="missing-retry-after",
        description="A documented Retry-After header is missing.",
        change_response=lambda response: _remove_headers(response, lambda name: name == "retry-after"),
        applies_to=_DOCUMENTS_RETRY_AFTER,
    ),
)


# Implements the faults of uploads: results that do not belong to the upload, and limits that are not enforced.


UNRELATED_TRANSCRIPT = "Nobody expected seven purple elephants underneath that telescope."
"""Transcript that a fault reports whatever is said."""
_REPLACEMENT_SAMPLE_RATES_HZ = (44_100, 22_050)
"""Sample rates that a fault delivers: the first one that differs from the correct rate."""


def _create_upload_limit_condition(
    description: str, is_met_by: Callable[[UploadLimits], bool]
) -> FaultCondition[Target]:
    """Return the condition that the voice sample has limits, and `is_met_by` is true of the limits of some upload.

    That upload may be the voice sample, or another one of the same operation.
    """

    def is_met_by_upload(target: Target) -> bool:
        slot, limits = target.speech.request_fields.get("voice_sample_upload"), target.operation.limits.upload_limits
        return slot is not None and slot.location.pointer_tokens[0] in limits and any(map(is_met_by, limits.values()))

    return FaultCondition(
        f"`x-limits.upload_limits` states limits for the target's voice sample, and {description}", is_met_by_upload
    )


@declare_fault(
    "change_response",
    "other-transcript",
    "The transcript belongs to another recording.",
    FaultCondition(
        "the provider of the target transcribes audio",
        lambda target: any(one.transcription for one in target.contract.audio_input_targets.values()),
    ),
)
def replace_transcript(response: EmulatedResponse) -> None:
    """Replace the transcript and its segments by unrelated text."""
    audio_input = response.operation.audio_input if response.operation else None
    if response.kind != "audio-input" or not isinstance(audio_input, TranscriptionSpec):
        return
    if isinstance(response.body, bytes):  # a text, or subtitles, whose times stay
        lines = response.body.decode().split("\n")
        is_text = [bool(line) and "-->" not in line and not line.isdecimal() and line != "WEBVTT" for line in lines]
        changed = (UNRELATED_TRANSCRIPT if spoken else line for line, spoken in zip(lines, is_text, strict=True))
        response.body = "\n".join(changed).encode()
        return
    tokens = ["0" if token == EVERY_ITEM else token for token in audio_input.response.text_location.pointer_tokens]
    response.body = write_value_at(response.body, Location("body", pointer_tokens=tokens), UNRELATED_TRANSCRIPT)
    segments = read_value_at(response.body, audio_input.response.segments_location)
    words = UNRELATED_TRANSCRIPT.split()
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        segment[audio_input.response.segment_field_names.text_field] = words[index % len(words)]


@declare_fault(
    "change_response",
    "other-rate",
    "Audio is converted to another sample rate than requested.",
    FaultCondition(
        "the provider of the target converts audio to a requested sample rate",
        lambda target: any(
            one.conversion and "sample_rate" in one.audio_input.request_fields
            for one in target.contract.audio_input_targets.values()
        ),
    ),
)
def change_sample_rate(response: EmulatedResponse) -> None:
    """Convert audio to a sample rate other than the requested one."""
    from voicegauge.speech.containers import find_container_of_media_type
    from voicegauge.speech.encoding import TranscodingSettings, decode_without_mixing, transcode

    audio_input = response.operation.audio_input if response.operation else None
    is_conversion = (
        response.kind == "audio-input"
        and isinstance(audio_input, ConversionSpec)
        and "sample_rate" in audio_input.request_fields
    )
    name = find_container_of_media_type(response.media_type)
    if is_conversion and name is not None and isinstance(response.body, bytes):
        rate = decode_without_mixing(response.body)[1]
        response.body = transcode(
            response.body,
            TranscodingSettings(name, next(other for other in _REPLACEMENT_SAMPLE_RATES_HZ if other != rate)),
        )


add_faults(
    Fault(
        id="upload-limit-ignored",
        description="Uploads larger than the documented limit are accepted.",
        skipped_check="upload-size",
        applies_to=_create_upload_limit_condition(
            "a maximum size for some upload", lambda limits: limits.max_bytes is not None
        ),
    ),
    Fault(
        id="upload-format-ignored",
        description="Uploads of undocumented formats, even files that are not audio, are accepted.",
        skipped_check="upload-format",
        applies_to=_create_upload_limit_condition(
            "the formats of some upload", lambda limits: bool(limits.accepted_formats)
        ),
    ),
)

"""Builds response bodies from documented examples and schemas."""

from __future__ import annotations

import base64
import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from voicegauge.contract.document_parts import Example, MediaType, ResponseSpec
from voicegauge.contract.extension.jobs import JobSpec, PaginationSpec
from voicegauge.contract.extension.provider import STATUS_CODES_BY_REASON
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.emulator._job_state import EmulatedJob
from voicegauge.emulator._output_formats import choose_media_type, find_format
from voicegauge.emulator._request import (
    ParsedRequest,
    Rejection,
    can_have_value_at,
    find_default_value,
    read_value_at,
    write_value_at,
)
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._schema_values import SchemaValueBuilder, format_time_like_example, iterate_schemas_at
from voicegauge.formats.bodies import is_json, parse_whole_number
from voicegauge.formats.locations import MISSING, Location, parse_location, read_pointer
from voicegauge.speech.encoding import find_media_type_of_format

# Builds response bodies from the contract's examples, or from its schemas if there are no examples.


class BodyTemplate(NamedTuple):
    """A response body whose values are still to be filled in: a copy of an example, if the contract has one."""

    initial_body: Any
    """The body before any value is filled in; it may be changed."""
    example: Example | None
    """The documented example that was copied; `None` if the body was built from the schema."""


def build_error_response(operation: Operation, rejection: Rejection) -> EmulatedResponse:
    """Return the documented error whose `x-rejection-reason` fits best.

    If none fits, return an error with a common status code.
    """
    found = _find_error_by_reason(operation, rejection.reason, rejection.field_name)
    if found is not None and not _can_be_about(found[2], rejection):
        found = _find_error_by_reason(operation, rejection.reason, None) or found
    if found is not None:
        spec, media_spec, example = found
        status = int(spec.status) if spec.status.isdecimal() else _choose_status_in_class(rejection.reason, spec.status)
        body = _name_cause(copy.deepcopy(example.value), example, rejection)
        return _build_error(operation, rejection, status, spec, media_spec, body)
    return _build_error_by_status(operation, rejection)


def _can_be_about(example: Example, rejection: Rejection) -> bool:
    """Whether a documented error for a field, such as "text is too long", fits the reason of the rejection."""
    return rejection.is_requested or not example.rejection_keywords or rejection.keyword in example.rejection_keywords


def _name_cause(body: Any, example: Example, rejection: Rejection) -> Any:
    """Return the body of an error with the rejected field and the reason written at `x-rejection-locations`."""
    if rejection.is_requested:
        return body
    values = {"field": rejection.field_name, "message": rejection.detail}
    for key, text in example.rejection_locations.items():
        if values[key] is not None:
            for location in [text] if isinstance(text, str) else text:
                body = write_value_at(body, parse_location(location), values[key])
    return body


def _build_error_by_status(operation: Operation, rejection: Rejection) -> EmulatedResponse:
    """Return the error that is documented under a common status code, if no `x-rejection-reason` matches."""
    usual = STATUS_CODES_BY_REASON.get(rejection.reason, (400,))
    status = next((code for code in usual if str(code) in operation.responses), usual[0])
    spec = operation.find_response(status)
    media_spec = find_json_media(spec)
    if media_spec is None:
        value = _build_undocumented_error_body(operation, rejection) if spec is None else b""
        return _build_error(operation, rejection, status, spec, None, value)
    unmarked = (example for example in media_spec.examples if example.rejection_reason is None)
    fitting = next((example for example in unmarked if _is_valid_example(media_spec, example)), None)
    value = copy.deepcopy(fitting.value) if fitting else _build_minimal_body(media_spec, rejection.detail)
    return _build_error(operation, rejection, status, spec, media_spec, value)


@functools.lru_cache(maxsize=256)
def _find_error_by_reason(
    operation: Operation, rejection_reason: str, field_name: str | None
) -> tuple[ResponseSpec, MediaType, Example] | None:
    return next(_find_errors_by_reason(operation, rejection_reason, field_name), None)


def _find_errors_by_reason(
    operation: Operation, rejection_reason: str, field_name: str | None
) -> Iterator[tuple[ResponseSpec, MediaType, Example]]:
    conditions = [f"{rejection_reason}:{field_name}"] if field_name else []
    conditions.append(rejection_reason)
    if rejection_reason == "not-found" and field_name:
        conditions.append(f"invalid:{field_name}")
    usual = [str(code) for code in STATUS_CODES_BY_REASON.get(rejection_reason, ())]
    if rejection_reason == "too-large":
        conditions += [f"invalid:{field_name}", "invalid"]
    if rejection_reason == "expired":
        conditions.append("not-found")
    for when in conditions:
        for status, spec in sorted(operation.responses.items(), key=lambda item: item[0] not in usual):
            if not status.startswith("2"):
                for media_spec in spec.media_types.values():
                    yield from (
                        (spec, media_spec, example)
                        for example in media_spec.examples
                        if example.rejection_reason == when
                    )


def _choose_status_in_class(rejection_reason: str, status_class: str) -> int:
    """Return a common status code for a rejection reason, within a status class such as "4XX"."""
    codes = STATUS_CODES_BY_REASON.get(rejection_reason, (400,))
    return next((code for code in codes if str(code)[0] == status_class[0]), codes[0])


def _build_error(
    operation: Operation,
    rejection: Rejection,
    status: int,
    response_spec: ResponseSpec | None,
    media_spec: MediaType | None,
    body: Any,
) -> EmulatedResponse:
    name = media_spec.name if media_spec is not None else (None if body == b"" else "application/json")
    return EmulatedResponse(
        kind="error",
        status=status,
        body=body,
        media_type=name,
        response_spec=response_spec,
        documented_media_type=media_spec,
        operation=operation,
        rejection_reason=rejection.reason,
    )


def _build_minimal_body(media_spec: MediaType, message_text: str) -> Any:
    builder = SchemaValueBuilder(media_spec.schemas, message_text)
    return builder.build_minimal_value(
        media_spec.part_data.get("schema", {}), media_spec.schema_pointer or media_spec.pointer
    )


def _build_undocumented_error_body(operation: Operation, rejection: Rejection) -> Any:
    """Return a body for an undocumented error, with the structure of another error that is documented."""
    for response in operation.responses.values():
        media_spec = find_json_media(response)
        if media_spec is not None and not response.status.startswith("2"):
            return _build_minimal_body(media_spec, rejection.detail)
    return {"error": rejection.detail}


def find_json_media(response: ResponseSpec | None) -> MediaType | None:
    """Return the documented JSON body of a response; `None` if it has none."""
    if response is None:
        return None
    return next((media_spec for media_spec in response.media_types.values() if is_json(media_spec.name)), None)


_RECORDING_RATE_HZ = 16_000
"""Sample rate of the sound that stands for a stored recording."""
_FORMAT_BY_MEDIA_TYPE = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/flac": "flac",
}
"""Audio formats of stored recordings, by media type."""


def build_success_response(
    operation: Operation, response_kind: Any, build_body_template: Callable[[MediaType], BodyTemplate]
) -> EmulatedResponse:
    """Return the first documented success response; a JSON body is built from what `build_body_template` returns."""
    spec = operation.success_response
    status = int(spec.status) if spec.status.isdecimal() else 200
    media_spec = find_json_media(spec)
    if media_spec is not None:
        return EmulatedResponse(
            response_kind,
            status,
            build_body_template(media_spec).initial_body,
            media_spec.name,
            response_spec=spec,
            documented_media_type=media_spec,
            operation=operation,
        )
    other = next(iter(spec.media_types.values()), None)
    if other is None:
        return EmulatedResponse(response_kind, status, response_spec=spec, operation=operation)
    example = next(iter(other.examples), None)
    text = example.value if example is not None and isinstance(example.value, str) else ""
    media_type = "audio/mpeg" if other.name == "audio/*" else other.name  # a response cannot have a range
    return EmulatedResponse(
        response_kind,
        status,
        text.encode() or _encode_stored_recording(media_type),
        media_type,
        response_spec=spec,
        documented_media_type=other,
        operation=operation,
    )


@functools.cache
def _encode_stored_recording(media_type: str) -> bytes:
    """Return a second of sound as the recording that an account has stored; empty for another media type than audio."""
    audio_format = _FORMAT_BY_MEDIA_TYPE.get(media_type)
    if audio_format is None:
        return b""
    import numpy as np

    from voicegauge.speech.encoding import encode

    times_s = np.arange(_RECORDING_RATE_HZ) / _RECORDING_RATE_HZ
    samples = 0.2 * np.sin(2 * np.pi * 220 * times_s) * np.sin(np.pi * times_s)
    return encode(samples.astype(np.float32), _RECORDING_RATE_HZ, audio_format)[0]


def build_default_body(media_spec: MediaType) -> BodyTemplate:
    """Return the best example of `media_spec`, or a minimal valid value if there is no example.

    Valid examples are preferred, then documented ones over inferred ones, then earlier ones.
    """
    return select_body_template(media_spec, lambda _: ())


def select_body_template(
    media_spec: MediaType,
    rank_example: Callable[[Example], Iterable[Any] | None],
    required_values: Mapping[Location, Any] | None = None,
) -> BodyTemplate:
    """Return a copy of the highest-ranked example, or a value built from the schema if there is none.

    Args:
        media_spec: the documented media type.
        rank_example: returns the sort keys of an example, most significant first; `None` excludes the example.
        required_values: values that a value built from the schema must contain, each under its location in the body.
    """
    ranked: list[tuple[Any, ...]] = []
    for example in media_spec.examples:
        weights = rank_example(example)
        if weights is not None:
            ranked.append(
                (_is_valid_example(media_spec, example), *weights, example.is_inferred, -len(ranked), example)
            )
    best = max(ranked, key=lambda entry: entry[:-1]) if ranked else None
    # What contradicts its own schema would be a finding that the service has not caused.
    if best is not None and (best[0] or "schema" not in media_spec.part_data):
        example = best[-1]
        return BodyTemplate(copy.deepcopy(example.value), example)
    value: Any = None
    for location, item in (required_values or {}).items():
        value = write_value_at(value, location, item)
    builder = SchemaValueBuilder(media_spec.schemas)
    schema, pointer = media_spec.part_data.get("schema", {}), media_spec.schema_pointer or media_spec.pointer
    value = (
        builder.build_minimal_value(schema, pointer)
        if value is None
        else builder.complete_value(schema, pointer, value)
    )
    return BodyTemplate(value, None)


@functools.lru_cache(maxsize=256)
def _is_valid_example(media_spec: MediaType, example: Example) -> bool:
    return next(media_spec.iterate_violations(example.value), None) is None


def replace_url_prefixes(value: Any, replacements: Mapping[str, str]) -> Any:
    """Return `value` with URL prefixes replaced in all texts: each key of `replacements` by its value."""
    if isinstance(value, dict):
        return {key: replace_url_prefixes(item, replacements) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_url_prefixes(item, replacements) for item in value]
    if isinstance(value, str):
        for old, new in replacements.items():
            if value == old or value.startswith(f"{old}/"):
                return new + value[len(old) :]
    return value


# Writes the values of a request, a job or audio into the documented body of a response.


FILE_EXTENSION_BY_FORMAT = {"pcm_s16le": "pcm", "mulaw": "ulaw"}
"""File name extensions of the formats whose extension differs from the format name."""

LocationFilter = Callable[[MediaType | None, Any, Location], bool]
"""Function (documented media type, body, location) that returns whether a value is written at the location."""


def write_values(
    response: EmulatedResponse,
    values_by_location: Mapping[Location, Any],
    location_filter: LocationFilter | None = None,
) -> None:
    """Write `values_by_location` into the body, each at its location if `location_filter` accepts the location."""
    for location, value in values_by_location.items():
        if not location.is_in_body or not response.is_body_text_or_json:
            continue
        if location_filter is None or location_filter(response.documented_media_type, response.body, location):
            response.body = write_value_at(response.body, location, copy.deepcopy(value))


def write_text_body(response: EmulatedResponse, text: str, media_type: str | None) -> None:
    """Replace the body by `text`. Without `media_type`, the first documented media type that is a text is used.

    If the document has only JSON, the body is the text as JSON.
    """
    documented = response.response_spec.media_types if response.response_spec is not None else {}
    texts = (name for name in documented if name.startswith("text/") and "event" not in name)
    name = media_type or next(texts, None) or next(filter(is_json, documented), "text/plain")
    response.body, response.media_type = text if is_json(name) else text.encode(), name
    response.documented_media_type = documented.get(name)


def write_audio(
    response: EmulatedResponse,
    response_audio: ResponseAudio,
    format_name: str,
    audio_url: str,
    audio_bytes: bytes | None,
) -> None:
    """Write audio, or its URL, where the contract documents it, together with its media type."""
    if response_audio.delivery_method == "stream":
        response.body = audio_bytes or b""
        documented = response.response_spec.media_types if response.response_spec is not None else {}
        response.media_type = response.stream_spec.response_media_type if response.stream_spec is not None else None
        response.documented_media_type = documented.get(response.media_type or "")
        return
    if response_audio.delivery_method == "bytes":
        response.body = audio_bytes or b""
        set_audio_media_type(response, format_name)
        return
    value = audio_url if response_audio.delivery_method == "url" else base64.b64encode(audio_bytes or b"").decode()
    tokens = response_audio.location.pointer_tokens
    is_added = response.is_body_text_or_json and read_pointer(response.body, tokens) is MISSING
    write_values(response, {response_audio.location: value})
    if is_added:
        _complete_by_schema(response)
    if (
        response_audio.media_type_location is not None
        and response_audio.media_type_location not in _get_target_constants(response)
    ):
        shown = _choose_reported_format(response, response_audio.media_type_location, format_name)
        write_values(response, {response_audio.media_type_location: shown})


def _complete_by_schema(response: EmulatedResponse) -> None:
    """Add what the schema requires beside the written values, such as the other fields of a list item."""
    media_type = response.documented_media_type
    if media_type is not None and "schema" in media_type.part_data:
        response.body = SchemaValueBuilder(media_type.schemas).complete_value(
            media_type.part_data["schema"], media_type.schema_pointer or media_type.pointer, response.body
        )


def set_audio_media_type(response: EmulatedResponse, format_name: str) -> None:
    """Set the Content-Type of a response whose body is audio to the documented media type that fits best."""
    documented = response.response_spec.media_types if response.response_spec is not None else {}
    response.media_type = choose_media_type(format_name, documented) or find_media_type_of_format(format_name)
    response.documented_media_type = documented.get(response.media_type)


def _choose_reported_format(response: EmulatedResponse, location: Location, format_name: str) -> str:
    """Return the value with which a body reports a format: a documented value, else a value in the example's style."""
    documented = list(_list_enumerated_texts(response, location))
    by_media_type = {value.partition(";")[0].strip().lower(): value for value in documented if "/" in value}
    found = choose_media_type(format_name, by_media_type)
    if found in by_media_type:
        return by_media_type[found]
    for value in documented:
        if find_format(value) == format_name:
            return value
    shown = read_value_at(response.body, location)
    is_short_name = isinstance(shown, str) and shown != "" and "/" not in shown
    return (
        FILE_EXTENSION_BY_FORMAT.get(format_name, format_name)
        if is_short_name
        else find_media_type_of_format(format_name)
    )


def _list_enumerated_texts(response: EmulatedResponse, location: Location) -> Iterator[str]:
    if response.documented_media_type is None:
        return
    for schema in iterate_schemas_at(
        response.documented_media_type.schemas, response.documented_media_type.schema, location.pointer_tokens
    ):
        yield from (value for value in (*schema.get("enum", ()), schema.get("const")) if isinstance(value, str))


def write_charges_and_balances(
    response: EmulatedResponse, amounts_by_location: Mapping[Location | None, float | None]
) -> None:
    """Write amounts of money or credits at their locations in the body or the headers; `None` is not written."""
    for location, amount in amounts_by_location.items():
        if location is None or amount is None:
            continue
        if location.message_part == "header":
            response.headers[location.name] = f"{amount:g}" if amount < 1e6 else str(amount)
        elif response.documented_media_type is not None:
            write_values(response, {location: _round_like_example(response, location, amount)}, can_have_value_at)


def _round_like_example(response: EmulatedResponse, location: Location, amount: float) -> int | float:
    """Return `amount` with the precision that the contract documents.

    It is rounded to an integer if the schema requires one, else to 6 decimal places. A whole number is returned as an
    integer if the example shows one.
    """
    assert response.documented_media_type is not None
    schemas = iterate_schemas_at(
        response.documented_media_type.schemas, response.documented_media_type.schema, location.pointer_tokens
    )
    if any(schema.get("type") == "integer" for schema in schemas):
        return round(amount)
    shown = read_value_at(response.body, location)
    exact = round(amount, 6)
    return int(exact) if isinstance(shown, int) and float(exact).is_integer() else exact


def write_job_times(response: EmulatedResponse, job_spec: JobSpec, job: EmulatedJob) -> None:
    """Write the times of a job, in the format of the documented examples."""
    state = job_spec.states.get(job.state)
    required = state.required_locations if state is not None else ()
    times = {
        job_spec.creation_time_location: job.created_at_s,
        job_spec.update_time_location: job.state_start_times_s[-1],
    }
    if state is not None and state.terminal_outcome is not None:
        times[job_spec.end_time_location] = job.state_start_times_s[-1]
    for location, at in times.items():
        if location is None or response.documented_media_type is None:
            continue
        shown = read_value_at(response.body, location)
        if shown not in (MISSING, None) or location in required:
            style = _find_time_format_example(response.documented_media_type, location, shown)
            write_values(response, {location: format_time_like_example(at, style)})


def _find_time_format_example(media_spec: MediaType, location: Location, current_value: Any) -> Any:
    """Return the value whose timestamp format is to be copied: the one in the body, else one in any example."""
    if current_value not in (MISSING, None):
        return current_value
    values = (read_value_at(example.value, location) for example in media_spec.examples)
    return next((value for value in values if value not in (MISSING, None)), None)


def _get_target_constants(response: EmulatedResponse) -> Mapping[Location, Any]:
    """Return the fixed values of the response's target."""
    return response.target.target_spec.emulation.response_constants if response.target is not None else {}


_CURSOR_PREFIX = "after-"
"""Prefix of the emulator's cursors of the kind `token`. The number of items before the page follows it."""


def select_page(response: EmulatedResponse, request: ParsedRequest, pagination_spec: PaginationSpec) -> None:
    """Keep the items of the requested page, and write the fields that lead to the next page. `response` is changed.

    Raises:
        Rejection: the request names a page with a cursor that the emulator never returned.
    """
    items = read_value_at(response.body, pagination_spec.items_location)
    if not isinstance(items, list):
        return
    size = _read_number(request, pagination_spec.page_size_location) or max(len(items), 1)
    start = _find_first_index(items, size, request, pagination_spec)
    page, end = items[start : start + size], start + size
    has_more = end < len(items)
    response.body = write_value_at(response.body, pagination_spec.items_location, page)
    for location, value in (
        (pagination_spec.has_more_location, has_more),
        (pagination_spec.total_count_location, len(items)),
        (pagination_spec.page_count_location, -(-len(items) // size)),
    ):
        if location is not None and can_have_value_at(response.documented_media_type, response.body, location):
            response.body = write_value_at(response.body, location, value)
    if pagination_spec.next_cursor_location is not None:
        cursor = _build_next_cursor(page, end, start // size, pagination_spec) if has_more else None
        _write_next_cursor(response, pagination_spec.next_cursor_location, cursor)


def _find_first_index(items: list[Any], page_size: int, request: ParsedRequest, pagination_spec: PaginationSpec) -> int:
    location, kind = pagination_spec.cursor_location, pagination_spec.cursor_kind
    cursor = request.read_value(location) if location is not None else MISSING
    if location is None or cursor in (MISSING, None, ""):
        return 0
    if kind == "item-id":
        ids = [item.get(pagination_spec.item_id_field) if isinstance(item, dict) else None for item in items]
        return ids.index(cursor) + 1 if cursor in ids else len(items)  # nothing follows an unknown item
    text = str(cursor).removeprefix(_CURSOR_PREFIX) if kind == "token" else str(cursor)
    number = parse_whole_number(text)
    if number is None or (kind == "token" and text == str(cursor)):
        raise Rejection("invalid", location.field_name, f"{location.field_name}: no list has the page {cursor!r:.80}")
    return max(number - pagination_spec.first_page_number, 0) * page_size if kind == "page" else number


def _read_number(request: ParsedRequest, location: Location | None) -> int | None:
    if location is None:
        return None
    value = request.read_value(location)
    value = find_default_value(request, location) if value is MISSING else value
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _build_next_cursor(page: list[Any], end_index: int, page_index: int, pagination_spec: PaginationSpec) -> Any:
    kind = pagination_spec.cursor_kind
    if kind == "item-id":
        return page[-1].get(pagination_spec.item_id_field)
    if kind == "page":
        return page_index + 1 + pagination_spec.first_page_number
    return f"{_CURSOR_PREFIX}{end_index}" if kind == "token" else end_index


def _write_next_cursor(response: EmulatedResponse, location: Location, cursor: Any) -> None:
    """Write the cursor; on the last page null, or an empty text if the schema allows no null."""
    media = response.documented_media_type
    if cursor is None and media is not None:
        types = [
            schema.get("type") for schema in iterate_schemas_at(media.schemas, media.schema, location.pointer_tokens)
        ]
        cursor = "" if types and "string" in types else None
    response.body = write_value_at(response.body, location, cursor)

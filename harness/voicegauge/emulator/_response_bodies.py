"""Builds response bodies from documented examples and schemas."""

from __future__ import annotations

import base64
import copy
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.document_parts import Example, MediaType, ResponseSpec
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.pricing import UsageSpec
from voicegauge.contract.extension.speech import EventTimestamps, ResponseAudio, SpeechTimestamps
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse, ResponseKind
from voicegauge.emulator._output_audio import choose_media_type, find_audio_format_name
from voicegauge.emulator._provider_state import EmulatedJob
from voicegauge.emulator._request import ParsedRequest, can_have_value_at, read_value_at, write_value_at
from voicegauge.emulator._schema_values import build_body_by_schema, format_time_like_example, iterate_body_schemas
from voicegauge.emulator._speech_synthesis import SpeechTiming
from voicegauge.formats.bodies import is_json
from voicegauge.formats.locations import EVERY_ITEM, MISSING, EventLocation, Location, read_pointer
from voicegauge.speech.encoding import find_media_type_of_format

# Builds response bodies from the contract's examples, or from its schemas if there are no examples.


class BodyTemplate(NamedTuple):
    """A response body whose values are still to be filled in: a copy of an example, if the contract has one."""

    initial_body: Any
    """The body before any value is filled in; it may be changed."""
    example: Example | None
    """The documented example that was copied; `None` if the body was built from the schema."""


def find_json_media(response: ResponseSpec | None) -> MediaType | None:
    """Return the documented JSON body of `response`; `None` if it has none, or if it is `None` itself."""
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
    operation: Operation,
    response_kind: ResponseKind,
    rank_example: Callable[[Example], Iterable[Any] | None] = lambda _: (),
    required_values: Mapping[Location, Any] | None = None,
    *,
    example_media_spec: MediaType | None = None,
) -> EmulatedResponse:
    """Return the first documented success response.

    Args:
        operation: the operation that was requested.
        response_kind: what the response does.
        rank_example: returns the sort keys of an example of a JSON body, or `None` to exclude it, as in
            `select_body_template`. By default, all examples rank alike.
        required_values: values that a JSON body without an example must contain, by location; `None` requires nothing.
        example_media_spec: media type whose examples are used; `None` for that of the response.
    """
    spec = operation.success_response
    status = int(spec.status) if spec.status.isdecimal() else 200
    media_spec = find_json_media(spec)
    if media_spec is not None:
        return EmulatedResponse(
            response_kind,
            status,
            select_body_template(example_media_spec or media_spec, rank_example, required_values).initial_body,
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
    """Return the best valid example of `media_spec`, or a minimal value built from the schema if there is none.

    Documented examples are preferred to inferred ones, then earlier ones to later ones.
    """
    return select_body_template(media_spec, lambda _: ())


def select_body_template(
    media_spec: MediaType,
    rank_example: Callable[[Example], Iterable[Any] | None],
    required_values: Mapping[Location, Any] | None = None,
) -> BodyTemplate:
    """Return a copy of the highest-ranked valid example, or a value built from the schema if there is none.

    Args:
        media_spec: the documented media type.
        rank_example: returns the sort keys of an example, most significant first; `None` excludes the example.
        required_values: values that a value built from the schema must contain, each under its location in the body;
            `None` requires nothing.
    """
    ranked: list[tuple[Any, ...]] = []
    for example in media_spec.examples:
        weights = rank_example(example)
        if weights is not None:
            # The number of the example comes before the example itself, which cannot be compared.
            ranked.append((is_valid_example(media_spec, example), *weights, example.is_inferred, -len(ranked), example))
    best = max(ranked, key=lambda entry: entry[:-1]) if ranked else None
    # What contradicts its own schema would be a finding that the service has not caused.
    if best is not None and (best[0] or "schema" not in media_spec.part_data):
        example = best[-1]
        return BodyTemplate(copy.deepcopy(example.value), example)
    value: Any = MISSING
    for location, item in (required_values or {}).items():
        value = write_value_at(value, location, item)
    return BodyTemplate(build_body_by_schema(media_spec, value), None)


@functools.lru_cache(maxsize=256)
def is_valid_example(media_spec: MediaType, example: Example) -> bool:
    """Whether a documented example is valid under the schema beside it; some documents contradict themselves."""
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


def write_body_values(
    response: EmulatedResponse,
    values_by_location: Mapping[Location, Any],
    location_filter: LocationFilter | None = None,
) -> None:
    """Write `values_by_location` into the body, each at its location if `location_filter` accepts the location.

    `None` as `location_filter` accepts every location. A location outside the body is left out, and so are all if the
    body is bytes.
    """
    for location, value in values_by_location.items():
        if not location.is_in_body or not response.is_body_text_or_json:
            continue
        if location_filter is None or location_filter(response.documented_media_type, response.body, location):
            if isinstance(value, str) and value.isdecimal() and _is_integer(response.documented_media_type, location):
                value = int(value)  # the id of a job, which is a text in the emulator
            response.body = write_value_at(response.body, location, copy.deepcopy(value))


def _is_integer(media_spec: MediaType | None, location: Location) -> bool:
    """Whether the schema of the value at `location` allows integers, but no texts."""
    types = [schema.get("type", ()) for schema in iterate_body_schemas(media_spec, location.pointer_tokens)]
    return any("integer" in one for one in types) and not any("string" in one for one in types)


def write_text_body(response: EmulatedResponse, text: str, media_type: str | None) -> None:
    """Replace the body by `text`. If `media_type` is `None`, the first documented one that is a text is used.

    If the document has only JSON, the body is the text as JSON.
    """
    documented = response.response_spec.media_types if response.response_spec is not None else {}
    texts = (name for name in documented if name.startswith("text/") and "event" not in name)
    name = media_type or next(texts, None) or next(filter(is_json, documented), "text/plain")
    response.body, response.media_type = text if is_json(name) else text.encode(), name
    response.documented_media_type = documented.get(name)


def write_audio_or_url(
    response: EmulatedResponse,
    response_audio: ResponseAudio,
    format_name: str,
    audio_url: str,
    audio_bytes: bytes | None,
) -> None:
    """Write audio, or its URL, where the contract documents it, together with its media type.

    Args:
        response: the response that is changed.
        response_audio: how and where the contract documents the audio.
        format_name: audio format of `audio_bytes`.
        audio_url: the URL, for a contract that delivers audio by URL.
        audio_bytes: the encoded audio, for any other contract; `None` writes it as empty.
    """
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
    write_body_values(response, {response_audio.location: value})
    if is_added and response.documented_media_type is not None and "schema" in response.documented_media_type.part_data:
        # What the schema requires beside the written values, such as the other fields of a list item.
        response.body = build_body_by_schema(response.documented_media_type, response.body)
    # What a contract fixes for the emulation is written elsewhere, and must not be replaced here.
    fixed = response.target.target_spec.emulation.response_constants if response.target is not None else {}
    if response_audio.media_type_location is not None and response_audio.media_type_location not in fixed:
        shown = _choose_reported_format(response, response_audio.media_type_location, format_name)
        write_body_values(response, {response_audio.media_type_location: shown})


def set_audio_media_type(response: EmulatedResponse, format_name: str) -> None:
    """Set the Content-Type of a response whose body is audio to the documented media type that fits best."""
    documented = response.response_spec.media_types if response.response_spec is not None else {}
    response.media_type = choose_media_type(format_name, documented) or find_media_type_of_format(format_name)
    response.documented_media_type = documented.get(response.media_type)


def _choose_reported_format(response: EmulatedResponse, location: Location, format_name: str) -> str:
    """Return the value with which a body reports a format: a documented value, else a value in the example's style."""
    schemas = iterate_body_schemas(response.documented_media_type, location.pointer_tokens)
    stated = itertools.chain.from_iterable((*schema.get("enum", ()), schema.get("const")) for schema in schemas)
    documented = [value for value in stated if isinstance(value, str)]
    by_media_type = {value.partition(";")[0].strip().lower(): value for value in documented if "/" in value}
    found = choose_media_type(format_name, by_media_type)
    if found in by_media_type:
        return by_media_type[found]
    for value in documented:
        if find_audio_format_name(value) == format_name:
            return value
    shown = read_value_at(response.body, location)
    is_short_name = isinstance(shown, str) and shown != "" and "/" not in shown
    return (
        FILE_EXTENSION_BY_FORMAT.get(format_name, format_name)
        if is_short_name
        else find_media_type_of_format(format_name)
    )


def write_charges_and_balances(
    response: EmulatedResponse, amounts_by_location: Mapping[Location | None, float | None]
) -> None:
    """Write amounts of money or credits at their locations in the body or the headers; `None` is not written."""
    for location, amount in amounts_by_location.items():
        if location is None or amount is None:
            continue
        if location.message_part == "header":
            response.headers[location.name] = f"{amount:g}" if amount < 1e6 else str(amount)  # no exponent
        elif response.documented_media_type is not None:
            write_body_values(response, {location: _round_like_example(response, location, amount)}, can_have_value_at)


def _round_like_example(response: EmulatedResponse, location: Location, amount: float) -> int | float:
    """Return `amount` with the precision that the contract documents.

    It is rounded to an integer if the schema requires one, else to 6 decimal places. A whole number is returned as an
    integer if the example shows one.
    """
    schemas = iterate_body_schemas(response.documented_media_type, location.pointer_tokens)
    if any(schema.get("type") == "integer" for schema in schemas):
        return round(amount)
    shown = read_value_at(response.body, location)
    exact = round(amount, 6)
    return int(exact) if isinstance(shown, int) and float(exact).is_integer() else exact


def write_job_times(response: EmulatedResponse, job_spec: JobSpec, job: EmulatedJob) -> None:
    """Write the times of a job where the body has or must have them, in the format of the documented examples."""
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
            write_body_values(response, {location: format_time_like_example(at, style)})


def _find_time_format_example(media_spec: MediaType, location: Location, current_value: Any) -> Any:
    """Return the value whose timestamp format is to be copied: the one in the body, else one in any example."""
    if current_value not in (MISSING, None):
        return current_value
    values = (read_value_at(example.value, location) for example in media_spec.examples)
    return next((value for value in values if value not in (MISSING, None)), None)


# Finds the ids in a contract's examples, for operations whose resources the emulator does not store.


def read_requested_ids(request: ParsedRequest) -> Mapping[str, str]:
    """Return the values of the required path and query parameters, with the names of the parameters as keys.

    Parameters with enumerated values, a constant or a default are left out, because they contain no ids.
    """
    found = {}
    for parameter in request.operation.parameters:
        values = {"path": request.path_parameters, "query": request.query_parameters}.get(parameter.message_part, {})
        is_enumerated = any(key in parameter.schema for key in ("enum", "const", "default"))
        if parameter.is_required and parameter.name in values and not is_enumerated:
            found[parameter.name] = str(values[parameter.name])
    return found


def is_documented_id(operation: Operation, parameter_name: str, value: str) -> bool:
    """Whether `value` is an example of the parameter, or occurs as an id in any success example of the contract."""
    return value in _collect_documented_ids(operation.contract) or value in _collect_parameter_examples(
        operation, parameter_name
    )


@functools.lru_cache(maxsize=256)
def _collect_parameter_examples(operation: Operation, parameter_name: str) -> frozenset[str]:
    found: set[str] = set()
    for parameter in operation.parameters:
        if parameter.name == parameter_name:
            named = parameter.part_data.get("examples", {})
            listed = [parameter.part_data.get("example"), parameter.schema.get("example")]
            listed += [example.get("value") for example in named.values() if isinstance(example, dict)]
            listed += parameter.schema.get("examples", [])
            found.update(str(value) for value in listed if isinstance(value, str | int))
    return frozenset(found)


@functools.lru_cache(maxsize=64)
def _collect_documented_ids(contract: Contract) -> frozenset[str]:
    """Return every value in the success examples that may be an id.

    That is every text, since ids have no common form, and as text each number in a field whose name ends with "id".
    """
    found: set[str] = set()
    for item in _collect_example_objects(contract):
        for name, value in item.items():
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if isinstance(value, str) or (is_number and name.lower().endswith("id")):
                found.add(str(value))
    return frozenset(found - {""})


@functools.lru_cache(maxsize=64)
def _collect_example_objects(contract: Contract) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        item
        for operation in contract.operations.values()
        for status, response in operation.responses.items()
        if status.startswith("2")
        for media_spec in response.media_types.values()
        for example in media_spec.examples
        for item in _iterate_json_objects(example.value)
    )


def _iterate_json_objects(json_value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(json_value, dict):
        yield json_value
    for item in (
        json_value.values() if isinstance(json_value, dict) else json_value if isinstance(json_value, list) else ()
    ):
        yield from _iterate_json_objects(item)


def has_object_with_value(examples: Any, searched_value: str) -> bool:
    """Whether any example contains an object with a field of the value `searched_value`."""
    return any(str(member) == searched_value for item in _iterate_json_objects(examples) for member in item.values())


def fill_body_from_documented_item(
    operation: Operation, body: dict[str, Any], id_by_parameter: Mapping[str, str]
) -> dict[str, Any]:
    """Return `body` with the values of a documented object, such as an item of a list, that has the requested id.

    Only the values of fields that `body` has are replaced. If no documented object has the id, the id is written only
    into the field that is named like the parameter.
    """
    for parameter_name, wanted in id_by_parameter.items():
        if has_object_with_value(body, wanted):
            continue
        items = (item for item in _collect_example_objects(operation.contract) if wanted in map(str, item.values()))
        item = next(items, {parameter_name: wanted})
        body = {name: item.get(name, value) for name, value in body.items()}
    return body


# Filters the lists of a response by the query of its request.


def filter_lists_by_query(body: dict[str, Any], request: ParsedRequest) -> None:
    """Keep the list items that match the query: each documented parameter filters by the field of the same name.

    `body` is changed in place. Items without such a field are kept. Counts that equaled the length of the list are
    updated.
    """
    documented = {one.name for one in request.operation.parameters if one.message_part == "query"}
    requested = {name: value for name, value in request.query_parameters.items() if name in documented}
    for name, items in list(body.items()):
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            continue
        left = [i for i in items if all(key not in i or i[key] == value for key, value in requested.items())]
        body[name] = left
        # No contract says which list a count belongs to: one that equals the length of the list is taken for its own.
        for other, count in body.items():
            if count == len(items) and isinstance(count, int) and not isinstance(count, bool):
                body[other] = len(left)


# Writes the times of characters or words into responses with speech.


SpeechTimingsGetter = Callable[[Literal["character", "word"]], Sequence[SpeechTiming]]
"""Function that returns when each character or word of the text is spoken."""


def write_timestamps(
    body: Any, timestamps_spec: SpeechTimestamps | EventTimestamps, timings: Sequence[SpeechTiming]
) -> Any:
    """Return `body` with the times at the locations that the contract documents."""
    scale = 1000 if timestamps_spec.time_unit == "ms" else 1
    body = _write_item_values(body, timestamps_spec.texts_location.pointer_tokens, [timing.text for timing in timings])
    body = _write_item_values(
        body,
        timestamps_spec.starts_location.pointer_tokens,
        [round(timing.start_s * scale, 3) for timing in timings],
    )
    if timestamps_spec.ends_location is not None:
        body = _write_item_values(
            body,
            timestamps_spec.ends_location.pointer_tokens,
            [
                round((timing.end_s - (timing.start_s if timestamps_spec.ends_are_durations else 0)) * scale, 3)
                for timing in timings
                if timing.end_s is not None
            ],
        )
    return body


def _write_item_values(body: Any, path_tokens: Sequence[str], values: Sequence[Any]) -> Any:
    """Return `body` with each of `values` written at `path_tokens`, where "*" is replaced by the index of the value."""
    at = path_tokens.index(EVERY_ITEM)
    list_location = Location("body", pointer_tokens=path_tokens[:at])
    existing = list_location.read_body(body)
    items = existing if isinstance(existing, list) else []
    rest = Location("body", pointer_tokens=path_tokens[at + 1 :])
    filled = [write_value_at(items[i] if i < len(items) else None, rest, value) for i, value in enumerate(values)]
    return write_value_at(body, list_location, filled)


# Writes the tokens and seconds that a request used, on which its price depends, into responses.


_USED_SHARE_OF_MAX_USAGE = 0.5
"""Share of the documented maximum of tokens or seconds that an emulated request uses if no typical number is
documented. The share is invented."""


def write_usage(response: EmulatedResponse, target: Target, character_count: int) -> None:
    """Write the usage at the documented locations of a JSON response."""
    if response.is_body_text_or_json:
        usages = _iterate_usages(target, character_count)
        amounts: dict[Location | None, float | None] = {usage.reported_usage_location: used for usage, used in usages}
        write_charges_and_balances(response, amounts)


def compute_final_event_usage(target: Target, character_count: int) -> Mapping[EventLocation, float]:
    """Return the usage that the last event of a stream reports, by location in the event."""
    usages = _iterate_usages(target, character_count)
    return {usage.event_usage_location: used for usage, used in usages if usage.event_usage_location is not None}


def _iterate_usages(target: Target, character_count: int) -> Iterator[tuple[UsageSpec, float]]:
    """Yield a pair for each usage on which the target's price depends: its specification, and the amount used.

    The amount is a whole number of tokens, or a number of seconds.
    """
    for part in target.pricing.parts if target.pricing is not None else ():
        if part.usage is not None:
            usage = part.usage
            used = (
                (usage.typical_per_request or 0.0) + (usage.typical_per_character or 0.0) * character_count
                if usage.states_typical_usage
                else usage.compute_upper_bound(character_count) * _USED_SHARE_OF_MAX_USAGE
            )
            yield part.usage, max(round(used), 1) if part.unit == "1m_tokens" else round(used, 6)

"""Finds the ids in examples, filters lists by the request, and writes timestamps and usage into responses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.extension.pricing import UsageSpec
from voicegauge.contract.extension.speech import EventTimestamps, SpeechTimestamps
from voicegauge.contract.operation import Operation
from voicegauge.contract.price_computation import compute_usage_bound, has_typical_usage
from voicegauge.contract.targets import Target
from voicegauge.emulator._request import (
    ParsedRequest,
    write_value_at,
)
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._response_bodies import (
    write_charges_and_balances,
)
from voicegauge.emulator._speech_timestamps import SpeechTiming
from voicegauge.formats.locations import EVERY_ITEM, EventLocation, Location

# Finds the ids in a contract's examples, for operations whose resources the emulator does not store.


def read_requested_ids(request: ParsedRequest) -> Mapping[str, str]:
    """Return the values of the required path and query parameters, with the names of the parameters as keys.

    Parameters with enumerated values, a constant or a default are left out, because they contain no ids.
    """
    found = {}
    for parameter in request.operation.parameters:
        values = {"path": request.path_parameters, "query": request.query_parameters}.get(parameter.message_part, {})
        if parameter.is_required and parameter.name in values and not _has_enumerated_values(parameter):
            found[parameter.name] = str(values[parameter.name])
    return found


def _has_enumerated_values(parameter: Parameter) -> bool:
    return any(key in parameter.schema for key in ("enum", "const", "default"))


def has_not_found_response(operation: Operation) -> bool:
    """Whether a response for unknown ids is documented, either as status 404 or as an example marked as not found."""
    return "404" in operation.responses or any(
        example.rejection_reason is not None and example.rejection_reason.partition(":")[0] == "not-found"
        for response in operation.responses.values()
        for media_spec in response.media_types.values()
        for example in media_spec.examples
    )


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
        for item in _iterate_objects(example.value)
    )


def _iterate_objects(json_value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(json_value, dict):
        yield json_value
    for item in (
        json_value.values() if isinstance(json_value, dict) else json_value if isinstance(json_value, list) else ()
    ):
        yield from _iterate_objects(item)


def has_object_with_value(examples: Any, searched_value: str) -> bool:
    """Whether any example contains an object with a field of the value `searched_value`."""
    return any(str(member) == searched_value for item in _iterate_objects(examples) for member in item.values())


def fill_body_from_documented_item(
    operation: Operation, body: dict[str, Any], ids: Mapping[str, str]
) -> dict[str, Any]:
    """Return `body` with the values of a documented object, such as an item of a list, that has the requested id.

    Only the values of fields that `body` has are replaced. If no documented object has the id, the id is written only
    into the field that is named like the parameter.
    """
    for parameter_name, wanted in ids.items():
        if has_object_with_value(body, wanted):
            continue
        items = (item for item in _collect_example_objects(operation.contract) if wanted in map(str, item.values()))
        item = next(items, {parameter_name: wanted})
        body = {name: item.get(name, value) for name, value in body.items()}
    return body


# Filters the lists of a response by the query of its request.


def filter_lists(body: dict[str, Any], request: ParsedRequest) -> None:
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
    body = _write_values(body, timestamps_spec.texts_location.pointer_tokens, [timing.text for timing in timings])
    body = _write_values(
        body,
        timestamps_spec.starts_location.pointer_tokens,
        [_round_time(timing.start_s * scale) for timing in timings],
    )
    if timestamps_spec.ends_location is not None:
        body = _write_values(
            body,
            timestamps_spec.ends_location.pointer_tokens,
            [
                _round_time((timing.end_s - (timing.start_s if timestamps_spec.ends_are_durations else 0)) * scale)
                for timing in timings
                if timing.end_s is not None
            ],
        )
    return body


def _round_time(time_s: float) -> float:
    return round(time_s, 3)


def _write_values(body: Any, path_tokens: Sequence[str], values: Sequence[Any]) -> Any:
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
                if has_typical_usage(usage)
                else compute_usage_bound(usage, character_count) * _USED_SHARE_OF_MAX_USAGE
            )
            yield part.usage, max(round(used), 1) if part.unit == "1m_tokens" else round(used, 6)

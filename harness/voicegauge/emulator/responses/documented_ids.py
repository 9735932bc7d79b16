"""Finds the ids in a contract's examples, for operations whose resources the emulator does not store."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.contract import Contract, Operation, Parameter
from voicegauge.emulator.http import ParsedRequest


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
    """Return all texts in the success examples, and the numbers in fields whose names end with "id"."""
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

    Only the values of fields that `body` has are replaced. If no documented object has the id, only the field that is
    named like the parameter gets the id.
    """
    for parameter_name, wanted in ids.items():
        if has_object_with_value(body, wanted):
            continue
        items = (item for item in _collect_example_objects(operation.contract) if wanted in map(str, item.values()))
        item = next(items, {parameter_name: wanted})
        body = {name: item.get(name, value) for name, value in body.items()}
    return body

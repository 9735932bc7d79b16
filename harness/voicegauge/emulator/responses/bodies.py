"""Builds response bodies from the contract's examples, or from its schemas if there are no examples."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from voicegauge.contract import Example, MediaType, Operation, ResponseSpec
from voicegauge.contract.extension import STATUS_CODES_BY_REASON
from voicegauge.emulator.http import Rejection, SchemaValueBuilder, write_value_at
from voicegauge.emulator.responses.response import EmulatedResponse
from voicegauge.formats import Location, is_json


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
    if found is not None:
        spec, media_spec, example = found
        status = int(spec.status) if spec.status.isdecimal() else _choose_status_in_class(rejection.reason, spec.status)
        return _build_error(operation, rejection, status, spec, media_spec, copy.deepcopy(example.value))
    return _build_error_by_status(operation, rejection)


def _build_error_by_status(operation: Operation, rejection: Rejection) -> EmulatedResponse:
    """Return the error that is documented under a common status code, if no `x-rejection-reason` matches."""
    usual = STATUS_CODES_BY_REASON.get(rejection.reason, (400,))
    status = next((code for code in usual if str(code) in operation.responses), usual[0])
    spec = operation.find_response(status)
    media_spec = find_json_media(spec)
    if media_spec is None:
        value = _build_undocumented_error_body(operation, rejection) if spec is None else b""
        return _build_error(operation, rejection, status, spec, None, value)
    unmarked = next((example for example in media_spec.examples if example.rejection_reason is None), None)
    value = copy.deepcopy(unmarked.value) if unmarked else _build_minimal_body(media_spec, rejection.detail)
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
    return EmulatedResponse(
        response_kind,
        status,
        text.encode(),
        other.name,
        response_spec=spec,
        documented_media_type=other,
        operation=operation,
    )


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
    if ranked:
        example = max(ranked, key=lambda entry: entry[:-1])[-1]
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

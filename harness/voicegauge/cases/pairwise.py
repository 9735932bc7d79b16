"""Plans requests that cover every pair of two parameters' values.

Cases that change one value cannot show a fault that needs certain values in two fields. Most faults that need more than
one field need only two (Kuhn, Wallace, Gallo, IEEE TSE 30(6), 2004).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.cases.body_cases import accepts_any_valid_value
from voicegauge.cases.boundary_values import BoundaryValue, find_fitting_value
from voicegauge.cases.case import ConformanceCase, build_case, expect_acceptance, find_request_target
from voicegauge.cases.operation_cases import convert_to_parameter_text, fits_parameter_schema, takes_webhook_url
from voicegauge.cases.valid_requests import count_charged_characters, is_file_field, is_valid_body
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import Target
from voicegauge.contract.document_parts import MediaType
from voicegauge.formats.bodies import is_form
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import UploadedFile


class PairwiseField(NamedTuple):
    """A field, and its values that are combined with values of other fields; `MISSING` leaves the field out."""

    name: str
    """Name of the member of the body, or of the query parameter."""
    values: tuple[Any, ...]
    """The values as they are sent: JSON values in a body, text in a query."""
    schema_pointer: str
    """JSON pointer to the schema of the field in the contract."""
    location: Literal["body", "query"] = "body"
    """The part of the request that has the field."""
    documented_values_by_target: Mapping[str, Sequence[Any]] | None = None
    """The documented values of each target, by target name; `None` if any value that fits the schema is valid."""


MAX_COMBINED_VALUES_PER_FIELD = 24
"""Number of values of one field that are combined with the values of others. A long list, such as the voices of a
service, would multiply the requests; each of its other values is sent in one request."""

MAX_CHOICES_TRIED_PER_ROW = 2_000
"""Maximum number of choices that are tried in the search for one row that has certain values."""

MAX_TRIED_ROW_STARTS = 50_000
"""Maximum number of beginnings of rows that are tried while all pairs are searched together. The remaining pairs are
then searched one by one."""

_MAX_SHOWN_VALUE_CHARACTERS = 40
"""Number of characters of a value, as JSON, in the id of a case, unless another value begins with the same ones."""

TargetRequest = tuple[Target, RequestParts]
"""A target, and a valid request to it whose values are changed."""

RowChoices = Mapping[int, int]
"""The value index that is chosen at some positions of a row, by position."""


def plan_combination_cases(target_requests: Sequence[TargetRequest]) -> Iterator[ConformanceCase]:
    """Yield cases in which every pair of values of two fields occurs; the target counts as a field.

    Args:
        target_requests: every checked target of one operation, with a valid request to it.
    """
    fields = list(list_pairwise_fields(target_requests))
    if len(fields) + (len(target_requests) > 1) < 2:
        return
    value_counts = [len(target_requests), *(len(field.values) for field in fields)]
    for row in build_pairwise_rows(value_counts, _build_choice_filter(target_requests, fields)):
        yield _build_combination_case(*target_requests[row[0]], fields, _get_row_values(fields, row))


def _build_choice_filter(
    target_requests: Sequence[TargetRequest], fields: Sequence[PairwiseField]
) -> Callable[[RowChoices], bool]:
    """Return a predicate that tells whether a valid request can have the values that are chosen so far.

    The first item of a row is the index of a request; each other item is the index of a value of the field at the same
    position in `fields`.
    """
    supported = [
        [
            {index for index, value in enumerate(field.values) if is_supported_value(target, field, value)}
            for field in fields
        ]
        for target, _ in target_requests
    ]

    def is_possible(choices: RowChoices) -> bool:
        if 0 not in choices:
            return any(is_possible({**choices, 0: index}) for index in range(len(target_requests)))
        supported_indexes = supported[choices[0]]
        if not all(index in supported_indexes[position - 1] for position, index in choices.items() if position):
            return False
        # A schema may need a value that is not chosen yet, so only a whole request is validated.
        if len(choices) <= len(fields):
            return True
        target, request = target_requests[choices[0]]
        row = [choices[position] for position in range(len(choices))]
        return is_valid_body(target.operation, _set_field_values(request, fields, _get_row_values(fields, row)))

    return is_possible


def _get_row_values(fields: Sequence[PairwiseField], row: Sequence[int]) -> list[Any]:
    return [field.values[index] for field, index in zip(fields, row[1:], strict=True)]


def build_pairwise_rows(
    value_counts: Sequence[int], is_possible: Callable[[RowChoices], bool]
) -> list[tuple[int, ...]]:
    """Return rows of one value index per field. Every possible pair of value indexes of two fields occurs in a row.

    A pair for which the limited search finds no row is left out.

    Args:
        value_counts: the number of values of each field.
        is_possible: returns whether a valid request can have the values that are chosen at some or all positions.
    """
    from allpairspy import AllPairs  # only needed here, and slow to import

    tried = itertools.count()
    # Limited, because like the search of a single row, that of AllPairs could try every combination.
    all_pairs = AllPairs(
        [range(size) for size in value_counts],
        filter_func=lambda start: next(tried) < MAX_TRIED_ROW_STARTS and is_possible(dict(enumerate(start))),
    )
    rows = [tuple(row) for row in all_pairs]
    covered = {pair for row in rows for pair in _iterate_pairs_of_choices(row)}
    impossible_values: set[tuple[int, int]] = set()
    # If some pairs are impossible, the greedy search of AllPairs also omits some possible pairs. They are added here.
    for one, two in itertools.combinations(range(len(value_counts)), 2):
        for a, b in itertools.product(range(value_counts[one]), range(value_counts[two])):
            if (one, a, two, b) in covered or impossible_values & {(one, a), (two, b)}:
                continue
            row = _complete_row(value_counts, {one: a, two: b}, is_possible, rows)
            rows += [row] if row else []
            covered.update(_iterate_pairs_of_choices(row))
            if not row:
                # A value that no request can have would be searched for with each value of each other field.
                impossible_values |= {
                    (position, index)
                    for position, index in ((one, a), (two, b))
                    if not any(known[position] == index for known in rows)
                    and not _complete_row(value_counts, {position: index}, is_possible, rows)
                }
    return rows


def build_rows_with_each_value(
    value_counts: Sequence[int], is_possible: Callable[[RowChoices], bool]
) -> list[tuple[int, ...]]:
    """Return a small number of rows in which each possible value index of every field occurs.

    The rows are meant for requests that are too expensive to be sent for every pair of values.

    Args:
        value_counts: the number of values of each field.
        is_possible: returns whether a valid request can have the values that are chosen at some or all positions.
    """
    # In row number n, each field has its n-th value, so that there are as many rows as the longest field has values.
    diagonals = (tuple(turn % size for size in value_counts) for turn in range(max(value_counts, default=0)))
    rows = [row for row in diagonals if is_possible(dict(enumerate(row)))]
    for position, size in enumerate(value_counts):
        for index in set(range(size)) - {row[position] for row in rows}:
            row = _complete_row(value_counts, {position: index}, is_possible, rows)
            rows += [row] if row else []
    return rows


def build_requests_with_each_value(
    base_request: TargetRequest, unchanged_fields: Collection[str] = ()
) -> Iterator[tuple[str, RequestParts]]:
    """Yield a small number of valid requests to one target, each with a description.

    Each value of every field that can be changed occurs in one of the requests.

    Args:
        base_request: the target and the valid request to change.
        unchanged_fields: names of the fields that are not changed.
    """
    fields = [field for field in list_pairwise_fields([base_request]) if field.name not in unchanged_fields]
    if not fields:
        return
    value_counts = [1, *(len(field.values) for field in fields)]
    for row in build_rows_with_each_value(value_counts, _build_choice_filter([base_request], fields)):
        values = _get_row_values(fields, row)
        yield _describe_values(fields, values), _set_field_values(base_request[1], fields, values)


def _iterate_pairs_of_choices(row: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield each two choices of a row, as (field position, value index, later field position, its value index)."""
    for (one, a), (two, b) in itertools.combinations(enumerate(row), 2):
        yield one, a, two, b


def _complete_row(
    value_counts: Sequence[int],
    choices: RowChoices,
    is_possible: Callable[[RowChoices], bool],
    known_rows: Sequence[tuple[int, ...]],
) -> tuple[int, ...]:
    """Return a possible row that has `choices`; empty if none is found.

    The search of all rows ends after `MAX_CHOICES_TRIED_PER_ROW`: otherwise a schema that rejects a whole body would be
    evaluated for every combination of the other values. After that, the choices are tried in the rows of `known_rows`,
    which are possible.
    """
    tried = itertools.count()
    row = _find_possible_row(
        value_counts, choices, lambda some: next(tried) < MAX_CHOICES_TRIED_PER_ROW and is_possible(some)
    )
    if row or next(tried) <= MAX_CHOICES_TRIED_PER_ROW:
        return row
    changed_rows = (tuple(choices.get(position, index) for position, index in enumerate(row)) for row in known_rows)
    return next((row for row in changed_rows if is_possible(dict(enumerate(row)))), ())


def _find_possible_row(
    value_counts: Sequence[int], choices: RowChoices, is_possible: Callable[[RowChoices], bool]
) -> tuple[int, ...]:
    """Return the first possible row that has `choices`; empty if there is none.

    The search is depth-first. Choices at later positions are checked from the beginning: otherwise a target that
    rejects the last value would be excluded only after every combination of the values in between.
    """
    position = next((position for position in range(len(value_counts)) if position not in choices), None)
    if position is None:
        return tuple(choices[position] for position in range(len(value_counts))) if is_possible(choices) else ()
    for index in range(value_counts[position]):
        longer = {**choices, position: index}
        found = _find_possible_row(value_counts, longer, is_possible) if is_possible(longer) else ()
        if found:
            return found
    return ()


def list_pairwise_fields(target_requests: Sequence[TargetRequest]) -> Iterator[PairwiseField]:
    """Yield the body fields and query parameters of an operation that can have more than one value, with these values.

    A field that no normative document states is not varied. An enum has its values, up to
    `MAX_COMBINED_VALUES_PER_FIELD` spread evenly over it; a number has its bounds; and an optional field can be left
    out. A field that names something, or whose valid values no schema states, has the values in the examples, defaults
    and language lists that are documented for each target.

    Args:
        target_requests: every checked target of one operation, with a valid request to it. The first target and its
            request determine which fields are varied.
    """
    target, request = target_requests[0]
    media = target.operation.request_media.get(request.media_type or "")
    if media is not None and isinstance(media.schema, dict) and isinstance(request.body, dict):
        yield from _list_pairwise_body_fields(target_requests, media)
    yield from _list_pairwise_parameters(target)


def _list_pairwise_parameters(target: Target) -> Iterator[PairwiseField]:
    """Yield the optional query parameters of an operation whose valid values are documented."""
    operation, request = target.operation, target.speech.request_fields
    identifying = [
        *target.target_spec.request_constants,
        *(request[word].location for word in target.target_spec.required_fields),
    ]
    fixed = {location.name for location in identifying if location.message_part == "query"}
    for parameter in operation.parameters:
        pointer = f"{parameter.pointer}/schema"
        if (
            parameter.message_part != "query"
            or parameter.is_required
            or parameter.name in fixed
            or takes_webhook_url(operation, parameter)
            or not target.contract.has_normative_source(pointer)
            or not isinstance(parameter.schema, dict)
        ):
            continue
        documented = _list_schema_values(parameter.schema) or [parameter.part_data.get("example")]
        texts = [text for text in map(convert_to_parameter_text, documented) if text is not None]
        if texts and all(fits_parameter_schema(parameter, text) for text in texts):
            yield PairwiseField(parameter.name, (*texts, MISSING), pointer, "query")


def _list_pairwise_body_fields(
    target_requests: Sequence[TargetRequest], media_type: MediaType
) -> Iterator[PairwiseField]:
    """Yield the fields of the body that can have more than one value; see `list_pairwise_fields`."""
    target, _ = target_requests[0]
    schemas = target.contract.schemas
    root = schemas.resolve_reference(media_type.part_data.get("schema", {}), media_type.schema_pointer or "")[1]
    required = _list_fields_selecting_target(target) | set(media_type.schema.get("required", ()))
    for name, inner in media_type.schema.get("properties", {}).items():
        schema, pointer = schemas.resolve_reference(inner, f"{root}/properties/{escape_pointer_token(name)}")
        if not isinstance(schema, dict) or not target.contract.has_normative_source(pointer):
            continue
        values = [
            value
            for value in _list_schema_values(schema)
            if accepts_any_valid_value(target, BoundaryValue((name,), value, name, f"{pointer}/enum", is_valid=True))
        ]
        documented = None
        if not values and name not in required:
            documented = {start[0].name: _list_documented_values(start, media_type, name) for start in target_requests}
            values = [next(iter(found)) for found in documented.values() if found]
            # A list of JSON values, which are not hashable, without repetitions.
            values = [value for index, value in enumerate(values) if value not in values[:index]]
            if not values and find_fitting_value(schemas, schema) == {}:
                values, documented = [{}], None  # an object without required fields may be empty
        if name not in required:
            values = [*values, MISSING]
        if len(values) > 1:
            yield PairwiseField(name, tuple(values), pointer, documented_values_by_target=documented)


def _list_fields_selecting_target(target: Target) -> set[str]:
    """Return the names of the body fields by which a request addresses `target`."""
    needed = [
        field.location
        for word, field in target.speech.request_fields.items()
        if word in target.target_spec.required_fields
    ]
    return {
        location.pointer_tokens[0]
        for location in (*needed, *target.target_spec.request_constants)
        if location.is_in_body
    }


def _list_documented_values(base_request: TargetRequest, media_type: MediaType, field_name: str) -> list[Any]:
    """Return the documented values of a field for a target, starting with the value in the valid request.

    The list is empty for a file, and for the id of a resource, because a resource belongs to a single account.
    """
    target, request = base_request
    schema, _ = media_type.schemas.resolve_reference(media_type.schema.get("properties", {}).get(field_name, {}))
    creators = target.contract.operations.values()
    ids = {
        use.id_location.pointer_tokens
        for creating_operation in creators
        for use in creating_operation.iterate_uses_of_created_resource(target.operation)
        if use.id_location.message_part == "body"
    }
    if is_file_field(media_type, schema) or (field_name,) in ids:
        return []
    language = target.speech.request_fields.get("language")
    found: list[Any] = [request.body[field_name]] if field_name in request.body else []
    if language is not None and language.location.pointer_tokens == (field_name,):
        found += [language.provider_values.get(code, code) for code in target.target_spec.supported_languages]
    for example in media_type.examples:
        example_target = find_request_target(target.operation, RequestParts(body=example.value))
        if isinstance(example.value, dict) and field_name in example.value and example_target is target:
            found.append(example.value[field_name])
    found += [schema[key] for key in ("default", "example") if key in schema]
    found += schema.get("examples", [])
    return [value for value in found if value is not None or not is_form(media_type.name)]  # a form has no null


def _list_schema_values(schema: dict[str, Any]) -> list[Any]:
    """Return the values of a field that its schema states; empty if any value of its type is allowed."""
    if "enum" in schema:
        return _select_evenly_spread_values(schema["enum"])
    types = schema.get("type", ())
    types = {types} if isinstance(types, str) else set(types)
    if "boolean" in types:
        return [True, False]
    if types & {"integer", "number"}:
        return [schema[bound] for bound in ("minimum", "maximum") if bound in schema] or [schema.get("default", 1)]
    return []


def _select_evenly_spread_values(values: Sequence[Any]) -> list[Any]:
    """Return at most `MAX_COMBINED_VALUES_PER_FIELD` of `values`, spread evenly from the first value to the last."""
    if len(values) <= MAX_COMBINED_VALUES_PER_FIELD:
        return list(values)
    step = (len(values) - 1) / (MAX_COMBINED_VALUES_PER_FIELD - 1)
    return [values[round(index * step)] for index in range(MAX_COMBINED_VALUES_PER_FIELD)]


def is_supported_value(target: Target, field: PairwiseField, value: Any) -> bool:
    """Whether a request to `target` may have `value` in `field`.

    The result is false only if the contract lists the values of the field for this target and `value` is not among
    them, or if leaving out the field would select another target.
    """
    if value is MISSING:
        return field.location == "query" or field.name not in _list_fields_selecting_target(target)
    if field.documented_values_by_target is not None:
        return value in field.documented_values_by_target.get(target.name, ())
    request = target.speech.request_fields
    for mapping, listed in (
        (request.get("format"), target.target_spec.supported_formats),
        (request.get("language"), target.target_spec.supported_languages),
    ):
        if mapping is not None and listed and _is_location_of_field(mapping.location, field):
            # Not a set, because a value may be an object.
            return value in [mapping.provider_values.get(neutral, neutral) for neutral in listed]
    return True


def _is_location_of_field(location: Location, field: PairwiseField) -> bool:
    """Whether `location` is where the values of `field` are sent."""
    if field.location == "query":
        return location.message_part == "query" and location.name == field.name
    return location.pointer_tokens == (field.name,)


def _build_combination_case(
    target: Target, request: RequestParts, fields: Sequence[PairwiseField], values: Sequence[Any]
) -> ConformanceCase:
    """Return the case of a valid request with `values` in `fields`."""
    request = _set_field_values(request, fields, values)
    description = f"{target.name} with {_describe_values(fields, values)}"
    return build_case(
        target.operation,
        expect_acceptance(description, _find_tested_schema_pointer(target, fields)),
        target_name=target.name,
        request=request,
        text_character_count=count_charged_characters(target.operation, request),
    )


def _set_field_values(request: RequestParts, fields: Sequence[PairwiseField], values: Sequence[Any]) -> RequestParts:
    """Return `request` with `values` in `fields`, in place of what it has there."""
    body = request.body
    query = dict(request.query_parameters)
    if any(field.location == "body" for field in fields):
        body = dict(body)
    for field, value in zip(fields, values, strict=True):
        container = body if field.location == "body" else query
        container.pop(field.name, None)
        if value is not MISSING:
            container[field.name] = value
    return msgspec.structs.replace(request, body=body, query_parameters=query)


def _describe_values(fields: Sequence[PairwiseField], values: Sequence[Any]) -> str:
    return ", ".join(_describe_value(field, value) for field, value in zip(fields, values, strict=True))


def _describe_value(field: PairwiseField, value: Any) -> str:
    if value is MISSING:
        return f"no {field.name}"
    shown = _format_value(value)
    # Whole if another value of the field begins like it: cases with equal descriptions have one id, and one is dropped.
    beginning = shown[:_MAX_SHOWN_VALUE_CHARACTERS]
    is_unique = sum(_format_value(one).startswith(beginning) for one in field.values if one is not MISSING) == 1
    return f"{field.name} {beginning if is_unique else shown}"


def _format_value(value: Any) -> str:
    return value.filename if isinstance(value, UploadedFile) else json.dumps(value, ensure_ascii=False)


def _find_tested_schema_pointer(target: Target, fields: Sequence[PairwiseField]) -> str:
    """Return the JSON pointer that a finding names if a valid request with these fields is rejected.

    It points to the schema of a disputed field if there is one, so that the finding is reported as disputed, and
    otherwise to the request body of the operation.
    """
    for field in fields:
        if any(
            "rejects-valid" in dispute.rule_ids for dispute, _ in target.contract.iterate_disputes(field.schema_pointer)
        ):
            return field.schema_pointer
    return f"{target.operation.pointer}/requestBody"

"""Valid requests that combine values: every pair of two parameters' values stands in one of them.

A fault that needs two parameters at once is invisible to cases that change one value;
most such faults need no more than two (Kuhn, Wallace, Gallo, IEEE TSE 30(6), 2004).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.bodies import accepts_any_valid_value
from voicegauge.conformance.cases.boundary_values import BoundaryValue
from voicegauge.conformance.cases.case import ConformanceCase
from voicegauge.conformance.cases.valid_requests import is_file_field, is_valid_body, text_characters
from voicegauge.conformance.target_matching import find_target, place_reader
from voicegauge.contract import MISSING, MediaType, Target
from voicegauge.formats import escape, is_form
from voicegauge.model import UploadedFile


class PairwiseField(NamedTuple):
    """A field and the values it is tried with; `MISSING` leaves it out."""

    name: str
    values: tuple[Any, ...]
    pointer: str
    """Where its schema stands."""
    known: Mapping[str, Sequence[Any]] | None = None
    """By target name, the values that it is documented with; `None` where its schema alone decides."""


TargetRequest = tuple[Target, RequestParts]
"""A target and the valid request to it that a combination changes."""


def combination_cases(starts: Sequence[TargetRequest]) -> Iterator[ConformanceCase]:
    """Requests in which every two values of two fields meet, the targets of the operation among them.

    Args:
        starts: every target of one operation that is checked, with a valid request to it.
    """
    fields = list(factors(starts))
    if len(fields) + (len(starts) > 1) < 2:
        return

    for row in covering_rows([len(starts), *(len(field.values) for field in fields)], _possible(starts, fields)):
        yield _case(*starts[row[0]], fields, _values_of(fields, row))


def _possible(starts: Sequence[TargetRequest], fields: Sequence[PairwiseField]) -> Callable[[Sequence[int]], bool]:
    """Whether the beginning of a row, a start and a value of each field by index, may stand in a request."""
    spoken = [
        [{index for index, value in enumerate(field.values) if speaks(target, field, value)} for field in fields]
        for target, _ in starts
    ]

    def possible(row: Sequence[int]) -> bool:
        if not all(index in known for index, known in zip(row[1:], spoken[row[0]], strict=False)):
            return False
        target, wire = starts[row[0]]
        return len(row) <= len(fields) or is_valid_body(
            target.operation, _laid_over(wire, fields, _values_of(fields, row))
        )

    return possible


def _values_of(fields: Sequence[PairwiseField], row: Sequence[int]) -> list[Any]:
    return [field.values[index] for field, index in zip(fields, row[1:], strict=True)]


def covering_rows(sizes: Sequence[int], possible: Callable[[Sequence[int]], bool]) -> list[tuple[int, ...]]:
    """Rows of one index for each of `sizes`, in which every two indexes meet that may.

    Args:
        sizes: how many values each parameter has.
        possible: whether the beginning of a row may stand in a request.
    """
    from allpairspy import AllPairs

    rows = [tuple(row) for row in AllPairs([range(size) for size in sizes], filter_func=possible)]
    met = {pair for row in rows for pair in _pairs(row)}
    # Where not everything is possible, the greedy search gives up some pairs that are.
    for one, two in itertools.combinations(range(len(sizes)), 2):
        for a, b in itertools.product(range(sizes[one]), range(sizes[two])):
            if (one, a, two, b) not in met:
                row = _completed(sizes, {one: a, two: b}, possible)
                rows += [row] if row else []
                met.update(_pairs(row))
    return rows


def value_rows(sizes: Sequence[int], possible: Callable[[Sequence[int]], bool]) -> list[tuple[int, ...]]:
    """Few rows in which each index stands that may, for what a pair of values costs too much.

    Args:
        sizes: as for `covering_rows`.
        possible: as for `covering_rows`.
    """
    turns = (tuple(turn % size for size in sizes) for turn in range(max(sizes, default=0)))
    rows = [row for row in turns if possible(row)]
    for at, size in enumerate(sizes):
        for index in set(range(size)) - {row[at] for row in rows}:
            row = _completed(sizes, {at: index}, possible)
            rows += [row] if row else []
    return rows


def value_requests(start: TargetRequest, without: Collection[str] = ()) -> Iterator[tuple[str, RequestParts]]:
    """Few valid requests to one target in which each value of a free field stands, and in words what they send.

    Args:
        start: the target and the valid request that they change.
        without: fields that are left as they are.
    """
    fields = [field for field in factors([start]) if field.name not in without]
    if not fields:
        return
    for row in value_rows([1, *(len(field.values) for field in fields)], _possible([start], fields)):
        values = _values_of(fields, row)
        yield _all_said(fields, values), _laid_over(start[1], fields, values)


def _pairs(row: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    for (one, a), (two, b) in itertools.combinations(enumerate(row), 2):
        yield one, a, two, b


def _completed(
    sizes: Sequence[int], fixed: Mapping[int, int], possible: Callable[[Sequence[int]], bool], row: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """The first possible row with the `fixed` indexes; an empty one where there is none."""
    if len(row) == len(sizes):
        return row
    at = len(row)
    for index in [fixed[at]] if at in fixed else range(sizes[at]):
        longer = (*row, index)
        found = _completed(sizes, fixed, possible, longer) if possible(longer) else ()
        if found:
            return found
    return ()


def factors(starts: Sequence[TargetRequest]) -> Iterator[PairwiseField]:
    """The fields of an operation whose values are free: choices, numbers at their bounds, what may be left out.

    A field that names a thing, or whose form no schema says, is tried with what a document
    prints for the target, what it states as default or example, and the languages listed.

    Args:
        starts: as for `combination_cases`; the first one's request has the fields that are kept as they are.
    """
    target, wire = starts[0]
    media = target.operation.request_media.get(wire.media_type or "")
    if media is None or not isinstance(media.schema, dict) or not isinstance(wire.body, dict):
        return
    schemas = target.contract.schemas
    root = schemas.resolve(media.data.get("schema", {}), media.schema_pointer or "")[1]
    kept = _kept(target) | set(media.schema.get("required", ()))
    for name, inner in media.schema.get("properties", {}).items():
        schema, pointer = schemas.resolve(inner, f"{root}/properties/{escape(name)}")
        if not isinstance(schema, dict):
            continue
        values = [
            value
            for value in _values(schema)
            if accepts_any_valid_value(target, BoundaryValue((name,), value, name, f"{pointer}/enum", True))
        ]
        known = None
        if not values and name not in kept:
            known = {start[0].name: _known(start, media, name) for start in starts}
            values = [next(iter(found)) for found in known.values() if found]
            values = [value for index, value in enumerate(values) if value not in values[:index]]
        if name not in kept:
            values = [*values, MISSING]
        if len(values) > 1:
            yield PairwiseField(name, tuple(values), pointer, known)


def _kept(target: Target) -> set[str]:
    """The fields that make a request one to `target`."""
    needed = [slot.at for word, slot in target.speech.request.items() if word in target.spec.required_fields]
    return {place.tokens[0] for place in (*needed, *target.spec.constants)}


def _known(start: TargetRequest, media: MediaType, name: str) -> list[Any]:
    """The values that `name` is documented with for a target, the surest first: that of its valid request.

    None for a file, and for what another call makes: whose it is no document can say.
    """
    target, wire = start
    schema, _ = media.contract.schemas.resolve(media.schema.get("properties", {}).get(name, {}))
    makers = target.contract.operations.values()
    made = {use.id for maker in makers for use in maker.uses_of(target.operation)}
    if is_file_field(media, schema) or f"body#/{escape(name)}" in made:
        return []
    language = target.speech.request.get("language")
    found: list[Any] = [wire.body[name]] if name in wire.body else []
    if language is not None and language.at.tokens == (name,):
        found += [language.map.get(known, known) for known in target.spec.languages]
    for example in media.examples:
        meant = find_target(target.operation, place_reader(RequestParts(body=example.value)))
        if isinstance(example.value, dict) and name in example.value and meant is target:
            found.append(example.value[name])
    found += [schema[key] for key in ("default", "example") if key in schema]
    found += schema.get("examples", [])
    return [value for value in found if value is not None or not is_form(media.name)]


def _values(schema: dict[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    if schema.get("type") == "boolean":
        return [True, False]
    if schema.get("type") in ("integer", "number"):
        return [schema[bound] for bound in ("minimum", "maximum") if bound in schema] or [schema.get("default", 1)]
    return []


def speaks(target: Target, field: PairwiseField, value: Any) -> bool:
    """Whether the target is documented to take `value`; what it says nothing of, it takes."""
    if value is MISSING:
        return field.name not in _kept(target)
    if field.known is not None:
        return value in field.known.get(target.name, ())
    request = target.speech.request
    for slot, named in ((request.get("format"), target.spec.formats), (request.get("language"), target.spec.languages)):
        if slot is not None and named and slot.at.tokens == (field.name,):
            return value in {slot.map.get(known, known) for known in named}
    return True


def _case(
    target: Target, wire: RequestParts, fields: Sequence[PairwiseField], values: Sequence[Any]
) -> ConformanceCase:
    operation = target.operation
    wire = _laid_over(wire, fields, values)
    said = _all_said(fields, values)
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: {target.name} with {said}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name,
        expected=ExpectedResponse(
            verdict="accepted",
            kind="valid",
            description=f"{target.name} with {said}",
            contract_pointer=_stands(target, fields),
        ),
        wire=wire,
        text_characters=text_characters(operation, wire),
    )


def _laid_over(wire: RequestParts, fields: Sequence[PairwiseField], values: Sequence[Any]) -> RequestParts:
    laid = {field.name: value for field, value in zip(fields, values, strict=True)}
    body = {name: value for name, value in {**wire.body, **laid}.items() if value is not MISSING}
    return msgspec.structs.replace(wire, body=body)


def _all_said(fields: Sequence[PairwiseField], values: Sequence[Any]) -> str:
    return ", ".join(_said(field, value) for field, value in zip(fields, values, strict=True))


def _said(field: PairwiseField, value: Any) -> str:
    if value is MISSING:
        return f"no {field.name}"
    shown = value.filename if isinstance(value, UploadedFile) else json.dumps(value, ensure_ascii=False)
    return f"{field.name} {shown:.40}"


def _stands(target: Target, fields: Sequence[PairwiseField]) -> str:
    """What a refusal would speak against: a disputed field first, so that the dispute is heard."""
    for field in fields:
        if any("refuses-valid" in dispute.rules for dispute, _ in target.contract.disputes(field.pointer)):
            return field.pointer
    return f"{target.operation.pointer}/requestBody"

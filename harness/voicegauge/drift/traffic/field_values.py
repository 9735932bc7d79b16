"""Compares the types and the values that the fields of bodies have in two recordings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from voicegauge.drift.report import DriftChange
from voicegauge.drift.traffic.field_presence import build_field_change
from voicegauge.drift.traffic.preparation import (
    ANY_INDEX,
    CaseKey,
    FlattenedCase,
    FlattenedValue,
    JsonScalar,
    RecordedExchange,
    ResponseContext,
    ValueDifference,
    compare_scalar_lists,
    compare_values,
    split_url_into_parts,
)

_MIN_VALUES_NEVER_NULL = 4
"""Number of older values without null that are needed before null counts as a new type rather than as chance."""
_SCALAR_TYPES = ("string", "number", "boolean")

FindDocumentedValues = Callable[[str], frozenset[JsonScalar]]
"""A function that takes the path of a field and returns the values that the contract lists for it."""

_ValuesWithExchangesByCase = dict[CaseKey, list[tuple[FlattenedValue, RecordedExchange]]]


class _FieldValues(NamedTuple):
    """The older and the newer values of one field by case, each with the exchange in which it was found."""

    old_values_by_case: _ValuesWithExchangesByCase
    new_values_by_case: _ValuesWithExchangesByCase


def _group_values_by_field(cases: Sequence[FlattenedCase]) -> dict[str, _FieldValues]:
    found: dict[str, _FieldValues] = defaultdict(lambda: _FieldValues(defaultdict(list), defaultdict(list)))
    for case in cases:
        for is_newer, bodies in ((False, case.old_bodies), (True, case.new_bodies)):
            for body in bodies:
                for value in body.values:
                    field = found[value.path]
                    values = field.new_values_by_case if is_newer else field.old_values_by_case
                    values[case.case_id, value.entry_identity].append((value, body.recorded_exchange))
    return dict(sorted(found.items()))


def compare_field_types(response_context: ResponseContext, cases: Sequence[FlattenedCase]) -> Iterator[DriftChange]:
    """Yield a change for each field that has a JSON type that it did not have before."""
    for path, field in _group_values_by_field(cases).items():
        shared = field.old_values_by_case.keys() & field.new_values_by_case.keys()
        before = {value.json_type for case in shared for value, _ in field.old_values_by_case[case]}
        after = {value.json_type for case in shared for value, _ in field.new_values_by_case[case]}
        added = after - before
        if not added or before == {"null"}:
            continue
        is_sometimes_null = added == {"null"} and after != {"null"}
        if is_sometimes_null and sum(len(field.old_values_by_case[case]) for case in shared) < _MIN_VALUES_NEVER_NULL:
            continue
        case = next(
            case for case in sorted(shared) if {value.json_type for value, _ in field.new_values_by_case[case]} & added
        )
        new_example = next(
            recorded_exchange for value, recorded_exchange in field.new_values_by_case[case] if value.json_type in added
        )
        types = {"old": ", ".join(sorted(before)), "new": ", ".join(sorted(after))}
        yield build_field_change(
            response_context, "recorded-type-changed", path, (field.old_values_by_case[case][0][1], new_example), types
        )


def compare_field_values(
    response_context: ResponseContext,
    cases: Sequence[FlattenedCase],
    *,
    paths_to_skip: Collection[str],
    find_documented_values: FindDocumentedValues,
) -> Iterator[DriftChange]:
    """Yield a change for each field that has new values or lost values, and for each list whose entries changed.

    Args:
        response_context: what the compared responses have in common.
        cases: the flattened bodies of the responses.
        paths_to_skip: the paths of the job state and the charge, which other rules compare.
        find_documented_values: a function that returns the values that the contract lists for the field at a path.
    """
    for path, field in _group_values_by_field(cases).items():
        if path in paths_to_skip:
            continue
        is_list = path.endswith(f"/{ANY_INDEX}")
        if is_list:
            yield from _compare_list_entries(response_context, path, field)
        for part, (old, new) in _split_field_values(field).items():
            if is_list and not part:
                continue  # compared as entries above; only parts of URLs in lists are compared here
            difference = compare_values(
                old, new, documented_values=find_documented_values(path) if not part else frozenset()
            )
            if difference is not None:
                rule = "recorded-value-new" if difference.added_values else "recorded-value-gone"
                values = {
                    "old": _format_shown_values(difference.removed_values),
                    "new": _format_shown_values(difference.added_values),
                }
                yield build_field_change(
                    response_context, rule, path, _find_examples(field, difference), values, url_part=part
                )


_ScalarsByCase = dict[CaseKey, frozenset[JsonScalar]]


def _split_field_values(field_values: _FieldValues) -> dict[str, tuple[_ScalarsByCase, _ScalarsByCase]]:
    """Return the values of each part of a field. A URL has several parts, any other value has one."""
    found: dict[str, tuple[_ScalarsByCase, _ScalarsByCase]] = {}
    for index, side in enumerate((field_values.old_values_by_case, field_values.new_values_by_case)):
        for case, values in side.items():
            for flattened, _ in values:
                if flattened.json_type in _SCALAR_TYPES:
                    for part, value in split_url_into_parts(flattened.value):
                        by_case = found.setdefault(part, ({}, {}))[index]
                        by_case[case] = by_case.get(case, frozenset()) | {value}
    return found


def _format_shown_values(values: tuple[JsonScalar, ...]) -> JsonScalar | list[JsonScalar]:
    return None if not values else values[0] if len(values) == 1 else list(values)


def _find_examples(
    field_values: _FieldValues, difference: ValueDifference
) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an exchange with a removed value and one with an added value. By default, return the first exchanges."""
    old = [
        (value.value, recorded_exchange)
        for values in field_values.old_values_by_case.values()
        for value, recorded_exchange in values
    ]
    new = [
        (value.value, recorded_exchange)
        for values in field_values.new_values_by_case.values()
        for value, recorded_exchange in values
    ]
    before = next(
        (recorded_exchange for value, recorded_exchange in old if value in difference.removed_values), old[0][1]
    )
    after = next((recorded_exchange for value, recorded_exchange in new if value in difference.added_values), new[0][1])
    return before, after


def _compare_list_entries(
    response_context: ResponseContext, path: str, field_values: _FieldValues
) -> Iterator[DriftChange]:
    difference = compare_scalar_lists(
        _group_entries_by_case(field_values.old_values_by_case), _group_entries_by_case(field_values.new_values_by_case)
    )
    if difference is None:
        return
    examples = _find_examples(field_values, difference)
    if difference.added_values:
        yield build_field_change(
            response_context,
            "recorded-value-new",
            path,
            examples,
            {"new": _format_shown_values(difference.added_values)},
        )
    if difference.removed_values:
        yield build_field_change(
            response_context,
            "recorded-value-gone",
            path,
            examples,
            {"old": _format_shown_values(difference.removed_values)},
        )


def _group_entries_by_case(
    values_by_case: Mapping[CaseKey, list[tuple[FlattenedValue, RecordedExchange]]],
) -> _ScalarsByCase:
    """Return the entries of a list by conversation, combined for all entries of an outer list."""
    found: _ScalarsByCase = {}
    for case, values in values_by_case.items():
        conversation = case[:1]
        entries = {value.value for value, _ in values if value.json_type in _SCALAR_TYPES}
        found[conversation] = found.get(conversation, frozenset()) | entries
    return found

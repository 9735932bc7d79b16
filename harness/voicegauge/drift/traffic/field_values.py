"""Compares the types and the values that the fields of bodies have in two recordings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from voicegauge.drift.report import DriftChange
from voicegauge.drift.traffic.field_presence import make_field_change
from voicegauge.drift.traffic.reading import (
    ANY_INDEX,
    CaseKey,
    FlattenedCase,
    FlattenedValue,
    JsonScalar,
    RecordedExchange,
    ResponseContext,
    ValueDifference,
    compare_values,
    compare_word_lists,
    split_value,
)

_MIN_NEVER_NULL = 4
"""Number of older values without null that are needed before null counts as a new type rather than as chance."""
_SCALAR_TYPES = ("string", "number", "boolean")

DocumentedValues = Callable[[str], frozenset[JsonScalar]]
"""A function that takes the path of a field and returns the values that the contract lists for the field."""

_CaseValues = dict[CaseKey, list[tuple[FlattenedValue, RecordedExchange]]]


class _FieldValues(NamedTuple):
    """The values of one field in each case, each value with the exchange in which it was found."""

    old: _CaseValues
    new: _CaseValues


def _values_by_field(cases: Sequence[FlattenedCase]) -> dict[str, _FieldValues]:
    found: dict[str, _FieldValues] = defaultdict(lambda: _FieldValues(defaultdict(list), defaultdict(list)))
    for case in cases:
        for is_newer, bodies in ((False, case.old), (True, case.new)):
            for body in bodies:
                for value in body.values:
                    field = found[value.path]
                    values = field.new if is_newer else field.old
                    values[case.case, value.entry].append((value, body.recorded_exchange))
    return dict(sorted(found.items()))


def type_changes(context: ResponseContext, cases: Sequence[FlattenedCase]) -> Iterator[DriftChange]:
    """Yield a change for each field that has a JSON type that it did not have before."""
    for path, field in _values_by_field(cases).items():
        shared = field.old.keys() & field.new.keys()
        before = {value.type for case in shared for value, _ in field.old[case]}
        after = {value.type for case in shared for value, _ in field.new[case]}
        added = after - before
        if not added or before == {"null"}:
            continue
        is_sometimes_null = added == {"null"} and after != {"null"}
        if is_sometimes_null and sum(len(field.old[case]) for case in shared) < _MIN_NEVER_NULL:
            continue
        case = next(case for case in sorted(shared) if {value.type for value, _ in field.new[case]} & added)
        new_example = next(recorded_exchange for value, recorded_exchange in field.new[case] if value.type in added)
        types = {"old": ", ".join(sorted(before)), "new": ", ".join(sorted(after))}
        yield make_field_change(context, "recorded-type-changed", path, (field.old[case][0][1], new_example), types)


def value_changes(
    context: ResponseContext,
    cases: Sequence[FlattenedCase],
    *,
    skip: Collection[str],
    documented_values: DocumentedValues,
) -> Iterator[DriftChange]:
    """Yield a change for each field that has new values or lost values, and for each list whose entries changed.

    Args:
        context: what the compared responses have in common.
        cases: the flattened bodies of the responses.
        skip: the paths of the job state and the charge, which other rules compare.
        documented_values: a function that returns the values that the contract lists for the field at a path.
    """
    for path, field in _values_by_field(cases).items():
        if path in skip:
            continue
        is_list = path.endswith(f"/{ANY_INDEX}")
        if is_list:
            yield from _entry_changes(context, path, field)
        for part, (old, new) in _split_values(field).items():
            if is_list and not part:
                continue  # compared as entries above; only parts of URLs in lists are compared here
            difference = compare_values(
                old, new, documented_values=documented_values(path) if not part else frozenset()
            )
            if difference is not None:
                rule = "recorded-value-new" if difference.added else "recorded-value-gone"
                values = {"old": _shown(difference.removed), "new": _shown(difference.added)}
                yield make_field_change(context, rule, path, _examples(field, difference), values, part=part)


_SplitValues = dict[CaseKey, frozenset[JsonScalar]]


def _split_values(field: _FieldValues) -> dict[str, tuple[_SplitValues, _SplitValues]]:
    """Return the older and the newer values of each part of a field. A value that is not a URL has only one part."""
    found: dict[str, tuple[_SplitValues, _SplitValues]] = {}
    for index, side in enumerate((field.old, field.new)):
        for case, values in side.items():
            for flattened, _ in values:
                if flattened.type in _SCALAR_TYPES:
                    for part, value in split_value(flattened.value):
                        by_case = found.setdefault(part, ({}, {}))[index]
                        by_case[case] = by_case.get(case, frozenset()) | {value}
    return found


def _shown(values: tuple[JsonScalar, ...]) -> JsonScalar | list[JsonScalar]:
    return None if not values else values[0] if len(values) == 1 else list(values)


def _examples(field: _FieldValues, difference: ValueDifference) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an exchange with a removed value and one with an added value. By default, return the first exchanges."""
    old = [(value.value, recorded_exchange) for values in field.old.values() for value, recorded_exchange in values]
    new = [(value.value, recorded_exchange) for values in field.new.values() for value, recorded_exchange in values]
    before = next((recorded_exchange for value, recorded_exchange in old if value in difference.removed), old[0][1])
    after = next((recorded_exchange for value, recorded_exchange in new if value in difference.added), new[0][1])
    return before, after


def _entry_changes(context: ResponseContext, path: str, field: _FieldValues) -> Iterator[DriftChange]:
    difference = compare_word_lists(_entries_by_case(field.old), _entries_by_case(field.new))
    if difference is None:
        return
    examples = _examples(field, difference)
    if difference.added:
        yield make_field_change(context, "recorded-value-new", path, examples, {"new": _shown(difference.added)})
    if difference.removed:
        yield make_field_change(context, "recorded-value-gone", path, examples, {"old": _shown(difference.removed)})


def _entries_by_case(side: Mapping[CaseKey, list[tuple[FlattenedValue, RecordedExchange]]]) -> _SplitValues:
    """Return the entries of a list by conversation, combined for all entries of an outer list."""
    found: _SplitValues = {}
    for case, values in side.items():
        conversation = case[:1]
        entries = {value.value for value, _ in values if value.type in _SCALAR_TYPES}
        found[conversation] = found.get(conversation, frozenset()) | entries
    return found

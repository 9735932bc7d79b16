"""Compares the types and the values that the fields of bodies have in two recordings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from voicegauge.drift.report import DriftChange
from voicegauge.drift.traffic.field_presence import build_field_change
from voicegauge.drift.traffic.preparation import (
    ANY_INDEX,
    FlattenedValue,
    JsonScalar,
    MatchKey,
    PairedBodies,
    RecordedExchange,
    ResponseGroupKey,
    ValueDifference,
    compare_scalar_lists,
    compare_values,
    split_url_into_parts,
)

_MIN_NON_NULL_VALUES = 4
"""Number of older values without null that are needed before null counts as a new type rather than as chance."""
_SCALAR_TYPES = ("string", "number", "boolean")

FindDocumentedValues = Callable[[str], frozenset[JsonScalar]]
"""A function that takes the path of a field and returns the values that the contract lists for it."""

_ValuesWithExchangesByMatchKey = dict[MatchKey, list[tuple[FlattenedValue, RecordedExchange]]]


class _FieldValues(NamedTuple):
    """The older and the newer values of one field, each with the exchange in which it was found."""

    old_values_by_match_key: _ValuesWithExchangesByMatchKey
    new_values_by_match_key: _ValuesWithExchangesByMatchKey


def _group_values_by_field(body_pairs: Sequence[PairedBodies]) -> dict[str, _FieldValues]:
    found: dict[str, _FieldValues] = defaultdict(lambda: _FieldValues(defaultdict(list), defaultdict(list)))
    for pair in body_pairs:
        for is_newer, bodies in ((False, pair.old_bodies), (True, pair.new_bodies)):
            for body in bodies:
                for value in body.values:
                    field = found[value.path]
                    values = field.new_values_by_match_key if is_newer else field.old_values_by_match_key
                    values[pair.conversation_pair_id, value.entry_identity].append((value, body.recorded_exchange))
    return dict(sorted(found.items()))


def compare_field_types(
    response_group_key: ResponseGroupKey, body_pairs: Sequence[PairedBodies]
) -> Iterator[DriftChange]:
    """Yield a change for each field that has a JSON type that it did not have before."""
    for path, field in _group_values_by_field(body_pairs).items():
        shared = field.old_values_by_match_key.keys() & field.new_values_by_match_key.keys()
        before = {value.json_type for match_key in shared for value, _ in field.old_values_by_match_key[match_key]}
        after = {value.json_type for match_key in shared for value, _ in field.new_values_by_match_key[match_key]}
        added = after - before
        if not added or before == {"null"}:
            continue
        is_sometimes_null = added == {"null"} and after != {"null"}
        if (
            is_sometimes_null
            and sum(len(field.old_values_by_match_key[match_key]) for match_key in shared) < _MIN_NON_NULL_VALUES
        ):
            continue
        match_key = next(
            match_key
            for match_key in sorted(shared)
            if {value.json_type for value, _ in field.new_values_by_match_key[match_key]} & added
        )
        new_example = next(
            recorded_exchange
            for value, recorded_exchange in field.new_values_by_match_key[match_key]
            if value.json_type in added
        )
        types = {"old": ", ".join(sorted(before)), "new": ", ".join(sorted(after))}
        yield build_field_change(
            response_group_key,
            "recorded-type-changed",
            path,
            (field.old_values_by_match_key[match_key][0][1], new_example),
            types,
        )


def compare_field_values(
    response_group_key: ResponseGroupKey,
    body_pairs: Sequence[PairedBodies],
    *,
    paths_to_skip: Collection[str],
    find_documented_values: FindDocumentedValues,
) -> Iterator[DriftChange]:
    """Yield a change for each field that has new values or lost values, and for each list whose entries changed.

    Args:
        response_group_key: the operation, status and job state of the compared responses.
        body_pairs: the flattened bodies of the responses.
        paths_to_skip: the paths of the job state and the charge, which other rules compare.
        find_documented_values: a function that returns the values that the contract lists for the field at a path.
    """
    for path, field in _group_values_by_field(body_pairs).items():
        if path in paths_to_skip:
            continue
        is_list = path.endswith(f"/{ANY_INDEX}")
        if is_list:
            yield from _compare_list_entries(response_group_key, path, field)
        for part, (old, new) in _split_urls_into_parts(field).items():
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
                    response_group_key, rule, path, _find_example_exchanges(field, difference), values, url_part=part
                )


_ScalarsByMatchKey = dict[MatchKey, frozenset[JsonScalar]]


def _split_urls_into_parts(field_values: _FieldValues) -> dict[str, tuple[_ScalarsByMatchKey, _ScalarsByMatchKey]]:
    """Return the older and the newer values of a field, separately for each part that `split_url_into_parts` yields.

    The key of the result is the name of the part; it is empty for values that are not URLs.
    """
    found: dict[str, tuple[_ScalarsByMatchKey, _ScalarsByMatchKey]] = {}
    for index, side in enumerate((field_values.old_values_by_match_key, field_values.new_values_by_match_key)):
        for match_key, values in side.items():
            for flattened, _ in values:
                if flattened.json_type in _SCALAR_TYPES:
                    for part, value in split_url_into_parts(flattened.value):
                        by_match_key = found.setdefault(part, ({}, {}))[index]
                        by_match_key[match_key] = by_match_key.get(match_key, frozenset()) | {value}
    return found


def _format_shown_values(values: tuple[JsonScalar, ...]) -> JsonScalar | list[JsonScalar]:
    return None if not values else values[0] if len(values) == 1 else list(values)


def _find_example_exchanges(
    field_values: _FieldValues, difference: ValueDifference
) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an older exchange with a value that was removed, and a newer exchange with a value that was added.

    If no value was removed, or none was added, return the first older or the first newer exchange instead.
    """
    old = [
        (value.value, recorded_exchange)
        for values in field_values.old_values_by_match_key.values()
        for value, recorded_exchange in values
    ]
    new = [
        (value.value, recorded_exchange)
        for values in field_values.new_values_by_match_key.values()
        for value, recorded_exchange in values
    ]
    before = next(
        (recorded_exchange for value, recorded_exchange in old if value in difference.removed_values), old[0][1]
    )
    after = next((recorded_exchange for value, recorded_exchange in new if value in difference.added_values), new[0][1])
    return before, after


def _compare_list_entries(
    response_group_key: ResponseGroupKey, field_path: str, field_values: _FieldValues
) -> Iterator[DriftChange]:
    difference = compare_scalar_lists(
        _group_entries_by_conversation(field_values.old_values_by_match_key),
        _group_entries_by_conversation(field_values.new_values_by_match_key),
    )
    if difference is None:
        return
    examples = _find_example_exchanges(field_values, difference)
    if difference.added_values:
        yield build_field_change(
            response_group_key,
            "recorded-value-new",
            field_path,
            examples,
            {"new": _format_shown_values(difference.added_values)},
        )
    if difference.removed_values:
        yield build_field_change(
            response_group_key,
            "recorded-value-gone",
            field_path,
            examples,
            {"old": _format_shown_values(difference.removed_values)},
        )


def _group_entries_by_conversation(
    values_by_match_key: Mapping[MatchKey, list[tuple[FlattenedValue, RecordedExchange]]],
) -> _ScalarsByMatchKey:
    """Return the entries of a list by conversation.

    A list inside another list occurs several times in one conversation. The entries of all its occurrences are
    combined.
    """
    found: _ScalarsByMatchKey = {}
    for match_key, values in values_by_match_key.items():
        conversation = match_key[:1]
        entries = {value.value for value, _ in values if value.json_type in _SCALAR_TYPES}
        found[conversation] = found.get(conversation, frozenset()) | entries
    return found

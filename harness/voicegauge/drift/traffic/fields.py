"""Fields of bodies from one recording to another: gone, new, of another type, with other values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.reading import (
    ANY,
    CaseKey,
    FlattenedBodies,
    FlattenedBody,
    FlattenedValue,
    JsonScalar,
    ObservedExchange,
    ResponseContext,
    ValueDifference,
    compare_values,
    compare_word_lists,
    parts,
)
from voicegauge.formats import escape

_ENOUGH = 4
"""Answers in which a value was never null, for one that is to mean something."""
Known = Callable[[str], frozenset[JsonScalar]]
"""The values that the document prints for a field, by its path."""


class _Presence(NamedTuple):
    """Of one field in one case: in how many of how many mappings it is."""

    old: int
    old_of: int
    new: int
    new_of: int


def field_changes(context: ResponseContext, bodies: FlattenedBodies) -> Iterator[DriftChange]:
    """Fields that are gone, sometimes gone, or new."""
    presences = _presences(bodies)
    for path, found in presences.items():
        if any(path.startswith(f"{other}/") and _verdict(presences[other]) for other in presences):
            continue  # the field around it is told of
        rule = _verdict(found)
        if rule is None:
            continue
        side = "new" if rule == "recorded-field-new" else "old"
        shown = {side: _first_value(bodies, path, side)}
        yield _field_change(context, rule, path, _first_positions(bodies, path), shown)


def _field_change(
    context: ResponseContext,
    rule: str,
    path: str,
    seen: tuple[ObservedExchange, ObservedExchange],
    values: Mapping[str, Any],
    *,
    part: str = "",
) -> DriftChange:
    """A change of the field at `path`, or of a part of its value; `seen` shows it before and after."""
    old, new = seen
    return make_change(
        rule,
        location=f"{context.body}{path}{part}",
        operation=context.operation,
        old=old.body_position(path),
        new=new.body_position(path),
        values={side: value for side, value in values.items() if value is not None},
    )


def _verdict(found: Sequence[_Presence]) -> str | None:
    counted = [one for one in found if one.old_of and one.new_of]
    lost = sum(one.old == one.old_of and one.new == 0 for one in counted)
    kept = sum(bool(one.old and one.new) for one in counted)
    always_before = all(one.old == one.old_of for one in counted)
    if lost and not kept:
        return "recorded-field-gone"
    if counted and always_before and any(one.new < one.new_of for one in counted) and len(counted) > 1:
        return "recorded-field-sometimes-gone"
    if any(one.new for one in counted) and not any(one.old for one in counted):
        return "recorded-field-new"
    return None


def _presences(bodies: FlattenedBodies) -> dict[str, list[_Presence]]:
    found: dict[str, list[_Presence]] = defaultdict(list)
    for _, old, new in bodies.cases:
        before, after = _count(old), _count(new)
        for path in sorted(before.fields.keys() | after.fields.keys()):
            parent = path.rpartition("/")[0]
            counts = (before.fields[path], before.mappings[parent], after.fields[path], after.mappings[parent])
            found[path].append(_Presence(*counts))
    return dict(sorted(found.items()))


class _Counts(NamedTuple):
    fields: dict[str, int]
    mappings: dict[str, int]


def _count(side: Sequence[FlattenedBody]) -> _Counts:
    counts = _Counts(defaultdict(int), defaultdict(int))
    for taken in side:
        for mapping in taken.fields:
            counts.mappings[mapping.path] += 1
            for name in mapping.names:
                counts.fields[f"{mapping.path}/{escape(name)}"] += 1
    return counts


def _first_positions(bodies: FlattenedBodies, path: str) -> tuple[ObservedExchange, ObservedExchange]:
    """An older and a newer answer to show, if possible of a case in which the older one has the field."""
    for _, old, new in bodies.cases:
        for taken in old:
            if any(leaf.path == path for leaf in taken.leaves):
                return taken.seen, new[-1].seen
    _, old, new = bodies.cases[0]
    return old[-1].seen, next(
        (taken.seen for taken in new if any(leaf.path == path for leaf in taken.leaves)), new[-1].seen
    )


def _first_value(bodies: FlattenedBodies, path: str, side: str) -> JsonScalar:
    for _, old, new in bodies.cases:
        for taken in old if side == "old" else new:
            for leaf in taken.leaves:
                if leaf.path == path:
                    return leaf.value
    return None


# Types and values


class _Held(NamedTuple):
    """What one field held on both sides: in each case the leaves, with the answers they stand in."""

    old: dict[CaseKey, list[tuple[FlattenedValue, ObservedExchange]]]
    new: dict[CaseKey, list[tuple[FlattenedValue, ObservedExchange]]]


def _held(bodies: FlattenedBodies) -> dict[str, _Held]:
    found: dict[str, _Held] = defaultdict(lambda: _Held(defaultdict(list), defaultdict(list)))
    for case, old, new in bodies.cases:
        for side, taken in [("old", one) for one in old] + [("new", one) for one in new]:
            for leaf in taken.leaves:
                held = found[leaf.path]
                (held.old if side == "old" else held.new)[case, leaf.item].append((leaf, taken.seen))
    return dict(sorted(found.items()))


def type_changes(context: ResponseContext, bodies: FlattenedBodies) -> Iterator[DriftChange]:
    """Fields that hold a type they did not hold before."""
    for path, held in _held(bodies).items():
        shared = held.old.keys() & held.new.keys()
        before = {leaf.kind for case in shared for leaf, _ in held.old[case]}
        after = {leaf.kind for case in shared for leaf, _ in held.new[case]}
        added = after - before
        if not added or before == {"null"}:
            continue
        if added == {"null"} and after != {"null"} and sum(len(held.old[case]) for case in shared) < _ENOUGH:
            continue
        case = next(c for c in sorted(shared) if {leaf.kind for leaf, _ in held.new[c]} & added)
        seen = held.old[case][0][1], next(seen for leaf, seen in held.new[case] if leaf.kind in added)
        kinds = {"old": ", ".join(sorted(before)), "new": ", ".join(sorted(after))}
        yield _field_change(context, "recorded-type-changed", path, seen, kinds)


def value_changes(
    context: ResponseContext, bodies: FlattenedBodies, *, skip: Collection[str], known: Known
) -> Iterator[DriftChange]:
    """Fields that hold values they did not hold before, and lists that lost entries.

    Args:
        context: of the answers.
        bodies: of the answers.
        skip: fields that other rules tell of: the job's state, the charge.
        known: the values that the document prints for a field.
    """
    for path, held in _held(bodies).items():
        if path in skip:
            continue
        if path.endswith(f"/{ANY}"):
            yield from _entry_changes(context, path, held)
        for part, (old, new) in _by_part(held).items():
            if path.endswith(f"/{ANY}") and not part:
                continue  # words of a list are told as its entries; of URLs in it the parts count
            found = compare_values(old, new, known=known(path) if not part else frozenset())
            if found is not None:
                yield _value_change(context, path, part, held, found)


def _by_part(
    held: _Held,
) -> dict[str, tuple[dict[CaseKey, frozenset[JsonScalar]], dict[CaseKey, frozenset[JsonScalar]]]]:
    found: dict[str, tuple[dict[CaseKey, frozenset[JsonScalar]], dict[CaseKey, frozenset[JsonScalar]]]] = {}
    for index, side in enumerate((held.old, held.new)):
        for case, leaves in side.items():
            for leaf, _ in leaves:
                if leaf.kind in ("string", "number", "boolean"):
                    for part, value in parts(leaf.value):
                        into = found.setdefault(part, ({}, {}))[index]
                        into[case] = into.get(case, frozenset()) | {value}
    return found


def _value_change(context: ResponseContext, path: str, part: str, held: _Held, found: ValueDifference) -> DriftChange:
    rule = "recorded-value-new" if found.new else "recorded-value-gone"
    values = {"old": _one(found.gone), "new": _one(found.new)}
    return _field_change(context, rule, path, _positions(held, found), values, part=part)


def _one(values: tuple[JsonScalar, ...]) -> JsonScalar | list[JsonScalar]:
    return None if not values else values[0] if len(values) == 1 else list(values)


def _positions(held: _Held, found: ValueDifference) -> tuple[ObservedExchange, ObservedExchange]:
    """Answers that show the change, where single values do."""
    old = [(leaf.value, seen) for leaves in held.old.values() for leaf, seen in leaves]
    new = [(leaf.value, seen) for leaves in held.new.values() for leaf, seen in leaves]
    before = next((seen for value, seen in old if value in found.gone), old[0][1])
    after = next((seen for value, seen in new if value in found.new), new[0][1])
    return before, after


def _entry_changes(context: ResponseContext, path: str, held: _Held) -> Iterator[DriftChange]:
    found = compare_word_lists(_by_case(held.old), _by_case(held.new))
    if found is None:
        return
    if found.new:
        yield _field_change(context, "recorded-value-new", path, _positions(held, found), {"new": _one(found.new)})
    if found.gone:
        yield _field_change(context, "recorded-value-gone", path, _positions(held, found), {"old": _one(found.gone)})


def _by_case(
    side: dict[CaseKey, list[tuple[FlattenedValue, ObservedExchange]]],
) -> dict[CaseKey, frozenset[JsonScalar]]:
    found: dict[CaseKey, frozenset[JsonScalar]] = {}
    for case, leaves in side.items():
        key = case[:1]
        values = {leaf.value for leaf, _ in leaves if leaf.kind in ("string", "number", "boolean")}
        found[key] = found.get(key, frozenset()) | values
    return found

"""Compares which fields the bodies of two recordings have: removed, sometimes missing and added fields."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.reading import (
    FlattenedBody,
    FlattenedCase,
    JsonScalar,
    RecordedExchange,
    ResponseContext,
)
from voicegauge.formats import escape_pointer_token


class _FieldCounts(NamedTuple):
    """Number of times that one field is present in one case, in the older and in the newer recording."""

    old_fields: int
    old_objects: int
    """Number of objects in the older recording that could have the field."""
    new_fields: int
    new_objects: int


def field_changes(context: ResponseContext, cases: Sequence[FlattenedCase]) -> Iterator[DriftChange]:
    """Yield a change for each field that was removed, is sometimes missing, or was added."""
    counts = _count_fields(cases)
    rules = {path: rule for path, found in counts.items() if (rule := _presence_rule(found)) is not None}
    for path, rule in rules.items():
        if any(path.startswith(f"{parent}/") for parent in rules):
            continue  # the change of the parent includes this one
        side = "new" if rule == "recorded-field-new" else "old"
        values = {side: _first_value(cases, path, side)}
        yield make_field_change(context, rule, path, _example_exchanges(cases, path), values)


def make_field_change(
    context: ResponseContext,
    rule: str,
    path: str,
    examples: tuple[RecordedExchange, RecordedExchange],
    values: Mapping[str, Any],
    *,
    part: str = "",
) -> DriftChange:
    """Create a change of a field in a body.

    Args:
        context: what the compared responses have in common.
        rule: the id of the rule.
        path: the path of the field in the body.
        examples: an older and a newer exchange that show the change.
        values: the values that the report shows, under the keys "old" and "new". The value `None` is left out.
        part: the part of a URL that changed; empty if the value is not a URL.
    """
    old, new = examples
    return make_change(
        rule,
        location=f"{context.body_location}{path}{part}",
        operation=context.operation,
        old=old.body_position(path),
        new=new.body_position(path),
        values={side: value for side, value in values.items() if value is not None},
    )


def _presence_rule(counts: Sequence[_FieldCounts]) -> str | None:
    """Return the id of the rule for how the presence of a field changed; `None` if there is nothing to report."""
    comparable = [one for one in counts if one.old_objects and one.new_objects]
    removed = sum(one.old_fields == one.old_objects and one.new_fields == 0 for one in comparable)
    in_both = sum(bool(one.old_fields and one.new_fields) for one in comparable)
    was_always_present = all(one.old_fields == one.old_objects for one in comparable)
    if removed and not in_both:
        return "recorded-field-gone"
    # A single case is not enough to call a field sometimes missing.
    if len(comparable) > 1 and was_always_present and any(one.new_fields < one.new_objects for one in comparable):
        return "recorded-field-sometimes-gone"
    if any(one.new_fields for one in comparable) and not any(one.old_fields for one in comparable):
        return "recorded-field-new"
    return None


def _count_fields(cases: Sequence[FlattenedCase]) -> dict[str, list[_FieldCounts]]:
    """Return the counts of each field in each case, by the path of the field."""
    found: dict[str, list[_FieldCounts]] = defaultdict(list)
    for case in cases:
        (old_fields, old_objects), (new_fields, new_objects) = _count_side(case.old), _count_side(case.new)
        for path in sorted(old_fields.keys() | new_fields.keys()):
            parent = path.rpartition("/")[0]
            found[path].append(
                _FieldCounts(old_fields[path], old_objects[parent], new_fields[path], new_objects[parent])
            )
    return dict(sorted(found.items()))


def _count_side(bodies: Sequence[FlattenedBody]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of fields at each path and the number of objects at each path."""
    fields: dict[str, int] = defaultdict(int)
    objects: dict[str, int] = defaultdict(int)
    for body in bodies:
        for one in body.objects:
            objects[one.path] += 1
            for name in one.names:
                fields[f"{one.path}/{escape_pointer_token(name)}"] += 1
    return fields, objects


def _example_exchanges(cases: Sequence[FlattenedCase], path: str) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an older and a newer exchange as examples, if possible of a case whose older bodies have the field."""
    for case in cases:
        for body in case.old:
            if _has_path(body, path):
                return body.recorded_exchange, case.new[-1].recorded_exchange
    first = cases[0]
    return first.old[-1].recorded_exchange, next(
        (body.recorded_exchange for body in first.new if _has_path(body, path)), first.new[-1].recorded_exchange
    )


def _has_path(body: FlattenedBody, path: str) -> bool:
    return any(value.path == path for value in body.values)


def _first_value(cases: Sequence[FlattenedCase], path: str, side: str) -> JsonScalar:
    for case in cases:
        for body in case.old if side == "old" else case.new:
            for value in body.values:
                if value.path == path:
                    return value.value
    return None

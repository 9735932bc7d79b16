"""Compares which fields the bodies of two recordings have: removed, sometimes missing and added fields."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.drift.report import DriftChange, build_change
from voicegauge.drift.traffic.preparation import (
    FlattenedBody,
    JsonScalar,
    PairedBodies,
    RecordedExchange,
    ResponseGroupKey,
)
from voicegauge.formats import escape_pointer_token


class _FieldCounts(NamedTuple):
    """How often one field occurs in the older and the newer responses of one pair of conversations."""

    old_field_count: int
    """Number of objects in the older responses that have the field."""
    old_object_count: int
    """Number of objects in the older responses that could have the field."""
    new_field_count: int
    """Number of objects in the newer responses that have the field."""
    new_object_count: int
    """Number of objects in the newer responses that could have the field."""


def compare_field_presence(
    response_group_key: ResponseGroupKey, body_pairs: Sequence[PairedBodies]
) -> Iterator[DriftChange]:
    """Yield a change for each field that was removed, is sometimes missing, or was added."""
    counts = _count_fields(body_pairs)
    rules = {path: rule for path, found in counts.items() if (rule := _choose_presence_rule(found)) is not None}
    for path, rule in rules.items():
        if any(path.startswith(f"{parent}/") for parent in rules):
            continue  # the change of the parent includes this one
        side = "new" if rule == "recorded-field-new" else "old"
        values = {side: _find_first_value(body_pairs, path, side)}
        yield build_field_change(response_group_key, rule, path, _find_example_exchanges(body_pairs, path), values)


def build_field_change(
    response_group_key: ResponseGroupKey,
    rule_id: str,
    field_path: str,
    example_exchanges: tuple[RecordedExchange, RecordedExchange],
    message_values: Mapping[str, Any],
    *,
    url_part: str = "",
) -> DriftChange:
    """Create a change of a field in a body.

    Args:
        response_group_key: the operation, status and job state of the compared responses.
        rule_id: the id of the rule.
        field_path: the path of the field in the body.
        example_exchanges: an older and a newer exchange that show the change.
        message_values: the values that the report shows, under the keys "old" and "new". The value `None` is left out.
        url_part: the part of a URL that changed; empty if the value is not a URL.
    """
    old, new = example_exchanges
    return build_change(
        rule_id,
        location=f"{response_group_key.body_location}{field_path}{url_part}",
        operation_id=response_group_key.operation_id,
        old_position=old.find_body_position(field_path),
        new_position=new.find_body_position(field_path),
        message_values={side: value for side, value in message_values.items() if value is not None},
    )


def _choose_presence_rule(field_counts: Sequence[_FieldCounts]) -> str | None:
    """Return the id of the rule for how the presence of a field changed; `None` if there is nothing to report."""
    comparable = [one for one in field_counts if one.old_object_count and one.new_object_count]
    removed = sum(one.old_field_count == one.old_object_count and one.new_field_count == 0 for one in comparable)
    in_both = sum(bool(one.old_field_count and one.new_field_count) for one in comparable)
    was_always_present = all(one.old_field_count == one.old_object_count for one in comparable)
    if removed and not in_both:
        return "recorded-field-gone"
    # A single case is not enough to call a field sometimes missing.
    if (
        len(comparable) > 1
        and was_always_present
        and any(one.new_field_count < one.new_object_count for one in comparable)
    ):
        return "recorded-field-sometimes-gone"
    if any(one.new_field_count for one in comparable) and not any(one.old_field_count for one in comparable):
        return "recorded-field-new"
    return None


def _count_fields(body_pairs: Sequence[PairedBodies]) -> dict[str, list[_FieldCounts]]:
    """Return the counts of each field in each pair of conversations, by the path of the field."""
    found: dict[str, list[_FieldCounts]] = defaultdict(list)
    for pair in body_pairs:
        (old_fields, old_objects), (new_fields, new_objects) = (
            _count_fields_and_objects(pair.old_bodies),
            _count_fields_and_objects(pair.new_bodies),
        )
        for path in sorted(old_fields.keys() | new_fields.keys()):
            parent = path.rpartition("/")[0]
            found[path].append(
                _FieldCounts(old_fields[path], old_objects[parent], new_fields[path], new_objects[parent])
            )
    return dict(sorted(found.items()))


def _count_fields_and_objects(bodies: Sequence[FlattenedBody]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of fields by their path, and the number of objects by their path, in all bodies together."""
    fields: dict[str, int] = defaultdict(int)
    objects: dict[str, int] = defaultdict(int)
    for body in bodies:
        for one in body.objects:
            objects[one.path] += 1
            for name in one.field_names:
                fields[f"{one.path}/{escape_pointer_token(name)}"] += 1
    return fields, objects


def _find_example_exchanges(
    body_pairs: Sequence[PairedBodies], field_path: str
) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an older and a newer exchange that show how the presence of a field changed.

    The older exchange has the field in its body. If no older body has the field, the newer exchange has it if possible.
    """
    for pair in body_pairs:
        for body in pair.old_bodies:
            if _has_field(body, field_path):
                return body.recorded_exchange, pair.new_bodies[-1].recorded_exchange
    first = body_pairs[0]
    return first.old_bodies[-1].recorded_exchange, next(
        (body.recorded_exchange for body in first.new_bodies if _has_field(body, field_path)),
        first.new_bodies[-1].recorded_exchange,
    )


def _has_field(body: FlattenedBody, field_path: str) -> bool:
    return any(value.path == field_path for value in body.values)


def _find_first_value(body_pairs: Sequence[PairedBodies], field_path: str, searched_recording: str) -> JsonScalar:
    for pair in body_pairs:
        for body in pair.old_bodies if searched_recording == "old" else pair.new_bodies:
            for value in body.values:
                if value.path == field_path:
                    return value.value
    return None

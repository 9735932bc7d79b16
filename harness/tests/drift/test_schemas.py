from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from voicegauge.drift.drift_report import DriftChange

from .documents import Drift
from .schema_edits import (
    HOLDERS,
    POSITIONS,
    PROPERTY_EDITS,
    SCHEMA_EDITS,
    PropertyEdit,
    SchemaEdit,
    document_of,
    expected,
    is_sent,
)


def in_each(
    drift: Drift,
    places: Iterable[str],
    old: dict[str, Any],
    new: dict[str, Any],
    media_type: str = "application/json",
) -> dict[str, list[DriftChange]]:
    """The changes that each place shows, an operation for each."""
    found: dict[str, list[DriftChange]] = {place: [] for place in places}
    documents = [document_of(dict.fromkeys(found, schema), media_type) for schema in (old, new)]
    for change in drift(*documents).changes:
        assert not change.other_operations
        found[str(change.operation)].append(change)
    return found


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(edit, marks=pytest.mark.slow if number % 4 else (), id=edit.action)
        for number, edit in enumerate(SCHEMA_EDITS)
    ],
)
def test_a_schema_change_has_its_rule_in_every_position(drift: Drift, edit: SchemaEdit) -> None:
    for place, (found,) in in_each(drift, edit.places or POSITIONS, edit.old, edit.new, edit.media_type).items():
        assert (found.rule, found.level) == expected(place, edit)
        assert found.new_position is None or found.new_position.line > 1


@pytest.mark.parametrize("edit", PROPERTY_EDITS, ids=lambda edit: f"{edit.rule}-{'sent' if edit.sent else 'read'}")
def test_a_property_change_has_its_rule_in_every_position(drift: Drift, edit: PropertyEdit) -> None:
    kinds = {place: kind for kind, place in HOLDERS.items() if is_sent(place) is edit.sent}
    for place, found in in_each(drift, kinds, edit.old, edit.new).items():
        kind = kinds[place]
        rules = [rule.format(kind=kind, message=kind.partition("-")[0]) for rule in (edit.rule, edit.besides) if rule]
        levels = {change.rule: change.level for change in found}
        assert (sorted(levels), len(found)) == (sorted(rules), len(rules))
        assert levels[rules[0]] == edit.level
        assert all(change.location.endswith("/a") for change in found)


def test_an_integer_beyond_floats_is_an_integer(drift: Drift) -> None:
    changes = in_each(drift, ["response-property"], {"enum": [10**400, 7]}, {"type": "integer"})
    assert all("type" not in change.rule for found in changes.values() for change in found)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from voicegauge.drift import Change

from .made import Drift
from .schema_edits import (
    HOLDERS,
    PLACES,
    PROPERTY_EDITS,
    SCHEMA_EDITS,
    PropertyEdit,
    SchemaEdit,
    document_of,
    expected,
    is_sent,
)


def in_each(drift: Drift, places: Iterable[str], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Change]:
    """The one change that each place shows, an operation for each."""
    places = list(places)
    changes = drift(document_of(dict.fromkeys(places, old)), document_of(dict.fromkeys(places, new))).changes
    assert sorted(str(change.operation) for change in changes) == sorted(places)
    assert not any(change.also for change in changes)
    return {str(change.operation): change for change in changes}


@pytest.mark.parametrize("edit", SCHEMA_EDITS, ids=lambda edit: edit.action)
def test_a_change_of_a_schema_has_its_rule_in_every_place(drift: Drift, edit: SchemaEdit) -> None:
    for place, found in in_each(drift, PLACES, edit.old, edit.new).items():
        assert (found.rule, found.level) == expected(place, edit)
        assert found.new is None or found.new.line > 1


@pytest.mark.parametrize("edit", PROPERTY_EDITS, ids=lambda edit: f"{edit.rule}-{'sent' if edit.sent else 'read'}")
def test_a_change_of_a_property_has_its_rule_in_every_place(drift: Drift, edit: PropertyEdit) -> None:
    kinds = {place: kind for kind, place in HOLDERS.items() if is_sent(place) is edit.sent}
    for place, found in in_each(drift, kinds, edit.old, edit.new).items():
        kind = kinds[place]
        assert found.rule == edit.rule.format(kind=kind, message=kind.partition("-")[0])
        assert found.level == edit.level
        assert found.at.endswith("/a")

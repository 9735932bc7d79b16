from __future__ import annotations

import pytest

from .made import Drift, only
from .schema_edits import (
    HOLDERS,
    PLACES,
    PROPERTY_EDITS,
    SCHEMA_EDITS,
    PropertyEdit,
    SchemaEdit,
    document,
    expected,
    is_sent,
)


@pytest.mark.parametrize("edit", SCHEMA_EDITS, ids=lambda edit: edit.action)
def test_a_change_of_a_schema_has_its_rule_in_every_place(drift: Drift, edit: SchemaEdit) -> None:
    for place in PLACES:
        found = only(drift(document(place, edit.old), document(place, edit.new)))
        assert (found.rule, found.level) == expected(place, edit)
        assert found.operation == "speak"
        assert found.new is None or found.new.line > 1


@pytest.mark.parametrize("edit", PROPERTY_EDITS, ids=lambda edit: f"{edit.rule}-{'sent' if edit.sent else 'read'}")
def test_a_change_of_a_property_has_its_rule_in_every_place(drift: Drift, edit: PropertyEdit) -> None:
    for kind, place in HOLDERS.items():
        if is_sent(place) is edit.sent:
            found = only(drift(document(place, edit.old), document(place, edit.new)))
            assert found.rule == edit.rule.format(kind=kind, message=kind.partition("-")[0])
            assert found.level == edit.level
            assert found.at.endswith("/a")

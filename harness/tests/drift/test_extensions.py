from __future__ import annotations

import pytest

from ..builders.documents import edited, put
from .documents import Drift, only
from .extension_base import BASE, PIECE
from .extension_edits import EXTENSION_EDITS, STREAM, ExtensionEdit


@pytest.mark.parametrize("edit", EXTENSION_EDITS, ids=lambda edit: "+".join(edit.forth))
def test_a_change_of_an_extension_has_its_rule(drift: Drift, edit: ExtensionEdit) -> None:
    changed = edited(BASE, edit.edit)
    for rules, report in ((edit.forth, drift(BASE, changed)), (edit.back, drift(changed, BASE))):
        found = only(report)
        assert {found.rule: found.level.value} == rules
        assert "x-" in found.location
        assert found.old_position.line > 1
        assert found.new_position.line > 1


def test_event_schemas_are_compared_through_references(drift: Drift) -> None:
    event, named = f"{STREAM}/events/audio/data_schema", "/components/schemas/Piece"
    older = edited(BASE, put(event, {"$ref": "#/components/schemas/Piece"}), put(named, PIECE))
    found = only(drift(older, edited(older, put(f"{named}/required", ["audio"]))))
    assert (found.rule, found.level.value) == ("response-property-became-required", "compatible")
    assert found.location.startswith("x-stream/events/audio/data_schema")

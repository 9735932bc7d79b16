from __future__ import annotations

from typing import Any

import pytest

from ..builders.documents import REMOVED, edited, put
from .documents import Drift, only
from .extension_base import BASE, PIECE
from .extension_base import SOCKET as SOCKET_SPEC
from .extension_edits import EXTENSION_EDITS, SOCKET, SPEAK, STREAM, TARGET, ExtensionEdit


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(edit, marks=pytest.mark.slow if number % 6 else (), id="+".join(edit.forth))
        for number, edit in enumerate(EXTENSION_EDITS)
    ],
)
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


def _state(document: str, usd_per_unit: float, **fields: Any) -> dict[str, Any]:
    return {"unit": "request", "usd_per_unit": usd_per_unit, "source": {"document_name": document}, **fields}


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        ([_state("a", 1), _state("b", 2)], [_state("b", 2), _state("a", 3)], {"price-usd-increased": "1.0, now 3.0"}),
        ([_state("a", 1), _state("b", 2)], [_state("a", 2), _state("b", 2)], {"price-usd-increased": "1.0, now 2.0"}),
        ([_state("a", 1)], [_state("b", 1)], {}),
        ([_state("a", 1)], [_state("b", 2)], {"price-reading-removed": ":1.0}", "price-reading-added": ":2.0}"}),
        (
            [_state("a", 1, exactness="typical")],
            [_state("a", 1)],
            {"price-reading-removed": "typical", "price-reading-added": "exact"},
        ),
        (
            [_state("a", 1, plan_prices={"small": {"usd_per_unit": 0.035}})],
            [_state("a", 1, plan_prices={"small": {"usd_per_unit": 0.135}})],
            {"price-usd-increased": "0.035, now 0.135"},
        ),
        (
            [_state("a", 1, added_parts=[{"unit": "second", "usd_per_unit": 5, "part_label": "output"}])],
            [_state("a", 1, added_parts=[{"unit": "second", "usd_per_unit": 4, "part_label": "output"}])],
            {"price-usd-decreased": "5.0, now 4.0"},
        ),
    ],
)
def test_a_price_that_another_document_states_is_the_same_price_with_another_amount(
    drift: Drift, older: list[Any], newer: list[Any], expected: dict[str, str]
) -> None:
    sources = {name: {"title": name, "date": "2026-01-01"} for name in "ab"}
    base = edited(BASE, put("/x-provider/sources", sources))
    prices = [edited(base, put(f"{TARGET}/pricing/alternatives", one)) for one in (older, newer)]
    changes = drift(*prices).changes
    assert {change.rule for change in changes} == expected.keys()
    assert len(changes) == len(expected)
    for change in changes:
        assert expected[change.rule] in change.message


def test_the_location_of_a_changed_price_names_the_document_the_part_and_the_plan(drift: Drift) -> None:
    part = {"unit": "second", "usd_per_unit": 5, "part_label": "output", "plan_prices": {"small": {"usd_per_unit": 2}}}
    older = edited(BASE, put(f"{SPEAK}/x-pricing/added_parts", [part]))
    newer = edited(older, put(f"{SPEAK}/x-pricing/added_parts/0/plan_prices/small/usd_per_unit", 3))
    found = only(drift(older, newer))
    assert found.location == "x-pricing/added_parts/output/plan_prices/small/usd_per_unit"
    assert (found.old_value, found.new_value) == ("2.0", "3.0")


def test_two_changed_prices_of_one_document_have_locations_of_their_own(drift: Drift) -> None:
    prices = [_state("a", 1), _state("a", 5, exactness="typical"), _state("b", 5)]
    base = edited(BASE, put("/x-provider/sources", {name: {"title": name, "date": "2026-01-01"} for name in "ab"}))
    older = edited(base, put(f"{TARGET}/pricing/alternatives", prices))
    newer = edited(older, *(put(f"{TARGET}/pricing/alternatives/{index}/usd_per_unit", 7) for index in range(3)))
    found = {
        change.location.rpartition("/alternatives/")[2]: change.old_value for change in drift(older, newer).changes
    }
    assert found == {"a 0/usd_per_unit": "1.0", "a 1/usd_per_unit": "5.0", "b/usd_per_unit": "5.0"}


def test_a_message_of_a_socket_keeps_its_facts_under_another_name_and_another_place(drift: Drift) -> None:
    audio, words = SOCKET_SPEC["server_messages"]
    moved = edited(BASE, put(f"{SOCKET}/server_messages", [words, {**audio, "message": "Sound"}]))
    assert drift(BASE, moved).changes == ()
    changed = {**audio, "message": "Sound", "recognized_by": {"/audio": ["one"]}}
    found = only(drift(BASE, edited(BASE, put(f"{SOCKET}/server_messages", [words, changed]))))
    assert (found.operation, found.location) == ("speakLive", "x-socket/server_messages/audio/recognized_by")


def test_an_event_that_a_further_message_reports_is_one_change(drift: Drift) -> None:
    further = {"message": "Sound", "event": "audio", "value": {"sound": "{audio}"}}
    found = only(drift(BASE, edited(BASE, put(f"{SOCKET}/server_messages/-", further))))
    assert (found.rule, found.location) == ("socket-event-added", "x-socket/server_messages")


def test_the_facts_of_a_socket_are_compared_with_another_contract_only(drift: Drift) -> None:
    official = edited(BASE, put("/x-provider", REMOVED), put(SOCKET, REMOVED))
    assert not any(change.location.startswith("x-socket") for change in drift(BASE, official).changes)

"""The change that the provider's own documents show: callbacks by header, documented in May and not in April."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.drift.drift_report import DriftReport

from .documents import Drift

SUBMITS = {"generateXtts", "generateChatterbox", "generateVibevoice", "generateVibevoiceRealtime"}


def april(document: dict[str, Any]) -> dict[str, Any]:
    """The contract without X-Webhook-Mode and without what a callback carries."""
    older = copy.deepcopy(document)
    older["info"]["version"] = "2026-04-15"
    components = older["components"]
    del components["parameters"]["webhookMode"]
    for item in older["paths"].values():
        for operation in item.values():
            remaining = [p for p in operation.get("parameters", ()) if not p.get("$ref", "").endswith("/webhookMode")]
            operation["parameters"] = remaining
    (callback,) = components["callbacks"]["webhookHeader"].values()
    del callback["post"]["requestBody"]
    return older


@pytest.fixture
def reports(drift: Drift) -> tuple[DriftReport, DriftReport]:
    may = load_catalogue().find_provider("pixazo").document.data
    return drift(april(may), may), drift(may, april(may))


def test_the_new_header_and_payload_are_found(reports: tuple[DriftReport, DriftReport]) -> None:
    forward, _ = reports
    assert [(found.rule, found.level) for found in forward.changes] == [
        ("new-optional-request-parameter", "compatible"),
        ("callback-payload-added", "compatible"),
    ]
    header, payload = forward.changes
    assert header.location == "header X-Webhook-Mode"
    assert {header.operation, *header.other_operations} == {"generateXtts", "generateChatterbox"}
    assert payload.location == "callback {$request.header.X-Webhook-URL} body"
    assert {payload.operation, *payload.other_operations} == SUBMITS
    assert not forward.has_change_at_least(forward.changes[0].level.BREAKING)


def test_removing_them_is_breaking(reports: tuple[DriftReport, DriftReport]) -> None:
    _, backward = reports
    assert [(found.rule, found.level) for found in backward.changes] == [
        ("callback-payload-removed", "breaking"),
        ("request-parameter-removed", "possibly-breaking"),
    ]


def test_renaming_the_version_is_not_a_change(drift: Drift) -> None:
    may = load_catalogue().find_provider("pixazo").document.data
    report = drift({**may, "info": {**may["info"], "version": "2026-04-15"}}, may)
    assert report.changes == ()
    assert (report.old_input.version, report.new_input.version) == ("2026-04-15", may["info"]["version"])

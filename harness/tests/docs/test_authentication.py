"""The examples of docs/authentication.md, checked at the emulator, with right and wrong credentials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

import voicegauge
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.process import running_emulator

from ..builders.documented_examples import build_acme

LoadExample = Callable[[str], Contract]
SPEECH = {"text": "Hello", "model": "swift-2"}


@pytest.fixture
def load_example(tmp_path: Path) -> LoadExample:
    """Load the complete example of docs/contract.md with an addition of docs/authentication.md."""

    def load(name: str) -> Contract:
        path = tmp_path / "openapi.yaml"
        path.write_text(yaml.safe_dump(build_acme("authentication.md", name), sort_keys=False), encoding="utf-8")
        return load_contract(path)

    return load


@pytest.mark.parametrize(
    ("name", "max_calls"),
    [
        pytest.param("acme with a user id", 6, marks=pytest.mark.slow),
        ("acme with an optional key", 6),
        pytest.param("acme with signed webhooks", None, marks=pytest.mark.slow),
        ("acme with OAuth 2", 6),
        pytest.param("acme with AWS signatures", 6, marks=pytest.mark.slow),
    ],
)
def test_a_check_of_the_emulator_finds_nothing(load_example: LoadExample, name: str, max_calls: int | None) -> None:
    path = load_example(name).document.path
    report = voicegauge.check("acme", emulated=True, contracts=[path], max_calls=max_calls)
    assert sum(case.verdict == "passed" for case in report.case_results) > 10
    assert [str(finding.message) for finding in report.findings] == []


def test_a_missing_and_a_wrong_key_are_planned_unless_the_key_is_optional(load_example: LoadExample) -> None:
    for name, are_planned in (("acme with a user id", True), ("acme with an optional key", False)):
        plan = voicegauge.plan_check("acme", emulated=True, contracts=[load_example(name).document.path])
        assert any(case.kind == "authentication" for case in plan.cases) is are_planned


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ({"token": "acme-k1"}, {"X-User-Id": "me"}, 202),
        ({"token": "acme-k1"}, {}, 401),
        ({}, {"X-User-Id": "me"}, 401),
        ({"token": "k1"}, {"X-User-Id": "me"}, 401),
        ({"token": "acme-invalid"}, {"X-User-Id": "me"}, 401),
    ],
)
def test_the_emulator_requires_both_values(
    load_example: LoadExample, query: dict[str, str], headers: dict[str, str], status: int
) -> None:
    with running_emulator([load_example("acme with a user id")]) as emulator:
        url = f"{emulator.base_url('acme')}/v1/speech"
        assert httpx.post(url, params=query, headers=headers, json=SPEECH).status_code == status


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (None, None),
        ("webhook-forged", "webhook-forged"),
        ("webhook-late", "webhook-late"),
        ("webhook-replayed", "webhook-replayed"),
    ],
)
def test_each_fault_of_signatures_is_found(load_example: LoadExample, fault: str | None, rule: str | None) -> None:
    report = voicegauge.check(
        "acme",
        emulated=True,
        contracts=[load_example("acme with signed webhooks").document.path],
        faults=[fault] if fault else [],
        case_ids=["acme/swift: a webhook at body#/webhook"],
    )
    found = {finding.rule for finding in report.findings if finding.rule.startswith("webhook-")}
    assert found - {"webhook-duplicate"} == ({rule} if rule else set())

"""The dry run announces the requests of a lifecycle that the check then sends."""

from __future__ import annotations

import pytest

import voicegauge


@pytest.mark.parametrize(
    "provider", ["lmnt", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cartesia", "ttsai"))]
)
def test_a_planned_lifecycle_has_as_many_requests_as_the_check_sends(provider: str) -> None:
    plan = voicegauge.plan_check(provider, emulated=True)
    lifecycles = [case for case in plan.cases if case.kind == "lifecycle" and case.request_count > 1]
    assert lifecycles
    report = voicegauge.check(provider, emulated=True, case_ids=[case.id for case in lifecycles])
    sent = report.spending.total_by_case_kind["lifecycle"]
    assert sent.request_count == sum(case.request_count for case in lifecycles)
    assert sent.billable_request_count <= sum(case.billable_request_count for case in lifecycles) or any(
        case.price_usd is None for case in lifecycles
    )


def test_a_live_plan_states_what_a_lifecycle_costs_and_the_worst_case() -> None:
    plan = voicegauge.plan_check("cartesia", live=voicegauge.LiveOptions(), every_valid_request=True)
    (cloned,) = (case for case in plan.cases if case.id.endswith("the lifecycle of a cloned voice"))
    assert cloned.request_count == 20
    assert cloned.billable_request_count == 12
    assert cloned.price_usd == pytest.approx(0.0306)
    assert plan.spending.total_by_case_kind["lifecycle"].spent_usd == pytest.approx(0.0306)
    assert plan.worst_case_usd > plan.price_usd
    assert plan.worst_case_usd == pytest.approx(sum(case.reserved_usd or 0.0 for case in plan.cases), abs=1e-3)


def test_the_smallest_plan_uses_a_resource_for_speech_after_its_deletion_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "sk-test-0123456789")
    plan = voicegauge.plan_check("cartesia", live=voicegauge.LiveOptions())
    (cloned,) = (case for case in plan.cases if case.id.endswith("the lifecycle of a cloned voice"))
    assert cloned.billable_request_count == 1
    with voicegauge.emulate("cartesia", faults=["uses-deleted"], time_scale=0) as emulator:
        live = voicegauge.LiveOptions(base_urls={"": emulator.base_url("cartesia")})
        report = voicegauge.check("cartesia", live=live, case_ids=[cloned.id])
    found = [str(finding.where) for finding in report.findings if finding.rule == "resource-used-after-delete"]
    assert any("synthesize" in where for where in found)


def test_requests_at_no_price_are_counted_as_the_limit_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    from voicegauge.cli import run

    where = ["check", "replicate", "--live", "--price", "replicate=0", "--max-calls", "5", "--dry-run"]
    assert run(where) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "requests, 5 to be accepted; none costs anything" in printed
    assert "its delivery is beyond --max-calls 5" in printed

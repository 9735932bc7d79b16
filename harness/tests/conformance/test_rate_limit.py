"""A check respects the requests per minute of the account plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.cases.plan import plan_cases
from voicegauge.client.connection import RateLimiter
from voicegauge.client.ledger import Ledger
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import CheckSettings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.loading import load_contract
from voicegauge.model.base import Provenance
from voicegauge.rules.registry import select_rules
from voicegauge.transport.timing import VirtualClock

from ..builders.in_process_check import run_to_the_end

KEY = "sk-acme-0123456789abcdef"


RULES = select_rules((), ("spoken-text-doubtful",), {})
"""All but the one that the noise of the server breaks."""


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_check_takes_as_many_minutes_as_its_requests_need(
    concurrency: int, acme, acme_contracts: Callable[..., Path]
) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    targets, clock = list(contract.targets.values()), VirtualClock()
    settings = CheckSettings(
        provenance=Provenance.LIVE,
        rules=RULES,
        base_urls_by_provider={"acme": {"": acme.url}},
        api_key_by_provider={"acme": KEY},
        create_clock=lambda: clock,
        rate_limiter_by_provider={"acme": RateLimiter(4, clock)},
        concurrency=concurrency,
    )
    collector = ResultCollector(["acme"], 0)
    run_to_the_end(
        collector,
        check_service(
            targets, plan_cases(targets, is_emulated=False, include_all_billable_cases=True), settings, collector
        ),
    )
    assert len(acme.keys) > 8
    assert clock.monotonic() == 60 * ((len(acme.keys) - 1) // 4)
    assert not collector.build_report().findings


def test_each_case_in_flight_waits_as_429_asks_and_is_sent_once_more(acme, acme_contracts: Callable[..., Path]) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    targets = list(contract.targets.values())
    plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=True)

    def check(clock: VirtualClock) -> CheckReport:
        settings = CheckSettings(
            provenance=Provenance.LIVE,
            rules=RULES,
            base_urls_by_provider={"acme": {"": acme.url}},
            api_key_by_provider={"acme": KEY},
            ledger=Ledger(1.0),
            create_clock=lambda: clock,
            concurrency=3,
        )
        collector = ResultCollector(["acme"], 0)
        run_to_the_end(collector, check_service(targets, plan, settings, collector))
        return collector.build_report()

    expected = check(VirtualClock())
    requests, texts = len(acme.keys), list(acme.texts)
    acme.keys.clear(), acme.texts.clear()
    acme.next_statuses, acme.retry_after_s = [429, 429, 429], 7
    clock = VirtualClock()
    report = check(clock)
    assert clock.monotonic() >= 7
    assert len(acme.keys) == requests + 3
    assert sorted(acme.texts) == sorted(texts), "nothing is bought twice"
    assert [(one.id, one.status, one.not_judged_reason) for one in report.case_results] == [
        (one.id, one.status, one.not_judged_reason) for one in expected.case_results
    ]
    (finding,) = report.findings
    assert (finding.rule, finding.occurrence_count) == ("status-undocumented", 3)
    assert report.spent_usd == expected.spent_usd

    acme.next_statuses, acme.retry_after_s = [429] * 3, 100_000
    report = check(VirtualClock())
    waiting = [one for one in report.case_results if "429" in (one.not_judged_reason or "")]
    assert len(waiting) == 3, "a longer wait is left to the user"
    assert {one.verdict for one in report.case_results if one not in waiting} == {"passed"}

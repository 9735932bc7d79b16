"""A check respects the requests per minute of the account plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.cases.plan import plan_cases
from voicegauge.client.ledger import RateLimiter
from voicegauge.conformance.checked_service import CheckSettings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service, run_check
from voicegauge.contract.loading import load_contract
from voicegauge.model.base import Provenance
from voicegauge.transport.clock import VirtualClock

KEY = "sk-acme-0123456789abcdef"


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_check_takes_as_many_minutes_as_its_requests_need(
    concurrency: int, acme, acme_contracts: Callable[..., Path]
) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    targets, clock = list(contract.targets.values()), VirtualClock()
    settings = CheckSettings(
        provenance=Provenance.LIVE,
        base_urls_by_provider={"acme": {"": acme.url}},
        api_key_by_provider={"acme": KEY},
        create_clock=lambda: clock,
        rate_limiter_by_provider={"acme": RateLimiter(4, clock)},
        concurrency=concurrency,
    )
    collector = ResultCollector(["acme"], 0)
    run_check(
        collector,
        check_service(
            targets, plan_cases(targets, is_emulated=False, include_all_billable_cases=True), settings, collector
        ),
    )
    assert len(acme.keys) > 8
    assert clock.monotonic() == 60 * ((len(acme.keys) - 1) // 4)
    assert not collector.build_report().findings

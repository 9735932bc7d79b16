"""Tests of a user that check a live service from several workers: nothing is paid for twice."""

from __future__ import annotations

import multiprocessing
import os
import textwrap
from pathlib import Path

import pytest

from voicegauge.client.daily_spending import SharedBudget
from voicegauge.errors import BudgetError, StorageError
from voicegauge.rules.registry import RULE_BY_ID

from ..builders.small_disk import small_disk

pytest_plugins = ["pytester"]

LIVE = {
    "rules": """
        def test_rule(voicegauge_rule):
            voicegauge_rule.assert_holds()
    """,
    "checks": """
        import pytest

        @pytest.mark.parametrize("turn", range(6))
        def test_check(voicegauge_check, turn):
            voicegauge_check("acme")
    """,
}


@pytest.fixture
def live(pytester, acme, acme_contracts, monkeypatch):
    """Run tests in two workers against a provider that counts billable requests."""
    monkeypatch.setenv("ACME_API_KEY", "sk-acme-0123456789abcdef")
    folder = acme_contracts()
    document = folder / "acme" / "openapi.yaml"
    document.write_text(document.read_text().replace("https://api.acme.example", acme.url))

    def run_it(code: str, *more: str) -> pytest.RunResult:
        consent = f"ACME_API_KEY={acme.url.removeprefix('http://')}"
        options = [
            "--vg-live",
            "--vg-contracts",
            str(folder),
            "--vg-target",
            "acme",
            "--vg-allow-key",
            consent,
            "-n",
            "2",
        ]
        pytester.makepyfile(textwrap.dedent(code))
        return pytester.runpytest_subprocess(
            "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:respx", *options, *more
        )

    return run_it


@pytest.mark.slow
def test_workers_pay_for_one_check_of_a_provider_together(live, acme) -> None:
    outcomes = live(LIVE["rules"]).parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped", "warnings"}
    assert outcomes["passed"] + outcomes["skipped"] == len(RULE_BY_ID)
    assert len(acme.texts) == 1


@pytest.mark.slow
def test_workers_share_the_budget(live, acme) -> None:
    """A check costs $0.001: the budget pays for three of six.

    Each request that should be rejected is reserved too. A check that finds too little left for that, because others
    spent or reserve it at that moment, is partly judged.
    """
    outcomes = live(LIVE["checks"], "--vg-max-cost", "0.0035").parseoutcomes()
    assert outcomes.get("passed", 0) + outcomes["failed"] == 6
    assert outcomes["failed"] >= 3
    assert len(acme.texts) == 3


def _spend(file: Path, times: int) -> None:
    for _ in range(times):
        with SharedBudget(file, 0.05).open_ledger() as ledger:
            try:
                ledger.reserve(0.001).settle(may_be_charged=True)
            except BudgetError:
                return


def _die(file: Path) -> None:
    with SharedBudget(file, 1.0).open_ledger() as ledger:
        ledger.reserve(0.3).settle(may_be_charged=True)
        ledger.reserve(0.2).settle(may_be_charged=False)
        ledger.reserve(0.001)
        os._exit(1)


@pytest.mark.slow
def test_processes_that_spend_at_the_same_time_stay_within_the_budget(tmp_path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_spend, args=(tmp_path / "budget", 40)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with SharedBudget(tmp_path / "budget", 0.05).open_ledger() as ledger:
        assert ledger.spent_usd == 0.05


def test_the_reservation_of_a_dead_process_is_not_released(tmp_path) -> None:
    dying = multiprocessing.get_context("spawn").Process(target=_die, args=(tmp_path / "budget",))
    dying.start()
    dying.join()
    budget = SharedBudget(tmp_path / "budget", 1.0)
    assert budget.spent_usd == 0.301
    with budget.open_ledger() as ledger:
        assert (ledger.spent_usd, ledger.reserved_usd) == (0.301, 0.0)
        with pytest.raises(BudgetError):
            ledger.reserve(0.7)


def test_spending_that_cannot_be_written_is_not_lost(tmp_path) -> None:
    budget = SharedBudget(tmp_path / "budget", 1.0)
    with budget.open_ledger() as ledger:
        reservation = ledger.reserve(0.9)
        with small_disk(0), pytest.raises(StorageError, match="large"):
            reservation.settle(may_be_charged=False)
        with pytest.raises(StorageError, match="large"):
            ledger.reserve(0.01)
        assert ledger.remaining_usd == pytest.approx(0.1)
    assert budget.spent_usd == 0.9


def test_a_released_reservation_and_a_reported_charge_are_counted_as_in_one_process(tmp_path) -> None:
    budget = SharedBudget(tmp_path / "budget", 1.0)
    with budget.open_ledger() as ledger:
        ledger.reserve(0.5).settle(may_be_charged=False)
        ledger.reserve(0.000123).settle(may_be_charged=True)
        ledger.reserve(0.5).settle(may_be_charged=True, charged_usd=0.6)
        assert ledger.spent_usd == 0.600123
    assert budget.spent_usd == 0.600123

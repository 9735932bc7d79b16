"""A check with several cases in flight has the results of one that sends a case after the other."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crashes.simulation import load_stand_in_contract

from voicegauge import cli
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.client.ledger import Ledger
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import EMULATOR_API_KEY, CheckSettings, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.model.base import Provenance
from voicegauge.transport.timing import VirtualClock

from ..builders.in_process_check import check_plan_in_process
from ..builders.saved_voices import write_contract

TURNS_OF_A_RESPONSE = 50
"""Turns of the event loop that a response takes, in which other requests arrive."""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class SlowEmulator:
    """An emulator in this process that counts the requests in flight."""

    def __init__(self, contract: Contract) -> None:
        self._app = create_app([contract], build_emulator_settings())
        self._in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        """The largest number of requests in flight at once, of all paths under "" and of each path."""
        self.statuses: list[int] = []
        self.hangs_after: int | None = None
        """Number of requests after which none gets a response."""
        self.has_stopped = asyncio.Event()
        """Set when the first request gets no response."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def note_and_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        names = ("", scope["path"].rpartition("/")[2])
        self._in_flight.update(names)
        self.most_in_flight |= self._in_flight
        try:
            if self.hangs_after is not None and len(self.statuses) >= self.hangs_after:
                self.has_stopped.set()
                await asyncio.Event().wait()
            for _ in range(TURNS_OF_A_RESPONSE):
                await asyncio.sleep(0)
            await self._app(scope, receive, note_and_send)
        finally:
            self._in_flight.subtract(names)


class Checked:
    """The report of a check, and the emulator that it was made with."""

    def __init__(self, contract: Contract, plan: CasePlan) -> None:
        self._contract, self._plan = contract, plan
        self.emulator = SlowEmulator(contract)
        self.collector = ResultCollector([target.id for target in contract.targets.values()], 0)
        self.started: list[str] = []
        self.max_concurrency: int | None = None
        """The number of requests in flight that the plan of the account allows; `None` for no limit."""

    def run(self, concurrency: int, ledger: Ledger | None = None) -> CheckReport:
        asyncio.run(self.send(concurrency, ledger))
        return self.collector.build_report()

    async def send(self, concurrency: int, ledger: Ledger | None = None) -> None:
        settings = CheckSettings(
            provenance=Provenance.EMULATED if ledger is None else Provenance.LIVE,
            base_urls_by_provider={self._contract.id: {"": f"http://emulated/{self._contract.id}"}},
            api_key_by_provider={self._contract.id: EMULATOR_API_KEY},
            ledger=ledger,
            create_clock=VirtualClock,
            emulator_app=self.emulator,
            concurrency=concurrency,
            max_concurrency_by_provider={self._contract.id: self.max_concurrency},
        )
        targets = list(self._contract.targets.values())
        await check_service(targets, self._plan, settings, self.collector, lambda case: self.started.append(case.id))


def plan_all(contract: Contract, max_calls: int | None = None) -> CasePlan:
    return plan_cases(
        list(contract.targets.values()),
        is_emulated=True,
        include_all_billable_cases=True,
        max_billable_requests=max_calls,
    )


def plan_single_requests(contract: Contract, max_calls: int | None = None) -> CasePlan:
    """Return the cases that have one request in flight, whatever the concurrency."""
    plan = plan_all(contract, max_calls)
    return msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.companion_request is None))


@pytest.fixture
def voices(tmp_path: Path) -> Contract:
    """The contract of a provider that saves voices."""
    return load_contract(write_contract(tmp_path / "contract") / "openapi.yaml")


def without_times_and_ids(report: CheckReport) -> CheckReport:
    """Leave out what differs between equal runs: the time, and ids of jobs and of voice prints that nobody can delete.

    A service gives ids in the order in which requests arrive, which is not that of the plan when several are in flight.
    A finding can quote a response with such an id.
    """
    left = tuple(msgspec.structs.replace(one, id=None, created_at=None) for one in report.resources.remaining_resources)
    resources = msgspec.structs.replace(report.resources, remaining_resources=left)
    findings = tuple(
        msgspec.structs.replace(one, evidence=UUID.sub("<id>", one.evidence or "")) for one in report.findings
    )
    return msgspec.structs.replace(report, created_at="", resources=resources, findings=findings)


@pytest.mark.parametrize("name", [pytest.param("voices", marks=pytest.mark.slow), "jobs"])
def test_results_and_their_order_do_not_depend_on_the_cases_in_flight(name, voices) -> None:
    contract = voices if name == "voices" else load_stand_in_contract()
    plan, targets = plan_all(contract), list(contract.targets.values())
    if name == "jobs":
        plan = CasePlan(cases=tuple(case for case in plan.cases if case.speech_request is not None))
    one, four = (
        without_times_and_ids(check_plan_in_process(targets, plan, names=[contract.id], concurrency=concurrency))
        for concurrency in (1, 4)
    )
    assert len(one.case_results) >= 10
    assert one == four


def test_cases_are_in_flight_together_but_those_about_saved_voices(voices) -> None:
    checked = Checked(voices, plan_single_requests(voices))
    checked.run(3)
    assert checked.emulator.most_in_flight[""] == 3
    assert checked.emulator.most_in_flight["speak"] > 1
    assert checked.emulator.most_in_flight["voices"] == 1


@pytest.mark.parametrize(("concurrency", "max_calls", "plan_limit"), [(1, None, None), (3, 2, None), (3, None, 1)])
def test_one_case_is_sent_at_a_time_by_default_and_with_a_limit(concurrency, max_calls, plan_limit, voices) -> None:
    plan = plan_all if plan_limit else plan_single_requests
    checked = Checked(voices, plan(voices, max_calls))
    checked.max_concurrency = plan_limit
    checked.run(concurrency)
    assert checked.emulator.most_in_flight[""] == 1


@pytest.mark.parametrize("missing_usd", [0.0, 0.002])
def test_several_cases_in_flight_do_not_exceed_the_budget_and_use_all_of_it(missing_usd, voices) -> None:
    plan = plan_single_requests(voices)
    unlimited = Checked(voices, plan).run(1, Ledger(1.0))
    assert unlimited.spent_usd > missing_usd
    budget_usd = unlimited.spent_usd - missing_usd
    checked = Checked(voices, plan)
    report = checked.run(4, Ledger(budget_usd))
    assert checked.emulator.most_in_flight[""] == 4
    if missing_usd:
        assert "of the budget of" in (report.stop_message or "")
        assert report.spent_usd == pytest.approx(budget_usd)
    else:
        assert without_times_and_ids(report) == without_times_and_ids(unlimited)


def test_an_interruption_keeps_the_results_and_sends_nothing_more(voices) -> None:
    plan = plan_all(voices)
    speaking = tuple(case for case in plan.cases if case.operation == "speak")
    checked = Checked(voices, CasePlan(cases=speaking))
    checked.emulator.hangs_after = 10

    async def interrupt() -> None:
        task = asyncio.create_task(checked.send(4, Ledger(1.0)))
        await checked.emulator.has_stopped.wait()
        for _ in range(10 * TURNS_OF_A_RESPONSE):
            await asyncio.sleep(0)
        started = list(checked.started)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert checked.started == started

    asyncio.run(interrupt())
    results = [case.id for case in checked.collector.build_report().case_results]
    assert 10 <= len(results) < len(checked.started)
    assert results == [case.id for case in speaking if case.id in results]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--concurrency", "2"], "--concurrency"),
        (["--emulated", "--concurrency", "0"], "0 is not a number from 1 to 64"),
    ],
)
def test_a_useless_number_of_cases_in_flight_is_refused(
    more: list[str], message: str, acme_contracts: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["check", "acme", "--contracts", str(acme_contracts()), *more]) == 2
    assert message in capsys.readouterr().err

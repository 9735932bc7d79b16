"""Simulated checks and recordings on a virtual clock: faults of the provider, and kills at any step."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import msgspec

from crashes.provider import RandomFaults, StandInProvider
from crashes.simulation import MAX_COMMANDS, Killer, SimulatedRun, report_all_but_kills, simulated_speech
from crashes.verdict import ROUNDING_USD, RunVerdict
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.client.daily_spending import DailyBudget
from voicegauge.client.ledger import Ledger
from voicegauge.client.spending_journal import Journal, PurchaseAccount, SubmitStartedEvent, lock_file, read_events
from voicegauge.conformance.case_journal import (
    CaseEvent,
    CaseFinishedEvent,
    CaseHistory,
    CaseJournals,
    CaseRepeatedEvent,
    apply_event,
)
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import CheckSettings
from voicegauge.conformance.recording_updates import Recorder, UnfinishedRecording, plan_cases_to_record
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import Contract
from voicegauge.errors import DataError, TransportError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import AmbiguousRequest
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.transport.timing import VirtualClock

CaseCommand = Literal["check", "record"]
KEY = "sk-acme-0123456789abcdef"
URL = "http://acme.test"
SIMULATED_DAY = datetime(2026, 3, 14, 23, 59, tzinfo=UTC)
MAX_CALLS = 10
"""Largest number of billable requests of some checks."""
UNBROKEN_BUDGET_USD = 100.0
"""A budget that no plan exceeds."""
MIN_JOB_S = 0.4
"""Shortest job. One that is done when its submit is answered is not polled, so that nothing reports its charge: a check
then has other findings, whether it is killed or not."""


@dataclass
class CaseOutcome:
    """What a command that was not killed reported."""

    spent_usd: float
    """Dollars counted by this command and the killed ones before it."""
    ambiguous: tuple[AmbiguousRequest, ...]
    report: CheckReport | None = None
    """What a check reported."""


@dataclass
class SimulatedCaseUser:
    """Repeats a check or a recording until it ends without being killed."""

    command: CaseCommand
    folder: Path
    contract: Contract
    plan: CasePlan
    provider: StandInProvider
    clock: VirtualClock
    max_cost_usd: float
    concurrency: int = 1
    """Number of cases of a check in flight; a recording sends one at a time."""
    killed_in: list[str] = field(default_factory=list)
    """The step of each kill."""
    is_over_night: bool = False
    """Whether each command runs on another day than the one before it."""
    commands: int = 0
    """Number of commands that were started."""
    events: list[CaseEvent] = field(default_factory=list)
    """What all commands wrote to their journals."""

    def open_daily_budget(self) -> DailyBudget:
        """Return the account of what all commands spend in a day, on the day of the command that runs."""
        day = SIMULATED_DAY + timedelta(days=self.commands if self.is_over_night else 0)
        return DailyBudget(self.folder / "spending", self.contract.id, get_now=lambda: day)

    def sum_days_usd(self) -> float:
        """Return the dollars that were or may have been charged on all days."""
        budgets = [
            DailyBudget(self.folder / "spending", self.contract.id, get_now=lambda day=path.stem: _parse_day(day))
            for path in (self.folder / "spending" / self.contract.id).glob("*.jsonl")
        ]
        return sum(budget.spent_today_usd for budget in budgets)

    @property
    def account(self) -> PurchaseAccount[CaseHistory]:
        """What the journal says after a kill."""
        return read_account(self.folder)

    async def run_command(
        self, *, kill_at: int | str | None = None, retry_ambiguous: bool = False
    ) -> CaseOutcome | None:
        """Run the command once, killed at the step `kill_at`; return `None` if it was killed."""
        self.commands += 1
        await self._wait_for_killed_threads()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(report_all_but_kills)
        running: asyncio.Task[CaseOutcome] | None = None

        def die() -> None:
            # What the process was doing ends; what it wrote and what it has sent remain.
            if running is not None:
                loop.call_soon(running.cancel)

        killer = Killer(kill_at, on_kill=die)
        self.provider.step = killer.step
        with _watching_files(killer, self.events):
            running = asyncio.create_task(self._run(killer, retry_ambiguous=retry_ambiguous))
            with contextlib.suppress(BaseException):
                await asyncio.wait([running])
        self.provider.step = lambda _: None
        await self.provider.settled()
        if killer.is_dead:
            running.cancelled() or running.exception()  # retrieved, so that asyncio does not report it
            self.killed_in.append(killer.phase)
            return None
        return running.result()

    async def _wait_for_killed_threads(self) -> None:
        """Wait until no thread of a killed command writes the journal, which would end at once with a real process."""
        for path in self.folder.glob("*/journal.jsonl"):
            for _ in range(1_000):
                try:
                    lock_file(path, in_use_message="in use").close()
                except DataError:
                    await asyncio.sleep(0.01)
                else:
                    break

    async def _run(self, killer: Killer, *, retry_ambiguous: bool) -> CaseOutcome:
        """Do what `voicegauge check --live` or `record --live` does, without printing anything."""
        targets, plan, by_id = list(self.contract.targets.values()), self.plan, {self.contract.id: self.contract}
        unfinished = UnfinishedRecording(self.folder, by_id, redaction=RedactionSettings(secrets=[KEY]))
        recorder = Recorder(by_id, {self.contract.id: {"": URL}}, unfinished)
        is_recording = self.command == "record"
        journals = CaseJournals(
            self.folder,
            by_id.values(),
            retry_ambiguous_requests=retry_ambiguous,
            skip_cases_without_verdict=is_recording,
        )
        with journals:
            saved = unfinished.load_saved_exchanges(plan.cases, datetime.now(UTC)) if is_recording else {}
            for name in saved:
                journals.journal_by_provider[self.contract.id].record_case_finished(name)
            settings = CheckSettings(
                provenance=Provenance.LIVE,
                base_urls_by_provider={self.contract.id: {"": URL}},
                api_key_by_provider={self.contract.id: KEY},
                ledger=Ledger(self.max_cost_usd, spent_usd=journals.spent_by_earlier_runs_usd),
                daily_budget_by_provider={self.contract.id: self.open_daily_budget()},
                create_clock=lambda: self.clock,
                save_exchanges=recorder.add_case if is_recording else None,
                case_journal_by_provider=journals.journal_by_provider,
                emulator_app=self.provider,
                concurrency=1 if is_recording else self.concurrency,
            )
            rest = msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.id not in saved))
            collector = ResultCollector([target.id for target in targets], 0)
            killer.step("before the requests")
            with contextlib.suppress(TransportError):  # such a check is reported too
                await check_service(targets, rest, settings, collector)
            killer.step("before the report")
            report = collector.build_report()
            outcome = CaseOutcome(
                journals.spent_by_earlier_runs_usd + report.spent_usd, journals.ambiguous_requests, report
            )
            killer.step("after the report")
            journals.forget_requests(keep_ambiguous_requests=True)
            return outcome


def _parse_day(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00")


@contextlib.contextmanager
def _watching_files(killer: Killer, events: list[CaseEvent]) -> Iterator[None]:
    """Count a step before and after each line of the journal and each saved case, and add the lines to `events`."""
    write, save = Journal.write, UnfinishedRecording.save_case

    def write_line(journal: Journal, event: Any) -> None:
        name = type(event).__name__
        killer.step(f"before {name}")
        write(journal, event)
        events.append(event)
        killer.step(f"after {name}")

    def save_case(unfinished: UnfinishedRecording, *arguments: Any) -> None:
        killer.step("before saving")
        save(unfinished, *arguments)
        killer.step("after saving")

    with (
        mock.patch.object(Journal, "write", write_line),
        mock.patch.object(UnfinishedRecording, "save_case", save_case),
    ):
        yield


def read_account(folder: Path) -> PurchaseAccount[CaseHistory]:
    """Return what the journals of a check or recording say, wherever in `folder` they are."""
    histories: dict[str, CaseHistory] = {}
    for path in folder.rglob("journal.jsonl"):
        for event in read_events(path, CaseEvent):
            apply_event(event, histories)
    return PurchaseAccount(histories)


def judge_cases(
    provider: StandInProvider,
    ledger_usd: float,
    budget_usd: float,
    *,
    is_recording: bool,
    demands: int = 0,
    ambiguous: tuple[AmbiguousRequest, ...] = (),
    events: Sequence[CaseEvent] = (),
) -> RunVerdict:
    """Compare the account of the provider with that of the commands.

    Args:
        provider: the provider, with everything that it charged.
        ledger_usd: dollars that the commands counted.
        budget_usd: limit of the commands.
        is_recording: whether the commands recorded; then each text is sold once, and once more for each demand.
        demands: how often the user demanded to send lost requests again.
        ambiguous: the requests that were listed.
        events: what the commands wrote to their journals. No case is bought again after it was finished.
    """
    charged_usd, problems = provider.charged_usd, []
    if charged_usd > ledger_usd + ROUNDING_USD:
        problems.append(f"${charged_usd:.4f} were charged, the ledger says ${ledger_usd:.4f}")
    if charged_usd > budget_usd + ROUNDING_USD:
        problems.append(f"${charged_usd:.4f} were charged, the budget is ${budget_usd:.4f}")
    for (target, text), count in Counter((one.target, one.text) for one in provider.charges).items():
        if is_recording and count > 1 + demands:
            problems.append(f"recording {target} ({text!r}) was charged {count} times, {demands} of them on demand")
    problems += find_cases_bought_again(events)
    return RunVerdict(
        tuple(problems),
        charged_usd,
        ledger_usd,
        lost=len(ambiguous),
        bought_again=sum(one.was_sent_again for one in ambiguous),
        charges=len(provider.charges),
    )


def find_cases_bought_again(events: Sequence[CaseEvent]) -> list[str]:
    """Return one line for each billable request of a case that was finished before."""
    finished: set[str] = set()
    problems = []
    for event in events:
        match event:
            case CaseFinishedEvent():
                finished.add(event.case_id)
            case CaseRepeatedEvent():  # on demand
                finished.discard(event.case_id)
            case SubmitStartedEvent() if event.sample_or_case_id in finished:
                problems.append(f"{event.sample_or_case_id} was bought again after it was finished")
            case _:
                pass
    return problems


def find_changed_verdicts(report: CheckReport, unbroken: CheckReport, lost_case_ids: Collection[str]) -> list[str]:
    """Return how the results and findings of a check differ from those of an unbroken one, except for lost cases."""
    results, expected = ({case.id: case for case in one.case_results} for one in (report, unbroken))
    problems = [
        f"the result of {name} differs"
        for name in expected
        if name not in lost_case_ids and results.get(name) != expected[name]
    ]
    problems += [f"{name} was not planned" for name in results.keys() - expected.keys()]
    # All messages of each finding: which of them is shown depends on which of its cases were lost.
    found, wanted = (
        {(one.rule, message) for one in each.findings for message in one.message_counts or (one.message,)}
        for each in (report, unbroken)
    )
    if found - wanted or (wanted - found and not lost_case_ids):
        problems.append(f"other findings: {sorted(found ^ wanted)}")
    reached, unbroken_reached = (
        # How often a job is polled, and in which states it is seen, depends on how long it takes.
        {
            (one.kind, one.operation_or_provider, one.name): one.reached_goal_count
            for one in each.coverage
            if one.kind != "state"
        }
        for each in (report, unbroken)
    )
    if not lost_case_ids and reached != unbroken_reached:
        problems.append(f"other coverage: {sorted(reached.items() ^ unbroken_reached.items())}")
    return problems


def plan_command(
    command: CaseCommand, contract: Contract, *, all_billable: bool, max_billable_requests: int | None = None
) -> CasePlan:
    """Return the cases of a check or a recording of the whole provider.

    Args:
        command: the command.
        contract: the contract of the stand-in provider.
        all_billable: whether a check has every valid request, as with --full.
        max_billable_requests: value of --max-calls of a check.
    """
    targets = list(contract.targets.values())
    if command == "record":
        return plan_cases_to_record(
            targets, is_emulated=False, include_every_case=False, fully_checked_providers={contract.id}
        )
    return plan_cases(
        targets,
        is_emulated=False,
        include_all_billable_cases=all_billable,
        max_billable_requests=max_billable_requests,
        fully_checked_providers={contract.id},
    )


async def simulate_unbroken_check(folder: Path, contract: Contract, plan: CasePlan) -> CheckReport:
    """Return the report of a check that nobody kills, of a provider without faults."""
    clock = VirtualClock()
    provider = StandInProvider(simulated_speech, clock=clock, job_s=1.0)
    outcome = await SimulatedCaseUser(
        "check", folder, contract, plan, provider, clock, UNBROKEN_BUDGET_USD
    ).run_command()
    assert outcome is not None
    assert outcome.report is not None
    return outcome.report


async def simulate_cases(
    command: CaseCommand,
    seed: int,
    folder: Path,
    contract: Contract,
    plan: CasePlan,
    unbroken: CheckReport | None = None,
) -> SimulatedRun:
    """Run a check or a recording with random faults, kills and budget, repeating it until it ends without a kill.

    Args:
        command: the command.
        seed: seed of everything random.
        folder: an empty folder.
        contract: the contract of the stand-in provider.
        plan: the cases.
        unbroken: the report of a check without faults and kills. A check without faults and demands, whose budget is
            large enough, must say the same.
    """
    dice = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    clock = VirtualClock()
    fault_probability = dice.choice([0.0, 0.0, 0.05, 0.2])
    faults = RandomFaults(dice, fault_probability)
    provider = StandInProvider(simulated_speech, clock=clock, faults=faults, job_s=dice.uniform(MIN_JOB_S, 2.0))
    budget_usd = dice.choice([0.03, 0.2, UNBROKEN_BUDGET_USD, UNBROKEN_BUDGET_USD])
    user = SimulatedCaseUser(command, folder, contract, plan, provider, clock, budget_usd, dice.choice([1, 2, 4]))
    user.is_over_night = dice.random() < 0.2
    kills, demands = dice.randint(0, 8), 0
    is_faultless = not fault_probability
    if command == "check" and dice.random() < 0.3:
        user.plan = plan_command(command, contract, all_billable=True, max_billable_requests=MAX_CALLS)
    verdict = RunVerdict()
    while user.commands < MAX_COMMANDS:
        kill_at = dice.randint(1, 80) if len(user.killed_in) < kills else None
        retry_ambiguous = bool(user.account.ids_with_ambiguous_last_request) and dice.random() < 0.2
        demands += retry_ambiguous
        outcome = await user.run_command(kill_at=kill_at, retry_ambiguous=retry_ambiguous)
        ledger_usd = outcome.spent_usd if outcome is not None else user.account.spent_usd
        ambiguous = outcome.ambiguous if outcome is not None else user.account.ambiguous_requests
        verdict = judge_cases(
            provider,
            ledger_usd,
            budget_usd,
            is_recording=command == "record",
            demands=demands,
            ambiguous=ambiguous,
            events=user.events,
        )
        if provider.charged_usd > user.sum_days_usd() + ROUNDING_USD:
            verdict = dataclasses.replace(verdict, problems=(*verdict.problems, "a day's account lacks a charge"))
        is_limited = user.plan.max_billable_requests is not None
        if is_limited and is_faultless and not demands and len(provider.charges) > MAX_CALLS:
            problem = f"{len(provider.charges)} requests were charged, --max-calls is {MAX_CALLS}"
            verdict = dataclasses.replace(verdict, problems=(*verdict.problems, problem))
        if verdict.problems or outcome is not None:
            is_comparable = is_faultless and not demands and not is_limited and budget_usd == UNBROKEN_BUDGET_USD
            if outcome is not None and outcome.report is not None and unbroken is not None and is_comparable:
                lost = {one.sample_or_case_id for one in ambiguous}
                problems = (*verdict.problems, *find_changed_verdicts(outcome.report, unbroken, lost))
                verdict = dataclasses.replace(verdict, problems=problems, is_compared=True)
            break
    else:
        verdict = dataclasses.replace(verdict, problems=(f"not finished after {MAX_COMMANDS} commands",))
    return SimulatedRun(verdict, tuple(user.killed_in), user.commands, budget_usd)

"""Kills of real `voicegauge check --live` and `voicegauge record --live` processes, at random moments."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crashes.case_simulation import KEY, CaseCommand, find_changed_verdicts, judge_cases, read_account
from crashes.commands import Command, Moment
from crashes.kills import speak
from crashes.provider import CONTRACTS, StandInProvider
from crashes.verdict import KilledCommand, RunVerdict
from voicegauge.conformance.check_report import CheckReport
from voicegauge.emulator.server import running_app
from voicegauge.errors import (
    EXIT_BUDGET_EXCEEDED,
    EXIT_FINDINGS,
    EXIT_NOTHING_MEASURED,
    EXIT_OK,
    EXIT_PARTLY_MEASURED,
)

LATENCY_S = 0.05
JOB_S = 0.4
PHASES = ("first submit", "submitting", "polling", "saving", "resuming")
"""Moments of a kill: the first request that may be charged; any such request; a status request; when a case is
finished; within the first seconds of a process."""
MAX_KILLS = 6
"""Kills of one command, after which it is left alone until it ends."""
STATUSES = (EXIT_OK, EXIT_FINDINGS, EXIT_NOTHING_MEASURED, EXIT_BUDGET_EXCEEDED, EXIT_PARTLY_MEASURED)
"""Exit statuses of a command that was not killed. A recording has nothing left to record if only what kills have lost
is missing, and only a part if they lost the delivery of a target."""
COMMANDS_PER_BUDGET = 2
"""The budget pays for the plan this many times, because requests that should be rejected and were lost count as
spent."""


@dataclass(kw_only=True)
class KilledCaseCommand(KilledCommand):
    """One check or recording that is killed."""

    command: CaseCommand


@dataclass
class RealCommand:
    """A command line with the provider that it checks or records."""

    command: CaseCommand
    folder: Path
    provider: StandInProvider
    url: str
    budget_usd: float
    concurrency: int = 1
    """Number of cases of a check in flight; a recording sends one at a time."""

    @property
    def result(self) -> Path:
        """The JSON that the command writes at its end."""
        return self.folder / "result.json"

    def start(self) -> Command:
        """Start the command."""
        self.result.unlink(missing_ok=True)
        live = ["--live", "--contracts", str(CONTRACTS), "--base-url", self.url, "--max-cost", repr(self.budget_usd)]
        is_recording = self.command == "record"
        recording = ["--out", str(self.folder / "fixtures"), "--yes"]
        own = recording if is_recording else ["--full", "--concurrency", str(self.concurrency)]
        environment = {"VOICEGAUGE_STATE": str(self.folder / "state"), "ACME_KEY": KEY}
        arguments = [self.command, "acme", *live, *own, "--json", str(self.result)]
        return Command(arguments, environment, self.folder)

    def count_polls(self) -> int:
        """Count the status requests that the provider received."""
        return sum(request.startswith(("GET /jobs/", "GET /batches/")) for request in self.provider.requests)

    def count_finished_cases(self) -> int:
        """Count the cases that the journal says are finished."""
        count = 0
        for folder, _, names in os.walk(self.folder):  # the command removes folders meanwhile
            if "journal.jsonl" in names:
                with contextlib.suppress(FileNotFoundError):
                    count += Path(folder, "journal.jsonl").read_bytes().count(b"case_finished")
        return count

    def moment(self, phase: str, dice: random.Random) -> Moment:
        """Return a random moment of `phase`."""
        charges, polls = len(self.provider.charges), self.count_polls()
        finished = self.count_finished_cases()
        if phase == "first submit":
            return Moment(lambda: len(self.provider.charges) > charges, dice.uniform(0, 2 * LATENCY_S))
        if phase == "submitting":
            count = charges + dice.randint(1, 4)
            return Moment(lambda: len(self.provider.charges) >= count, dice.uniform(0, 2 * LATENCY_S))
        if phase == "polling":
            return Moment(lambda: self.count_polls() > polls + 1, dice.uniform(0, JOB_S))
        if phase == "saving":
            more = finished + dice.randint(1, 4)
            return Moment(lambda: self.count_finished_cases() >= more, dice.uniform(0, 0.02))
        return Moment(lambda: True, dice.uniform(0, 4.0))

    def read_result(self) -> dict[str, Any]:
        """Return the JSON of the last command; empty if it wrote none."""
        result: dict[str, Any] = json.loads(self.result.read_bytes()) if self.result.exists() else {}
        return result

    def read_report(self) -> CheckReport:
        """Return the report of the last check."""
        return msgspec.json.decode(self.result.read_bytes(), type=CheckReport)


class UnbrokenCheck(NamedTuple):
    """What a check that nobody kills reports and buys."""

    report: CheckReport
    charge_counts: Counter[tuple[str, str]]
    """Number of charges by target and text."""


def run_unbroken_check(folder: Path) -> UnbrokenCheck:
    """Run a check without a kill.

    Raises:
        RuntimeError: the check failed.
    """
    provider = StandInProvider(speak, latency_s=LATENCY_S, job_s=JOB_S)
    with running_app(provider) as url:
        real = RealCommand("check", folder, provider, url, budget_usd=100.0)
        real.start().finish((EXIT_OK, EXIT_FINDINGS))
    return UnbrokenCheck(real.read_report(), _count_charges(provider))


def _count_charges(provider: StandInProvider) -> Counter[tuple[str, str]]:
    return Counter((charge.target, charge.text) for charge in provider.charges)


def kill_command_repeatedly(
    command: CaseCommand, folder: Path, dice: random.Random, plan_usd: float, unbroken: UnbrokenCheck | None = None
) -> KilledCaseCommand:
    """Kill one command up to `MAX_KILLS` times, then let it end.

    Args:
        command: the command.
        folder: an empty folder.
        dice: chooses the moments.
        plan_usd: price of the cases of the command.
        unbroken: the check that nobody killed; `None` for a recording.
    """
    folder.mkdir(parents=True)
    budget_usd = COMMANDS_PER_BUDGET * plan_usd
    provider = StandInProvider(speak, latency_s=LATENCY_S, job_s=JOB_S)
    killed = KilledCaseCommand(command=command, budget_usd=budget_usd)
    with running_app(provider) as url:
        real = RealCommand(command, folder, provider, url, budget_usd, dice.choice([1, 2, 4]))
        for _ in range(dice.randint(2, MAX_KILLS)):
            phase = dice.choice(PHASES if killed.killed_in else PHASES[:-1])
            moment = real.moment(phase, dice)
            process = real.start()
            if not process.kill(moment):
                process.finish(STATUSES)
                break  # the command was faster
            killed.killed_in.append(phase)
            time.sleep(2 * LATENCY_S + 0.01)  # what the provider had begun is charged by then
            ledger_usd = read_account(folder).spent_usd
            killed.verdict = judge_cases(provider, ledger_usd, budget_usd, is_recording=command == "record")
            if killed.verdict.problems:
                return killed
        else:
            real.start().finish(STATUSES)
        _judge_end(killed, real, unbroken)
    return killed


def _judge_end(killed: KilledCaseCommand, real: RealCommand, unbroken: UnbrokenCheck | None) -> None:
    """Judge a command that ended, by its result, or by its journal if the budget ended it before it sent anything."""
    result, account = real.read_result(), read_account(real.folder)
    ledger_usd = result["spent_usd"] + result["spent_by_earlier_runs_usd"] if result else account.spent_usd
    verdict = judge_cases(
        real.provider,
        ledger_usd,
        killed.budget_usd,
        is_recording=killed.command == "record",
        ambiguous=account.ambiguous_requests,
    )
    listed = result.get("ambiguous_requests", [])
    killed.verdict = RunVerdict(
        verdict.problems, verdict.charged_usd, ledger_usd, len(listed) or verdict.lost, 0, verdict.charges
    )
    if unbroken is not None:
        again = _count_charges(real.provider) - unbroken.charge_counts
        killed.differences = tuple(f"{target} ({text!r}) was charged again" for target, text in again)
    if unbroken is not None and result:
        lost = {one["sample_or_case_id"] for one in listed}
        killed.differences += tuple(find_changed_verdicts(real.read_report(), unbroken.report, lost))
    if killed.command == "record" and result:
        killed.differences = tuple(_missing_cases(real.folder, {one["sample_or_case_id"] for one in listed}))


def _missing_cases(folder: Path, listed: set[str]) -> list[str]:
    """Return the cases that are neither recorded nor listed as lost."""
    recorded = {
        entry["_conversation"]
        for path in (folder / "fixtures").rglob("*.har")
        for entry in json.loads(path.read_bytes())["log"]["entries"]
    }
    planned = {f"acme/{target}: a full delivery" for target in ("sync", "streamed", "queued", "batch", "idempotent")}
    return [f"{name} is neither recorded nor listed as lost" for name in sorted(planned - recorded - listed)]

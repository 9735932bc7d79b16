"""Simulated runs in this process, on a virtual clock: faults of the provider, and kills at any step."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import msgspec

from crashes.provider import CONTRACT, SUITE, TARGETS, RandomFaults, StandInProvider
from crashes.verdict import RunVerdict, judge_run
from voicegauge.bench import run_store
from voicegauge.bench import runner as runner_module
from voicegauge.bench.benchmark_plan import BenchPlan, BenchPlanSettings, plan_benchmark_requests
from voicegauge.bench.run_config import ProviderAccess, RunConfig, RunOutcome, StopSignal
from voicegauge.bench.run_start import begin_run, find_run_to_continue
from voicegauge.bench.run_store import load_run, save_run
from voicegauge.bench.runner import run_plan
from voicegauge.bench.suites import load_suite
from voicegauge.client import spending_journal
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import BudgetError, StorageError
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

MAX_COMMANDS = 60
"""Commands until a run must be finished. Each either is killed or makes progress, so far fewer are needed."""


class Killed(BaseException):
    """The process was killed. Not an `Exception`: no code may handle it."""


@dataclass
class Killer:
    """Ends the process at the given step. From then on it writes nothing, like a process that does not exist."""

    at: int | str | None
    """The number of the step, or the name of a step, of which the first is meant; `None` never kills."""
    steps: int = 0
    phase: str = ""
    """The step at which it was killed."""
    is_dead: bool = False
    on_kill: Callable[[], None] = lambda: None

    def step(self, phase: str) -> None:
        """Count one step, and kill at the chosen one.

        Raises:
            Killed: the process is dead.
        """
        if self.is_dead:
            raise Killed
        self.steps += 1
        if self.at in (self.steps, phase):
            self.is_dead, self.phase = True, phase
            self.on_kill()
            raise Killed

    @contextlib.contextmanager
    def watching_files(self) -> Iterator[None]:
        """Count a step before and after each line of the journal and each audio file that is written."""
        write, save_audio = spending_journal.Journal.write, runner_module.save_audio

        def write_line(journal: spending_journal.Journal, event: run_store.JournalEvent) -> None:
            name = type(event).__name__
            self.step(f"before {name}")
            write(journal, event)
            self.step(f"after {name}")

        def save(folder: Path, audio: bytes) -> tuple[str, str]:
            self.step("before audio")
            saved = save_audio(folder, audio)
            self.step("after audio")
            return saved

        with (
            mock.patch.object(spending_journal.Journal, "write", write_line),
            mock.patch.object(runner_module, "save_audio", save),
        ):
            yield


def report_all_but_kills(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception that no task waited for, unless it is the kill of a simulated process.

    A thread of a killed process may still try to write its journal, which is closed then.
    """
    error = context.get("exception")
    if not isinstance(error, Killed) and "closed file" not in str(error):
        loop.default_exception_handler(context)


def simulated_speech(text: str) -> bytes:
    """Return bytes that stand for the audio of `text`; a simulated run is not decoded."""
    return b"RIFF\0\0\0\0WAVE" + hashlib.sha256(text.encode()).digest()


def load_stand_in_contract() -> Contract:
    """Return the contract of the stand-in provider."""
    return load_contract(CONTRACT)


def plan_benchmark(contract: Contract, *, names: Sequence[str] = TARGETS, limit: int | None = None) -> BenchPlan:
    """Plan a benchmark: every text, or the first ones, for the targets of these names."""
    targets = [contract.targets[name] for name in names]
    settings = BenchPlanSettings(warmup=0)
    return plan_benchmark_requests(
        load_suite(str(SUITE)).select_texts(max_texts=limit), targets, settings, provenance=Provenance.LIVE
    )


@dataclass
class SimulatedUser:
    """Repeats one command until the benchmark is finished."""

    out: Path
    contract: Contract
    plan: BenchPlan
    provider: StandInProvider
    clock: VirtualClock
    max_cost_usd: float
    killed_in: list[str] = field(default_factory=list)
    """The step of each kill."""

    async def run_command(
        self, *, kill_at: int | str | None = None, retry_ambiguous: bool = False
    ) -> CommandEnd | None:
        """Run the command once, killed at the step `kill_at`.

        Returns:
            How it ended; `None` if it was killed.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(report_all_but_kills)
        command: asyncio.Task[CommandEnd] | None = None

        def die() -> None:
            # What the process was doing ends; what it wrote and what it has sent remain.
            if command is not None:
                loop.call_soon(command.cancel)

        killer = Killer(kill_at, on_kill=die)
        self.provider.step = killer.step
        with killer.watching_files():
            command = asyncio.create_task(self._command(killer, retry_ambiguous=retry_ambiguous))
            with contextlib.suppress(BaseException):
                await asyncio.wait([command])
        self.provider.step = lambda _: None
        await self.provider.settled()
        if killer.is_dead:
            command.cancelled() or command.exception()  # retrieved, so that asyncio does not report it
            self.killed_in.append(killer.phase)
            return None
        return command.result()

    async def _command(self, killer: Killer, *, retry_ambiguous: bool) -> CommandEnd:
        """Do what `voicegauge bench --live` does, without measuring and scoring the audio."""
        config = RunConfig(
            plan=self.plan,
            targets={target.id: target for target in self.contract.targets.values()},
            access_by_provider={self.contract.id: ProviderAccess({}, "key")},
            max_cost_usd=self.max_cost_usd,
            retry_ambiguous=retry_ambiguous,
            open_transport=lambda: Transport(app=self.provider),
            clock=self.clock,
        )
        found = find_run_to_continue(self.out, self.plan, retry_ambiguous=retry_ambiguous)
        killer.step("before the run")
        folder = begin_run(self.out, config, found)
        killer.step("after the manifest")
        stop = StopSignal()
        outcome = await run_plan(
            config, folder, earlier_journal_state=found.journal_state if found else None, stop_signal=stop
        )
        killer.step("before saving")
        manifest = msgspec.structs.replace(load_run(folder).manifest, spent_usd=outcome.spent_usd)
        run = Run(manifest=manifest, samples=outcome.samples, ambiguous_requests=outcome.ambiguous_requests)
        save_run(folder, run)
        killer.step("while scoring")
        manifest = msgspec.structs.replace(manifest, is_finished=outcome.is_complete)
        save_run(folder, msgspec.structs.replace(run, manifest=manifest))
        return CommandEnd(folder, outcome, out_of_budget=isinstance(stop.error, BudgetError))


class CommandEnd(NamedTuple):
    """The end of a command that was not killed."""

    folder: Path
    outcome: RunOutcome
    out_of_budget: bool


class SimulatedRun(NamedTuple):
    """The result of one simulated benchmark with its kills."""

    verdict: RunVerdict
    killed_in: tuple[str, ...]
    commands: int
    budget_usd: float


def _ignore_kills(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore errors of a thread of the journal after the command was killed, or after its folder was removed."""
    if not isinstance(context.get("exception"), Killed | StorageError):
        loop.default_exception_handler(context)


async def simulate(seed: int, out: Path, contract: Contract, plan: BenchPlan) -> SimulatedRun:
    """Run one benchmark with random faults, kills and budget, repeating the command until it is finished.

    Args:
        seed: seed of everything random.
        out: an empty folder.
        contract: the contract of the stand-in provider.
        plan: the plan of the benchmark.
    """
    asyncio.get_running_loop().set_exception_handler(_ignore_kills)
    dice = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    clock = VirtualClock()
    faults = RandomFaults(dice, dice.choice([0.0, 0.05, 0.2]))
    provider = StandInProvider(simulated_speech, clock=clock, faults=faults, job_s=dice.uniform(0.05, 2.0))
    budget_usd = plan.cost_usd * dice.choice([0.3, 1.0, 1.0, 2.0])
    user = SimulatedUser(out, contract, plan, provider, clock, budget_usd)
    kills = dice.randint(0, 8)
    verdict, demanded = RunVerdict(), Counter[str]()
    commands = 0
    while commands < MAX_COMMANDS:
        commands += 1
        kill_at = dice.randint(1, 120) if len(user.killed_in) < kills else None
        with_losses = find_run_to_continue(out, plan, retry_ambiguous=True)
        retry_ambiguous = with_losses is not None and dice.random() < 0.2
        if with_losses is not None and retry_ambiguous:
            demanded.update(with_losses.journal_state.ids_with_ambiguous_last_request)
        end = await user.run_command(kill_at=kill_at, retry_ambiguous=retry_ambiguous)
        verdict = judge_run(out, plan, provider.charges, budget_usd, simulated_speech, demanded)
        if verdict.problems or (end is not None and (end.outcome.is_complete or end.out_of_budget)):
            break
    else:
        verdict = dataclasses.replace(verdict, problems=(f"not finished after {MAX_COMMANDS} commands",))
    return SimulatedRun(verdict, tuple(user.killed_in), commands, budget_usd)

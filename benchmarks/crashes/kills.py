"""Kills of real `voicegauge bench --live` processes, at random moments of every phase."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crashes.commands import Command, Moment
from crashes.provider import CONTRACTS, SUITE, TARGETS, StandInProvider
from crashes.simulation import load_stand_in_contract, plan_benchmark
from crashes.verdict import KilledCommand, RunVerdict, differences, judge_run
from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.run_store import load_run, read_journal
from voicegauge.emulator.server import running_app
from voicegauge.errors import EXIT_NOTHING_MEASURED, EXIT_OK, EXIT_PARTLY_MEASURED, VoicegaugeError
from voicegauge.model.run import Run
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize

LATENCY_S = 0.15
JOB_S = 0.6
PHASES = ("first submit", "submitting", "polling", "saving", "scoring", "resuming")
"""Moments of a kill: the first request that may be charged; any such request; a status request; after the last
response; while audio is transcribed; within the first seconds of a process that continues a run."""
MAX_KILLS = 8
"""Kills of one run, after which it is left alone until it is finished."""
_TICK_S = 0.005


@functools.cache
def speak(text: str) -> bytes:
    """Return the audio of a text: speech that the embedded ASR engine recognizes."""
    samples = synthesize(
        text, language="en", voice_variant="klatt5", words_per_minute=165, pitch=50, sample_rate_hz=16_000, seed=0
    )
    return encode(samples, 16_000, "wav")[0]


@dataclass(kw_only=True)
class KilledRun(KilledCommand):
    """One benchmark that is killed."""

    targets: tuple[str, ...]


@dataclass
class RealBenchmark:
    """A command line with the provider that it measures."""

    folder: Path
    targets: tuple[str, ...]
    provider: StandInProvider
    url: str
    is_scored: bool
    """Whether its audio is transcribed, which takes five times as long as everything else."""

    @property
    def out(self) -> Path:
        """The folder of its runs."""
        return self.folder / "runs"

    @functools.cached_property
    def plan(self) -> BenchPlan:
        """The samples that it plans. The digest differs from that of the command, which has a base URL."""
        return plan_benchmark(load_stand_in_contract(), names=self.targets)

    @property
    def budget_usd(self) -> float:
        """The budget: exactly what the plan costs, so that nothing can be bought twice."""
        return self.plan.cost_usd

    def start(self) -> Command:
        """Start the command."""
        names = [f"acme/{name}" for name in self.targets]
        where = ["--contracts", str(CONTRACTS), "--suite", str(SUITE), "--out", str(self.out)]
        live = ["--live", "--base-url", self.url, "--max-cost", repr(self.budget_usd), "--warmup", "0"]
        result = ["--asr", "embedded" if self.is_scored else "none", "--json", str(self.folder / "result.json")]
        # A cache of its own: transcripts of other runs would end the scoring before it can be killed.
        cache = {"VOICEGAUGE_CACHE": str(self.folder / "cache"), "ACME_KEY": "sk-acme-0123456789abcdef"}
        return Command(["bench", *names, *where, *live, *result], cache, self.folder)

    def submits(self) -> int:
        """Count the submits that the provider received."""
        return sum(request.startswith("POST") for request in self.provider.requests)

    def polls(self) -> int:
        """Count the status requests that the provider received."""
        return sum(request.startswith(("GET /jobs/", "GET /batches/")) for request in self.provider.requests)

    def run_folder(self) -> Path | None:
        """The folder of the newest run."""
        return max((file.parent for file in self.out.glob("*/run.json")), default=None)

    def finished_samples(self) -> int:
        """Count the samples whose result is in the journal."""
        folder = self.run_folder()
        with contextlib.suppress(VoicegaugeError, OSError):
            return len(read_journal(folder).finished_samples) if folder is not None else 0
        return 0

    def is_measured(self) -> bool:
        """Whether all samples are in run.json, so that only scoring and the report are left."""
        folder = self.run_folder()
        with contextlib.suppress(OSError, json.JSONDecodeError):
            if folder is not None:
                return len(json.loads((folder / "run.json").read_bytes())["samples"]) == self.plan.request_count
        return False


@contextlib.contextmanager
def real_benchmark(folder: Path, targets: tuple[str, ...], *, is_scored: bool) -> Iterator[RealBenchmark]:
    """Serve a provider with an empty account, and yield a benchmark of it."""
    provider = StandInProvider(speak, latency_s=LATENCY_S, job_s=JOB_S)
    with running_app(provider) as url:
        yield RealBenchmark(folder, targets, provider, url, is_scored)


def run_unbroken(folder: Path, targets: tuple[str, ...], *, is_scored: bool) -> Run:
    """Run a benchmark without a kill.

    Raises:
        RuntimeError: the benchmark failed.
    """
    with real_benchmark(folder, targets, is_scored=is_scored) as benchmark:
        benchmark.start().finish()
        run_folder = benchmark.run_folder()
        assert run_folder is not None, "the command has succeeded"
        return load_run(run_folder)


_STATUSES = (EXIT_OK, EXIT_NOTHING_MEASURED, EXIT_PARTLY_MEASURED)
"""Exit statuses of a finished benchmark: success, or that all or many requests were lost by kills."""


def kill_repeatedly(
    folder: Path, targets: tuple[str, ...], unbroken: Run, dice: random.Random, *, is_scored: bool
) -> KilledRun:
    """Kill one benchmark up to `MAX_KILLS` times, then let it finish.

    Args:
        folder: an empty folder.
        targets: names of the targets.
        unbroken: the run with the same targets that nobody killed.
        dice: chooses the moments.
        is_scored: whether the audio of the run is transcribed, as in `unbroken`.
    """
    kills = dice.randint(3, MAX_KILLS)
    with real_benchmark(folder, targets, is_scored=is_scored) as benchmark:
        run = KilledRun(targets=targets, budget_usd=benchmark.budget_usd)
        while len(run.killed_in) < kills:
            phase = dice.choice(_possible_phases(benchmark, run))
            moment = _moment(benchmark, phase, dice)
            command = benchmark.start()
            if not command.kill(moment):
                command.finish(_STATUSES)
                break  # the command was faster: the run is finished
            run.killed_in.append(phase)
            time.sleep(2 * LATENCY_S + _TICK_S)  # what the provider had begun is charged by then
            run.verdict = _judge(benchmark)
            if run.verdict.problems:
                return run
        else:
            benchmark.start().finish(_STATUSES)
        run.verdict = _judge(benchmark)
        run_folder = benchmark.run_folder()
        assert run_folder is not None, "the command has succeeded"
        run.differences = tuple(differences(load_run(run_folder), unbroken))
    return run


def _judge(benchmark: RealBenchmark) -> RunVerdict:
    charges = tuple(benchmark.provider.charges)
    return judge_run(benchmark.out, benchmark.plan, charges, benchmark.budget_usd, speak)


def _possible_phases(benchmark: RealBenchmark, run: KilledRun) -> Sequence[str]:
    """Return the phases that the next process can reach: a phase that is over never comes again."""
    folder = benchmark.run_folder()
    if folder is None:
        return ("first submit", "submitting")
    state = read_journal(folder)
    started, finished = (
        len(state.histories),
        len(state.finished_samples) + len(state.ids_with_ambiguous_last_request - state.finished_samples.keys()),
    )
    phases = ["scoring"] * benchmark.is_scored + ["resuming"]
    if started < benchmark.plan.request_count:
        phases += ["submitting"] if run.killed_in else ["first submit", "submitting"]
    if state.open_jobs or (started < benchmark.plan.request_count and {"queued", "batch"} & set(benchmark.targets)):
        phases += ["polling"] * 2
    if finished < benchmark.plan.request_count:
        phases += ["saving"]
    return phases


def _moment(benchmark: RealBenchmark, phase: str, dice: random.Random) -> Moment:
    submits, polls = benchmark.submits(), benchmark.polls()
    if phase == "first submit":
        return Moment(lambda: benchmark.submits() > submits, dice.uniform(0, 2 * LATENCY_S))
    if phase == "submitting":
        count = submits + dice.randint(1, len(benchmark.targets))
        return Moment(lambda: benchmark.submits() >= count, dice.uniform(0, 2 * LATENCY_S))
    if phase == "polling":
        return Moment(lambda: benchmark.polls() > polls, dice.uniform(0, JOB_S))
    if phase == "saving":
        planned = benchmark.plan.request_count
        return Moment(lambda: benchmark.finished_samples() == planned, dice.uniform(0, 0.2))
    if phase == "scoring":
        return Moment(benchmark.is_measured, dice.uniform(0, 4.0))
    return Moment(lambda: True, dice.uniform(0, 3.0))


TARGET_SETS: Sequence[tuple[str, ...]] = (*((name,) for name in TARGETS), TARGETS)
"""Each way of delivery on its own, and all at once."""


def count_phases(runs: Sequence[KilledRun]) -> Counter[str]:
    """Count the kills by phase."""
    return Counter(phase for run in runs for phase in run.killed_in)

"""Comparing what a provider charged with what the ledger of a run says, and a run with an unbroken one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from crashes.provider import Charge
from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.run_store import JournalState, load_run, read_journal
from voicegauge.model.run import Run
from voicegauge.model.sample import Sample

_FIELDS_ABOUT_TIME = frozenset(
    {"started_at", "latency", "streaming", "request_phases", "max_own_lag_ms", "is_disturbed", "poll_count", "job_id"}
)
ROUNDING_USD = 1e-9
"""Sums of prices are not exact in floating point."""


@dataclass(frozen=True)
class RunVerdict:
    """The account of a provider next to the ledger of a run."""

    problems: tuple[str, ...] = ()
    charged_usd: float = 0.0
    """Dollars that the provider charged."""
    ledger_usd: float = 0.0
    """Dollars that the run counts as spent."""
    lost: int = 0
    """Number of requests that are listed as sent without a result."""
    bought_again: int = 0
    """Number of lost requests that were paid for again because the user demanded it."""
    charges: int = 0
    """Number of requests that the provider charged."""
    is_compared: bool = False
    """Whether the results were compared with those of a check that nobody killed."""


@dataclass(kw_only=True)
class KilledCommand:
    """A command that is killed and repeated until it ends, and what was found then."""

    budget_usd: float
    killed_in: list[str] = field(default_factory=list)
    """The phase in which each process was killed."""
    verdict: RunVerdict = field(default_factory=RunVerdict)
    differences: tuple[str, ...] = ()
    """How its results differ from those of a command that nobody killed."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that must not happen."""
        return (*self.verdict.problems, *self.differences)


def judge_run(
    out: Path,
    plan: BenchPlan,
    charges: Sequence[Charge],
    budget_usd: float,
    speak: Callable[[str], bytes],
    demanded: Mapping[str, int] = {},
) -> RunVerdict:
    """Check a run, finished or killed, against the account of its provider.

    Args:
        out: folder of the runs; there must be one at most.
        plan: the plan of the run.
        charges: what the provider charged.
        budget_usd: limit of the run.
        speak: the provider's audio of a text.
        demanded: how often each sample was lost when the user demanded to buy such samples again.
    """
    folders = sorted(path.parent for path in out.glob("*/run.json"))
    if not folders:
        problems = (f"{len(charges)} charges without a run",) if charges else ()
        return RunVerdict(problems, charges=len(charges))
    run, state = load_run(folders[-1]), read_journal(folders[-1])
    charged_usd = sum(charge.usd for charge in charges)
    problems = [f"{len(folders)} run folders: {', '.join(path.name for path in folders)}"] if len(folders) > 1 else []
    if charged_usd > state.spent_usd + ROUNDING_USD:
        problems.append(f"${charged_usd:.4f} were charged, the ledger says ${state.spent_usd:.4f}")
    if charged_usd > budget_usd + ROUNDING_USD:
        problems.append(f"${charged_usd:.4f} were charged, the budget is ${budget_usd:.4f}")
    if state.spent_usd > budget_usd + ROUNDING_USD:
        problems.append(f"the ledger says ${state.spent_usd:.4f}, the budget is ${budget_usd:.4f}")
    problems += _double_purchases(plan, charges, demanded)
    problems += _untraced_purchases(plan, charges, run, state)
    problems += _wrong_audio(run, speak)
    return RunVerdict(
        problems=tuple(problems),
        charged_usd=charged_usd,
        ledger_usd=state.spent_usd,
        lost=len(state.ambiguous_requests),
        bought_again=sum(one.was_sent_again for one in state.ambiguous_requests),
        charges=len(charges),
    )


def _charges_by_sample(plan: BenchPlan, charges: Sequence[Charge]) -> Counter[str]:
    ids = {(one.target.rpartition("/")[2], one.text.text): one.id for row in plan.rounds for one in row}
    return Counter(ids[charge.target, charge.text] for charge in charges)


def _double_purchases(plan: BenchPlan, charges: Sequence[Charge], demanded: Mapping[str, int]) -> list[str]:
    """Find samples that were charged more often than once and once more for each demand to buy them again."""
    return [
        f"{name} was charged {count} times, {demanded.get(name, 0)} of them on demand"
        for name, count in _charges_by_sample(plan, charges).items()
        if count > 1 + demanded.get(name, 0)
    ]


def _untraced_purchases(plan: BenchPlan, charges: Sequence[Charge], run: Run, state: JournalState) -> list[str]:
    """Find charges of which the run shows neither a sample, nor an open job, nor an ambiguous request."""
    known = (
        {sample.id for sample in run.samples}
        | state.open_jobs.keys()
        | {one.sample_or_case_id for one in state.ambiguous_requests}
    )
    return [f"{name} was charged and is not in the run" for name in _charges_by_sample(plan, charges).keys() - known]


def _wrong_audio(run: Run, speak: Callable[[str], bytes]) -> list[str]:
    return [
        f"{sample.id} has the audio of another text"
        for sample in run.samples
        if sample.audio is not None and sample.audio.sha256 != hashlib.sha256(speak(sample.text)).hexdigest()
    ]


def differences(run: Run, unbroken: Run) -> list[str]:
    """Return how the results of `run` differ from those of an unbroken run, other than by times and listed losses."""
    if not run.manifest.is_finished:
        return ["the run is not finished"]
    listed = {one.sample_or_case_id for one in run.ambiguous_requests}
    lost = {sample.id for sample in run.samples if sample.is_billing_ambiguous}
    found = [f"{name} is lost and not listed" for name in lost - listed]
    samples, expected = _by_id(run), _by_id(unbroken)
    found += [f"{name} is missing" for name in expected.keys() - samples.keys()]
    found += [f"{name} was not planned" for name in samples.keys() - expected.keys()]
    for name in (samples.keys() & expected.keys()) - lost:
        if _without_times(samples[name]) != _without_times(expected[name]):
            found.append(f"{name} differs")
    return found + _score_differences(run, unbroken, lost)


def _by_id(run: Run) -> dict[str, Sample]:
    return {sample.id: sample for sample in run.samples}


def _without_times(sample: Sample) -> dict[str, Any]:
    """Return what a sample says apart from times, and what depends on them: polls and ids given by the provider."""
    content: dict[str, Any] = msgspec.to_builtins(sample)
    return {name: value for name, value in content.items() if name not in _FIELDS_ABOUT_TIME}


def _score_differences(run: Run, unbroken: Run, lost: set[str]) -> list[str]:
    if len(run.score_sets) != len(unbroken.score_sets):
        return [f"{len(run.score_sets)} score sets instead of {len(unbroken.score_sets)}"]
    found = []
    for scores, expected in zip(run.score_sets, unbroken.score_sets, strict=True):
        by_id = {score.sample_id: score for score in scores.scores}
        wanted = {score.sample_id: score for score in expected.scores}
        found += [f"the score of {name} differs" for name in wanted.keys() - lost if by_id.get(name) != wanted[name]]
    return found

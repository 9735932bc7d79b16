"""Results of `voicegauge bench --json`, with and without `--dry-run`."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.bench.analysis import TargetSummary
from voicegauge.bench.planning import BenchPlan, BenchPlanSettings, TargetQuote
from voicegauge.model import AmbiguousRequest, Manifest, OpenJob, Provenance, Record, StopReason, SuiteRef


class BenchResult(Record, frozen=True, kw_only=True):
    """Result of a benchmark."""

    schema: str = "voicegauge/bench/3"
    provenance: Provenance
    """`emulated` results describe the emulator, not the provider."""
    folder: str
    """Folder of the saved run."""
    report: str | None
    """Path of the HTML report; `None` where none was written."""
    manifest: Manifest
    asr: str | None
    """ASR engine behind the error rates; `None` where nothing was transcribed."""
    asr_reason: str | None
    """Why this engine was selected."""
    normalizer: str | None
    stopped: str | None
    """Why the run ended early, in one line; `None` for a complete run."""
    stop_reason: StopReason | None = None
    """Kind of event that stopped the run; `None` for a complete run."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """The requests that count as spent although nothing is known, or saved, of their result."""
    open_jobs: tuple[OpenJob, ...] = ()
    """The jobs that were paid for and may still succeed; the same command polls them again."""
    targets: tuple[TargetSummary, ...]


class BenchPlanResult(Record, frozen=True, kw_only=True):
    """Requests and expected cost of a benchmark (`--dry-run`)."""

    schema: str = "voicegauge/bench-plan/1"
    provenance: Provenance
    suite: SuiteRef
    settings: BenchPlanSettings
    requests: int
    usd: float
    """Total over the targets with a known price."""
    targets: tuple[TargetQuote, ...]
    left_out: tuple[str, ...]
    """Targets that support no language of the suite."""


def describe_unresolved(ambiguous: Sequence[AmbiguousRequest], open_jobs: Sequence[OpenJob]) -> list[str]:
    """Return one line for each request that was paid for without a result, and what to do about them.

    >>> lost = AmbiguousRequest(id="acme/a/1/1/one", sent_at="2026-01-01T00:00:00Z", usd=0.01, reason="timed out")
    >>> for line in describe_unresolved([lost], []): print(line)
    may have been charged, without a result: acme/a/1/1/one, $0.0100: timed out
    the same command with --retry-ambiguous pays for it again
    """
    lines = []
    for one in ambiguous:
        again = " (bought again)" if one.bought_again else ""
        lines.append(f"may have been charged, without a result: {one.id}{_price(one.usd)}: {one.reason}{again}")
    count = sum(not one.bought_again for one in ambiguous)
    if count:
        lines.append(f"the same command with --retry-ambiguous pays for {'it' if count == 1 else 'them'} again")
    lines += [f"still open: {one.id}, job {one.job}{_price(one.usd)}: {one.reason}" for one in open_jobs]
    if open_jobs:
        lines.append(f"the same command polls {'it' if len(open_jobs) == 1 else 'them'} again")
    return lines


def _price(usd: float | None) -> str:
    return "" if usd is None else f", ${usd:.4f}"


def summarize_plan(plan: BenchPlan) -> BenchPlanResult:
    """Return the totals of `plan` without its single requests."""
    return BenchPlanResult(
        provenance=plan.provenance,
        suite=plan.suite,
        settings=plan.settings,
        requests=plan.requests,
        usd=plan.usd,
        targets=plan.quotes,
        left_out=plan.left_out,
    )

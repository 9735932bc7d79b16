"""What `voicegauge bench --json` writes."""

from __future__ import annotations

from voicegauge.bench.analysis import TargetSummary
from voicegauge.bench.planning import BenchPlan, BenchPlanSettings, TargetQuote
from voicegauge.model import Manifest, Provenance, Record, StopReason, SuiteRef


class BenchResult(Record, frozen=True, kw_only=True):
    """A benchmark that was carried out."""

    schema: str = "voicegauge/bench/1"
    provenance: Provenance
    """`emulated` numbers say nothing of a provider."""
    folder: str
    """Where the run is kept."""
    report: str | None
    """The page that shows it; `None` where none was written."""
    manifest: Manifest
    asr: str | None
    """The engine that the error rates are of; `None` where nothing was transcribed."""
    asr_reason: str | None
    normalizer: str | None
    stopped: str | None
    """Why not everything was measured, in one line; `None` where everything was."""
    stop_reason: StopReason | None = None
    """The kind of event that stopped the benchmark; `None` for one that ran to its end."""
    targets: tuple[TargetSummary, ...]


class BenchPlanResult(Record, frozen=True, kw_only=True):
    """A benchmark that would be carried out (`--dry-run`)."""

    schema: str = "voicegauge/bench-plan/1"
    provenance: Provenance
    suite: SuiteRef
    settings: BenchPlanSettings
    requests: int
    usd: float
    """Of the targets whose price is known."""
    targets: tuple[TargetQuote, ...]
    left_out: tuple[str, ...]
    """Targets that speak no language of the suite."""


def summarize_plan(plan: BenchPlan) -> BenchPlanResult:
    """`plan` without its single requests."""
    return BenchPlanResult(
        provenance=plan.provenance,
        suite=plan.suite,
        settings=plan.settings,
        requests=plan.requests,
        usd=plan.usd,
        targets=plan.quoted,
        left_out=plan.left_out,
    )

"""Defines the JSON that `voicegauge bench --json` writes, with and without `--dry-run`."""

from __future__ import annotations

from collections.abc import Mapping

from voicegauge.bench.benchmark_plan import BenchPlan, BenchPlanSettings, PlannedTargetCost
from voicegauge.bench.part_summaries import PlaceSummary
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.model.base import Count, Provenance, StopReason
from voicegauge.model.exchange import AmbiguousRequest, OpenJob
from voicegauge.model.price import BudgetForecast, format_price_usd
from voicegauge.model.ramp import RampResult
from voicegauge.model.run import Manifest, MeasuredSuite
from voicegauge.outputs.result_summary import SummarizedResult, SummaryTable, TabularResult
from voicegauge.printable_text import format_count


class BenchResult(SummarizedResult, frozen=True, kw_only=True):
    """The JSON that `voicegauge bench --json` writes."""

    schema: str = "voicegauge/bench/3"
    provenance: Provenance
    """`emulated` results describe the emulator, not the provider."""
    rehearsal_label: str = ""
    """"EMULATED" or "REHEARSAL" (a server on this machine answered for a hosted service), with the injected faults:
    then no number describes a provider. Empty if the named services answered themselves."""
    folder: str
    """Folder of the saved run."""
    report_file: str | None
    """Path of the HTML report; `None` if no report was written."""
    manifest: Manifest
    asr: str | None
    """ASR engine that determined the error rates; `None` if nothing was transcribed."""
    asr_reason: str | None
    """Why this ASR engine was selected."""
    normalizer: str | None
    """Ids of the normalizers of the transcripts; `None` if nothing was scored."""
    stop_message: str | None
    """Why the run ended early, in one line; `None` for a complete run."""
    stop_reason: StopReason | None = None
    """Kind of event that stopped the run; `None` for a complete run."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is unknown or was not saved."""
    open_jobs: tuple[OpenJob, ...] = ()
    """Jobs that were paid for and may still succeed; the same command polls these jobs again."""
    baseline_target: str | None = None
    """Target that the others are compared with; `None` if none was given."""
    ramp: RampResult | None = None
    """The highest load that met the goal of `--ramp`; `None` without it."""
    load: str
    """Load under which the samples of `targets` were sent, such as "16 requests in flight"; for a ramp, the highest
    load that met the goal."""
    targets: tuple[TargetSummary, ...]
    places: tuple[PlaceSummary, ...] = ()
    """Times of each target from each place; empty if this machine sent all requests."""
    planned_sample_count: Count = 0
    """Number of samples that should have been measured, without warm-up. Of a ramp, or of a run that its stop rule has
    ended, it is the number of those that were sent."""
    measured_sample_count: Count = 0
    """Number of planned samples with a usable result, and with audio that is not known to be wrong."""
    missing_sample_count: Count = 0
    """Number of planned samples without a saved result: lost after they were sent, or never sent."""
    silent_sample_count: Count = 0
    """Number of samples whose audio is silent from beginning to end."""
    wrong_sample_count: Count = 0
    """Number of samples whose audio is known to be wrong: silence, noise, another text, or only a part of the text.
    They do not count as measured."""
    doubtful_sample_count: Count = 0
    """Number of samples with audio of which a person should decide whether it says its text. They count as measured."""
    listening_method: str | None = None
    """How the audio was judged; `None` if nobody listened to it."""

    @property
    def measured_share(self) -> float:
        """The share of the planned samples that were measured; 1 if none was planned."""
        return self.measured_sample_count / self.planned_sample_count if self.planned_sample_count else 1.0


class BenchPlanResult(TabularResult, frozen=True, kw_only=True):
    """Requests and expected cost of a benchmark (`--dry-run`)."""

    schema: str = "voicegauge/bench-plan/2"
    provenance: Provenance
    suite: MeasuredSuite
    settings: BenchPlanSettings
    request_count: int
    cost_usd: float
    """Total cost in dollars over the targets with a known price."""
    reserved_usd: float
    """Highest total cost in dollars by any document, which `--max-cost` must cover."""
    targets: tuple[PlannedTargetCost, ...]
    unsupported_target_ids: tuple[str, ...]
    """Ids of the targets that support no language of the suite."""
    missing_key_variables: dict[str, tuple[str, ...]] = {}
    """Names of environment variables for API keys that are not set, by provider id. Nothing is sent without them."""
    budget_forecast: BudgetForecast | None = None
    """What becomes of the plan within the budgets that are left; `None` at the emulator."""

    def build_table(self) -> SummaryTable:
        """Return a row for each target."""
        return SummaryTable(
            title=f"{format_count(self.request_count, 'request')}, {format_price_usd(self.cost_usd)} expected, "
            f"at most {format_price_usd(self.reserved_usd)}",
            headings=("target", "requests", "characters", "price", "documented"),
            rows=tuple(
                (
                    one.target,
                    str(one.request_count),
                    f"{one.character_count:,}",
                    "not known" if one.usd is None else format_price_usd(one.usd),
                    one.price_text,
                )
                for one in self.targets
            ),
        )


def summarize_bench_plan(
    plan: BenchPlan, missing_key_variables: Mapping[str, tuple[str, ...]] | None = None
) -> BenchPlanResult:
    """Return the totals of `plan`, without the individual requests.

    Args:
        plan: the plan whose requests are summed up.
        missing_key_variables: environment variables of keys that are not set, by provider id; `None` for none.
    """
    return BenchPlanResult(
        provenance=plan.provenance,
        suite=plan.suite,
        settings=plan.settings,
        request_count=plan.request_count,
        cost_usd=plan.cost_usd,
        reserved_usd=plan.reserved_usd,
        targets=plan.target_costs,
        unsupported_target_ids=plan.unsupported_target_ids,
        missing_key_variables=dict(missing_key_variables or {}),
    )

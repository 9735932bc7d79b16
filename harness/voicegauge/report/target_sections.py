"""Builds the section of each target: distribution, job states, errors by category, clips, failures and contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.bench.analysis import CategoryErrorRate, IntervalEstimate, LanguageErrorRate, TargetSummary
from voicegauge.model import Run, TargetRef
from voicegauge.report.charts import JobStateChart, LatencyCurve, build_job_states, build_latency_curve
from voicegauge.report.comparison_table import format_bounds
from voicegauge.report.report_data import FailureGroup, RunReport
from voicegauge.report.scored_clips import ClipPlayer, ScoredClip
from voicegauge.report.text_format import format_ms

PlayableClip = tuple[ScoredClip, ClipPlayer]


class PhaseTime(NamedTuple):
    """One row of the table of phases: a name, and the median or the bounds of the medians in ms."""

    name: str
    text: str


class ErrorRow(NamedTuple):
    """Errors of one language, or of one category of texts in one language."""

    language: str
    category: str
    """Empty for a whole language."""
    rate: CategoryErrorRate | LanguageErrorRate


class TargetSection(NamedTuple):
    """What the page shows of one target."""

    anchor: str
    summary: TargetSummary
    ref: TargetRef
    curve: LatencyCurve | None
    states: JobStateChart | None
    phases: tuple[PhaseTime, ...]
    errors: tuple[ErrorRow, ...]
    worst: tuple[PlayableClip, ...]
    random: tuple[PlayableClip, ...]
    failures: tuple[FailureGroup, ...]


def build_target_sections(
    report: RunReport,
    run: Run,
    targets: Sequence[TargetSummary],
    anchors: dict[str, str],
    clips: tuple[Sequence[PlayableClip], Sequence[PlayableClip]],
) -> tuple[TargetSection, ...]:
    """Return the sections of the targets of one run.

    Args:
        report: the run's report.
        run: the run.
        targets: the targets in the order of their sections.
        anchors: ids of the sections by target.
        clips: the worst clips of the run and the random ones.
    """
    worst, random = clips
    refs = {ref.id: ref for ref in run.manifest.targets}
    return tuple(
        _build_section(target, refs[target.target], run, anchors[target.target])._replace(
            worst=tuple(pair for pair in worst if pair[0].target == target.target),
            random=tuple(pair for pair in random if pair[0].target == target.target),
            failures=tuple(failure for failure in report.failures if failure.target == target.target),
        )
        for target in targets
    )


def _build_section(target: TargetSummary, ref: TargetRef, run: Run, anchor: str) -> TargetSection:
    latencies = [
        sample.latency
        for sample in run.samples
        if sample.target == target.target and sample.is_measured and sample.failure is None and sample.latency
    ]
    totals = [latency.total_latency_ms for latency in latencies if latency.total_latency_ms is not None]
    return TargetSection(
        anchor=anchor,
        summary=target,
        ref=ref,
        curve=build_latency_curve(totals),
        states=build_job_states(latencies),
        phases=_list_phases(target),
        errors=_list_errors(target),
        worst=(),
        random=(),
        failures=(),
    )


def _list_phases(target: TargetSummary) -> tuple[PhaseTime, ...]:
    times = {
        "Submit answered": target.submit_latency_ms,
        "Waiting in the queue": target.queue_ms,
        "Processing": target.processing_ms,
        "Job complete": target.completion_ms,
        "First byte of audio": target.ttfa_ms,
        "First audible speech": target.ttfs_ms,
        "Download": target.download_ms,
        "Everything, median": target.total_latency_ms,
        "Everything, 95th percentile": target.total_latency_p95_ms,
    }
    return tuple(
        PhaseTime(name, format_bounds(time) if isinstance(time, IntervalEstimate) else format_ms(time.value))
        for name, time in times.items()
        if time is not None
    )


def _list_errors(target: TargetSummary) -> tuple[ErrorRow, ...]:
    languages = [ErrorRow(one.language, "", one) for one in target.languages]
    categories = [ErrorRow(one.language, one.category, one) for one in target.categories]
    rows = [*(languages if len(languages) > 1 or len(categories) > 1 else []), *categories]
    return tuple(sorted(rows, key=lambda row: (row.language, row.category != "", row.category)))

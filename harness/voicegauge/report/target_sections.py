"""Builds the section of each target: bars, curves and job states of its latency, errors, clips and failures."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.estimates import BoundEstimates
from voicegauge.bench.speech_summaries import CategoryErrorRate, LanguageErrorRate
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.model.exchange import BodyExcerpt, FailureKind, Headers
from voicegauge.model.run import MeasuredTarget, Run
from voicegauge.model.sample import Latency
from voicegauge.report._plot_geometry import AxisScale, AxisTick, build_linear_scale
from voicegauge.report._result_tables import format_time_bounds
from voicegauge.report.findings_page import (
    CheckAndDriftReports,
    TargetCheck,
    TargetDrift,
    find_target_checks,
    find_target_drifts,
)
from voicegauge.report.report_data import FailureGroup, RunReport
from voicegauge.report.scored_clips import ClipPlayer, ScoredClip, WrongClip
from voicegauge.report.text_format import format_duration, format_ms

# Builds stacked bars of the total latency of each target, with one segment per phase.


LatencyPhase = Literal[
    "submit",
    "first-byte",
    "queue",
    "queue-or-processing",
    "processing",
    "processing-or-completed",
    "poll-wait",
    "download",
]

PHASE_LABELS: dict[LatencyPhase, str] = {
    "submit": "submit latency",
    "first-byte": "TTFB of a direct response",
    "queue": "queue time",
    "queue-or-processing": "queue or processing: between two polls",
    "processing": "processing time",
    "processing-or-completed": "processing or completed: between two polls",
    "poll-wait": "wait for the poll that saw the end",
    "download": "download",
}
"""Names of the phases in the legend, in the order of a request's phases."""


class LatencySegment(NamedTuple):
    """One phase of a bar: where it begins and how wide it is, in percent of the axis."""

    phase: LatencyPhase
    left_percent: float
    width_percent: float


class LatencyBar(NamedTuple):
    """A bar of one target, whose segments are the median durations of the phases of a request."""

    target: TargetSummary
    segments: tuple[LatencySegment, ...]


class LatencyChart(NamedTuple):
    """The total latencies of all targets, as bars that share an axis."""

    bars: tuple[LatencyBar, ...]
    ticks: tuple[tuple[float, str], ...]
    """Position of each tick in percent of the axis, and the tick's label."""
    phases: tuple[LatencyPhase, ...]
    """The phases that occur in the bars; the legend shows only these."""


def choose_shared_time_axis(targets: Sequence[TargetSummary]) -> AxisScale:
    """Return an axis that fits the bars of all `targets`."""
    return build_linear_scale([end for t in targets for _, end in _compute_phase_end_times(t)], tick_count=4)


def build_latency_chart(targets: Sequence[TargetSummary], axis: AxisScale) -> LatencyChart:
    """Build a bar for each of `targets` that has a total latency."""
    bars = tuple(LatencyBar(t, _build_segments(t, axis)) for t in targets if t.total_latency_ms)
    seen = {segment.phase for bar in bars for segment in bar.segments}
    return LatencyChart(
        bars=bars,
        ticks=tuple((100 * axis.compute_position(value), format_duration(value)) for value in axis.ticks),
        phases=tuple(phase for phase in PHASE_LABELS if phase in seen),
    )


def _build_segments(target: TargetSummary, axis: AxisScale) -> tuple[LatencySegment, ...]:
    segments, start = [], 0.0
    for phase, end in _compute_phase_end_times(target):
        if end > start:  # medians of single phases need not be in order
            left = 100 * axis.compute_position(start)
            segments.append(
                LatencySegment(phase, left, 100 * (axis.compute_position(end) - axis.compute_position(start)))
            )
            start = end
    return tuple(segments)


def _compute_phase_end_times(target: TargetSummary) -> list[tuple[LatencyPhase, float]]:
    """Return the median end of each phase in ms from the start of the submit; empty if there is no total latency."""
    if target.total_latency_ms is None:
        return []
    if target.completion_ms is None or target.submit_latency_ms is None:
        ttfb_ms = target.ttfb_ms.value if target.ttfb_ms else 0.0
        return [("first-byte", ttfb_ms), ("download", target.total_latency_ms.value)]
    submitted_ms = target.submit_latency_ms.value
    ends: list[tuple[LatencyPhase, float]] = [("submit", submitted_ms)]
    if target.queue_ms:
        ends.append(("queue", target.queue_ms.low.value))
        ends.append(("queue-or-processing", target.queue_ms.high.value))
    ends.append(("processing", target.completion_ms.low.value))
    ends.append(("processing-or-completed", target.completion_ms.high.value))
    download_ms = target.download_ms.value if target.download_ms else 0.0
    # The provider's timestamps may show that the job ended long before the poll.
    ends.append(("poll-wait", target.total_latency_ms.value - download_ms))
    ends.append(("download", target.total_latency_ms.value))
    return ends


# Computes the geometry of the distribution of one target's latency, and of the states of its jobs over time.


LATENCY_CURVE_WIDTH_PX, LATENCY_CURVE_HEIGHT_PX = 520.0, 220.0
"""Size of both charts, in px."""
_LEFT_MARGIN_PX, _RIGHT_MARGIN_PX, _TOP_MARGIN_PX, _BOTTOM_MARGIN_PX = 44.0, 16.0, 10.0, 30.0
"""Margins of both charts, in px, which leave room for tick labels."""
MAX_CURVE_STEPS = 120
"""Largest number of steps of a curve. If there are more values, the curve shows this number of their quantiles."""
_STATE_CHART_MOMENT_COUNT = 80
"""Number of moments at which the states of the jobs are counted."""


class LatencyCurve(NamedTuple):
    """The share of requests that were complete by each time, as an SVG path."""

    svg_path: str
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]


class StateArea(NamedTuple):
    """The share of jobs in one state over time, as an SVG path that is stacked on the areas of earlier states."""

    job_state: LatencyPhase
    svg_path: str


class JobStateChart(NamedTuple):
    """States of a target's jobs over time."""

    areas: tuple[StateArea, ...]
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]


def build_latency_curve(latencies_ms: Sequence[float]) -> LatencyCurve | None:
    """Return the curve of the share of `latencies_ms` up to each time; `None` for fewer than two values."""
    values = sorted(latencies_ms)
    if len(values) < 2:
        return None
    axis = build_linear_scale(values)
    count = len(values)
    # Evenly chosen quantiles, with both ends: more steps would only make the page larger.
    chosen = (
        range(count)
        if count <= MAX_CURVE_STEPS
        else [round(i * (count - 1) / (MAX_CURVE_STEPS - 1)) for i in range(MAX_CURVE_STEPS)]
    )
    steps = [f"H{_compute_x_px(axis, values[i]):.1f}V{_compute_y_px((i + 1) / count):.1f}" for i in chosen]
    path = "".join(
        [
            f"M{_compute_x_px(axis, 0.0):.1f},{_compute_y_px(0.0):.1f}",
            *steps,
            f"H{LATENCY_CURVE_WIDTH_PX - _RIGHT_MARGIN_PX:.1f}",
        ]
    )
    return LatencyCurve(path, _build_time_ticks(axis), _build_percentage_ticks())


def build_job_state_chart(latencies: Sequence[Latency]) -> JobStateChart | None:
    """Return the chart of the states of jobs over time; `None` if no sample is a job.

    A job's state is known only when it is polled, so that between two polls it may be in either of two states.
    """
    job_latencies = [latency for latency in latencies if latency.completion_ms]
    if not job_latencies:
        return None
    ends = _collect_state_end_times(job_latencies)
    # Every job has ended at the last of these times.
    axis = build_linear_scale(ends["processing-or-completed"])
    moments = [axis.high * i / _STATE_CHART_MOMENT_COUNT for i in range(_STATE_CHART_MOMENT_COUNT + 1)]
    # Each state begins when the one before it has ended, so that the shares of all states are 1 together.
    begins = dict(zip(ends, ([0.0] * len(job_latencies), *ends.values()), strict=False))
    below = [0.0] * len(moments)
    areas = []
    for phase in reversed(ends):  # from the bottom up: the last to end is at the bottom
        shares = [(bisect_right(begins[phase], t) - bisect_right(ends[phase], t)) / len(job_latencies) for t in moments]
        if not any(shares):
            continue
        above = [low + share for low, share in zip(below, shares, strict=True)]
        areas.append(StateArea(phase, _format_area_path(axis, moments, below, above)))
        below = above
    return JobStateChart(tuple(areas), _build_time_ticks(axis), _build_percentage_ticks())


def _collect_state_end_times(job_latencies: Sequence[Latency]) -> dict[LatencyPhase, list[float]]:
    """Return for each state, in order of time, when it ended in each job: sorted times in ms from the submit."""
    ends: dict[LatencyPhase, list[float]] = {
        "submit": [],
        "queue": [],
        "queue-or-processing": [],
        "processing": [],
        "processing-or-completed": [],
    }
    for latency in job_latencies:
        reached_ms = 0.0
        for phase, end_ms in zip(ends, _find_state_end_times(latency), strict=True):
            reached_ms = max(reached_ms, end_ms)  # a state that a job skips ends when it begins
            ends[phase].append(reached_ms)
    return {phase: sorted(values) for phase, values in ends.items()}


def _find_state_end_times(latency: Latency) -> tuple[float, ...]:
    submitted_ms, queue, completion = latency.submit_latency_ms, latency.queue_ms, latency.completion_ms
    return (
        submitted_ms,
        submitted_ms + queue.low_ms if queue else 0.0,
        submitted_ms + queue.high_ms if queue else 0.0,
        completion.low_ms if completion else 0.0,
        completion.high_ms if completion else 0.0,
    )


def _format_area_path(
    axis: AxisScale, times_ms: Sequence[float], lower_shares: Sequence[float], upper_shares: Sequence[float]
) -> str:
    upper, lower = (
        [
            f"{_compute_x_px(axis, moment):.1f},{_compute_y_px(share):.1f}"
            for moment, share in zip(times_ms, shares, strict=True)
        ]
        for shares in (upper_shares, lower_shares)
    )
    return f"M{'L'.join([*upper, *lower[::-1]])}Z"


def _compute_x_px(axis: AxisScale, time_ms: float) -> float:
    return _LEFT_MARGIN_PX + axis.compute_position(time_ms) * (
        LATENCY_CURVE_WIDTH_PX - _LEFT_MARGIN_PX - _RIGHT_MARGIN_PX
    )


def _compute_y_px(share: float) -> float:
    return (
        LATENCY_CURVE_HEIGHT_PX
        - _BOTTOM_MARGIN_PX
        - share * (LATENCY_CURVE_HEIGHT_PX - _BOTTOM_MARGIN_PX - _TOP_MARGIN_PX)
    )


def _build_time_ticks(axis: AxisScale) -> tuple[AxisTick, ...]:
    return tuple(AxisTick(_compute_x_px(axis, value), format_duration(value)) for value in axis.ticks)


def _build_percentage_ticks() -> tuple[AxisTick, ...]:
    return tuple(AxisTick(_compute_y_px(share), f"{share * 100:.0f}%") for share in (0.0, 0.5, 1.0))


# Builds the section of each target: distribution, job states, errors by category, clips, failures and contract.


MAX_FAILURE_MESSAGES_PER_CAUSE = 3
"""Largest number of different failure messages that are shown for each cause."""

PlayableClip = tuple[ScoredClip, ClipPlayer]
"""A clip with the player of its audio."""


class PhaseTime(NamedTuple):
    """One row of the table of phases: a name, and the median or the bounds of the medians in ms."""

    phase_name: str
    time_text: str


class ErrorRow(NamedTuple):
    """A row of the table of word or character errors: one language, or one category of texts in it."""

    language: str
    category: str
    """Category of the texts; empty if the row is about all texts of the language."""
    error_rate: CategoryErrorRate | LanguageErrorRate


class QuotedExchange(NamedTuple):
    """One exchange as text: its request and its response, each with first line, headers and body."""

    request_text: str
    response_text: str


class FailureCause(NamedTuple):
    """The failures of one target that have the same kind and status."""

    kind: FailureKind
    http_status: int | None
    failure_count: int
    failure_groups: tuple[FailureGroup, ...]
    """The failures by message, the most frequent messages first; at most `MAX_FAILURE_MESSAGES_PER_CAUSE` groups."""
    unlisted_message_count: int
    """Number of failure messages that are not in `failure_groups`."""
    example_exchange: QuotedExchange | None


class TargetSection(NamedTuple):
    """The content of the page's section about one target."""

    anchor: str
    """HTML id of the section."""
    summary: TargetSummary
    measured_target: MeasuredTarget
    latency_curve: LatencyCurve | None
    job_state_chart: JobStateChart | None
    phase_times: tuple[PhaseTime, ...]
    error_rows: tuple[ErrorRow, ...]
    worst_clips: tuple[PlayableClip, ...]
    random_clips: tuple[PlayableClip, ...]
    wrong_clips: tuple[tuple[WrongClip, ClipPlayer], ...]
    """Clips whose audio is wrong or in doubt, each with an excerpt."""
    failure_causes: tuple[FailureCause, ...]
    target_checks: tuple[TargetCheck, ...]
    """The findings of saved conformance checks about the target."""
    target_drifts: tuple[TargetDrift, ...]
    """Changes of the provider's documents or traffic, from the saved results of `voicegauge drift`."""


def build_target_sections(
    report: RunReport,
    run: Run,
    targets: Sequence[TargetSummary],
    anchor_by_target: dict[str, str],
    check_and_drift_reports: CheckAndDriftReports,
    *,
    worst_clips: Sequence[PlayableClip] = (),
    random_clips: Sequence[PlayableClip] = (),
    wrong_clips: Sequence[tuple[WrongClip, ClipPlayer]] = (),
) -> tuple[TargetSection, ...]:
    """Return the sections of the targets of one run.

    Args:
        report: the run's report.
        run: the saved run from which the report was computed.
        targets: the targets in the order of their sections.
        anchor_by_target: ids of the sections by target.
        check_and_drift_reports: saved results of `check` and `drift`.
        worst_clips: the clips of all targets with the highest error rates.
        random_clips: a clip of each target that was not chosen for its errors.
        wrong_clips: the clips of all targets whose audio is wrong or in doubt, with their excerpts.
    """
    measured_targets = {one.id: one for one in run.manifest.targets}
    latencies: dict[str, list[Latency]] = defaultdict(list)
    for sample in run.select_counted_samples():
        if sample.failure is None and sample.latency:
            latencies[sample.target].append(sample.latency)
    return tuple(
        TargetSection(
            anchor=anchor_by_target[name],
            summary=target,
            measured_target=measured_targets[name],
            latency_curve=build_latency_curve(
                [one.total_latency_ms for one in latencies[name] if one.total_latency_ms is not None]
            ),
            job_state_chart=build_job_state_chart(latencies[name]),
            phase_times=_list_phase_times(target),
            error_rows=_list_error_rows(target),
            worst_clips=tuple(pair for pair in worst_clips if pair[0].target == name),
            random_clips=tuple(pair for pair in random_clips if pair[0].target == name),
            wrong_clips=tuple(pair for pair in wrong_clips if pair[0].target == name),
            failure_causes=_group_failures_by_cause([one for one in report.failure_groups if one.target == name]),
            target_checks=find_target_checks(check_and_drift_reports, name),
            target_drifts=find_target_drifts(check_and_drift_reports, name),
        )
        for target in targets
        for name in (target.target,)
    )


def _group_failures_by_cause(failure_groups: Sequence[FailureGroup]) -> tuple[FailureCause, ...]:
    by_cause: dict[tuple[FailureKind, int | None], list[FailureGroup]] = {}
    for failure in failure_groups:
        by_cause.setdefault((failure.kind, failure.http_status), []).append(failure)
    causes = [
        FailureCause(
            kind=kind,
            http_status=status,
            failure_count=sum(failure.count for failure in group),
            failure_groups=tuple(group[:MAX_FAILURE_MESSAGES_PER_CAUSE]),
            unlisted_message_count=max(len(group) - MAX_FAILURE_MESSAGES_PER_CAUSE, 0),
            example_exchange=next(
                (
                    QuotedExchange(
                        _format_message(f"{one.method} {one.url}", one.request_headers, one.request_body),
                        _format_message(f"HTTP {one.status}", one.response_headers, one.response_body),
                    )
                    for failure in group
                    if (one := failure.example_exchange)
                ),
                None,
            ),
        )
        for (kind, status), group in by_cause.items()
    ]
    return tuple(sorted(causes, key=lambda cause: -cause.failure_count))


def _format_message(first_line: str, headers: Headers, body: BodyExcerpt) -> str:
    note = f"({body.size_bytes:,} bytes: {body.omission_reason})" if body.omission_reason else ""
    head = "\n".join((first_line, *(f"{name}: {value}" for name, value in headers)))
    return "\n\n".join(part for part in (head, body.text, note) if part)


def _list_phase_times(target: TargetSummary) -> tuple[PhaseTime, ...]:
    """Return the times of a target in the order of a request.

    A target that responds to the submit with the audio has no row for the submit, because it ends with the request.
    """
    is_direct = target.completion_ms is None and target.download_ms is None
    socket = target.socket
    interruptions = socket.interruptions if socket is not None else None
    times = {
        "Handshake of a new connection": socket.handshake_ms if socket is not None else None,
        "Submit answered": None if is_direct else target.submit_latency_ms,
        "Waiting in the queue": target.queue_ms,
        "Processing": target.processing_ms,
        "Job complete": target.completion_ms,
        "First byte of audio": target.ttfa_ms,
        "First byte of audio, after the last text": target.ttfa_after_text_ms,
        "First byte of audio, after the flush": socket.ttfa_after_flush_ms if socket is not None else None,
        "First speech is played": target.ttfs_ms,
        "Download": target.download_ms,
        "Everything, median": target.total_latency_ms,
        "Everything, 95th percentile": target.total_latency_p95_ms,
        "Last audio after a cancellation": interruptions.last_audio_ms if interruptions is not None else None,
        "Next turn speaks after a cancellation": interruptions.next_audio_ms if interruptions is not None else None,
    }
    return tuple(
        PhaseTime(name, format_time_bounds(time) if isinstance(time, BoundEstimates) else format_ms(time.value))
        for name, time in times.items()
        if time is not None
    )


def _list_error_rows(target: TargetSummary) -> tuple[ErrorRow, ...]:
    languages = [ErrorRow(one.language, "", one) for one in target.error_rates_by_language]
    categories = [ErrorRow(one.language, one.category, one) for one in target.error_rates_by_category]
    rows = [*(languages if len(languages) > 1 or len(categories) > 1 else []), *categories]
    return tuple(sorted(rows, key=lambda row: (row.language, row.category != "", row.category)))

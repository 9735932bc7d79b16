"""States which targets are the fastest, and by how much."""

from __future__ import annotations

from voicegauge.bench.analysis import Estimate, TargetSummary
from voicegauge.report.verdict.phrases import format_count_with_noun, format_factor, format_target_names, format_time
from voicegauge.report.verdict.statements import MeasuredRun, VerdictStatement


def build_speed_statement(run: MeasuredRun) -> VerdictStatement | None:
    """Return what the verdict says about total latency; `None` if no target has a total latency."""
    timed = sorted(
        ((target, target.total_latency_ms) for target in run.targets if target.total_latency_ms),
        key=lambda pair: pair[1].value,
    )
    if not timed:
        return None
    (best, time), *others = timed
    result = "transcript" if run.manifest.kind == "transcription" else "audio"
    median = f"Median time until the {result} was complete: {_describe_times(timed)}."
    if any(target.completion_ms for target, _ in timed):
        median += " The times of jobs include the wait for the poll that saw their end."
    if not others:
        return _build_statement(f"{best.target} takes {format_time(time)}", median)
    if not run.resamples.has_enough_texts:
        return _build_statement(
            "too few texts to compare speed", f"{median} Differences have an interval from 5 texts on."
        )
    equal = [target.target for target, _ in timed if target.is_among_fastest]
    slower = [target for target, _ in timed if not target.is_among_fastest]
    if not slower:
        return _build_statement("no clear difference in speed", median)
    factor = run.resamples.estimate_latency_ratio(run.find_resample_column(slower[0]), run.find_resample_column(best))
    lead = f"{format_factor(factor)} as fast as {slower[0].target}" if factor else "fastest"
    if len(equal) == 1:
        return _build_statement(f"{best.target} is {lead}{', the next' if len(slower) > 1 else ''}", median)
    names = format_target_names(equal, best.target)
    return _build_statement(
        f"{names} are the fastest",
        f"{names} are indistinguishable. {best.target} is {lead}, the next. {median}",
    )


def _describe_times(timed_targets: list[tuple[TargetSummary, Estimate]]) -> str:
    shown = timed_targets if len(timed_targets) <= 3 else [timed_targets[0], timed_targets[1], timed_targets[-1]]
    names = ", ".join(f"{target.target} {format_time(time)}" for target, time in shown)
    return (
        names
        if len(shown) == len(timed_targets)
        else f"{names}; {format_count_with_noun(len(timed_targets) - len(shown), 'other')} between"
    )


def _build_statement(summary: str, detail: str) -> VerdictStatement:
    return VerdictStatement(topic="speed", summary=summary, detail=detail)

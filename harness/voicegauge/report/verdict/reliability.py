"""States how many requests failed, and why."""

from __future__ import annotations

from collections import Counter

from voicegauge.bench.analysis import TargetSummary
from voicegauge.report.verdict.phrases import MAX_NAMED_TARGETS, format_count_with_noun, format_target_names
from voicegauge.report.verdict.statements import MeasuredRun, VerdictStatement

_WORDS_BY_FAILURE_KIND = {
    "audio": "with audio that cannot be used",
    "protocol": "with a response that cannot be understood",
}
"""Phrases for kinds of failure whose names are not clear in a sentence."""


def build_reliability_statement(run: MeasuredRun) -> VerdictStatement:
    """Return what the verdict says about failed requests."""
    if not any(target.sample_count for target in run.targets):
        return _build_statement("", "No request has a saved result.")
    failing = [target for target in run.targets if target.failure_count]
    samples = sum(target.sample_count for target in run.targets)
    if not failing:
        return _build_statement("", f"All {samples:,} requests succeeded." if samples > 1 else "The request succeeded.")
    lost = [target.target for target in failing if target.failure_count == target.sample_count]
    partly = [target for target in failing if target.failure_count < target.sample_count]
    lost_names = f"{format_target_names(lost, lost[0])} delivered nothing" if lost else ""
    parts = [*filter(None, [lost_names]), *map(_describe_failure_share, partly)]
    summary = parts[0] if len(parts) == 1 else f"{format_count_with_noun(len(failing), 'target')} failed requests"
    failing.sort(key=lambda target: -target.failure_count / target.sample_count)
    named, others = failing[:MAX_NAMED_TARGETS], failing[MAX_NAMED_TARGETS:]
    sentences = [f"{_describe_failure_share(target)}: {_describe_failure_kinds(target)}" for target in named]
    if others:
        requests = format_count_with_noun(sum(target.failure_count for target in others), "request")
        sentences.append(f"{format_count_with_noun(len(others), 'other')} failed {requests}")
    return _build_statement(summary, ". ".join(sentences) + ".")


def describe_total_failure(run: MeasuredRun) -> str:
    """Return the headline of a run in which no request succeeded."""
    kinds = Counter[str]()
    for target in run.targets:
        kinds.update(target.failure_count_by_kind)
    if not kinds:
        return "No request was measured."
    if set(kinds) == {"network"}:
        where = "the service" if len({target.target.split("/")[0] for target in run.targets}) == 1 else "the services"
        return f"Nothing was measured: {where} could not be reached."
    return f"Nothing was measured: every request failed ({_join_failure_kinds(kinds)})."


def _describe_failure_share(target: TargetSummary) -> str:
    return f"{target.target} failed {target.failure_count} of {format_count_with_noun(target.sample_count, 'request')}"


def _describe_failure_kinds(target: TargetSummary) -> str:
    return _join_failure_kinds(Counter(target.failure_count_by_kind))


def _join_failure_kinds(kinds: Counter[str]) -> str:
    return ", ".join(
        f"{count} {_WORDS_BY_FAILURE_KIND.get(kind, kind.replace('_', ' '))}" for kind, count in kinds.most_common()
    )


def _build_statement(summary: str, detail: str) -> VerdictStatement:
    return VerdictStatement(topic="reliability", summary=summary, detail=detail)

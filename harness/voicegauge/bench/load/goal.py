"""Goals that the samples under one load must meet, such as "success>=0.99,ttfa:p95<=500ms,rtf:p95<=1"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

from voicegauge.errors import UsageError
from voicegauge.model import Record, Sample

DEFAULT_GOAL = "success>=0.99"
_SUCCESS_METRIC = "success"
_TIME_METRICS = ("ttfb", "ttfa", "total")
_RTF_METRIC = "rtf"
_CONDITION_PATTERN = re.compile(
    r"(?P<metric>[a-z]+)(?::p(?P<percentile>\d{1,2}(?:\.\d+)?))?(?P<comparison>>=|<=)(?P<limit>\d+(?:\.\d+)?)(?P<unit>ms|s|%)?"
)


class GoalCondition(Record, frozen=True, kw_only=True):
    """One condition of a goal."""

    metric: Literal["success", "ttfb", "ttfa", "total", "rtf"]
    """The metric that the condition limits. `success` is the share of requests that succeed at the first attempt, so
    that a 429 counts against it; the others are times and the real-time factor of requests that succeed."""
    percentile: float | None
    """The percentile that must stay within the limit; `None` for `success`."""
    limit: float
    """The limit: a share for `success`, a factor for `rtf`, otherwise milliseconds."""


class Goal(Record, frozen=True, kw_only=True):
    """Conditions that must all be met."""

    text: str
    """The goal as the user gave it."""
    conditions: tuple[GoalCondition, ...]

    def measure_conditions(self, samples: Sequence[Sample]) -> dict[str, float | None]:
        """Return the measured value of each condition, by its text; `None` as the value if no request succeeded."""
        return {_format_condition_name(one): _measure_condition(one, samples) for one in self.conditions}

    def is_met(self, samples: Sequence[Sample]) -> bool:
        """Whether `samples` meet every condition."""
        return all(_meets_condition(one, _measure_condition(one, samples)) for one in self.conditions)

    def count_samples_meeting_goal(self, samples: Sequence[Sample]) -> int:
        """Return the number of requests that succeeded at the first attempt and met every limit on their own times."""
        limits = [one for one in self.conditions if one.metric != _SUCCESS_METRIC]
        return sum(
            succeeded_at_first_attempt(sample)
            and all(_meets_condition(one, _get_metric_value(one.metric, sample)) for one in limits)
            for sample in samples
        )


def parse_goal(text: str) -> Goal:
    """Parse a goal.

    Args:
        text: conditions separated by commas: `success>=SHARE`, or `METRIC:pN<=LIMIT` with the metric `ttfb`, `ttfa`,
            `total` (in `ms` or `s`) or `rtf`, and the percentile N, 50 by default.

    Raises:
        UsageError: a condition cannot be read.
    """
    return Goal(text=text, conditions=tuple(_parse_condition(part.strip()) for part in text.split(",")))


def _parse_condition(text: str) -> GoalCondition:
    found = _CONDITION_PATTERN.fullmatch(text.replace(" ", ""))
    known = (_SUCCESS_METRIC, *_TIME_METRICS, _RTF_METRIC)
    if found is None or found["metric"] not in known:
        raise UsageError(
            f"--goal: {text!r} is not a condition: write success>=0.99, rtf:p95<=1, or a time such as ttfa:p95<=500ms "
            f"(metrics: {', '.join(known)})"
        )
    metric, unit, limit = found["metric"], found["unit"], float(found["limit"])
    expected = ">=" if metric == _SUCCESS_METRIC else "<="
    units = {_SUCCESS_METRIC: (None, "%"), _RTF_METRIC: (None,)}.get(metric, ("ms", "s"))
    if found["comparison"] != expected or unit not in units or (metric == _SUCCESS_METRIC and found["percentile"]):
        example = {_SUCCESS_METRIC: "success>=0.99", _RTF_METRIC: "rtf:p95<=1"}.get(metric, f"{metric}:p95<=500ms")
        raise UsageError(f"--goal: {text!r} cannot be read: write it like {example}")
    factor = {"s": 1000.0, "%": 0.01}.get(unit or "", 1.0)
    if metric == _SUCCESS_METRIC and limit * factor > 1:
        raise UsageError(f"--goal: {text!r} asks for a share above 1, which is impossible: write it like success>=0.99")
    percentile = None if metric == _SUCCESS_METRIC else float(found["percentile"] or 50)
    return GoalCondition(metric=metric, percentile=percentile, limit=limit * factor)  # type: ignore[arg-type]  # checked


def succeeded_at_first_attempt(sample: Sample) -> bool:
    """Whether a request succeeded at the first attempt: a rejection that a retry overcomes shows too much load."""
    return sample.failure is None and sample.submit_count == 1


def _format_condition_name(condition: GoalCondition) -> str:
    return condition.metric if condition.percentile is None else f"{condition.metric}:p{condition.percentile:g}"


def _meets_condition(condition: GoalCondition, value: float | None) -> bool:
    if value is None:
        return False
    return value >= condition.limit if condition.metric == _SUCCESS_METRIC else value <= condition.limit


def _measure_condition(condition: GoalCondition, samples: Sequence[Sample]) -> float | None:
    if condition.metric == _SUCCESS_METRIC:
        return sum(map(succeeded_at_first_attempt, samples)) / len(samples) if samples else None
    return (
        None if condition.percentile is None else find_time_percentile(condition.metric, condition.percentile, samples)
    )


def find_time_percentile(metric: str, percentile: float, samples: Sequence[Sample]) -> float | None:
    """Return a percentile, as the nearest rank, of a time or factor of the requests that succeeded; `None` if none did.

    Args:
        metric: a metric of goals other than `success`.
        percentile: 95 for the 95th percentile.
        samples: the samples.
    """
    values = sorted(
        value
        for sample in samples
        if succeeded_at_first_attempt(sample) and (value := _get_metric_value(metric, sample)) is not None
    )
    return values[max(math.ceil(len(values) * percentile / 100) - 1, 0)] if values else None


def _get_metric_value(metric: str, sample: Sample) -> float | None:
    latency = sample.latency
    if latency is None:
        return None
    if metric == _RTF_METRIC:
        audio_s = sample.audio.audio_duration_s if sample.audio is not None else None
        return latency.total_latency_ms / 1000 / audio_s if audio_s and latency.total_latency_ms is not None else None
    return {"ttfb": latency.ttfb_ms, "ttfa": latency.ttfa_ms, "total": latency.total_latency_ms}[metric]

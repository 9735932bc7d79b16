"""Decides for each metric of a comparison whether it has regressed.

A metric has regressed if it became worse by enough to matter *and* by more than chance explains.
Many metrics are tested at once, so the p-values are corrected (Holm 1979): `alpha` is the
probability that any metric of any target is falsely called a regression. Intervals are computed
at the level at which Holm's procedure tested their metric, so that an interval excludes 0 exactly
if the change is significant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from voicegauge.bench.analysis.metric_changes import MetricChange
from voicegauge.model import Record

ChangeVerdict = Literal["regression", "improvement", "no evidence", "underpowered"]


class ChangeThreshold(Record, frozen=True, kw_only=True):
    """The smallest changes of one metric that matter.

    They are relative for times and prices, and differences for rates (0.02 is two percentage points).
    """

    min_change: float
    """Smallest change that can be a regression. A smaller one never is, even if it is statistically significant."""
    required_detectable_change: float = msgspec.field(name="detectable_change")
    """Size of the change that a comparison must be able to detect. The comparison is underpowered if the interval
    of the measured change does not exclude a change of this size."""


class JudgedChange(NamedTuple):
    """The verdict on a change, with the statistics that led to it."""

    verdict: ChangeVerdict
    interval: tuple[float, float] | None
    p_value: float | None
    """Two-sided p-value, before the correction for the number of metrics."""
    detectable_change: float | None
    """Smallest true worsening that this comparison would have called a regression in 80% of cases."""


def judge_changes(changes: Sequence[tuple[MetricChange, ChangeThreshold]], alpha: float) -> list[JudgedChange]:
    """Judge all changes of a comparison together, for metrics of which lower is better.

    Args:
        changes: each change, with the smallest changes of its metric that matter.
        alpha: probability that at least one of the changes is falsely called a regression.
    """
    p_values = [change.compute_p_value() for change, _ in changes]
    levels = compute_holm_levels(p_values, alpha)
    first_level = alpha / max(sum(p_value is not None for p_value in p_values), 1)
    return [
        _judge_change(change, threshold, p_value, level, first_level)
        for (change, threshold), p_value, level in zip(changes, p_values, levels, strict=True)
    ]


def compute_holm_levels(p_values: Sequence[float | None], alpha: float) -> list[float]:
    """Return the one-sided significance level at which Holm's procedure tests each two-sided p-value.

    The smallest of m p-values is tested at alpha / m, the next at alpha / (m - 1), and so on. All p-values after the
    first one that is not significant are tested at the level of that one.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    levels, level = [alpha] * len(p_values), alpha
    is_rejecting = True
    for rank, (p_value, index) in enumerate(tested):
        if is_rejecting:
            level = alpha / (len(tested) - rank)
            is_rejecting = p_value / 2 < level
        levels[index] = level
    return levels


def _judge_change(
    change: MetricChange,
    threshold: ChangeThreshold,
    p_value: float | None,
    significance_level: float,
    strictest_significance_level: float,
) -> JudgedChange:
    interval = change.compute_interval(significance_level)
    return JudgedChange(
        verdict=decide_verdict(change.change, interval, threshold),
        interval=interval,
        p_value=p_value,
        detectable_change=change.compute_detectable_change(strictest_significance_level, threshold.min_change),
    )


def decide_verdict(change: float, interval: tuple[float, float] | None, threshold: ChangeThreshold) -> ChangeVerdict:
    """Return the verdict on a change.

    Args:
        change: the estimated change.
        interval: lower and upper end of its confidence interval; `None` if there are too few data.
        threshold: the smallest changes that matter.
    """
    if interval is None:
        return "underpowered"
    low, high = interval
    if change >= threshold.min_change and low > 0:
        return "regression"
    if change <= -threshold.min_change and high < 0:
        return "improvement"
    return "no evidence" if high < threshold.required_detectable_change else "underpowered"

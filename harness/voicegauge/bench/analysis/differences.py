"""How much one run differs from another, with an interval that allows for what neither could see.

Texts are paired, so that a long text is held against itself. Two things make the
paired difference uncertain: which texts the suite happens to hold (resampled), and
the session: services are faster or slower for hours at a time, and a run sees only
a few such spells. With a single session the spread between sessions cannot be
measured at all, so that `SESSION_DRIFT` is assumed and outweighed by the data as
sessions grow (scaled inverse chi-squared prior; Gelman et al., Bayesian Data Analysis,
3rd ed., section 2.6, which makes the interval a Student t interval).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.analysis.statistics import Floats, Grouped, by_text, quantiles, resample

SESSION_DRIFT = 0.10
"""Spread (standard deviation of the logarithm) of a service's latency from session to session."""
PRIOR_DF = 10
"""How many sessions beyond the first the assumption above is worth."""
MIN_TEXTS = 5
"""Fewer texts say too little of how texts differ."""
P95_PAIRS = 200
"""Samples a side from which 95th percentiles are compared: ten lie above it."""


class TimedSample(NamedTuple):
    """One time, with what it is paired and grouped by."""

    text: str
    session: int
    ms: float


class MetricChange(NamedTuple):
    """One metric in two runs. `change` is relative for times and in points for rates."""

    baseline: float
    run: float
    change: float
    low: float | None
    """Lower end of the interval at the level asked for; `None` where there is too little."""
    high: float | None
    n_baseline: int
    n_run: int
    note: str = ""


class IntervalSettings(NamedTuple):
    """What an interval must allow for."""

    alpha: float
    """Chance of an interval that misses the truth, both ends together."""
    drift: float = SESSION_DRIFT
    seed: int = 0


def typical_time(
    baseline: Sequence[TimedSample], run: Sequence[TimedSample], allowance: IntervalSettings
) -> MetricChange | None:
    """The typical time of a text in the run relative to the same text in the baseline.

    The median over texts of the difference of logarithms. `None` where no text has a
    time in both.
    """
    texts, old, new = _common(baseline, run)
    if not texts:
        return None
    before, after = _sessions_by_text(old, texts), _sessions_by_text(new, texts)
    shift = np.nanmean(after, axis=0) - np.nanmean(before, axis=0)
    spread = resample(shift[:, None], lambda rows: np.median(rows[..., 0], axis=-1), seed=allowance.seed)
    middle = float(np.median([t.ms for t in old])), float(np.median([t.ms for t in new]))
    error = spread.standard_error if spread and len(texts) >= MIN_TEXTS else None
    return _ratio(middle, float(np.median(shift)), error, (before, after), (len(old), len(new)), allowance)


def slow_time(
    baseline: Sequence[TimedSample], run: Sequence[TimedSample], allowance: IntervalSettings
) -> MetricChange | None:
    """The 95th percentile over all samples of the texts that both have, run relative to baseline."""
    texts, *kept = _common(baseline, run)
    if not texts:
        return None
    tables = [_aligned([(t.text, t.ms) for t in side], texts) for side in kept]
    width = tables[0].shape[1]

    def log_ratio(rows: Floats) -> Floats:
        before, after = quantiles(rows[..., :width], 0.95), quantiles(rows[..., width:], 0.95)
        return np.asarray(np.log(after / before))

    joined = np.concatenate(tables, axis=1)
    enough = min(len(side) for side in kept) >= P95_PAIRS
    spread = resample(joined, log_ratio, seed=allowance.seed) if enough and len(texts) >= MIN_TEXTS else None
    ends = float(quantiles(tables[0], 0.95)), float(quantiles(tables[1], 0.95))
    sessions = _sessions_by_text(kept[0], texts), _sessions_by_text(kept[1], texts)
    found = _ratio(
        ends,
        float(log_ratio(joined)),
        spread and spread.standard_error,
        sessions,
        (len(kept[0]), len(kept[1])),
        allowance,
    )
    return found if enough else found._replace(note=f"95th percentiles are compared from {P95_PAIRS} samples a side")


def _ratio(
    values: tuple[float, float],
    shift: float,
    error: float | None,
    sessions: tuple[Floats, Floats],
    counts: tuple[int, int],
    allowance: IntervalSettings,
) -> MetricChange:
    """A relative change, from a difference of logarithms and its standard error over texts."""
    change = math.expm1(shift)
    if error is None:
        note = f"fewer than {MIN_TEXTS} texts in both runs"
        return MetricChange(*values, change, None, None, *counts, note)
    variance, freedom = _session_variance(sessions, allowance.drift)
    reach = _student(allowance.alpha, freedom) * math.sqrt(error**2 + variance)
    return MetricChange(*values, change, math.expm1(shift - reach), math.expm1(shift + reach), *counts)


def _session_variance(sessions: tuple[Floats, Floats], drift: float) -> tuple[float, int]:
    """The variance that drift between sessions adds to the difference, and its degrees of freedom."""
    squares, freedom = PRIOR_DF * drift**2, PRIOR_DF
    for side in sessions:
        if len(side) > 1:
            drifted = np.nanmedian(side - np.nanmean(side, axis=0), axis=1)
            squares += float(np.sum(drifted**2))
            freedom += len(side) - 1
    return squares / freedom * sum(1 / len(side) for side in sessions), freedom


def _common(
    baseline: Sequence[TimedSample], run: Sequence[TimedSample]
) -> tuple[list[str], list[TimedSample], list[TimedSample]]:
    """The texts that both have, and their times on either side."""
    texts = {t.text for t in baseline} & {t.text for t in run}
    old, new = ([t for t in side if t.text in texts] for side in (baseline, run))
    return sorted(texts), old, new


def _sessions_by_text(side: Sequence[TimedSample], texts: Sequence[str]) -> Floats:
    """The logarithm of the median time, one row a session and one column a text; NaN where there is none."""
    groups: dict[tuple[int, str], list[float]] = {}
    for timed in side:
        groups.setdefault((timed.session, timed.text), []).append(math.log(max(timed.ms, 1e-3)))
    sessions = sorted({session for session, _ in groups})
    return np.array(
        [[float(np.median(groups.get((session, text), [np.nan]))) for text in texts] for session in sessions]
    )


def _aligned(values: Grouped, texts: Sequence[str]) -> Floats:
    """`by_text` with the rows in the order of `texts`."""
    order = {text: index for index, text in enumerate(texts)}
    return by_text(sorted(values, key=lambda pair: order[str(pair[0])]))


class ErrorCount(NamedTuple):
    """Errors and units of one sample."""

    text: str
    errors: int
    units: int


def error_rate(
    baseline: Sequence[ErrorCount], run: Sequence[ErrorCount], allowance: IntervalSettings
) -> MetricChange | None:
    """The corpus error rate over the texts that both have, run minus baseline (paired bootstrap by text)."""
    texts = sorted({c.text for c in baseline} & {c.text for c in run})
    if not texts:
        return None
    row = {text: index for index, text in enumerate(texts)}
    table = np.zeros((len(texts), 2, 2))
    counts = [0, 0]
    for side, counted in enumerate((baseline, run)):
        for text, errors, units in counted:
            if text in row:
                table[row[text], side] += errors, units
                counts[side] += 1

    def rates(rows: Floats) -> Floats:
        sums = rows.sum(axis=-3)
        return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1.0))

    before, after = (float(rate) for rate in rates(table))
    found = resample(table, lambda rows: rates(rows)[..., 1] - rates(rows)[..., 0], seed=allowance.seed)
    if found is None or len(texts) < MIN_TEXTS:
        note = f"fewer than {MIN_TEXTS} texts in both runs"
        return MetricChange(before, after, after - before, None, None, counts[0], counts[1], note)
    reach = _student(allowance.alpha, len(texts) - 1) * found.standard_error
    change = after - before
    return MetricChange(before, after, change, change - reach, change + reach, counts[0], counts[1])


def _student(alpha: float, freedom: int) -> float:
    """How many standard errors an interval reaches to either side.

    A percentile interval is too short for the eight texts of a small suite: simulated, it
    raised four times the false alarms it should.
    """
    from scipy.stats import t

    return float(t.ppf(1 - alpha / 2, freedom))


def failure_rate(baseline: tuple[int, int], run: tuple[int, int], allowance: IntervalSettings) -> MetricChange | None:
    """The share of failed samples, run minus baseline.

    The interval is Newcombe's from two Wilson intervals (Newcombe 1998, method 10), which holds
    for few samples and for none failed.

    Args:
        baseline: (failures, samples).
        run: (failures, samples).
        allowance: its `alpha` counts; failures are taken as they are, session or not.
    """
    if not baseline[1] or not run[1]:
        return None
    from scipy.stats import binomtest

    before, after = (binomtest(*side) for side in (baseline, run))
    old, new = (test.proportion_ci(1 - allowance.alpha, method="wilson") for test in (before, after))
    change = after.statistic - before.statistic
    low = change - math.hypot(after.statistic - new.low, old.high - before.statistic)
    high = change + math.hypot(new.high - after.statistic, before.statistic - old.low)
    return MetricChange(before.statistic, after.statistic, change, low, high, baseline[1], run[1])

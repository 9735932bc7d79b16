"""Groups the metrics of runs into series with one value for each night."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from voicegauge.bench.analysis import DEFAULT_DRIFT, MIN_COMPARED_TIME_MS
from voicegauge.bench.history.history_run import HistoryMetric, HistoryRun, HistoryUnit, HistoryValue
from voicegauge.bench.history.level_shifts import Noise
from voicegauge.model import Provenance, Record


class NightValue(Record, frozen=True, kw_only=True):
    """A metric on one night."""

    night: str
    """Calendar day, UTC, on which the runs were started, such as "2026-11-23"."""
    value: float
    """Several runs are pooled: times as their geometric mean, weighted by the number of samples, rates over all
    samples, and of prices the latest one."""
    n: int
    """Number of samples; for error rates, of words or characters."""
    runs: int


class SeriesKey(Record, frozen=True, kw_only=True):
    """What the nights of a series have in common. Runs that differ in it are never mixed."""

    provenance: Provenance
    target: str
    metric: HistoryMetric
    unit: HistoryUnit
    region: str | None
    """The region that the runs name; `None` if they name none."""
    setup: str
    """Suite, number of texts, load and base URLs; for error rates also the ASR engine and the normalizer."""


class MetricSeries(Record, frozen=True, kw_only=True):
    """One metric of one target over the nights, oldest first."""

    key: SeriesKey
    nights: tuple[NightValue, ...]


def build_series(runs: Iterable[HistoryRun]) -> list[MetricSeries]:
    """Group the metrics of runs, oldest first, into series, sorted by provenance, target, metric, region and setup."""
    grouped: dict[SeriesKey, dict[str, list[HistoryValue]]] = {}
    for run in runs:
        for target in run.targets:
            for measured in target.metrics:
                key = _build_key(run, target.target, measured)
                grouped.setdefault(key, {}).setdefault(run.night, []).append(measured)
    return [
        MetricSeries(key=key, nights=tuple(_pool_runs(night, found) for night, found in sorted(nights.items())))
        for key, nights in sorted(grouped.items(), key=lambda item: _get_sort_key(item[0]))
    ]


def _build_key(run: HistoryRun, target: str, measured: HistoryValue) -> SeriesKey:
    is_scored = measured.metric in ("wer", "cer")
    return SeriesKey(
        provenance=run.provenance,
        target=target,
        metric=measured.metric,
        unit=measured.unit,
        region=run.region,
        setup=f"{run.setup}, {run.scoring}" if is_scored else run.setup,
    )


def _get_sort_key(key: SeriesKey) -> tuple[object, ...]:
    metrics = list(HistoryMetric.__args__)  # type: ignore[attr-defined]
    return key.provenance != Provenance.LIVE, key.target, metrics.index(key.metric), key.region or "", key.setup


def _pool_runs(night: str, measured: Sequence[HistoryValue]) -> NightValue:
    values = [(one.value, one.n) for one in measured]
    pooled = measured[-1].value if measured[0].unit == "usd" else _pool(measured[0].unit, values)
    return NightValue(night=night, value=pooled, n=sum(n for _, n in values), runs=len(values))


def _pool(unit: HistoryUnit, values: Sequence[tuple[float, int]]) -> float:
    total = sum(n for _, n in values)
    if unit == "rate":
        return sum(value * n for value, n in values) / total
    return math.exp(sum(n * math.log(max(value, MIN_COMPARED_TIME_MS)) for value, n in values) / total)


def compute_level(unit: HistoryUnit, nights: Sequence[NightValue]) -> float:
    """Return the usual value of nights: the median of times, or the rate over all samples."""
    if unit == "rate":
        return _pool(unit, [(one.value, one.n) for one in nights])
    return float(np.median([one.value for one in nights]))


def compute_change(unit: HistoryUnit, before: float, after: float) -> float:
    """Return a change between two levels: relative for times, the difference for rates."""
    return after - before if unit == "rate" else after / max(before, MIN_COMPARED_TIME_MS) - 1


def transform_values(unit: HistoryUnit, nights: Sequence[NightValue]) -> list[float]:
    """Return the values on a scale on which their spread does not depend on the level.

    Logarithms of times; for rates, the arc sine of Anscombe (1948, "The transformation of Poisson, binomial and
    negative-binomial data"), which is also defined for nights without any error.
    """
    if unit != "rate":
        return [math.log(max(one.value, MIN_COMPARED_TIME_MS)) for one in nights]
    return [math.asin(math.sqrt(min((one.value * one.n + 0.375) / (one.n + 0.75), 1.0))) for one in nights]


def describe_noise(unit: HistoryUnit, nights: Sequence[NightValue]) -> Noise:
    """Return the spread of transformed values that is assumed before any is measured."""
    if unit != "rate":
        return Noise(DEFAULT_DRIFT, 0.0)
    sampling_spread = 0.5 / math.sqrt(float(np.median([max(one.n, 1) for one in nights])))
    return Noise(sampling_spread, sampling_spread)

"""Groups the metrics of runs into series with one value for each night."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from voicegauge.bench.analysis import DEFAULT_LATENCY_DRIFT, MIN_TIME_FOR_LOGARITHM_MS
from voicegauge.bench.history.history_run import HistoryMetric, HistoryRun, HistoryUnit, HistoryValue
from voicegauge.bench.history.level_shifts import SpreadAssumption
from voicegauge.model import Provenance, Record


class NightValue(Record, frozen=True, kw_only=True):
    """The value of one metric of one target on one night."""

    night: str
    """Calendar day, UTC, on which the runs were started, such as "2026-11-23"."""
    value: float
    """The value. If a night has several runs, times are averaged geometrically, weighted by the number of samples,
    rates are computed over all samples, and the latest price is taken."""
    observation_count: int = msgspec.field(name="n")
    """Number of samples; for error rates, of words or characters."""
    run_count: int = msgspec.field(name="runs")


class SeriesKey(Record, frozen=True, kw_only=True):
    """The properties that all values of a series share; runs that differ in one of them are never mixed."""

    provenance: Provenance
    target: str
    metric: HistoryMetric
    unit: HistoryUnit
    region: str | None
    """The region that the runs name; `None` if they name none."""
    configuration: str = msgspec.field(name="setup")
    """Suite, number of texts, load and base URLs; for error rates also the ASR engine and the normalizer."""


class MetricSeries(Record, frozen=True, kw_only=True):
    """One metric of one target over the nights, oldest first."""

    key: SeriesKey
    nights: tuple[NightValue, ...]


def build_series(runs: Iterable[HistoryRun]) -> list[MetricSeries]:
    """Group the metrics of runs into series, sorted by the fields of their keys.

    Args:
        runs: the runs, oldest first.
    """
    grouped: dict[SeriesKey, dict[str, list[HistoryValue]]] = {}
    for run in runs:
        for target in run.targets:
            for history_value in target.metrics:
                key = _build_series_key(run, target.target_id, history_value)
                grouped.setdefault(key, {}).setdefault(run.night, []).append(history_value)
    return [
        MetricSeries(key=key, nights=tuple(_pool_runs(night, found) for night, found in sorted(nights.items())))
        for key, nights in sorted(grouped.items(), key=lambda item: _get_sort_key(item[0]))
    ]


def _build_series_key(run: HistoryRun, target: str, history_value: HistoryValue) -> SeriesKey:
    is_scored = history_value.metric in ("wer", "cer")
    return SeriesKey(
        provenance=run.provenance,
        target=target,
        metric=history_value.metric,
        unit=history_value.unit,
        region=run.region,
        configuration=f"{run.configuration_description}, {run.scoring_description}"
        if is_scored
        else run.configuration_description,
    )


def _get_sort_key(key: SeriesKey) -> tuple[object, ...]:
    metrics = list(HistoryMetric.__args__)  # type: ignore[attr-defined]
    return key.provenance != Provenance.LIVE, key.target, metrics.index(key.metric), key.region or "", key.configuration


def _pool_runs(night: str, history_values: Sequence[HistoryValue]) -> NightValue:
    values = [(one.value, one.observation_count) for one in history_values]
    pooled = (
        history_values[-1].value if history_values[0].unit == "usd" else _pool_values(history_values[0].unit, values)
    )
    return NightValue(night=night, value=pooled, observation_count=sum(n for _, n in values), run_count=len(values))


def _pool_values(unit: HistoryUnit, values_with_counts: Sequence[tuple[float, int]]) -> float:
    total = sum(n for _, n in values_with_counts)
    if unit == "rate":
        return sum(value * n for value, n in values_with_counts) / total
    return math.exp(sum(n * math.log(max(value, MIN_TIME_FOR_LOGARITHM_MS)) for value, n in values_with_counts) / total)


def compute_level(unit: HistoryUnit, night_values: Sequence[NightValue]) -> float:
    """Return the level of a series over `night_values`: the median of times, or the rate over all samples."""
    if unit == "rate":
        return _pool_values(unit, [(one.value, one.observation_count) for one in night_values])
    return float(np.median([one.value for one in night_values]))


def compute_level_change(unit: HistoryUnit, level_before: float, level_after: float) -> float:
    """Return the change of a level: relative for times, the difference for rates."""
    return (
        level_after - level_before if unit == "rate" else level_after / max(level_before, MIN_TIME_FOR_LOGARITHM_MS) - 1
    )


def transform_to_constant_spread(unit: HistoryUnit, night_values: Sequence[NightValue]) -> list[float]:
    """Return the values of `night_values` on a scale on which their spread does not depend on the level.

    These are logarithms of times; for rates, the arc sine of Anscombe (1948, "The transformation of Poisson, binomial
    and negative-binomial data"), which is also defined for nights without any error.
    """
    if unit != "rate":
        return [math.log(max(one.value, MIN_TIME_FOR_LOGARITHM_MS)) for one in night_values]
    return [
        math.asin(math.sqrt(min((one.value * one.observation_count + 0.375) / (one.observation_count + 0.75), 1.0)))
        for one in night_values
    ]


def assume_spread(unit: HistoryUnit, night_values: Sequence[NightValue]) -> SpreadAssumption:
    """Return the assumption about the spread of transformed values that holds until enough nights are measured."""
    if unit != "rate":
        return SpreadAssumption(DEFAULT_LATENCY_DRIFT, 0.0)
    sampling_spread = 0.5 / math.sqrt(float(np.median([max(one.observation_count, 1) for one in night_values])))
    return SpreadAssumption(sampling_spread, sampling_spread)

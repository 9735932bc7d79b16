"""Assembles the history of a folder: series by night, changes of levels, and changes of prices and contracts.

The nights are examined one after the other, each together with the nights before it only, as a nightly job would do.

Each night, the nights since the last shift are segmented by penalized least squares (PELT: Killick,
Fearnhead and Eckley 2012, "Optimal detection of changepoints with a linear computational cost"), by
the implementation of ruptures. Values far from the usual level are clipped first, which bounds the
influence of a single night (compare Fearnhead and Rigaill 2019, "Changepoint detection in the
presence of outliers"): it takes two nights in a row to raise an alert. The penalty is the square of
a quantile of Student's t distribution, because the spread is estimated too. It is estimated from the
differences of consecutive nights (Rice 1984), which a shift hardly influences. As long as there are
few nights, the estimate also depends on an assumed spread.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from voicegauge.bench._change_estimates import DEFAULT_LATENCY_VARIATION
from voicegauge.bench.history_store import (
    UNIT_BY_METRIC,
    VOICE_METRICS,
    HistoryMetric,
    HistoryRun,
    HistoryUnit,
    HistoryValue,
    ProgressReporter,
    SkippedRun,
    has_injected_faults,
    read_runs_in_folder,
)
from voicegauge.bench.resampling import MIN_TIME_FOR_LOGARITHM_MS, FloatArray, load_ruptures, load_scipy
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance, Record
from voicegauge.outputs.result_summary import SummarizedResult

# Finds the nights on which the level of a metric shifted.


MIN_NIGHTS_SINCE_SHIFT = 8
"""Number of nights, from the first one at the present level, below which no further shift is searched for."""
MIN_NIGHTS_BEFORE_SHIFT = 4
"""Smallest number of nights at the old level, before a shift."""
MAX_SEGMENTED_NIGHTS = 60
"""Largest number of nights that are segmented, so that the chance of a false alert does not grow with the history."""
NIGHTS_TO_CONFIRM_SHIFT = 2
"""Number of nights at the new level before an alert."""
_ASSUMED_SPREAD_OF_DELIVERIES_BY_UNIT: dict[HistoryUnit, float] = {"letters/s": 0.04, "hz": 0.04, "similarity": 0.1}
"""How much two deliveries of one text by one voice are assumed to differ: the standard deviation of the logarithm of
pace and frequencies, and of the similarity. It counts until enough nights show it."""
_MIN_VOICE_SPREAD, _DEGREES_OF_FREEDOM_OF_VOICE_SPREAD = 0.003, 12.0
"""Smallest spread between nights of a voice, since some services repeat their audio exactly; and the weight of what is
assumed, in degrees of freedom. It is large, because voices vary far less than latencies between services."""
_UNITS_COMPARED_BY_DIFFERENCE: tuple[HistoryUnit, ...] = ("rate", "similarity")
"""Units of which a change is a difference, not a ratio."""
_INDEPENDENT_TESTS_PER_NIGHT = 3.0
"""Number of independent tests by which the significance level is corrected for each night. Every earlier night is
tested as the start of a shift, but these tests are correlated: together they raise as many false alerts as about three
independent ones (measured by the benchmark `history_alerts`)."""
_CLIPPING_LIMIT_RELATIVE_TO_THRESHOLD = 0.9
"""Limit at which values are clipped, divided by the threshold of a shift. Below 1, so that one night cannot exceed the
threshold, but two nights in a row can."""


class LevelShift(NamedTuple):
    """A lasting change of the level of a series, with the indices of its first night and of its confirmation."""

    first_night_index: int
    confirmation_night_index: int


class SpreadAssumption(NamedTuple):
    """What is assumed about the spread of a series between nights before enough nights are measured."""

    assumed_spread: float
    """Standard deviation that is assumed until enough nights show it."""
    min_spread: float
    """Lower limit of the standard deviation, because the samples of one night already differ by chance; 0 for none."""
    degrees_of_freedom: float = 3.0
    """Weight of the assumed spread, in degrees of freedom, beside the spread that is measured."""


def find_level_shifts(
    transformed_values: Sequence[float],
    sample_counts: Sequence[int],
    spread_assumption: SpreadAssumption,
    *,
    alpha: float,
    is_difference_relevant: Callable[[int, int, int], bool],
) -> list[LevelShift]:
    """Return the shifts of a series. Each one is found without the nights after its confirmation.

    Args:
        transformed_values: the value of each night, oldest first, transformed so that large values spread no more than
            small ones.
        sample_counts: number of samples of each night; nights with fewer than usual count as less certain.
        spread_assumption: what is assumed about the spread.
        alpha: probability that a night falsely confirms a shift.
        is_difference_relevant: function (index of the first night before a shift, index of the first night since it,
            index after the last night) that returns whether the levels differ by enough to matter.
    """
    shifts: list[LevelShift] = []
    values, counts = np.asarray(transformed_values, dtype=np.float64), np.asarray(sample_counts, dtype=np.float64)
    start = 0
    for night in range(len(values)):
        start = max(start, night + 1 - MAX_SEGMENTED_NIGHTS)
        if night + 1 - start < MIN_NIGHTS_SINCE_SHIFT:
            continue
        first_night_index = _find_latest_shift(
            values[: night + 1], counts[: night + 1], start, spread_assumption, alpha
        )
        if first_night_index is not None and is_difference_relevant(start, first_night_index, night + 1):
            shifts.append(LevelShift(first_night_index, night))
            start = first_night_index
    return shifts


def _find_latest_shift(
    transformed_values: FloatArray,
    sample_counts: FloatArray,
    start_index: int,
    spread_assumption: SpreadAssumption,
    alpha: float,
) -> int | None:
    """Divide the nights from `start_index` into segments, and return the index of the first night of the latest one.

    Return `None` if there is only one segment, so that the level has not shifted.
    """
    spread, degrees_of_freedom = _estimate_spread(transformed_values, spread_assumption)
    threshold = _compute_shift_threshold(alpha / _INDEPENDENT_TESTS_PER_NIGHT, round(degrees_of_freedom))
    values, counts = transformed_values[start_index:], sample_counts[start_index:]
    # Without the latest nights, which may already be at a new level.
    usual_level = np.median(values[:-NIGHTS_TO_CONFIRM_SHIFT])
    uncertainty = np.sqrt(np.maximum(1.0, np.median(counts) / np.maximum(counts, 1.0)))
    limit = _CLIPPING_LIMIT_RELATIVE_TO_THRESHOLD * threshold
    scores = np.clip((values - usual_level) / (spread * uncertainty), -limit, limit)
    segmentation = load_ruptures().KernelCPD(kernel="linear", min_size=NIGHTS_TO_CONFIRM_SHIFT)
    *shifts, _end = segmentation.fit(scores.reshape(-1, 1)).predict(pen=threshold**2)
    return start_index + int(shifts[-1]) if shifts and shifts[-1] >= MIN_NIGHTS_BEFORE_SHIFT else None


def _estimate_spread(transformed_values: FloatArray, spread_assumption: SpreadAssumption) -> tuple[float, float]:
    """Return the standard deviation of nights around an unchanged level, and its degrees of freedom."""
    differences = np.diff(transformed_values)
    limit = 3 * 1.4826 * np.median(np.abs(differences))  # three standard deviations, estimated robustly
    variance = float(np.mean(np.clip(differences, -limit, limit) ** 2)) / 2
    freedom = 0.6 * len(differences)  # neighboring differences share a night
    assumed_spread, min_spread, assumed_freedom = spread_assumption
    total = freedom + assumed_freedom
    pooled = (assumed_freedom * assumed_spread**2 + freedom * variance) / total
    return max(pooled**0.5, min_spread), total


@cache
def _compute_shift_threshold(alpha: float, degrees_of_freedom: int) -> float:
    """Return the number of standard deviations that chance exceeds, in either direction, with probability `alpha`."""
    return float(load_scipy("stats").t.isf(alpha / 2, degrees_of_freedom))


# Groups the metrics of runs into series with one value for each night.


class NightValue(Record, frozen=True, kw_only=True):
    """The value of one metric of one target on one night."""

    night: str
    """Calendar day, UTC, on which the runs were started, such as "2026-11-23"."""
    value: float
    """The value. If a night has several runs, times are averaged geometrically, weighted by the number of samples,
    rates are computed over all samples, and the latest price is taken."""
    observation_count: int
    """Number of samples; for error rates, of words or characters."""
    run_count: int
    """Number of runs of the night."""
    left_out_count: int = 0
    """For metrics of a voice, the number of further clips that do not count: wrong ones, and copies of another clip."""


class SeriesKey(Record, frozen=True, kw_only=True):
    """The properties that all values of a series share; runs that differ in one of them are never mixed."""

    provenance: Provenance
    target: str
    metric: HistoryMetric
    unit: HistoryUnit
    region: str | None
    """The region that the runs name; `None` if they name none."""
    place: str | None
    """The place of the workers that measured the values; `None` if one machine sent all requests."""
    configuration: str
    """Suite, number of texts, load, base URLs, and the places that share the load; for error rates also the
    ASR engine and the normalizer."""

    @property
    def origin(self) -> str | None:
        """From where the values were measured: the place, or else the region; `None` if neither is known."""
        return self.place if self.place is not None else self.region


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

    def build_sort_key(key: SeriesKey) -> tuple[object, ...]:
        # Services before emulators, and what was measured without injected faults before the rest.
        is_emulated, metric_index = key.provenance != Provenance.LIVE, list(UNIT_BY_METRIC).index(key.metric)
        origin, configuration = (key.region or "", key.place or ""), key.configuration
        return is_emulated, key.target, metric_index, origin, has_injected_faults(configuration), configuration

    return [
        MetricSeries(key=key, nights=tuple(_pool_runs(night, found) for night, found in sorted(grouped[key].items())))
        for key in sorted(grouped, key=build_sort_key)
    ]


def _build_series_key(run: HistoryRun, target: str, history_value: HistoryValue) -> SeriesKey:
    # Judged by another engine or in another way, a run is in another series.
    voice = run.voice_sample_description
    method = {
        "wer": run.scoring_description,
        "cer": run.scoring_description,
        "wrong_audio": run.listening_description,
        **dict.fromkeys(VOICE_METRICS, voice or None),
        "voice_similarity": f"{run.voice_encoder_description}, {voice}",
    }.get(history_value.metric)
    return SeriesKey(
        provenance=run.provenance,
        target=target,
        metric=history_value.metric,
        unit=history_value.unit,
        region=run.region,
        place=run.place or None,
        configuration=run.configuration_description if method is None else f"{run.configuration_description}, {method}",
    )


def _pool_runs(night: str, history_values: Sequence[HistoryValue]) -> NightValue:
    unit = history_values[0].unit
    return NightValue(
        night=night,
        value=history_values[-1].value if unit == "usd" else _pool_values(unit, history_values),
        observation_count=sum(one.observation_count for one in history_values),
        run_count=len(history_values),
        left_out_count=sum(one.left_out_count for one in history_values),
    )


def _pool_values(unit: HistoryUnit, values: Sequence[HistoryValue | NightValue]) -> float:
    """Return the mean, weighted by the numbers of observations: the geometric one of times, paces and frequencies."""
    total = sum(one.observation_count for one in values)
    if unit in _UNITS_COMPARED_BY_DIFFERENCE:
        return sum(one.value * one.observation_count for one in values) / total
    logs = (one.observation_count * math.log(max(one.value, MIN_TIME_FOR_LOGARITHM_MS)) for one in values)
    return math.exp(sum(logs) / total)


def compute_level(unit: HistoryUnit, night_values: Sequence[NightValue]) -> float:
    """Return the level of a series over `night_values`: the median, or of rates and similarities the mean."""
    if unit in _UNITS_COMPARED_BY_DIFFERENCE:
        return _pool_values(unit, night_values)
    return float(np.median([one.value for one in night_values]))


def compute_level_change(unit: HistoryUnit, level_before: float, level_after: float) -> float:
    """Return the change of a level: relative for times, paces and frequencies, the difference for the others."""
    if unit in _UNITS_COMPARED_BY_DIFFERENCE:
        return level_after - level_before
    return level_after / max(level_before, MIN_TIME_FOR_LOGARITHM_MS) - 1


def transform_to_constant_spread(unit: HistoryUnit, night_values: Sequence[NightValue]) -> list[float]:
    """Return the values of `night_values` on a scale on which their spread does not depend on the level.

    These are logarithms of times, paces and frequencies, and similarities themselves; for rates, the arc sine of
    Anscombe (1948, "The transformation of Poisson, binomial and negative-binomial data"), which is also defined for
    nights without any error.
    """
    if unit == "similarity":
        return [one.value for one in night_values]
    if unit != "rate":
        return [math.log(max(one.value, MIN_TIME_FOR_LOGARITHM_MS)) for one in night_values]
    return [
        math.asin(math.sqrt(min((one.value * one.observation_count + 0.375) / (one.observation_count + 0.75), 1.0)))
        for one in night_values
    ]


def assume_spread(unit: HistoryUnit, night_values: Sequence[NightValue]) -> SpreadAssumption:
    """Return the assumption about the spread of transformed values that holds until enough nights are measured."""
    usual_count = float(np.median([max(one.observation_count, 1) for one in night_values]))
    if unit in _ASSUMED_SPREAD_OF_DELIVERIES_BY_UNIT:
        assumed = max(_ASSUMED_SPREAD_OF_DELIVERIES_BY_UNIT[unit] / math.sqrt(usual_count), _MIN_VOICE_SPREAD)
        return SpreadAssumption(assumed, _MIN_VOICE_SPREAD, _DEGREES_OF_FREEDOM_OF_VOICE_SPREAD)
    if unit != "rate":
        return SpreadAssumption(DEFAULT_LATENCY_VARIATION, 0.0)
    sampling_spread = 0.5 / math.sqrt(usual_count)
    return SpreadAssumption(sampling_spread, sampling_spread)


class HistorySettings(Record, frozen=True, kw_only=True):
    """Statistical settings of a history, and the smallest changes that matter."""

    alpha: float = 0.01
    """Probability that a night without a change raises any alert."""
    min_slowdown: float = 0.05
    """Smallest relative change of a time that matters (0.1 is 10%); smaller ones are ignored, even if significant."""
    min_rate_change: float = 0.02
    """Smallest change of an error or failure rate that matters; 0.02 is two percentage points."""
    voice_alpha: float = 0.001
    """Nominal probability that a night without a change raises any alert about a voice. Fewer do, because a change must
    also be as large as `min_voice_change`: none of 300 simulated histories of 100 nights had one."""
    min_voice_change: float = 0.025
    """Smallest relative change of pace, pitch or spectrum that matters."""
    min_similarity_change: float = 0.15
    """Smallest change of the similarity to the voice sample that matters."""

    def get_min_change(self, unit: HistoryUnit) -> float:
        """Return the smallest change that matters of a metric with this unit."""
        return {
            "rate": self.min_rate_change,
            "letters/s": self.min_voice_change,
            "hz": self.min_voice_change,
            "similarity": self.min_similarity_change,
        }.get(unit, self.min_slowdown)


class LevelChange(Record, frozen=True, kw_only=True):
    """A change of the level of a metric from one night on, confirmed by two nights in a row."""

    series_key: SeriesKey
    direction: Literal["regression", "improvement"]
    """Any change of a voice is a regression."""
    first_night: str
    """The first night at the new level."""
    confirmation_night: str
    """The night that confirmed the change, because it was the second in a row at the new level."""
    is_new: bool
    """Whether `confirmation_night` is the latest night of the history with this provenance."""
    level_before: float
    """Level of the nights before the change, in the unit of the metric: median, or rate over all samples."""
    level_after: float
    """Level from the first night of the change to its confirmation."""
    change: float
    """Change of the level: relative for times, paces and frequencies, the difference for rates and similarities."""


EventKind = Literal["price", "contract", "voicegauge"]
"""What changed between two runs."""


class HistoryEvent(Record, frozen=True, kw_only=True):
    """A change of a price, of a contract or of voicegauge itself between one run and the next.

    Changes of measured values are not events.
    """

    night: str
    """The night of the first run with the new value."""
    provenance: Provenance
    kind: EventKind
    target: str | None
    """Id of the target; `None` for another version of voicegauge, which may measure in another way."""
    is_new: bool
    """Whether `night` is the latest night of the history with this provenance."""
    old_value: str
    """The value of the runs before."""
    new_value: str
    """The new value: the price in words; version and digest of the contract; or the version of voicegauge."""


class LostSamples(Record, frozen=True, kw_only=True):
    """Samples of one target in one run, from one place, that were sent and have no saved result."""

    night: str
    """The night of the run."""
    provenance: Provenance
    target: str
    """Id of the target."""
    origin: str | None
    """The place of the workers, or else the region; `None` if the run names neither."""
    run_file_path: str
    """Path of the run's run.json, relative to the folder of the history."""
    lost_count: int
    """Number of samples that were sent, but have no saved result."""
    sent_count: int
    """Number of samples that were sent, with the lost ones and without warm-up."""
    is_new: bool
    """Whether `night` is the latest night of the history with this provenance."""


class RunHistory(SummarizedResult, frozen=True, kw_only=True):
    """The history of a folder of runs: the JSON that `voicegauge history --json` writes."""

    schema: str = "voicegauge/history/1"
    folder: str
    settings: HistorySettings
    run_count: int
    """Number of runs, without those that were left out; a run from several places counts once."""
    nights: tuple[str, ...]
    """The nights with a run, oldest first."""
    regions: tuple[str, ...]
    """The regions that runs name."""
    places: tuple[str, ...]
    """The places of the workers that measured runs."""
    series: tuple[MetricSeries, ...]
    changes: tuple[LevelChange, ...]
    """Changes of levels, in the order in which they were confirmed."""
    events: tuple[HistoryEvent, ...]
    """Changes of prices, contracts and of voicegauge, oldest first."""
    skipped_runs: tuple[SkippedRun, ...]
    lost_samples: tuple[LostSamples, ...] = ()
    """What was sent and has no result, oldest first. No metric counts it."""

    @property
    def new_regressions(self) -> tuple[LevelChange, ...]:
        """The alerts: regressions that the latest night has confirmed."""
        return tuple(change for change in self.changes if change.is_new and change.direction == "regression")

    @property
    def has_series_long_enough(self) -> bool:
        """Whether at least one series has enough nights to find a change of its level."""
        return any(len(one.nights) >= MIN_NIGHTS_SINCE_SHIFT for one in self.series if one.key.unit != "usd")

    @property
    def has_new_change(self) -> bool:
        """Whether anything changed on the latest night: a level, for better or worse, a price or a contract."""
        return any(change.is_new for change in self.changes) or any(event.is_new for event in self.events)


def read_run_history(
    folder: Path,
    settings: HistorySettings | None = None,
    report_progress: ProgressReporter = lambda _done, _total: None,
) -> RunHistory:
    """Read the runs below a folder, and find what has changed over the nights.

    Args:
        folder: the folder with the folders of runs.
        settings: statistical settings; `None` for the defaults.
        report_progress: see `ProgressReporter`.

    Raises:
        DataError: the folder cannot be read, or contains no usable run.
    """
    settings = settings or HistorySettings()
    runs, skipped = read_runs_in_folder(folder, report_progress)
    if not runs:
        more = f" ({len(skipped) - 1} more left out)" if len(skipped) > 1 else ""
        first = skipped[0] if skipped else None
        advice = f"{first.path} {first.reason}{more}" if first else f"save some with `voicegauge bench --out {folder}`"
        raise DataError(f"{folder}: contains no finished run: {advice}")
    series = build_series(runs)
    return RunHistory(
        folder=str(folder),
        settings=settings,
        run_count=len({run.run_file_path for run in runs}),
        nights=tuple(sorted({run.night for run in runs})),
        regions=tuple(sorted({run.region for run in runs if run.region is not None})),
        places=tuple(sorted({run.place for run in runs if run.place})),
        series=tuple(series),
        changes=tuple(find_level_changes(series, settings)),
        events=tuple(find_history_events(runs)),
        skipped_runs=tuple(skipped),
        lost_samples=tuple(find_lost_samples(runs)),
    )


def find_level_changes(series: Sequence[MetricSeries], settings: HistorySettings) -> list[LevelChange]:
    """Return the changes of the levels of all series except the series of prices.

    Prices are known exactly, so `find_history_events` reports their changes. For each provenance, the false alarm
    probability `settings.voice_alpha` is divided equally among the series of voices, and `settings.alpha` among the
    others.
    """
    judged = [one for one in series if one.key.unit != "usd"]
    latest_nights = {key: night for night, key in sorted((one.nights[-1].night, one.key.provenance) for one in judged)}
    # A night raises a false alert with probability alpha in all series together, however many targets there are.
    families = Counter((one.key.provenance, one.key.metric in VOICE_METRICS) for one in judged)
    changes: list[LevelChange] = []
    for one in judged:
        provenance, is_voice = one.key.provenance, one.key.metric in VOICE_METRICS
        alpha = (settings.voice_alpha if is_voice else settings.alpha) / families[provenance, is_voice]
        changes += _find_changes_of_series(one, settings, alpha, latest_nights[provenance])
    return sorted(changes, key=lambda change: change.confirmation_night)


def _find_changes_of_series(
    series: MetricSeries, settings: HistorySettings, alpha: float, latest_night: str
) -> list[LevelChange]:
    unit, nights = series.key.unit, series.nights
    min_change = settings.get_min_change(unit)

    def compute_levels_around_shift(start_index: int, first_night_index: int, end_index: int) -> tuple[float, float]:
        """Return the level of the nights before a shift, and that of the nights since its first one."""
        before, after = nights[start_index:first_night_index], nights[first_night_index:end_index]
        return compute_level(unit, before), compute_level(unit, after)

    shifts = find_level_shifts(
        transform_to_constant_spread(unit, nights),
        [one.observation_count for one in nights],
        assume_spread(unit, nights),
        alpha=alpha,
        is_difference_relevant=lambda start, first_night, end: (
            abs(compute_level_change(unit, *compute_levels_around_shift(start, first_night, end))) >= min_change
        ),
    )
    changes = []
    starts = [0, *(shift.first_night_index for shift in shifts)]
    for start, (first, confirmation) in zip(starts, shifts, strict=False):
        before, after = compute_levels_around_shift(start, first, confirmation + 1)
        changes.append(
            LevelChange(
                series_key=series.key,
                direction="regression" if after > before or series.key.metric in VOICE_METRICS else "improvement",
                first_night=nights[first].night,
                confirmation_night=nights[confirmation].night,
                is_new=nights[confirmation].night == latest_night,
                level_before=before,
                level_after=after,
                change=compute_level_change(unit, before, after),
            )
        )
    return changes


def find_history_events(runs: Sequence[HistoryRun]) -> list[HistoryEvent]:
    """Return the changes of prices, contracts and voicegauge from one run to the next; `runs` are oldest first."""
    latest_nights = {run.provenance: run.night for run in runs}
    latest: dict[tuple[Provenance, str, str | None], str] = {}
    events: list[HistoryEvent] = []
    for run in runs:
        for kind, target, fact in _iterate_tracked_facts(run):
            key = run.provenance, kind, target
            before = latest.get(key, fact)
            latest[key] = fact
            if before != fact:
                events.append(
                    HistoryEvent(
                        night=run.night,
                        provenance=run.provenance,
                        kind=kind,
                        target=target,
                        is_new=run.night == latest_nights[run.provenance],
                        old_value=before,
                        new_value=fact,
                    )
                )
    return events


def find_lost_samples(runs: Sequence[HistoryRun]) -> list[LostSamples]:
    """Return which samples were sent and have no result, for each run, place and target; `runs` are oldest first."""
    latest_nights = {run.provenance: run.night for run in runs}
    return [
        LostSamples(
            night=run.night,
            provenance=run.provenance,
            target=target.target_id,
            origin=run.place or run.region,
            run_file_path=run.run_file_path,
            lost_count=target.lost_count,
            sent_count=target.counted_count + target.lost_count,
            is_new=run.night == latest_nights[run.provenance],
        )
        for run in runs
        for target in run.targets
        if target.lost_count
    ]


def _iterate_tracked_facts(run: HistoryRun) -> Iterator[tuple[EventKind, str | None, str]]:
    """Yield facts whose changes are events: their kind, the target (`None` if they are of none), and their value."""
    yield "voicegauge", None, run.voicegauge_version
    for target in run.targets:
        yield "price", target.target_id, target.price_text
        yield "contract", target.target_id, f"{target.contract_version} ({target.contract_sha256[:8]})"

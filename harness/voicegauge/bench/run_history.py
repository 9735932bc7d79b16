"""Assembles the history of a folder: series by night, changes of levels, and changes of prices and contracts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from voicegauge.bench.history_runs import (
    VOICE_METRICS,
    HistoryRun,
    HistoryTarget,
    HistoryUnit,
    ProgressReporter,
    SkippedRun,
    read_runs_in_folder,
)
from voicegauge.bench.metric_series import (
    MIN_NIGHTS_SINCE_SHIFT,
    LevelShift,
    MetricSeries,
    NightValue,
    SeriesKey,
    assume_spread,
    build_series,
    compute_level,
    compute_level_change,
    find_level_shifts,
    transform_to_constant_spread,
)
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance, Record
from voicegauge.outputs.result_summary import SummarizedResult


class HistorySettings(Record, frozen=True, kw_only=True):
    """Statistical settings of a history, and the smallest changes that matter."""

    alpha: float = 0.01
    """Probability that a night without a change raises any alert."""
    min_slowdown: float = 0.05
    """Smallest relative change of a time that matters (0.1 is 10%); smaller ones are ignored, even if significant."""
    min_rate_change: float = 0.02
    """Smallest change of an error or failure rate that matters; 0.02 is two percentage points."""
    voice_alpha: float = 0.0001
    """Probability that a night without a change raises any alert about a voice: 1% over 100 nights."""
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


class HistoryEvent(Record, frozen=True, kw_only=True):
    """A change of a price, of a contract or of voicegauge itself between one run and the next.

    Changes of measured values are not events.
    """

    night: str
    provenance: Provenance
    kind: Literal["price", "contract", "voicegauge"]
    target: str | None
    """Id of the target; `None` for another version of voicegauge, which may measure in another way."""
    is_new: bool
    """Whether `night` is the latest night of the history with this provenance."""
    old_value: str
    new_value: str
    """The new value: the price in words; version and digest of the contract; or the version of voicegauge."""


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
        settings: statistical settings.
        report_progress: see `ProgressReporter`.

    Raises:
        DataError: the folder cannot be read, or contains no usable run.
    """
    settings = settings or HistorySettings()
    runs, skipped = read_runs_in_folder(folder, report_progress)
    if not runs:
        if not skipped:
            raise DataError(f"{folder}: contains no finished run: save some with `voicegauge bench --out {folder}`")
        more = f" ({len(skipped) - 1} more left out)" if len(skipped) > 1 else ""
        raise DataError(f"{folder}: contains no finished run: {skipped[0].path} {skipped[0].reason}{more}")
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
        events=tuple(find_events(runs)),
        skipped_runs=tuple(skipped),
    )


def find_level_changes(series: Sequence[MetricSeries], settings: HistorySettings) -> list[LevelChange]:
    """Return the changes of the levels of all series except the series of prices.

    Prices are known exactly, so `find_events` reports their changes. For each provenance, the false alarm probability
    `settings.voice_alpha` is divided equally among the series of voices, and `settings.alpha` among the others.
    """
    judged = [one for one in series if one.key.unit != "usd"]
    latest_nights = {one.key.provenance: one.nights[-1].night for one in sorted(judged, key=_get_latest_night)}
    changes: list[LevelChange] = []
    for one in judged:
        provenance = one.key.provenance
        is_voice = one.key.metric in VOICE_METRICS
        alpha = (settings.voice_alpha if is_voice else settings.alpha) / sum(
            other.key.provenance == provenance and (other.key.metric in VOICE_METRICS) == is_voice for other in judged
        )
        changes += _find_changes_of_series(one, settings, alpha, latest_nights[provenance])
    return sorted(changes, key=lambda change: change.confirmation_night)


def _get_latest_night(series: MetricSeries) -> str:
    return series.nights[-1].night


def _find_changes_of_series(
    series: MetricSeries, settings: HistorySettings, alpha: float, latest_night: str
) -> list[LevelChange]:
    unit, nights = series.key.unit, series.nights
    min_change = settings.get_min_change(unit)

    def compute_levels(nights_before: range, nights_after: range) -> tuple[float, float]:
        return compute_level(unit, _select_nights(nights, nights_before)), compute_level(
            unit, _select_nights(nights, nights_after)
        )

    shifts = find_level_shifts(
        transform_to_constant_spread(unit, nights),
        [one.observation_count for one in nights],
        assume_spread(unit, nights),
        alpha=alpha,
        is_difference_relevant=lambda before, after: (
            abs(compute_level_change(unit, *compute_levels(before, after))) >= min_change
        ),
    )
    starts = [0, *(shift.first_night_index for shift in shifts)]
    return [
        _build_change(
            series,
            shift,
            compute_levels(
                range(start, shift.first_night_index),
                range(shift.first_night_index, shift.confirmation_night_index + 1),
            ),
            latest_night,
        )
        for start, shift in zip(starts, shifts, strict=False)
    ]


def _select_nights(night_values: Sequence[NightValue], night_range: range) -> Sequence[NightValue]:
    return night_values[night_range.start : night_range.stop]


def _build_change(
    series: MetricSeries, shift: LevelShift, levels: tuple[float, float], latest_night: str
) -> LevelChange:
    before, after = levels
    confirmation_night = series.nights[shift.confirmation_night_index].night
    return LevelChange(
        series_key=series.key,
        direction="regression" if after > before or series.key.metric in VOICE_METRICS else "improvement",
        first_night=series.nights[shift.first_night_index].night,
        confirmation_night=confirmation_night,
        is_new=confirmation_night == latest_night,
        level_before=before,
        level_after=after,
        change=compute_level_change(series.key.unit, before, after),
    )


def find_events(runs: Sequence[HistoryRun]) -> list[HistoryEvent]:
    """Return the changes of prices, contracts and voicegauge from one run to the next; `runs` are oldest first."""
    latest_nights = {run.provenance: run.night for run in runs}
    latest: dict[tuple[Provenance, str, str | None], str] = {}
    events: list[HistoryEvent] = []
    for run in runs:
        for kind, target, fact in _list_tracked_facts(run):
            key = run.provenance, kind, target
            before = latest.get(key, fact)
            latest[key] = fact
            if before != fact:
                event = HistoryEvent(
                    night=run.night,
                    provenance=run.provenance,
                    kind=kind,
                    target=target,
                    is_new=run.night == latest_nights[run.provenance],
                    old_value=before,
                    new_value=fact,
                )
                events.append(event)
    return events


def _list_tracked_facts(run: HistoryRun) -> list[tuple[Literal["price", "contract", "voicegauge"], str | None, str]]:
    facts: list[tuple[Literal["price", "contract", "voicegauge"], str | None, str]] = [
        ("voicegauge", None, run.voicegauge_version)
    ]
    for target in run.targets:
        facts += [
            ("price", target.target_id, target.price_text),
            ("contract", target.target_id, _describe_contract(target)),
        ]
    return facts


def _describe_contract(target: HistoryTarget) -> str:
    return f"{target.contract_version} ({target.contract_sha256[:8]})"

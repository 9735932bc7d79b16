"""Follows metrics over the saved runs of a folder, night by night, and finds when their level changed."""

from voicegauge.bench.history.history_run import (
    HistoryMetric,
    HistoryRun,
    HistoryUnit,
    compute_run_metrics,
    has_injected_faults,
)
from voicegauge.bench.history.history_store import STORE_FILE_NAME
from voicegauge.bench.history.level_shifts import (
    MIN_NIGHTS_SINCE_SHIFT,
    LevelShift,
    SpreadAssumption,
    find_level_shifts,
)
from voicegauge.bench.history.metric_series import MetricSeries, NightValue, SeriesKey, build_series
from voicegauge.bench.history.run_folders import ProgressReporter, SkippedRun
from voicegauge.bench.history.run_history import (
    HistoryEvent,
    HistorySettings,
    LevelChange,
    RunHistory,
    find_level_changes,
    read_run_history,
)

__all__ = [
    "MIN_NIGHTS_SINCE_SHIFT",
    "STORE_FILE_NAME",
    "HistoryEvent",
    "HistoryMetric",
    "HistoryRun",
    "HistorySettings",
    "HistoryUnit",
    "LevelChange",
    "LevelShift",
    "MetricSeries",
    "NightValue",
    "ProgressReporter",
    "RunHistory",
    "SeriesKey",
    "SkippedRun",
    "SpreadAssumption",
    "build_series",
    "compute_run_metrics",
    "find_level_changes",
    "find_level_shifts",
    "has_injected_faults",
    "read_run_history",
]

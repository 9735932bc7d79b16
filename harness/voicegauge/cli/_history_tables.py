"""Prints the tables of `voicegauge history`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from voicegauge.bench.run_history import MetricSeries, RunHistory, SeriesKey
from voicegauge.cli._console import build_rehearsal_label, create_console, create_table, print_table
from voicegauge.model.base import Provenance
from voicegauge.printable_text import format_count
from voicegauge.report.history_page import (
    METRIC_LABELS,
    NOT_JUDGED_TEXT,
    ConfigurationLabels,
    TimelineEntry,
    build_timeline,
    find_nights,
    format_value,
    label_configurations,
    list_provenances,
    name_series,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_SPARKLINE_BLOCKS = "▁▂▃▄▅▆▇█"
MAX_SPARKLINE_NIGHTS = 24
"""Largest number of nights that the trend of a metric shows; these are the latest ones."""
MAX_TIMELINE_ENTRIES = 20
"""Largest number of entries of the time line that are printed, the latest ones."""
MAX_SKIPPED_RUNS_SHOWN = 10
"""Largest number of skipped runs that are printed with the reason."""
_STYLE_BY_CHANGE_KIND = {"regression": "red", "improvement": "green"}


def print_history(history: RunHistory) -> None:
    """Print trends and the time line, live and emulated runs apart, and what was left out."""
    console = create_console()
    for provenance in list_provenances(history):
        _print_history_of_provenance(console, history, provenance)
    for run in history.skipped_runs[:MAX_SKIPPED_RUNS_SHOWN]:
        console.print(f"left out: {run.path}: {run.reason}")
    hidden = len(history.skipped_runs) - MAX_SKIPPED_RUNS_SHOWN
    if hidden > 0:
        console.print(f"left out: {hidden} more; --json lists all")
    if not history.has_series_long_enough:
        console.print(NOT_JUDGED_TEXT)
        return
    alerts = len(history.new_regressions)
    console.print(
        format_count(alerts, "alert") + f" on the latest night, {history.nights[-1]}", style="red" if alerts else ""
    )


def _print_history_of_provenance(console: Console, history: RunHistory, provenance: Provenance) -> None:
    nights = find_nights(history, provenance)
    if provenance is Provenance.LIVE:
        console.print("LIVE", style="bold")
    else:
        console.print(build_rehearsal_label("EMULATED", "these runs measured the emulator, not a provider"))
    console.print(f"{format_count(len(nights), 'night')}, {nights[0]} to {nights[-1]}")
    series = [one for one in history.series if one.key.provenance == provenance]
    configuration_labels = label_configurations(series)
    print_table(console, _build_trend_table(series, configuration_labels))
    if configuration_labels.labels:
        console.print(f"all configurations: {configuration_labels.shared_label}")
    for number, label in enumerate(configuration_labels.labels, 1):
        console.print(f"configuration {number}: {label}")
    for kind, get_origin in _ORIGIN_GETTERS.items():
        origins = list(dict.fromkeys(found for one in series if (found := get_origin(one.key)) is not None))
        if len(origins) > 1:
            print_table(console, _build_origin_table(kind, series, origins, configuration_labels))
    _print_timeline(console, build_timeline(history, provenance))


def _build_trend_table(series: Sequence[MetricSeries], configuration_labels: ConfigurationLabels) -> Table:
    table = create_table(
        "target, metric", "nights", "trend", "first", "latest", right_aligned_columns=("nights", "first", "latest")
    )
    target = None
    for one in series:
        key = one.key
        if key.target != target:
            table.add_row(key.target)
            target = key.target
        values = [night.value for night in one.nights]
        table.add_row(
            f"  {name_series(key, configuration_labels)}",
            str(len(values)),
            draw_sparkline(values[-MAX_SPARKLINE_NIGHTS:]),
            format_value(key.unit, values[0]),
            format_value(key.unit, values[-1]),
        )
    return table


_ORIGIN_GETTERS: dict[str, Callable[[SeriesKey], str | None]] = {
    "region": lambda key: key.region,
    "place": lambda key: key.place,
}


def _build_origin_table(
    kind: str, series: Sequence[MetricSeries], origins: Sequence[str], labels: ConfigurationLabels
) -> Table:
    """Return a table with the latest value of each metric, in a column for each region or place."""
    table = create_table(f"latest value by {kind}", *origins, right_aligned_columns=tuple(origins))
    by_target: dict[str, dict[str, dict[str, str]]] = {}
    for one in series:
        origin = _ORIGIN_GETTERS[kind](one.key)
        if origin is not None:
            number = labels.get_number(one.key.configuration)
            metric = f"{METRIC_LABELS[one.key.metric]}{f' ({number})' if number is not None else ''}"
            values = by_target.setdefault(one.key.target, {}).setdefault(metric, {})
            values[origin] = format_value(one.key.unit, one.nights[-1].value)
    for target, metrics in by_target.items():
        table.add_row(target)
        for metric, values in metrics.items():
            table.add_row(f"  {metric}", *(values.get(origin, "") for origin in origins))
    return table


def draw_sparkline(values: Sequence[float]) -> str:
    """Return one block character for each value, whose height is between the lowest and the highest value."""
    low, high = min(values), max(values)
    steps = len(_SPARKLINE_BLOCKS) - 1
    return "".join(
        _SPARKLINE_BLOCKS[round((value - low) / (high - low) * steps) if high > low else 0] for value in values
    )


def _print_timeline(console: Console, entries: Sequence[TimelineEntry]) -> None:
    if not entries:
        console.print("no change of a level, a price or a contract")
        return
    hidden = len(entries) - MAX_TIMELINE_ENTRIES
    if hidden > 0:
        console.print(f"{format_count(hidden, 'earlier change')}: see --json or --html")
    for entry in entries[-MAX_TIMELINE_ENTRIES:]:
        mark = "NEW " if entry.is_new else ""
        console.print(
            f"{entry.night} {mark}{entry.change_kind}: {entry.subject}: {entry.text}",
            style=_STYLE_BY_CHANGE_KIND.get(entry.change_kind),
        )

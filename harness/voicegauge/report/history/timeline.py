"""Puts changes of levels, prices and contracts on one time line, and formats their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.history import (
    HistoryEvent,
    HistoryMetric,
    HistoryUnit,
    LevelChange,
    MetricSeries,
    RunHistory,
    has_injected_faults,
)
from voicegauge.model import Provenance
from voicegauge.report.text_format import format_ms, format_percent, format_usd

METRIC_LABELS: dict[HistoryMetric, str] = {
    "total_latency_ms": "total latency p50",
    "ttfa_ms": "TTFA p50",
    "wer": "WER",
    "cer": "CER",
    "failures": "failures",
    "usd_per_1m_characters": "$/1M characters",
}
MAX_RELATIVE_CHANGE_SHOWN = 10.0
"""Relative changes above this are shown as ">+1000%", because the exact factor would add no information."""


class TimelineEntry(NamedTuple):
    """One change on the time line."""

    night: str
    """The night after which the change was known."""
    change_kind: Literal["regression", "improvement", "price", "contract", "voicegauge"]
    is_new: bool
    """Whether `night` is the latest night of the history."""
    subject: str
    """Target and metric, or only the target, with the region."""
    text: str
    """The change in words, with the values before and after."""


def build_timeline(history: RunHistory, provenance: Provenance) -> list[TimelineEntry]:
    """Return the changes of the runs of one provenance, oldest first."""
    changes = [describe_change(change) for change in history.changes if change.series_key.provenance == provenance]
    events = [describe_event(event) for event in history.events if event.provenance == provenance]
    return sorted([*changes, *events], key=lambda entry: entry.night)


def find_nights(history: RunHistory, provenance: Provenance) -> list[str]:
    """Return the nights with a run of this provenance, oldest first."""
    series = [one for one in history.series if one.key.provenance == provenance]
    return sorted({value.night for one in series for value in one.nights})


def list_provenances(history: RunHistory) -> list[Provenance]:
    """Return the provenances of the runs, live ones first."""
    return list(dict.fromkeys(one.key.provenance for one in history.series))


class ConfigurationLabels(NamedTuple):
    """Labels that tell configurations apart. A configuration is, for example, a suite, a load and faults."""

    shared_label: str
    """What all configurations have in common; empty if there are no labels."""
    label_by_configuration: dict[str, str]
    """The label of each configuration, by its text: the facts that not all configurations have in common. Empty if
    there is only one configuration."""

    @property
    def labels(self) -> list[str]:
        """The labels, each one once."""
        return list(dict.fromkeys(filter(None, self.label_by_configuration.values())))


def label_configurations(series: Sequence[MetricSeries]) -> ConfigurationLabels:
    """Return labels of the configurations of `series`, so that a table can tell its rows apart.

    There are labels only if a metric of a target was measured in several configurations, or if faults were injected.
    The configurations of error rates also contain the ASR engine. They are compared only with each other, so that their
    labels equal those of the other metrics.
    """
    by_metric: dict[tuple[str, ...], set[str]] = {}
    for one in series:
        by_metric.setdefault((one.key.target, one.key.metric, one.key.region or ""), set()).add(one.key.configuration)
    if not any(len(found) > 1 or any(map(has_injected_faults, found)) for found in by_metric.values()):
        return ConfigurationLabels("", {})
    label_by_configuration: dict[str, str] = {}
    for is_scored in (False, True):
        configurations = sorted(
            {one.key.configuration for one in series if (one.key.metric in ("wer", "cer")) == is_scored}
        )
        label_by_configuration |= _label_differing_facts(configurations)
    first, *others = (one.key.configuration.split(", ") for one in series)
    shared = [fact for fact in first if all(fact in facts for facts in others) and not has_injected_faults(fact)]
    return ConfigurationLabels(", ".join(shared), label_by_configuration)


def _label_differing_facts(configurations: Sequence[str]) -> dict[str, str]:
    """Return a label for each configuration: its facts that at least one other configuration lacks.

    Injected faults are always part of the label. A configuration without such facts is labeled "without ...".
    """
    facts_by_configuration = {configuration: configuration.split(", ") for configuration in configurations}
    differing_facts_by_configuration = {
        configuration: [
            fact
            for fact in facts
            if has_injected_faults(fact) or not all(fact in others for others in facts_by_configuration.values())
        ]
        for configuration, facts in facts_by_configuration.items()
    }
    every = dict.fromkeys(fact for facts in differing_facts_by_configuration.values() for fact in facts)
    without = f"without {', '.join(every)}" if every else ""
    return {
        configuration: ", ".join(facts) or without for configuration, facts in differing_facts_by_configuration.items()
    }


def describe_change(change: LevelChange) -> TimelineEntry:
    """Convert a change of a level to an entry of the time line."""
    key = change.series_key
    region = f" [{key.region}]" if key.region is not None else ""
    values = f"{format_value(key.unit, change.level_before)} to {format_value(key.unit, change.level_after)}"
    return TimelineEntry(
        night=change.confirmation_night,
        change_kind=change.direction,
        is_new=change.is_new,
        subject=f"{key.target}{region}",
        text=f"{METRIC_LABELS[key.metric]} {format_change(key.unit, change.change)}, from {values}, "
        f"since {change.first_night}",
    )


def describe_event(event: HistoryEvent) -> TimelineEntry:
    """Convert a change of a price, a contract or voicegauge to an entry of the time line."""
    return TimelineEntry(
        night=event.night,
        change_kind=event.kind,
        is_new=event.is_new,
        subject=event.target or "voicegauge",
        text=f"{'version' if event.kind == 'voicegauge' else event.kind} from {event.old_value} to {event.new_value}",
    )


def format_value(unit: HistoryUnit, value: float) -> str:
    """Format a value with its unit: "512 ms", "5.1%", "$15.00"."""
    if unit == "ms":
        return f"{format_ms(value)} ms"
    return f"{format_percent(value)}%" if unit == "rate" else format_usd(value)


def format_change(unit: HistoryUnit, change: float) -> str:
    """Format a change: "+38.2%", and "+5.0 points" of a rate."""
    if unit == "rate":
        return f"{100 * change:+.1f} points"
    return ">+1000%" if change > MAX_RELATIVE_CHANGE_SHOWN else f"{change:+.1%}"

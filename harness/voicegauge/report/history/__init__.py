"""Shows the history of a folder of runs: its time line in words, and a page with charts."""

from voicegauge.report.history.history_page import NOT_JUDGED_TEXT, render_history_page
from voicegauge.report.history.timeline import (
    METRIC_LABELS,
    ConfigurationLabels,
    TimelineEntry,
    build_timeline,
    find_nights,
    format_value,
    label_configurations,
    list_provenances,
)

__all__ = [
    "METRIC_LABELS",
    "NOT_JUDGED_TEXT",
    "ConfigurationLabels",
    "TimelineEntry",
    "build_timeline",
    "find_nights",
    "format_value",
    "label_configurations",
    "list_provenances",
    "render_history_page",
]

"""Shows the history of a folder of runs: its time line in words, and a page with charts."""

from voicegauge.report.history.history_page import NOT_JUDGED_TEXT, render_history_page
from voicegauge.report.history.timeline import (
    METRIC_LABELS,
    TimelineEntry,
    build_timeline,
    find_nights,
    format_value,
    list_provenances,
    list_setups_to_show,
)

__all__ = [
    "METRIC_LABELS",
    "NOT_JUDGED_TEXT",
    "TimelineEntry",
    "build_timeline",
    "find_nights",
    "format_value",
    "list_provenances",
    "list_setups_to_show",
    "render_history_page",
]

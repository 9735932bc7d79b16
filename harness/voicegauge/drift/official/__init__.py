"""Compares what a contract takes from a provider's official document with the current version of that document."""

from voicegauge.drift.official.comparison import (
    OfficialComparison,
    OfficialDocument,
    OfficialDriftReport,
    compare_with_official_document,
    find_official_document,
)
from voicegauge.drift.official.markdown import render_official_markdown

__all__ = [
    "OfficialComparison",
    "OfficialDocument",
    "OfficialDriftReport",
    "compare_with_official_document",
    "find_official_document",
    "render_official_markdown",
]

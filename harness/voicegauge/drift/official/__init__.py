"""Compares contracts with the current versions of the official documents from which they were written."""

from voicegauge.drift.official.comparison import (
    OfficialComparison,
    OfficialDriftReport,
    OfficialSource,
    compare_with_official_document,
    find_official_source,
)
from voicegauge.drift.official.markdown import render_official_markdown

__all__ = [
    "OfficialComparison",
    "OfficialDriftReport",
    "OfficialSource",
    "compare_with_official_document",
    "find_official_source",
    "render_official_markdown",
]

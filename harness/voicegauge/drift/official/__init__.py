"""Compares contracts with the current versions of the official documents from which they were written."""

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

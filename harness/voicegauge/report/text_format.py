"""Formats numbers, intervals and untrusted text for a report."""

from __future__ import annotations

import math

from voicegauge.bench.analysis import Estimate

RANGE_DASH = "\N{EN DASH}"
"""Character between the ends of an interval."""
MISSING_TEXT = RANGE_DASH
"""Text shown instead of a missing number."""
UNKNOWN_INTERVAL_END_TEXT = "?"
"""Text shown instead of an end of an interval for which there are too few samples."""


def shorten_to_one_line(text: str, max_characters: int) -> str:
    """Join `text` into one line and cut it to `max_characters` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_characters else line[: max_characters - 1].rstrip() + "…"


def capitalize_sentence(text: str) -> str:
    """Capitalize the first letter of a sentence, unless its first word is the id of a target."""
    return text if "/" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def format_number(value: float | None, decimals: int = 0) -> str:
    """Format a number with thousands separators: "1,234"."""
    return MISSING_TEXT if value is None else f"{value:,.{decimals}f}"


def format_ms(value: float | None) -> str:
    """Format milliseconds with one decimal below 10, because an integer would be too coarse, and none above."""
    # 9.95 and above would be printed as 10.0.
    return format_number(value, 1 if value and value < 9.95 else 0)


def format_duration(duration_ms: float) -> str:
    """Format a time for an axis: "250 ms", "1.5 s", "120 s"."""
    if duration_ms < 1_000:
        return f"{duration_ms:g} ms"
    return f"{duration_ms / 1000:g} s"


def format_percent(rate: float | None) -> str:
    """Format a rate as a percentage without the percent sign: 1 becomes "100.0"."""
    return format_number(None if rate is None else rate * 100, 1)


def format_usd(value: float | None) -> str:
    """Format a price with two decimals from one dollar, otherwise with four, so that $0.0150 and $0.0025 line up.

    A price too small for four decimals gets two significant digits, so that only a price of zero is shown as zero.
    """
    if value is None:
        return MISSING_TEXT
    if 0 < value < 0.001:
        return f"${value:.{1 - math.floor(math.log10(value))}f}"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def format_interval(estimate: Estimate, scale: float = 1, decimals: int | None = None) -> str:
    """Format the ends of an interval, with a question mark for a missing end; empty if both ends are missing.

    Args:
        estimate: the estimate with its interval.
        scale: factor applied to both ends; 100 for percentages.
        decimals: number of decimals of both ends; by default as in `format_ms`.
    """
    if estimate.low is None and estimate.high is None:
        return ""

    def format_end(interval_end: float | None) -> str:
        if interval_end is None:
            return UNKNOWN_INTERVAL_END_TEXT
        return format_ms(interval_end * scale) if decimals is None else format_number(interval_end * scale, decimals)

    return f"{format_end(estimate.low)}{RANGE_DASH}{format_end(estimate.high)}"

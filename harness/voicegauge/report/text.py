"""Numbers and other people's words, as a reader sees them."""

from __future__ import annotations

import math
import re

from voicegauge.bench.analysis import Estimate

DASH = "\N{EN DASH}"
"""Between the ends of an interval."""
NONE = DASH
"""Stands where there is no number."""
UNKNOWN_END = "?"
"""Stands for the end of an interval that the data do not give."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls; an HTML page may not hold them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, which reorder what a reader sees
    "\u2028\u2029\ufeff\ufdd0-\ufdef\ufffe\uffff"  # line separators, byte order mark, no characters at all
    "\ud800-\udfff]"  # halves of a character, which UTF-8 cannot write
)


def visible(text: str) -> str:
    """`text` with each character that hides, reorders or breaks other text written as its code point."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shorten(text: str, length: int) -> str:
    """`text` on one line, cut to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def number(value: float | None, decimals: int = 0) -> str:
    """A number with thousands separated: "1,234"."""
    return NONE if value is None else f"{value:,.{decimals}f}"


def milliseconds(value: float | None) -> str:
    """Whole milliseconds; one decimal below 10, where a whole one would be coarse."""
    return number(value, 1 if value and value < 9.95 else 0)


def duration(ms: float) -> str:
    """A time on an axis: "250 ms", "1.5 s", "120 s"."""
    if ms < 1_000:
        return f"{ms:g} ms"
    return f"{ms / 1000:g} s"


def percent(rate: float | None) -> str:
    """A rate of 1 as 100.0."""
    return number(None if rate is None else rate * 100, 1)


def usd(value: float | None) -> str:
    """A price: cents from a dollar on, else four decimals, so that $0.0150 stands above $0.0025.

    One too small for them has two digits, so that only what is free costs nothing.
    """
    if value is None:
        return NONE
    if 0 < value < 0.001:
        return f"${value:.{1 - math.floor(math.log10(value))}f}"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def interval(estimate: Estimate, scale: float = 1, decimals: int | None = None) -> str:
    """The ends of an interval, a question mark where one is not known; empty where neither is."""
    ends = (estimate.low, estimate.high)
    if ends == (None, None):
        return ""

    def end(value: float | None) -> str:
        if value is None:
            return UNKNOWN_END
        return milliseconds(value * scale) if decimals is None else number(value * scale, decimals)

    return f"{end(ends[0])}{DASH}{end(ends[1])}"

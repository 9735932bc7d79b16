"""Formats numbers, intervals and lists of targets as phrases for sentences."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.bench.analysis import DifferenceInterval, Estimate
from voicegauge.report.text_format import format_interval, format_ms, format_percent

MAX_NAMED_TARGETS = 3
"""Largest number of targets that a sentence names; if there are more, it counts the others."""


def join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def format_target_names(targets: Sequence[str], first_target: str) -> str:
    """Return the names of at most three targets, beginning with `first_target`, and the number of the others."""
    names = [first_target, *(target for target in targets if target != first_target)]
    others = len(names) - MAX_NAMED_TARGETS
    if others > 0:
        return f"{', '.join(names[:MAX_NAMED_TARGETS])} and {format_count_with_noun(others, 'other')}"
    return join_words(names)


def format_count_with_noun(count: int, singular_noun: str) -> str:
    """Return a number, with commas between thousands, and its noun: "1 target", "3,000 targets"."""
    return f"{count:,} {singular_noun}{'' if count == 1 else 's'}"


def format_factor(interval: DifferenceInterval) -> str:
    """Format an interval of a factor: "1.8 to 2.1 times"."""
    low, high = (_format_one_factor(end) for end in interval)
    if low == "1.00":
        return f"up to {high} times"
    return f"{low} times" if low == high else f"{low} to {high} times"


def _format_one_factor(value: float) -> str:
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1.15 else f"{value:.2f}"


def format_error_rate(estimate: Estimate) -> str:
    """Format an error rate with its interval: "4.5% (1.0 to 7.4)", but with a dash for "to"."""
    interval = format_interval(estimate, 100, 1)
    return f"{format_percent(estimate.value)}%" + (f" ({interval})" if interval else "")


def format_time(estimate: Estimate) -> str:
    """Format a time with its interval: "492 ms (482 to 586)", but with a dash for "to"."""
    interval = format_interval(estimate)
    return f"{format_ms(estimate.value)} ms" + (f" ({interval})" if interval else "")


def format_percentage_points(interval: DifferenceInterval) -> str:
    """Format a difference of two rates: "1.0 to 5.8 percentage points"."""
    return f"{interval.low * 100:.1f} to {interval.high * 100:.1f} percentage points"

"""Axes: a range of numbers, its ticks, and where a number stands along it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

LOG_SPREAD = 8.0
"""From this ratio of the largest to the smallest on, a linear axis would crowd the small ones."""


class AxisScale(NamedTuple):
    """An axis from `low` to `high`; `ticks` stand at round numbers of it."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where `value` stands, from 0 at `low` to 1 at `high`; held within the axis."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(values: Iterable[float], *, ticks: int = 5, low: float = 0.0) -> AxisScale:
    """An axis from `low`, rounded down, to a round number above all `values`, with about `ticks` ticks."""
    top = max(values, default=low)
    top = top if top > low else low + max(abs(low), 1.0)
    raw = (top - low) / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(top / step - 1e-9)
    marks = tuple(step * i for i in range(first, last + 1))
    return AxisScale(marks[0], marks[-1], marks)


def logarithmic(values: Iterable[float]) -> AxisScale:
    """A logarithmic axis between 1, 2 or 5 times a power of ten below and above all of `values`."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = _round_down(min(positive)), _round_up(max(positive))
    high = high if high > low else low * 10
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) <= 3 else (1,)
    marks = (m * 10.0**d for d in decades for m in steps)
    return AxisScale(low, high, tuple(m for m in marks if low * 0.999 <= m <= high * 1.001), log=True)


def fitting(values: Iterable[float]) -> AxisScale:
    """For points, whose place counts and not their length: around them, logarithmic where they spread widely."""
    positive = [value for value in values if value > 0]
    if not positive:
        return linear(())
    wide = max(positive) / min(positive) >= LOG_SPREAD
    return logarithmic(positive) if wide else linear(positive, low=min(positive))


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(m * power for m in (1, 2, 5) if m * power <= value * 1.001)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(m * power for m in (1, 2, 5, 10) if m * power >= value * 0.999)

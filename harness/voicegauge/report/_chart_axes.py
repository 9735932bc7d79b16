"""Computes the range and ticks of chart axes, and the position of a number along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

MIN_LOG_AXIS_RATIO = 8.0
"""Ratio of the largest to the smallest value above which an axis is logarithmic, so that small values stay apart."""


class AxisScale(NamedTuple):
    """An axis from `low` to `high` with `ticks` at round numbers."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_logarithmic: bool = False

    def compute_position(self, value: float) -> float:
        """Return the position of `value` along the axis, from 0 at `low` to 1 at `high`; other values are clipped."""
        value = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def build_linear_scale(values: Iterable[float], *, tick_count: int = 5, axis_start: float = 0.0) -> AxisScale:
    """Return a linear axis from `axis_start`, rounded down, to a round number above all `values`.

    Args:
        values: the numbers to fit.
        tick_count: approximate number of ticks.
        axis_start: number at which the axis starts, before it is rounded down to a tick.
    """
    top = max(values, default=axis_start)
    top = (
        top if top > axis_start else axis_start + max(abs(axis_start), 1.0)
    )  # an axis without width could not be drawn
    raw_step = (top - axis_start) / tick_count
    power = 10.0 ** math.floor(math.log10(raw_step))
    # 1e-9 tolerates float errors, which would otherwise skip to the next step or add a tick.
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw_step * (1 - 1e-9))
    first, last = math.floor(axis_start / step + 1e-9), math.ceil(top / step - 1e-9)
    positions = tuple(step * i for i in range(first, last + 1))
    return AxisScale(positions[0], positions[-1], positions)


def build_log_scale(values: Iterable[float]) -> AxisScale:
    """Return a logarithmic axis whose ends are 1, 2 or 5 times a power of ten around all `values`."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = _round_down_to_tick(min(positive)), _round_up_to_tick(max(positive))
    high = high if high > low else low * 10
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) <= 3 else (1,)  # beyond three decades, 2 and 5 would be too dense
    positions = (m * 10.0**d for d in decades for m in steps)
    return AxisScale(low, high, tuple(m for m in positions if low * 0.999 <= m <= high * 1.001), is_logarithmic=True)


def build_point_scale(values: Iterable[float]) -> AxisScale:
    """Return an axis for points, which need not begin at zero; it is logarithmic if the values spread widely."""
    positive = [value for value in values if value > 0]
    if not positive:
        return build_linear_scale(())
    is_wide = max(positive) / min(positive) >= MIN_LOG_AXIS_RATIO
    return build_log_scale(positive) if is_wide else build_linear_scale(positive, axis_start=min(positive))


def _round_down_to_tick(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(m * power for m in (1, 2, 5) if m * power <= value * 1.001)


def _round_up_to_tick(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(m * power for m in (1, 2, 5, 10) if m * power >= value * 0.999)

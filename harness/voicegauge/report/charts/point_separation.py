"""Moves overlapping points of a plot apart, as little as needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from voicegauge.report.charts.label_placement import Rectangle

_CIRCLE_GAP_PX = 2.0
"""Smallest distance between the edges of two circles, in px."""
_MAX_SEPARATION_ROUNDS = 300
"""Maximum number of times that all pairs of overlapping circles are moved apart."""


class PlottedCircle(NamedTuple):
    """A circle with its center and radius, in px."""

    x: float
    y: float
    radius: float


def separate_circles(circles: Sequence[PlottedCircle], frame: Rectangle) -> list[PlottedCircle]:
    """Return the circles without overlaps and within `frame`, as far as there is room.

    Args:
        circles: circles at their true positions.
        frame: rectangle that the circles must stay within.
    """
    moved = [_keep_inside_frame(circle, frame) for circle in circles]
    for _ in range(_MAX_SEPARATION_ROUNDS):
        has_overlap = False
        for i, j in combinations(range(len(moved)), 2):
            shift = _compute_circle_shift(moved[i], moved[j], i + j)
            if shift is not None:
                has_overlap = True
                moved[i] = _keep_inside_frame(moved[i], frame, -shift[0], -shift[1])
                moved[j] = _keep_inside_frame(moved[j], frame, *shift)
        if not has_overlap:
            break
    return moved


def _compute_circle_shift(
    first_circle: PlottedCircle, second_circle: PlottedCircle, pair_number: int
) -> tuple[float, float] | None:
    """Return by how many pixels in x and y `second_circle` moves, and `first_circle` the opposite way.

    The result is `None` if the circles do not touch. Circles with the same center are moved in a direction that depends
    on `pair_number`.
    """
    distance = math.hypot(second_circle.x - first_circle.x, second_circle.y - first_circle.y)
    missing = first_circle.radius + second_circle.radius + _CIRCLE_GAP_PX - distance
    if missing <= 1e-6:
        return None
    # Points at the same place are moved in different directions, so that a crowd spreads evenly.
    angle = (
        math.atan2(second_circle.y - first_circle.y, second_circle.x - first_circle.x)
        if distance > 1e-6
        else 2.4 * pair_number
    )
    return math.cos(angle) * missing / 2, math.sin(angle) * missing / 2


def _keep_inside_frame(
    circle: PlottedCircle, frame: Rectangle, shift_x: float = 0.0, shift_y: float = 0.0
) -> PlottedCircle:
    return PlottedCircle(
        min(max(circle.x + shift_x, frame.left + circle.radius), frame.right - circle.radius),
        min(max(circle.y + shift_y, frame.top + circle.radius), frame.bottom - circle.radius),
        circle.radius,
    )

"""Names beside points: placed so that none covers another name or a point."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

LINE_HEIGHT = 15.0
"""Of text set in 12 px, in px."""
POINT_RADIUS = 5.0
_GAP = 4.0
_RINGS = (0, 12, 24, 38, 54, 72, 92, 116, 144, 176, 212)
"""Distances tried, in px: the nearest free place wins."""
_DIRECTIONS = 16


class Rectangle(NamedTuple):
    """A rectangle, in px."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Rectangle) -> bool:
        """Whether the two cover a common area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: Rectangle) -> bool:
        """Whether `other` holds this one whole."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


class PointLabel(NamedTuple):
    """A name and where it stands; `leader` is the line to its point, where they lie apart."""

    text: str
    box: Rectangle
    leader: tuple[float, float, float, float] | None


def text_width(text: str) -> float:
    """A width, in px, that `text` set in 12 px hardly exceeds in any system's sans-serif."""
    return sum(13.0 if unicodedata.east_asian_width(c) in "WF" else 7.2 for c in text)


def place(
    points: Sequence[tuple[float, float, str]],
    frame: Rectangle,
    order: Sequence[int],
    *,
    important: int = 0,
    lines: Sequence[Rectangle] = (),
) -> list[PointLabel | None]:
    """A label for each of `points`, `None` where there is no free place for it.

    Args:
        points: x, y and name of each.
        frame: what labels must stay within.
        order: indices of the points, those whose names matter most first.
        important: how many of `order` may stand apart from their point, joined to it by a line.
        lines: kept clear where there is room nearby; a name may cross them otherwise.
    """
    taken = [_around(x, y) for x, y, _ in points]
    found: list[PointLabel | None] = [None] * len(points)
    for rank, index in enumerate(order):
        x, y, text = points[index]
        label = _label(x, y, text, frame, taken, lines, apart=rank < important)
        if label:
            taken.append(label.box)
            found[index] = label
    return found


def _label(
    x: float,
    y: float,
    text: str,
    frame: Rectangle,
    taken: Sequence[Rectangle],
    lines: Sequence[Rectangle],
    *,
    apart: bool,
) -> PointLabel | None:
    free = [
        PointLabel(text, box, _leader(x, y, box))
        for box in _candidates(x, y, text_width(text))
        if box.within(frame) and not any(box.meets(other) for other in taken)
    ]
    beside = [label for label in free if label.leader is None]
    clear = [label for label in beside if not any(label.box.meets(line) for line in lines)]
    choice = clear or beside or (free if apart else [])
    return choice[0] if choice else None


def _around(x: float, y: float) -> Rectangle:
    return Rectangle(x - POINT_RADIUS - 1, y - POINT_RADIUS - 1, x + POINT_RADIUS + 1, y + POINT_RADIUS + 1)


def _candidates(x: float, y: float, width: float) -> list[Rectangle]:
    """Places for a label: right, left, above and below its point, then on wider and wider rings."""
    boxes = []
    near = POINT_RADIUS + _GAP
    for ring in _RINGS:
        for turn in range(_DIRECTIONS):
            angle = math.tau * turn / _DIRECTIONS
            cx, cy = math.cos(angle), math.sin(angle)
            middle_x = x + cx * (near + ring + width / 2)
            middle_y = y + cy * (near + ring + LINE_HEIGHT / 2)
            left, top = middle_x - width / 2, middle_y - LINE_HEIGHT / 2
            boxes.append(Rectangle(left, top, left + width, top + LINE_HEIGHT))
    return boxes


def _leader(x: float, y: float, box: Rectangle) -> tuple[float, float, float, float] | None:
    near_x = min(max(x, box.left), box.right)
    near_y = min(max(y, box.top), box.bottom)
    length = math.hypot(near_x - x, near_y - y)
    if length <= POINT_RADIUS + _GAP + LINE_HEIGHT / 2:
        return None
    start = POINT_RADIUS / length
    return (x + (near_x - x) * start, y + (near_y - y) * start, near_x, near_y)

"""Places the labels of a scatter plot so that no label covers another label or a point."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

LINE_HEIGHT_PX = 15.0
"""Height in px of a label with a font size of 12 px."""
POINT_RADIUS_PX = 5.0
"""Default radius of a point, in px."""
_LABEL_GAP_PX = 4.0
"""Distance between a point and its label, in px."""
_LABEL_DISTANCES_PX = (0, 12, 24, 38, 54, 72, 92, 116, 144, 176, 212)
"""Distances from the point at which a label is tried, in px; the nearest free one is used."""
_LABEL_DIRECTION_COUNT = 16
"""Number of directions that are tried at each distance."""


class Rectangle(NamedTuple):
    """A rectangle, in px."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Rectangle) -> bool:
        """Whether the two rectangles have an area in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def is_within(self, other: Rectangle) -> bool:
        """Whether `other` contains this rectangle completely."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


class LabeledPoint(NamedTuple):
    """A point of a plot, the text of its label, and its radius; lengths are in px."""

    x: float
    y: float
    label_text: str
    radius: float = POINT_RADIUS_PX


class PointLabel(NamedTuple):
    """A placed label; lengths are in px."""

    text: str
    box: Rectangle
    """The rectangle that the text covers."""
    leader_line: tuple[float, float, float, float] | None
    """Line that joins the label to its point: x and y of both ends. `None` if the label is next to the point."""


def estimate_text_width(text: str) -> float:
    """Return an upper estimate, in px, of the width of `text` in a 12 px system sans-serif.

    The font cannot be measured here, because the reader's browser chooses it. A full-width character fits into 13 px,
    and nearly every other character into 7.2 px.
    """
    return sum(13.0 if unicodedata.east_asian_width(c) in "WF" else 7.2 for c in text)


def place_labels(
    points: Sequence[LabeledPoint],
    frame: Rectangle,
    placement_order: Sequence[int],
    *,
    leader_line_count: int = 0,
    avoided_lines: Sequence[Rectangle] = (),
) -> list[PointLabel | None]:
    """Place a label for each of `points`; the result is `None` for a point whose label has no free space.

    Args:
        points: the points with the texts of their labels.
        frame: rectangle that the labels must stay within.
        placement_order: indices of the points, most important first.
        leader_line_count: number of points at the start of `placement_order` whose label may be placed apart, joined by
            a line.
        avoided_lines: rectangles that labels avoid if there is room; otherwise a label may cross them.
    """
    occupied = [_build_point_box(point) for point in points]
    labels: list[PointLabel | None] = [None] * len(points)
    for rank, index in enumerate(placement_order):
        label = _place_label(points[index], frame, occupied, avoided_lines, allow_leader_line=rank < leader_line_count)
        if label:
            occupied.append(label.box)
            labels[index] = label
    return labels


def _place_label(
    point: LabeledPoint,
    frame: Rectangle,
    occupied_boxes: Sequence[Rectangle],
    avoided_lines: Sequence[Rectangle],
    *,
    allow_leader_line: bool,
) -> PointLabel | None:
    free = [
        PointLabel(point.label_text, box, _build_leader_line(point, box))
        for box in _generate_candidate_boxes(point, estimate_text_width(point.label_text))
        if box.is_within(frame) and not any(box.overlaps(other) for other in occupied_boxes)
    ]
    adjacent = [label for label in free if label.leader_line is None]
    clear = [label for label in adjacent if not any(label.box.overlaps(line) for line in avoided_lines)]
    candidates = clear or adjacent or (free if allow_leader_line else [])
    return candidates[0] if candidates else None


def _build_point_box(point: LabeledPoint) -> Rectangle:
    room = point.radius + 1
    return Rectangle(point.x - room, point.y - room, point.x + room, point.y + room)


def _generate_candidate_boxes(point: LabeledPoint, width: float) -> list[Rectangle]:
    """Return possible boxes for a label, around the point in rings of increasing distance, starting on the right."""
    boxes = []
    near = point.radius + _LABEL_GAP_PX
    for distance in _LABEL_DISTANCES_PX:
        for direction in range(_LABEL_DIRECTION_COUNT):
            angle = math.tau * direction / _LABEL_DIRECTION_COUNT
            middle_x = point.x + math.cos(angle) * (near + distance + width / 2)
            middle_y = point.y + math.sin(angle) * (near + distance + LINE_HEIGHT_PX / 2)
            left, top = middle_x - width / 2, middle_y - LINE_HEIGHT_PX / 2
            boxes.append(Rectangle(left, top, left + width, top + LINE_HEIGHT_PX))
    return boxes


def _build_leader_line(point: LabeledPoint, box: Rectangle) -> tuple[float, float, float, float] | None:
    """Return the line from a point to its label; `None` if they are so close that no line is needed."""
    near_x = min(max(point.x, box.left), box.right)
    near_y = min(max(point.y, box.top), box.bottom)
    length = math.hypot(near_x - point.x, near_y - point.y)
    if length <= point.radius + _LABEL_GAP_PX + LINE_HEIGHT_PX / 2:
        return None
    start = point.radius / length
    return (point.x + (near_x - point.x) * start, point.y + (near_y - point.y) * start, near_x, near_y)

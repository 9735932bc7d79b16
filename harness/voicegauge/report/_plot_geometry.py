"""Computes axes of charts, and a plot of latency against error rate with its points and labels."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from voicegauge.bench.estimates import Estimate
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.printable_text import escape_unprintable
from voicegauge.report.text_format import format_duration, format_number, shorten_to_one_line

# Chooses axes with round numbers for charts.


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


class AxisTick(NamedTuple):
    """A labeled round number on an axis."""

    position_px: float
    """Position of the tick in px."""
    label: str


def build_linear_scale(values: Iterable[float], *, tick_count: int = 5, axis_start: float = 0.0) -> AxisScale:
    """Return a linear axis from `axis_start`, rounded down, to a round number that no value exceeds.

    Args:
        values: the numbers to fit.
        tick_count: approximate number of ticks.
        axis_start: number at which the axis starts, before it is rounded down to a tick.
    """
    top = max(values, default=axis_start)
    if top <= axis_start:  # an axis without width could not be drawn
        top = axis_start + max(abs(axis_start), 1.0)
    raw_step = (top - axis_start) / tick_count
    power = 10.0 ** math.floor(math.log10(raw_step))
    # 1e-9 tolerates float errors, which would otherwise skip to the next step or add a tick.
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw_step * (1 - 1e-9))
    first, last = math.floor(axis_start / step + 1e-9), math.ceil(top / step - 1e-9)
    positions = tuple(step * i for i in range(first, last + 1))
    return AxisScale(positions[0], positions[-1], positions)


def build_log_scale(values: Iterable[float]) -> AxisScale:
    """Return a logarithmic axis whose ends are 1, 2 or 5 times a power of ten around all `values` above 0."""
    positive = [value for value in values if value > 0] or [1.0]
    bottom, top = (10.0 ** math.floor(math.log10(end)) for end in (min(positive), max(positive)))
    # The factors close to 1 tolerate float errors: 5 * 10**-1 may be a little more than 0.5.
    low = max(m * bottom for m in (1, 2, 5) if m * bottom <= min(positive) * 1.001)
    high = min(m * top for m in (1, 2, 5, 10) if m * top >= max(positive) * 0.999)
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


# Places the labels of a scatter plot so that no label covers another label or a point.


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
    is_bold: bool = False


class PointLabel(NamedTuple):
    """The label of a point, and where it is printed; lengths are in px."""

    text: str
    box: Rectangle
    """The rectangle that the text covers."""
    leader_line: tuple[float, float, float, float] | None
    """Line that joins the label to its point: x and y of both ends. `None` if the label is next to the point."""


def estimate_text_width(text: str, *, is_bold: bool = False) -> float:
    """Return an upper estimate, in px, of the width of `text` in a 12 px system sans-serif.

    The font cannot be measured here, because the reader's browser chooses it. A full-width character fits into 13 px,
    and names fit into 7.2 px for each other character, or 8.4 px in bold (DejaVu Sans, which is wide).
    """
    narrow = 8.4 if is_bold else 7.2
    return sum(13.0 if unicodedata.east_asian_width(c) in "WF" else narrow for c in text)


def place_labels(
    points: Sequence[LabeledPoint],
    frame: Rectangle,
    placement_order: Sequence[int],
    *,
    leader_candidate_count: int = 0,
    avoided_lines: Sequence[Rectangle] = (),
) -> list[PointLabel | None]:
    """Place labels beside `points`; the result is `None` for a point without a label or without free space for it.

    Args:
        points: the points with the texts of their labels.
        frame: rectangle that the labels must stay within.
        placement_order: indices of the points to label, most important first.
        leader_candidate_count: number of points at the start of `placement_order` whose label may be placed apart,
            joined by a line.
        avoided_lines: rectangles that labels avoid if there is room; otherwise a label may cross them.
    """
    # All points before the first label, which must not cover a point that is labeled later, or never.
    occupied = [
        Rectangle(one.x - one.radius - 1, one.y - one.radius - 1, one.x + one.radius + 1, one.y + one.radius + 1)
        for one in points
    ]
    labels: list[PointLabel | None] = [None] * len(points)
    for rank, index in enumerate(placement_order):
        label = _place_label(
            points[index], frame, occupied, avoided_lines, allow_leader_line=rank < leader_candidate_count
        )
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
        for box in _generate_candidate_boxes(point, estimate_text_width(point.label_text, is_bold=point.is_bold))
        if box.is_within(frame) and not any(box.overlaps(other) for other in occupied_boxes)
    ]
    adjacent = [label for label in free if label.leader_line is None]
    clear = [label for label in adjacent if not any(label.box.overlaps(line) for line in avoided_lines)]
    candidates = clear or adjacent or (free if allow_leader_line else [])
    return candidates[0] if candidates else None


def _generate_candidate_boxes(point: LabeledPoint, width: float) -> list[Rectangle]:
    """Return possible boxes for a label, around the point in rings of increasing distance, starting on the right."""
    boxes = []
    near = point.radius + _LABEL_GAP_PX
    # Near the point on any side is better than farther away on the right.
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


# Moves overlapping points of a plot apart, as little as needed.


_CIRCLE_GAP_PX = 2.0
"""Smallest distance between the edges of two circles, in px."""
_CIRCLE_GRID_STEP_PX = 2.0
"""Distance, in px, between the places that are tried for a circle whose true position is covered."""


class PlottedCircle(NamedTuple):
    """A circle with its center and radius, in px."""

    x: float
    y: float
    radius: float


def separate_circles(circles: Sequence[PlottedCircle], frame: Rectangle) -> list[PlottedCircle]:
    """Return the circles without overlaps and within `frame`, as far as there is room.

    A circle stays at its true position if that is free, and else moves to the nearest free place. Pushing all
    overlapping pairs apart instead does not end in a crowd at a border, such as many targets without any error.

    Args:
        circles: circles at their true positions, most important first.
        frame: rectangle that the circles must stay within.
    """
    grid_x, grid_y = np.meshgrid(
        np.arange(frame.left, frame.right, _CIRCLE_GRID_STEP_PX),
        np.arange(frame.top, frame.bottom, _CIRCLE_GRID_STEP_PX),
    )
    border = np.minimum.reduce([grid_x - frame.left, frame.right - grid_x, grid_y - frame.top, frame.bottom - grid_y])
    clearance = np.full(grid_x.shape, np.inf)  # distance to the edge of the nearest placed circle
    placed: list[PlottedCircle] = []
    for circle in circles:
        moved = PlottedCircle(
            min(max(circle.x, frame.left + circle.radius), frame.right - circle.radius),
            min(max(circle.y, frame.top + circle.radius), frame.bottom - circle.radius),
            circle.radius,
        )
        needed = circle.radius + _CIRCLE_GAP_PX
        if any(math.hypot(moved.x - one.x, moved.y - one.y) < needed + one.radius for one in placed):
            distances = np.hypot(grid_x - circle.x, grid_y - circle.y)
            is_free = (clearance >= needed) & (border >= circle.radius)
            # Without free room, the place that is farthest from all circles: they overlap least there.
            crowded_choice = np.where(border >= circle.radius, -clearance, np.inf)
            index = int(np.argmin(np.where(is_free, distances, np.inf) if is_free.any() else crowded_choice))
            moved = PlottedCircle(float(grid_x.flat[index]), float(grid_y.flat[index]), circle.radius)
        placed.append(moved)
        clearance = np.minimum(clearance, np.hypot(grid_x - moved.x, grid_y - moved.y) - moved.radius)
    return placed


# Computes the geometry of a plot of total latency against error rate, with prices as sizes; printed as SVG.


MAX_LABEL_CHARACTERS = 30
"""Maximum length of the name of a target in its label; longer names are cut."""
MAX_LEADER_LINES = 12
"""Up to this number of labels may be away from their points, joined to them by lines: those of all points, else those
of the Pareto set, else none, because so many lines cannot be followed."""
MAX_SCATTER_POINTS_WITH_NAMES = 40
"""Largest number of points in a plot with labels. With more points, none has a label, because nobody could tell whose
it is: all names are listed below the plot."""
MIN_CIRCLE_RADIUS_PX, MAX_CIRCLE_RADIUS_PX = 9.0, 15.0
"""Radius of the circle of a target without a price, and of the most expensive one if there is room, in px."""
MAX_SHARE_COVERED_BY_CIRCLES = 0.3
"""Share of the plot that circles and the gaps between them may cover; for more targets, circles are smaller and then
the plot is higher."""
_LEFT_MARGIN_PX, _RIGHT_MARGIN_PX, _TOP_MARGIN_PX, _BOTTOM_MARGIN_PX = 48.0, 14.0, 30.0, 44.0
"""Margins of the plot, in px, which leave room for tick labels and axis names."""
_TICK_LABEL_WIDTH_PX = 56
"""Horizontal room for a tick label, in px: about 48 of text and a gap."""
WIDE_PLOT_SIZE_PX = (560.0, 486.0)
"""Width and smallest height, in px, of the plot for wide screens."""
NARROW_PLOT_SIZE_PX = (340.0, 416.0)
"""Width and smallest height, in px, of the plot for phones, a separate plot because scaling would shrink the text."""


class ScatterPoint(NamedTuple):
    """A target as a circle with optional whiskers; coordinates in px."""

    x: float
    """Horizontal center of the circle."""
    y: float
    """Vertical center of the circle. `x` and `y` differ from `true_x` and `true_y` if circles would overlap."""
    true_x: float
    """Horizontal position that corresponds to the latency of the target."""
    true_y: float
    """Vertical position that corresponds to the error rate of the target."""
    has_price: bool
    name: str
    is_pareto_optimal: bool
    """Whether the target is in the Pareto set."""
    description: str
    """Tooltip and text alternative of the point: target, latency and error rate."""
    x_whisker: tuple[float, float] | None
    """Ends, in px, of the line that shows the confidence interval of the latency; `None` if an end is missing."""
    y_whisker: tuple[float, float] | None
    """Ends, in px, of the line that shows the confidence interval of the error rate; `None` if an end is missing."""
    radius: float = MIN_CIRCLE_RADIUS_PX
    """Radius of the circle; the higher the price, the larger it is."""
    rank: int = 0
    """Position of the target in the ranking, written in the circle."""
    label: PointLabel | None = None

    @property
    def is_moved(self) -> bool:
        """Whether the circle is drawn visibly away from the true position of the point."""
        return math.hypot(self.x - self.true_x, self.y - self.true_y) > 3


class ScatterPlot(NamedTuple):
    """A scatter plot of `width` by `height` px."""

    width: float
    height: float
    frame: Rectangle
    """The area between the axes, without the margins."""
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]
    is_logarithmic: bool
    """Whether the latency axis is logarithmic."""
    points: tuple[ScatterPoint, ...]
    max_radius: float
    """Radius of the circle of the most expensive target, in px."""
    pareto_front_svg_path: str
    """Border of the area that the Pareto set dominates, as an SVG path; empty for fewer than two points."""

    @property
    def unlabeled_points(self) -> list[ScatterPoint]:
        """The points without a label, in the order of their ranks; their names are listed below the plot."""
        return sorted((point for point in self.points if point.label is None), key=lambda point: point.rank)


class ScatterAxes(NamedTuple):
    """The axes for latency and error rate, shared by the plots of several runs so that they can be compared by eye."""

    x: AxisScale
    y: AxisScale


def filter_plottable_targets(targets: Sequence[TargetSummary]) -> list[tuple[TargetSummary, Estimate, Estimate]]:
    """Return the targets that have both a total latency and an error rate, each with these two estimates."""
    return [
        (t, t.total_latency_ms, rate.corpus_rate) for t in targets if t.total_latency_ms and (rate := t.wer or t.cer)
    ]


def choose_shared_axes(targets: Sequence[TargetSummary]) -> ScatterAxes:
    """Return axes of a scatter plot that fit the values of all `targets`."""
    plottable = filter_plottable_targets(targets)
    times = [end for _, time, _ in plottable for end in (time.value, time.low, time.high) if end is not None]
    rates = [end for _, _, rate in plottable for end in (rate.value, rate.high) if end is not None]
    return ScatterAxes(build_point_scale(times), build_linear_scale(rates))


def build_scatter_plot(
    targets: Sequence[TargetSummary], axes: ScatterAxes, size_px: tuple[float, float] = WIDE_PLOT_SIZE_PX
) -> ScatterPlot:
    """Lay out the plot of `targets`; targets in the Pareto set are labeled first.

    Args:
        targets: the targets of one run, in the order of their ranks.
        axes: the axes that the plots of all runs share.
        size_px: width and smallest height of the plot in px.
    """
    plottable = filter_plottable_targets(targets)
    width = size_px[0]
    frame, max_radius = _choose_frame_and_max_radius(size_px, len(plottable))
    height = frame.bottom + _BOTTOM_MARGIN_PX
    radii = compute_radii([target.cost.comparison_price_usd for target in targets], max_radius)
    true_points = [
        _build_scatter_point(target, time, rate, frame, axes)._replace(
            radius=radii[targets.index(target)], rank=targets.index(target) + 1
        )
        for target, time, rate in plottable
    ]
    circles = separate_circles([PlottedCircle(point.x, point.y, point.radius) for point in true_points], frame)
    points = [point._replace(x=circle.x, y=circle.y) for point, circle in zip(true_points, circles, strict=True)]
    front = _build_pareto_front(points, frame)
    # The Pareto set first, then the lowest error rates, which are at the bottom of the plot.
    order = sorted(range(len(points)), key=lambda i: (not points[i].is_pareto_optimal, -points[i].y))
    if len(points) > MAX_SCATTER_POINTS_WITH_NAMES:
        order = []
    labels = place_labels(
        [LabeledPoint(p.x, p.y, p.name, p.radius, p.is_pareto_optimal) for p in points],
        frame,
        order,
        leader_candidate_count=_count_leader_lines(points, width),
        avoided_lines=_find_lines_for_labels_to_avoid(points, front),
    )
    return ScatterPlot(
        width=width,
        height=height,
        frame=frame,
        x_ticks=_build_x_ticks(frame, axes),
        y_ticks=tuple(AxisTick(_compute_y_position(frame, axes, v), f"{v * 100:g}") for v in axes.y.ticks),
        is_logarithmic=axes.x.is_logarithmic,
        points=tuple(point._replace(label=label) for point, label in zip(points, labels, strict=True)),
        max_radius=max_radius,
        pareto_front_svg_path=" ".join(f"{'L' if i else 'M'}{x:.1f},{y:.1f}" for i, (x, y) in enumerate(front)),
    )


def _choose_frame_and_max_radius(size_px: tuple[float, float], circle_count: int) -> tuple[Rectangle, float]:
    """Return the area between the axes, and the radius of the largest circle, with room for `circle_count` circles."""

    def compute_area(radius: float) -> float:
        return circle_count * math.pi * (radius + _CIRCLE_GAP_PX / 2) ** 2 / MAX_SHARE_COVERED_BY_CIRCLES

    width, min_height = size_px[0] - _LEFT_MARGIN_PX - _RIGHT_MARGIN_PX, size_px[1] - _TOP_MARGIN_PX - _BOTTOM_MARGIN_PX
    height = max(min_height, compute_area(MIN_CIRCLE_RADIUS_PX) / width)
    radius = MAX_CIRCLE_RADIUS_PX
    while radius > MIN_CIRCLE_RADIUS_PX and compute_area(radius) > width * height:
        radius = max(MIN_CIRCLE_RADIUS_PX, radius - 0.5)
    return Rectangle(_LEFT_MARGIN_PX, _TOP_MARGIN_PX, _LEFT_MARGIN_PX + width, _TOP_MARGIN_PX + height), radius


def _count_leader_lines(points: Sequence[ScatterPoint], width: float) -> int:
    """Return how many labels may be away from their point, joined to it by a line (`MAX_LEADER_LINES`).

    On a narrow screen there are none, because the ranks in the circles are clearer there than names far from them.
    """
    if width < WIDE_PLOT_SIZE_PX[0]:
        return 0
    counts = (len(points), sum(point.is_pareto_optimal for point in points))
    return next((count for count in counts if count <= MAX_LEADER_LINES), 0)


def _build_scatter_point(
    target: TargetSummary,
    latency: Estimate,
    error_rate: Estimate,
    frame: Rectangle,
    axes: ScatterAxes,
) -> ScatterPoint:
    x, y = _compute_x_position(frame, axes, latency.value), _compute_y_position(frame, axes, error_rate.value)
    return ScatterPoint(
        x=x,
        y=y,
        true_x=x,
        true_y=y,
        has_price=target.cost.comparison_price_usd is not None,
        name=escape_unprintable(shorten_to_one_line(target.target, MAX_LABEL_CHARACTERS)),
        is_pareto_optimal=target.is_pareto_optimal,
        description=f"{target.target}: {format_number(latency.value)} ms, {format_number(error_rate.value * 100, 1)}%",
        x_whisker=_build_whisker(latency, lambda value: _compute_x_position(frame, axes, value)),
        y_whisker=_build_whisker(error_rate, lambda value: _compute_y_position(frame, axes, value)),
    )


def compute_radii(prices: Sequence[float | None], max_radius: float = MAX_CIRCLE_RADIUS_PX) -> list[float]:
    """Return the radius in px for each price; the area in excess of the smallest circle is proportional to the price.

    The script of the page computes the same for another text length.

    Args:
        prices: the prices in USD; `None` for an unknown price.
        max_radius: radius of the most expensive one.
    """
    highest = max((price for price in prices if price is not None), default=0.0)
    return [
        MIN_CIRCLE_RADIUS_PX
        if not price or not highest
        else MIN_CIRCLE_RADIUS_PX + (max_radius - MIN_CIRCLE_RADIUS_PX) * math.sqrt(price / highest)
        for price in prices
    ]


def _compute_x_position(frame: Rectangle, axes: ScatterAxes, value: float) -> float:
    return frame.left + axes.x.compute_position(value) * (frame.right - frame.left)


def _compute_y_position(frame: Rectangle, axes: ScatterAxes, value: float) -> float:
    return frame.bottom - axes.y.compute_position(value) * (frame.bottom - frame.top)


def _build_x_ticks(frame: Rectangle, axes: ScatterAxes) -> tuple[AxisTick, ...]:
    """Return the ticks of the x axis; if there is not enough room for all, only every n-th one."""
    step = -(-len(axes.x.ticks) * _TICK_LABEL_WIDTH_PX // int(frame.right - frame.left)) or 1  # rounded up
    return tuple(
        AxisTick(_compute_x_position(frame, axes, value), format_duration(value)) for value in axes.x.ticks[::step]
    )


def _build_whisker(estimate: Estimate, compute_position: Callable[[float], float]) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return compute_position(estimate.low), compute_position(estimate.high)


def _build_pareto_front(points: Sequence[ScatterPoint], frame: Rectangle) -> list[tuple[float, float]]:
    """Return the corners of the steps through the Pareto set; every point above and right of them is dominated."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted({(point.true_x, -point.true_y) for point in points if point.is_pareto_optimal}):
        height = corners[-1][1] if corners else frame.top
        if -y > height:  # the set also has targets that are a little worse, but not clearly so
            corners += [(x, height), (x, -y)]
    return [*corners, (frame.right, corners[-1][1])] if len(corners) > 2 else []


def _find_lines_for_labels_to_avoid(
    points: Sequence[ScatterPoint], pareto_front: Sequence[tuple[float, float]]
) -> list[Rectangle]:
    """Return the Pareto front and the whiskers as rectangles without width or height, which labels should not cross."""
    boxes = [Rectangle(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(pareto_front)]
    boxes += [Rectangle(min(p.x_whisker), p.true_y, max(p.x_whisker), p.true_y) for p in points if p.x_whisker]
    boxes += [Rectangle(p.true_x, min(p.y_whisker), p.true_x, max(p.y_whisker)) for p in points if p.y_whisker]
    return boxes

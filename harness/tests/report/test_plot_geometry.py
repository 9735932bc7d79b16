from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.report._plot_geometry import (
    LINE_HEIGHT_PX,
    LabeledPoint,
    Rectangle,
    build_linear_scale,
    build_log_scale,
    build_point_scale,
    estimate_text_width,
    place_labels,
)

numbers = st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=30)


@given(values=numbers, make=st.sampled_from([build_linear_scale, build_log_scale, build_point_scale]))
def test_positions_keep_the_order_of_the_numbers(values: list[float], make: object) -> None:
    scale = make(values)  # type: ignore[operator]
    assert scale.low <= min(values) * 1.0011
    assert scale.high >= max(values) * 0.998
    places = [scale.compute_position(value) for value in sorted(values)]
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] <= 1
    assert 2 <= len(scale.ticks) <= 13
    assert all(scale.low * 0.99 <= tick <= scale.high * 1.01 for tick in scale.ticks)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.37], (0, 0.1, 0.2, 0.3, 0.4)),
        ([11_500], (0, 2_500, 5_000, 7_500, 10_000, 12_500)),
        ([], (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ],
)
def test_linear_ticks_are_round_and_start_at_zero(values: list[float], ticks: tuple[float, ...]) -> None:
    assert build_linear_scale(values).ticks == pytest.approx(ticks)


def test_a_wide_spread_is_logarithmic_and_a_narrow_one_linear() -> None:
    assert build_point_scale([300, 9_000]).is_logarithmic
    assert build_point_scale([300, 9_000]).ticks == pytest.approx((200, 500, 1_000, 2_000, 5_000, 10_000))
    near = build_point_scale([900, 1_300])
    assert not near.is_logarithmic
    assert (near.low, near.high) == pytest.approx((900, 1_300))


FRAME = Rectangle(48, 14, 946, 416)

points = st.lists(
    st.builds(
        LabeledPoint,
        st.floats(FRAME.left, FRAME.right),
        st.floats(FRAME.top, FRAME.bottom),
        st.text("abcdefghij-/", min_size=1, max_size=30),
        st.just(5.0),
    ),
    max_size=20,
)


@given(points=points, important=st.integers(0, 20))
@settings(deadline=None)
def test_no_label_covers_another_label_or_a_point_or_leaves_the_frame(
    points: list[LabeledPoint], important: int
) -> None:
    labels = [
        label for label in place_labels(points, FRAME, range(len(points)), leader_candidate_count=important) if label
    ]
    assert not any(a.box.overlaps(b.box) for a, b in combinations(labels, 2))
    assert all(label.box.is_within(FRAME) for label in labels)
    for point in points:
        x, y, r = point.x, point.y, point.radius
        assert not any(label.box.overlaps(Rectangle(x - r, y - r, x + r, y + r)) for label in labels)
    for label in labels:
        assert label.box.right - label.box.left >= estimate_text_width(label.text) - 1e-6
        assert label.box.bottom - label.box.top >= LINE_HEIGHT_PX - 1e-6


@given(points=points)
@settings(deadline=None)
def test_up_to_twenty_important_labels_are_all_placed(points: list[LabeledPoint]) -> None:
    assert None not in place_labels(points, FRAME, range(len(points)), leader_candidate_count=len(points))


def test_an_unimportant_label_is_left_out_rather_than_placed_apart() -> None:
    crowd = [LabeledPoint(400.0 + i, 200.0, "a-rather-long-name") for i in range(12)]
    found = place_labels(crowd, FRAME, range(12), leader_candidate_count=3)
    assert None not in found[:3]
    assert any(label is None for label in found[3:])
    assert all(label.leader_line is None for label in found[3:] if label)


def test_a_single_label_is_next_to_its_point_and_off_a_line_through_it() -> None:
    line = Rectangle(400, 200, 900, 200)
    (label,) = place_labels([LabeledPoint(400.0, 200.0, "name")], FRAME, [0], avoided_lines=[line])
    assert label is not None
    assert label.leader_line is None
    assert not label.box.overlaps(line)

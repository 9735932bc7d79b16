from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.report._plot_geometry import build_linear_scale, build_log_scale, build_point_scale

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

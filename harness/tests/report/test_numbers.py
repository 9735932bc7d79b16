"""The numbers on the page are the summary's, and none claims more than the data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.estimates import Estimate
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.model.price import format_price_usd
from voicegauge.model.sample import StreamArrivals
from voicegauge.report._plot_geometry import (
    NARROW_PLOT_SIZE_PX,
    WIDE_PLOT_SIZE_PX,
    build_scatter_plot,
    choose_shared_axes,
)
from voicegauge.report._result_tables import build_comparison_columns, build_comparison_rows
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.run_comparison import list_incomparable_facts
from voicegauge.report.target_sections import build_latency_chart, choose_shared_time_axis
from voicegauge.report.text_format import (
    MISSING_TEXT,
    RANGE_DASH,
    format_interval,
    format_ms,
    format_percent,
    format_usd,
)

from ..builders.report_runs import BROKEN, LANGUAGES_ALL, VOICES, Voice, crowd, make_run


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> tuple[TargetSummary, ...]:
    run = make_run(tmp_path_factory.mktemp("run"), (*VOICES, BROKEN), repetitions=3)
    return analyze_runs([run]).report.runs[0].targets


def test_each_cell_is_the_summarys_number_with_its_interval(targets: tuple[TargetSummary, ...]) -> None:
    shown = build_comparison_columns(targets, 500)
    keys = [column.key for column in shown]
    for row in build_comparison_rows(targets, shown):
        cells, summary = dict(zip(keys, row.cells, strict=True)), row.summary
        assert cells["wer"].text == (
            MISSING_TEXT if summary.wer is None else format_percent(summary.wer.corpus_rate.value)
        )
        assert cells["failures"].text == f"{summary.failure_count}/{summary.sample_count}"
        if summary.total_latency_ms:
            assert cells["latency"].text == format_ms(summary.total_latency_ms.value)
            assert cells["latency"].second_line == format_interval(summary.total_latency_ms)
            assert cells["million"].text == (summary.cost.price_per_1m_characters.format_amount() or MISSING_TEXT)
            assert cells["latency95"].second_line == ""  # fewer than 12 texts
        else:
            assert cells["latency"].sort_value is None


def test_columns_without_any_number_are_left_out(targets: tuple[TargetSummary, ...]) -> None:
    shown = build_comparison_columns(targets, 500)
    assert "cer" not in [column.key for column in shown]
    assert [column.key for column in build_comparison_columns([t for t in targets if t.target == BROKEN.id], 500)] == [
        "million",
        "month",
        "failures",
    ]


def test_targets_with_overlapping_intervals_are_marked_together(tmp_path: Path) -> None:
    twins = tuple(Voice(f"a/{i}", "twin", 1_000, 0.05) for i in range(2))
    slow = Voice("a/slow", "slow", 9_000, 0.05)
    found = analyze_runs([make_run(tmp_path, (*twins, slow), repetitions=3)]).report.runs[0].targets
    shown = build_comparison_columns(found, 500)
    at = [column.key for column in shown].index("latency")
    assert {row.summary.target: row.best_cell_flags[at] for row in build_comparison_rows(found, shown)} == {
        "a/0": True,
        "a/1": True,
        "a/slow": False,
    }
    million = [column.key for column in shown].index("million")
    assert not any(row.best_cell_flags[million] for row in build_comparison_rows(found, shown))  # all cost the same


def test_runs_under_different_asrs_are_not_comparable(tmp_path: Path) -> None:
    one = make_run(tmp_path / "a", VOICES[:1], repetitions=1)
    same = make_run(tmp_path / "b", VOICES[:1], repetitions=1, seed=9)
    other = make_run(tmp_path / "c", VOICES[:1], repetitions=1, closed=False)
    assert list_incomparable_facts(analyze_runs([one, same]).report) == ()
    assert list_incomparable_facts(analyze_runs([one, other]).report) == ("ASR engine",)


@pytest.mark.parametrize("size", [WIDE_PLOT_SIZE_PX, NARROW_PLOT_SIZE_PX])
def test_every_measured_target_is_drawn_and_the_pareto_set_is_named(
    targets: tuple[TargetSummary, ...], size: tuple[float, float]
) -> None:
    picture = build_scatter_plot(targets, choose_shared_axes(targets), size)
    assert len(picture.points) == len(VOICES)  # the one that never answered has no time
    assert size == NARROW_PLOT_SIZE_PX or all(mark.label for mark in picture.points if mark.is_pareto_optimal)
    assert sorted(mark.rank for mark in picture.points) == list(range(1, len(VOICES) + 1))
    assert {m.name for m in picture.points if m.is_pareto_optimal} == {t.target for t in targets if t.is_pareto_optimal}
    for mark in picture.points:
        assert picture.frame.left <= mark.x <= picture.frame.right
        assert picture.frame.top <= mark.y <= picture.frame.bottom


def test_a_crowd_of_twenty_is_drawn_with_the_best_named(tmp_path: Path) -> None:
    found = analyze_runs([make_run(tmp_path, crowd(20), repetitions=2)]).report.runs[0].targets
    for size in (WIDE_PLOT_SIZE_PX, NARROW_PLOT_SIZE_PX):
        picture = build_scatter_plot(found, choose_shared_axes(found), size)
        assert sorted(mark.rank for mark in picture.points) == list(range(1, 21))
        assert size == NARROW_PLOT_SIZE_PX or all(mark.label for mark in picture.points if mark.is_pareto_optimal)


def test_bars_run_from_zero_to_the_total_latency_without_a_gap(targets: tuple[TargetSummary, ...]) -> None:
    axis = choose_shared_time_axis(targets)
    for bar in build_latency_chart(targets, axis).bars:
        end = 0.0
        for segment in bar.segments:
            assert segment.left_percent == pytest.approx(end)
            assert segment.width_percent > 0
            end = segment.left_percent + segment.width_percent
        assert bar.target.total_latency_ms
        assert end == pytest.approx(100 * axis.compute_position(bar.target.total_latency_ms.value))


def test_the_time_between_two_polls_is_a_segment_of_its_own(targets: tuple[TargetSummary, ...]) -> None:
    axis = choose_shared_time_axis(targets)
    bar = next(bar for bar in build_latency_chart(targets, axis).bars if bar.target.completion_ms)
    open_ = next(s for s in bar.segments if s.phase == "processing-or-completed")
    assert bar.target.completion_ms
    assert open_.left_percent == pytest.approx(100 * axis.compute_position(bar.target.completion_ms.low.value))
    assert open_.left_percent + open_.width_percent == pytest.approx(
        100 * axis.compute_position(bar.target.completion_ms.high.value)
    )
    direct = next(bar for bar in build_latency_chart(targets, axis).bars if not bar.target.completion_ms)
    assert [s.phase for s in direct.segments] == ["first-byte", "download"]


def test_languages_counted_in_characters_are_never_pooled_with_words(tmp_path: Path) -> None:
    found = (
        analyze_runs([make_run(tmp_path, VOICES[:2], languages=LANGUAGES_ALL, repetitions=2)]).report.runs[0].targets
    )
    shown = build_comparison_columns(found, 500)
    assert [column.key for column in shown][:2] == ["wer", "cer"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(None, None, ""), (390.0, 452.0, "390 452"), (390.0, None, "390 ?"), (3.21, 1_234.0, "3.2 1,234")],
)
def test_an_unknown_end_of_an_interval_is_a_question_mark(low: float | None, high: float | None, said: str) -> None:
    assert format_interval(Estimate(value=400, low=low, high=high, sample_count=3)) == said.replace(" ", RANGE_DASH)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (None, RANGE_DASH),
        (0.0, "$0.00"),
        (0.000031, "$0.000031"),
        (0.00099, "$0.00099"),
        (0.0003, "$0.0003"),
        (0.0025, "$0.0025"),
        (0.012345, "$0.0123"),
        (0.015, "$0.015"),
        (0.96, "$0.96"),
        (0.99996, "$1.00"),
        (12, "$12.00"),
        (15.004, "$15.00"),
    ],
)
def test_an_amount_has_cents_and_further_digits_only_if_they_say_something(price: float | None, said: str) -> None:
    assert format_usd(price) == said


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (0, "$0.00"),
        (0.3, "$0.30"),
        (0.99996, "$0.99996"),
        (15, "$15.00"),
        (15.004, "$15.004"),
        (0.0000025, "$0.0000025"),
        (0.1 + 0.2, "$0.30"),
        (1_234_567.5, "$1,234,567.50"),
        (1e300, f"${1e300:,.2f}"),
    ],
)
def test_an_amount_beside_a_budget_is_not_rounded(usd: float, said: str) -> None:
    assert format_price_usd(usd, is_exact=True) == said


def test_streams_have_columns_of_their_own(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES, repetitions=2)
    stream = StreamArrivals(
        chunks=((9.0, 1),), gap_p50_ms=21.0, gap_max_ms=43.0, first_speech_ms=310.0, underruns=1, stalled_ms=77.0
    )
    samples = [
        msgspec.structs.replace(s, streaming=stream) if s.target == VOICES[0].id and not s.failure else s
        for s in run.samples
    ]
    summaries = analyze_runs([(folder, msgspec.structs.replace(run, samples=tuple(samples)))]).report.runs[0].targets
    shown = build_comparison_columns(summaries, 500)
    assert [column.group_heading for column in shown].count("Streams") == 4
    keys = [column.key for column in shown]
    for row in build_comparison_rows(summaries, shown):
        cells = dict(zip(keys, row.cells, strict=True))
        texts = tuple(cells[key].text for key in ("speech", "gap", "gapmax", "underrun"))
        streams = row.summary.target == VOICES[0].id
        assert texts == (("310", "21", "43", "1.00") if streams else (MISSING_TEXT,) * 4)
        assert ("77 ms stalled" in cells["underrun"].second_line) == streams
    without_streams = build_comparison_columns(analyze_runs([(folder, run)]).report.runs[0].targets, 500)
    assert "Streams" not in [column.group_heading for column in without_streams]

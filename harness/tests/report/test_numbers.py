"""The numbers on the page are the summary's, and none claims more than the data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.analysis.statistics import Estimate
from voicegauge.bench.analysis.summary import TargetSummary
from voicegauge.model import Streaming
from voicegauge.report import gather
from voicegauge.report.facts import highlights, incomparable
from voicegauge.report.scatter import NARROW, WIDE, scatter, shared_axes
from voicegauge.report.table import columns, groups, rows
from voicegauge.report.text import DASH, NONE, interval, milliseconds, percent, usd
from voicegauge.report.timeline import shared_axis, timeline

from .factories import BROKEN, LANGUAGES_ALL, VOICES, Voice, crowd, make_run


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> tuple[TargetSummary, ...]:
    run = make_run(tmp_path_factory.mktemp("run"), (*VOICES, BROKEN), repetitions=3)
    return gather([run]).runs[0].targets


def test_each_cell_is_the_summarys_number_with_its_interval(targets: tuple[TargetSummary, ...]) -> None:
    shown = columns(targets, 500)
    keys = [column.key for column in shown]
    for row in rows(targets, shown):
        cells, summary = dict(zip(keys, row.cells, strict=True)), row.summary
        assert summary.wer is not None
        assert cells["wer"].text == percent(summary.wer.corpus.value)
        assert cells["failures"].text == f"{summary.failures}/{summary.samples}"
        if summary.total_latency_ms:
            assert cells["file"].text == milliseconds(summary.total_latency_ms.value)
            assert cells["file"].detail == interval(summary.total_latency_ms)
            assert cells["million"].text == usd(summary.cost.usd_per_1m_characters)
            assert cells["file95"].detail.endswith("?")  # fewer than 100 samples
        else:
            assert cells["file"].sort is None


def test_columns_without_any_number_are_left_out_and_groups_span_the_rest(targets: tuple[TargetSummary, ...]) -> None:
    shown = columns(targets, 500)
    assert "cer" not in [column.key for column in shown]
    assert sum(count for _, count in groups(shown)) == len(shown)
    assert sum(column.starts for column in shown) == len(groups(shown))
    assert [column.key for column in columns([t for t in targets if t.target == BROKEN.id], 500)] == [
        "wer",
        "request",
        "million",
        "failures",
    ]


def test_what_the_intervals_do_not_tell_apart_stands_out_together(tmp_path: Path) -> None:
    twins = tuple(Voice(f"a/{i}", "twin", 1_000, 0.05) for i in range(2))
    slow = Voice("a/slow", "slow", 9_000, 0.05)
    found = gather([make_run(tmp_path, (*twins, slow), repetitions=3)]).runs[0].targets
    shown = columns(found, 500)
    at = [column.key for column in shown].index("file")
    assert {row.summary.target: row.best[at] for row in rows(found, shown)} == {
        "a/0": True,
        "a/1": True,
        "a/slow": False,
    }
    million = [column.key for column in shown].index("million")
    assert not any(row.best[million] for row in rows(found, shown))  # all cost the same


def test_a_headline_names_how_many_may_be_as_good(tmp_path: Path) -> None:
    twins = tuple(Voice(f"a/{i}", "twin", 1_000, 0.3) for i in range(3))
    report = gather([make_run(tmp_path, twins, repetitions=3)])
    said = {item.label: item for item in highlights(report.runs[0])}
    assert said["Shortest time to file"].beside == "and 2 others not told apart from it"
    assert said["Lowest price, 1M characters"].beside == "and 2 others at the same price"
    assert said["Failed"].value == "0"


def test_runs_under_different_asrs_are_not_comparable(tmp_path: Path) -> None:
    one = make_run(tmp_path / "a", VOICES[:1], repetitions=1)
    same = make_run(tmp_path / "b", VOICES[:1], repetitions=1, seed=9)
    other = make_run(tmp_path / "c", VOICES[:1], repetitions=1, closed=False)
    assert incomparable(gather([one, same])) == ()
    assert incomparable(gather([one, other])) == ("ASR engine",)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_every_measured_target_is_drawn_and_the_pareto_set_is_named(
    targets: tuple[TargetSummary, ...], size: tuple[float, float]
) -> None:
    picture = scatter(targets, shared_axes(targets), size)
    assert len(picture.marks) == len(VOICES)  # the one that never answered has no time
    assert all(mark.label for mark in picture.marks if mark.pareto)
    assert {m.name for m in picture.marks if m.pareto} == {t.target for t in targets if t.pareto}
    for mark in picture.marks:
        assert picture.frame.left <= mark.x <= picture.frame.right
        assert picture.frame.top <= mark.y <= picture.frame.bottom


def test_a_crowd_of_twenty_is_drawn_with_the_best_named(tmp_path: Path) -> None:
    found = gather([make_run(tmp_path, crowd(20), repetitions=2)]).runs[0].targets
    for size in (WIDE, NARROW):
        picture = scatter(found, shared_axes(found), size)
        assert len(picture.marks) == 20
        assert all(mark.label for mark in picture.marks if mark.pareto)


def test_bars_run_from_nought_to_the_time_to_file_without_a_gap(targets: tuple[TargetSummary, ...]) -> None:
    axis = shared_axis(targets)
    for bar in timeline(targets, axis).bars:
        end = 0.0
        for segment in bar.segments:
            assert segment.left == pytest.approx(end)
            assert segment.width > 0
            end = segment.left + segment.width
        assert bar.target.total_latency_ms
        assert end == pytest.approx(100 * axis.at(bar.target.total_latency_ms.value))


def test_what_lies_between_two_polls_is_drawn_as_open(targets: tuple[TargetSummary, ...]) -> None:
    axis = shared_axis(targets)
    bar = next(bar for bar in timeline(targets, axis).bars if bar.target.completion_ms)
    open_ = next(s for s in bar.segments if s.part == "work-or-done")
    assert bar.target.completion_ms
    assert open_.left == pytest.approx(100 * axis.at(bar.target.completion_ms.low.value))
    assert open_.left + open_.width == pytest.approx(100 * axis.at(bar.target.completion_ms.high.value))
    direct = next(bar for bar in timeline(targets, axis).bars if not bar.target.completion_ms)
    assert [s.part for s in direct.segments] == ["first-byte", "transfer"]


def test_languages_counted_in_characters_are_never_pooled_with_words(tmp_path: Path) -> None:
    found = gather([make_run(tmp_path, VOICES[:2], languages=LANGUAGES_ALL, repetitions=2)]).runs[0].targets
    shown = columns(found, 500)
    assert [column.key for column in shown][:2] == ["wer", "cer"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(None, None, ""), (390.0, 452.0, "390 452"), (390.0, None, "390 ?"), (3.21, 1_234.0, "3.2 1,234")],
)
def test_an_interval_says_which_end_is_unknown(low: float | None, high: float | None, said: str) -> None:
    assert interval(Estimate(value=400, low=low, high=high, n=3)) == said.replace(" ", DASH)


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (None, DASH),
        (0.0, "$0.0000"),
        (0.000031, "$0.000031"),
        (0.00099, "$0.00099"),
        (0.0025, "$0.0025"),
        (12, "$12.00"),
    ],
)
def test_only_what_is_free_costs_nothing(price: float | None, said: str) -> None:
    assert usd(price) == said


def test_streams_have_columns_of_their_own(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, VOICES, repetitions=2)
    told = Streaming(
        chunks=((9.0, 1),), gap_p50_ms=21.0, gap_max_ms=43.0, first_speech_ms=310.0, underruns=1, stalled_ms=77.0
    )
    samples = [
        msgspec.structs.replace(s, streaming=told) if s.target == VOICES[0].id and not s.failure else s
        for s in run.samples
    ]
    summaries = gather([(folder, msgspec.structs.replace(run, samples=tuple(samples)))]).runs[0].targets
    shown = columns(summaries, 500)
    assert ("Streams", 4) in groups(shown)
    keys = [column.key for column in shown]
    for row in rows(summaries, shown):
        cells = dict(zip(keys, row.cells, strict=True))
        texts = tuple(cells[key].text for key in ("speech", "gap", "gapmax", "underrun"))
        streams = row.summary.target == VOICES[0].id
        assert texts == (("310", "21", "43", "1.00") if streams else (NONE,) * 4)
        assert ("77 ms waited" in cells["underrun"].detail) == streams
    assert "Streams" not in dict(groups(columns(gather([(folder, run)]).runs[0].targets, 500)))

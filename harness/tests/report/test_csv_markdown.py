from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.model.base import Provenance
from voicegauge.model.run import Run
from voicegauge.report.report_data import BenchReport, analyze_runs
from voicegauge.report.result_summaries import render_csv
from voicegauge.report.run_comparison import _escape_markdown, render_markdown

from ..builders.report_runs import BROKEN, HOSTILE, PLANNED, VOICES, hostile_voices, make_run


@pytest.fixture(scope="module")
def typical(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    return make_run(tmp_path_factory.mktemp("typical"), (*VOICES[:4], BROKEN), repetitions=2)


def rows_of(*runs: tuple[Path, Run]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_csv(runs))))


def test_csv_has_one_row_per_sample_of_every_run_with_its_scores(typical: tuple[Path, Run], tmp_path: Path) -> None:
    other = make_run(tmp_path, VOICES[:1], repetitions=1, scored=False)
    rows = rows_of(typical, other)
    samples = [*typical[1].samples, *other[1].samples]
    assert [row["sample_id"] for row in rows] == [sample.id for sample in samples]
    scores = {score.sample_id: score for score in typical[1].score_sets[0].scores}
    for row, sample in zip(rows, typical[1].samples, strict=False):
        assert row["text"] == sample.text
        assert row["total_latency_ms"] == (str(sample.latency.total_latency_ms) if sample.latency else "")
        assert row["failure"] == (sample.failure.kind if sample.failure else "")
        assert int(row["substitutions"]) == scores[sample.id].substitutions
        assert float(row["error_rate"]) == scores[sample.id].error_rate
    assert rows[-1]["asr"] == rows[-1]["error_rate"] == ""
    assert sum(row["warmup"] == "1" for row in rows) == 6


def test_csv_holds_no_formula_and_no_control_character(tmp_path: Path) -> None:
    text = render_csv([make_run(tmp_path, hostile_voices(), transcript="=1+1", message="@SUM(A1)", repetitions=1)])
    for row in csv.DictReader(io.StringIO(text)):
        assert not any(value.startswith(("=", "+", "-", "@")) for value in row.values())
    assert not set(text) & set("\x00\x1b\u202e\u2066")


def test_json_is_the_complete_report_with_its_schema(typical: tuple[Path, Run]) -> None:
    report = analyze_runs([typical]).report
    text = msgspec.json.encode(report)
    assert report.schema == "voicegauge/report/3"
    assert msgspec.json.decode(text, type=BenchReport) == report
    assert b"base64" not in text


def test_markdown_is_one_table_per_run_with_its_provenance(typical: tuple[Path, Run], tmp_path: Path) -> None:
    emulated = make_run(tmp_path, VOICES[:1], repetitions=1, provenance=Provenance.EMULATED)
    text = render_markdown(analyze_runs([emulated, typical]))
    first, second = text.split("### ")[1:]
    assert first.startswith("EMULATED: ")
    assert "EMULATED" not in second
    table = [line for line in second.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 5
    assert len({line.count("|") for line in table}) == 1
    assert "closed vocabulary" in second


def test_markdown_explains_disputed_prices_and_account_plans(tmp_path: Path) -> None:
    text = render_markdown(analyze_runs([make_run(tmp_path, (PLANNED[0], VOICES[5]), repetitions=1)]))
    cells = next(line for line in text.splitlines() if line.startswith("| quill/prose")).split(" | ")
    assert sum("(large)" in cell for cell in cells) == 2  # per million characters and per month
    assert "Prices per 1M characters and per month are with the cheapest account plan for 10,000,000" in text
    assert "per month, which is named; one request is priced without a plan" in text
    assert "disputed: " in text
    assert "disputed: documents of the provider contradict each other" in text


@given(st.one_of(st.sampled_from(HOSTILE), st.text()))
@settings(deadline=None)
def test_no_text_becomes_markup_in_markdown(text: str) -> None:
    escaped = _escape_markdown(text)
    assert not set(escaped) & set("<>|`*[]~@\n\r\x00\u202e")
    assert escaped.replace("&#", "").count("&") == 0


def test_rows_keep_their_cells_whatever_a_target_is_called(tmp_path: Path) -> None:
    text = render_markdown(analyze_runs([make_run(tmp_path, hostile_voices(), repetitions=1)]))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(HOSTILE)
    assert len({line.count("|") for line in table}) == 1

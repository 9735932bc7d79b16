"""Tables with one row per sample: CSV, Parquet and data frames have the same columns, whatever the samples are."""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

import voicegauge
from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge_command
from voicegauge.errors import MissingExtraError
from voicegauge.model.run import Run
from voicegauge.model.sample import SAMPLE_COLUMNS, Sample
from voicegauge.report.result_summaries import PRICE_COLUMNS

from ..builders.report_runs import BROKEN, VOICES, make_run

if TYPE_CHECKING:  # importing pandas takes half a second, also in test processes that run none of these tests
    import pandas as pd

DTYPES = {"text": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder, run = make_run(tmp_path_factory.mktemp("run"), (VOICES[0], BROKEN), repetitions=1)
    save_run(folder, run)
    return folder, run


def check_types(frame: pd.DataFrame) -> None:
    import pandas as pd

    assert list(frame.columns) == [column.name for column in SAMPLE_COLUMNS]
    for column in SAMPLE_COLUMNS:
        dtype = frame[column.name].dtype
        if column.type == "timestamp":
            assert isinstance(dtype, pd.DatetimeTZDtype), column
            assert str(dtype.tz) == "UTC"
        else:
            assert str(dtype).startswith(DTYPES[column.type]), (column, dtype)


def test_every_sample_has_a_row_with_stable_types(saved: tuple[Path, Run]) -> None:
    frame = voicegauge.load_run(saved[0]).to_data_frame()
    check_types(frame)
    assert list(frame.sample_id) == [sample.id for sample in saved[1].samples]
    failed = frame[frame.status == "failure"]
    assert 0 < len(failed) < len(frame)
    assert failed.total_latency_ms.isna().all()
    assert failed.failure.notna().all()
    assert frame.started_at[0] == datetime(2026, 11, 21, 9, 12, 32, tzinfo=UTC)


@pytest.mark.parametrize("samples", ["none", "failed"])
def test_types_do_not_depend_on_the_samples(saved: tuple[Path, Run], samples: str) -> None:
    failed = tuple(sample for sample in saved[1].samples if sample.failure)
    run = msgspec.structs.replace(saved[1], samples=failed if samples == "failed" else (), score_sets=())
    check_types(run.to_data_frame())


def test_csv_and_parquet_have_what_the_data_frame_has(saved: tuple[Path, Run], tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow.parquet

    later = msgspec.structs.replace(saved[1].manifest, run_id="later")
    save_run(tmp_path / "later", msgspec.structs.replace(saved[1], manifest=later))
    for name in ("samples.csv", "samples.parquet"):
        assert (
            voicegauge_command(["report", str(saved[0]), str(tmp_path / "later"), "--out", str(tmp_path / name)]) == 0
        )
    frame = saved[1].to_data_frame()
    table = pyarrow.parquet.read_table(tmp_path / "samples.parquet")
    assert table.num_rows == 2 * len(frame)
    assert table.column("total_latency_ms").to_pylist()[: len(frame)] == [
        None if pd.isna(value) else value for value in frame.total_latency_ms
    ]
    field = table.schema.field("audio_duration_s")
    assert (field.metadata[b"unit"], table.schema.field("target").nullable) == (b"s", False)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "samples.csv").read_text(encoding="utf-8"))))
    assert len(rows) == table.num_rows
    assert list(rows[0]) == [*table.column_names, *PRICE_COLUMNS]
    assert rows[0]["started_at"] == "2026-11-21T09:12:32+00:00"
    assert {row["status"] for row in rows} == {"success", "failure"}


def test_every_measured_number_of_a_sample_is_in_the_table() -> None:
    """A field that is added to a sample needs a column, or a place in this list."""
    left_out = {"chunks", "file_path", "media_type", "raw_format", "rms_dbfs"}
    names = {column.name for column in SAMPLE_COLUMNS}
    for part, prefix in (
        ("latency", ""),
        ("request_phases", "phase_"),
        ("streaming", "stream_"),
        ("audio", "audio_"),
        ("interruption", "interruption_"),
    ):
        record = next(one for one in Sample.__annotations__[part].split(" | ") if one != "None")
        fields = set(getattr(sys.modules[Sample.__module__], record).__struct_fields__) - left_out
        for field in fields:
            forms = {field, prefix + field, field.replace("_ms", "_low_ms")}
            assert forms & names, f"{part}.{field}"


def test_a_missing_extra_is_named_in_one_line(
    saved: tuple[Path, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "samples.parquet"
    assert voicegauge_command(["report", str(saved[0]), "--out", str(out)]) == MissingExtraError.exit_code
    error = capsys.readouterr().err
    assert "pip install 'voicegauge[data]'" in error
    assert error.count("\n") == 1
    assert not out.exists()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pandas"):
        saved[1].to_data_frame()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.pdf"], "no format has the suffix .pdf (known: .html, .htm, .csv, .md, .parquet)"),
        (["--out", "x.json"], "(known: .html, .htm, .csv, .md, .parquet): write --json x.json"),
        (["--format", "parquet"], "name a file with --out FILE.parquet"),
        (["--format", "parquet", "--out", "-"], "name a file with --out FILE.parquet"),
    ],
)
def test_a_file_that_cannot_be_written_in_its_format_is_rejected(
    saved: tuple[Path, Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert voicegauge_command(["report", str(saved[0]), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from voicegauge.api import saved_runs as reports
from voicegauge.api.saved_runs import build_report, load_run
from voicegauge.cli import run as voicegauge
from voicegauge.errors import UsageError
from voicegauge.model.base import Provenance
from voicegauge.report import report_data

from ..builders.report_runs import VOICES, make_run
from ..builders.small_disk import small_disk


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"), VOICES[:2], provenance=Provenance.EMULATED, repetitions=1)[0]


def test_a_page_is_written_into_the_run_folder_and_its_path_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voicegauge(["report", str(folder)]) == 0
    page = folder / "report.html"
    assert page.read_text().startswith("<!doctype html>")
    assert capsys.readouterr().out == f"wrote {page}\n"


def test_a_run_file_is_as_good_as_its_folder_and_several_runs_share_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "other", VOICES[:1], repetitions=1, seed=7)[0]
    out = tmp_path / "page.html"
    assert voicegauge(["report", str(folder / "run.json"), str(other), "--out", str(out)]) == 0
    assert "Run A" in out.read_text()
    assert "Run B" in out.read_text()
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["--format", "csv"], "run_id,"),
        (["--format", "markdown"], "### EMULATED"),
        (["--json", "-"], '{\n  "schema": "voicegauge/report/3"'),
        (["--out", "-"], "<!doctype html>"),
    ],
)
def test_data_goes_to_standard_output_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], begins: str
) -> None:
    assert voicegauge(["report", str(folder), *arguments]) == 0
    out = capsys.readouterr()
    assert out.out.startswith(begins)
    assert out.err == ""


@pytest.mark.parametrize("arguments", [["--out", "page.html"], ["--format", "html"]])
def test_json_on_standard_output_is_valid_when_a_page_is_written(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert voicegauge(["report", str(folder), "--json", "-", *arguments]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["schema"] == "voicegauge/report/3"
    page = Path(out.err.removeprefix("wrote ").strip())
    assert page.read_text().startswith("<!doctype html>")


def test_fewer_clips_make_a_smaller_page(folder: Path, tmp_path: Path) -> None:
    whole, small, other = tmp_path / "whole.html", tmp_path / "small.html", tmp_path / "data.json"
    assert voicegauge(["report", str(folder), "--out", str(whole)]) == 0
    assert voicegauge(["report", str(folder), "--out", str(small), "--clips", "2", "--json", str(other)]) == 0
    assert [page.read_text().count('src="data:audio/') for page in (whole, small)] == [8, 4]  # two are random
    assert len(json.loads(other.read_text())["runs"][0]["worst_clips"]) == 2


@pytest.mark.parametrize(("name", "begins"), [("a.csv", "run_id,"), ("a.MD", "### "), ("a", "<!doc")])
def test_the_suffix_determines_the_format(folder: Path, tmp_path: Path, name: str, begins: str) -> None:
    assert voicegauge(["report", str(folder), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text().startswith(begins)


def test_the_text_length_is_stated_and_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert voicegauge(["report", str(folder), "--json", "-", "--text-length", "50"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["text_length"] == 50
    cost = report["runs"][0]["targets"][0]["cost"]
    assert cost["price_per_1m_characters"]["usd"] == pytest.approx(VOICES[0].usd * 1e6 / 50)  # type: ignore[operator]


def test_the_monthly_volume_is_stated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert voicegauge(["report", str(folder), "--json", "-", "--characters-per-month", "2M"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["characters_per_month"] == 2_000_000
    assert report["runs"][0]["targets"][0]["cost"]["price_per_month"]["usd"] == pytest.approx(VOICES[0].usd * 4_000)  # type: ignore[operator]
    assert voicegauge(["report", str(folder), "--format", "markdown", "--characters-per-month", "2M"]) == 0
    assert "per month 2,000,000 characters" in capsys.readouterr().out
    assert voicegauge(["report", str(folder), "--json", "-", "--credit-rate", "nobody=0.1"]) == 2
    assert "unknown provider in the runs 'nobody'" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"price of a credit of nobody: is not from 0 to \$1,000"):
        build_report(folder, credit_prices_usd={"nobody": 1e300})


def test_a_run_that_cannot_be_reported_is_one_line_and_exit_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"manifest": 3')
    for arguments in (
        [str(tmp_path / "nowhere")],
        [str(broken)],
        [str(folder), "--out", str(tmp_path)],
        [str(folder), "--out", str(broken / "below" / "page.html")],
        [str(folder), "--text-length", "0"],
        [str(folder), "--format", "pdf"],
        [str(folder), "--format", "csv", "--open"],
        [str(folder), "--format", "csv", "--json", "-"],
        [],
    ):
        assert voicegauge(["report", *arguments]) == 2, arguments
        out = capsys.readouterr()
        assert out.out == ""
        assert len(out.err.splitlines()) == 1
        assert out.err.startswith("voicegauge: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.json"]


def test_a_full_disk_leaves_the_old_page_and_no_half_of_a_new_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert voicegauge(["report", str(folder), "--out", str(page)]) == 0
    before = page.read_bytes()
    with small_disk():
        assert voicegauge(["report", str(folder), "--out", str(page)]) == 2
    assert capsys.readouterr().err == f"voicegauge: cannot write {page}: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_bytes() == before


def test_a_run_is_read_and_resampled_once_for_several_outputs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def count_calls(module: ModuleType, name: str) -> None:
        function = getattr(module, name)

        def call(*arguments: object, **named_arguments: object) -> object:
            calls.append(name)
            return function(*arguments, **named_arguments)

        monkeypatch.setattr(module, name, call)

    count_calls(reports, "load_run")
    count_calls(report_data, "measure_target_differences")
    page, numbers = tmp_path / "page.html", tmp_path / "report.json"
    assert voicegauge(["report", str(folder), "--out", str(page), "--json", str(numbers)]) == 0
    assert sorted(calls) == ["load_run", "measure_target_differences"]
    assert json.loads(numbers.read_text())["runs"][0]["ranking"]


def test_a_run_that_is_given_twice_is_not_counted_twice(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for other, says in ((folder / "run.json", "is given twice"), (copy, f"is a copy of {folder}")):
        for options in ([], ["--out", str(tmp_path / "samples.parquet")], ["--format", "csv"]):
            assert voicegauge(["report", str(folder), str(other), *options]) == 2
            assert says in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UsageError, match="load_run takes the path"):
        load_run(None)  # type: ignore[arg-type]


def test_a_format_that_contradicts_the_file_name_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "samples.csv"
    assert voicegauge(["report", str(folder), "--out", str(out), "--format", "parquet"]) == 2
    assert "contradicts --format parquet" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()
    assert voicegauge(["report", str(folder), "--out", str(tmp_path / "samples.txt"), "--format", "csv"]) == 0


@pytest.mark.slow
def test_runs_of_different_regions_are_not_compared_in_silence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "far"
    shutil.copytree(folder, far)
    run = json.loads((far / "run.json").read_text())
    run["manifest"].update(region="ap-south", run_id="far")
    (far / "run.json").write_text(json.dumps(run))
    assert voicegauge(["compare", str(folder), str(far)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "measured from different regions, which alone can change times:" in said
    assert "far: ap-south" in said
    assert "EMULATED: 0 regressions" in said
    assert voicegauge(["compare", str(folder), str(far), "--json", "-"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert (compared["baseline"][0]["region"], compared["run"]["region"]) == (None, "ap-south")
    assert voicegauge(["report", str(folder), str(far), "--out", "-"]) == 0
    assert "measured from different regions: no named region and ap-south" in capsys.readouterr().out
    site = tmp_path / "site"
    assert voicegauge(["report", str(folder), str(far), "--site", str(site)]) == 0
    assert not list(site.glob("*-compared.html"))
    assert "from <bdi>ap-south</bdi>" in (site / "index.html").read_text()

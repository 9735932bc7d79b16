"""Pages, reports and baselines replace files of voicegauge and no others; an empty run is said to be empty."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet
import pytest

from voicegauge import (
    check,
    check_profile,
    read_history,
    write_baseline,
    write_findings_page,
    write_history_page,
    write_junit,
)
from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge
from voicegauge.errors import StorageError
from voicegauge.files import find_bundled_folder
from voicegauge.profiles.judging import ProfileReport

from ..builders.report_runs import VOICES, make_run

PROFILE = ("--profile", "openai-transcription@2026-11", "--emulated")


@pytest.fixture(scope="module")
def profile_report() -> ProfileReport:
    return check_profile("openai-transcription@2026-11", emulated=True)


@pytest.fixture(autouse=True)
def profile_is_checked_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands print the same result each time; sending its requests takes seconds."""
    monkeypatch.setattr(
        "voicegauge.api.checking.run_profile_check", lambda _: request.getfixturevalue("profile_report")
    )


@pytest.mark.parametrize(
    "arguments",
    [("--out", "page.html"), ("--out", "out.csv"), ("--out", "out.md"), ("--out", "out.parquet"), ("--site", ".")],
)
def test_only_a_file_of_the_command_is_replaced(
    arguments: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_run(*make_run(tmp_path / "a", VOICES[:1], repetitions=1))
    written = tmp_path / ("index.html" if arguments[0] == "--site" else arguments[1])
    written.write_text("mine")
    command = ["report", str(tmp_path / "a"), *arguments]
    assert voicegauge(command) == 2
    assert capsys.readouterr().err.endswith(" was not written by voicegauge: name another file, or delete it\n")
    assert written.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", written.name]
    written.write_text("")
    assert (voicegauge(command), voicegauge(command)) == (0, 0)
    assert written.stat().st_size > 100


def test_a_file_of_the_user_in_the_same_format_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_run(*make_run(tmp_path / "a", VOICES[:1], repetitions=1))
    readme, table = tmp_path / "README.md", tmp_path / "measurements.parquet"
    readme.write_text("# acme\n\nThe nightly job runs `voicegauge report runs/*` and voicegauge compare.\n")
    pa.parquet.write_table(pa.table({"run_id": ["voicegauge"], "provenance": ["live"]}), table)
    for file in (readme, table):
        before = file.read_bytes()
        assert voicegauge(["report", str(tmp_path / "a"), "--out", str(file)]) == 2
        assert capsys.readouterr().err.endswith(" was not written by voicegauge: name another file, or delete it\n")
        assert file.read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ["check", "pixelapi", "--html", "FILE"],
        ["check", "pixelapi", "--write-baseline", "FILE"],
        pytest.param(["check", *PROFILE, "--html", "FILE"], marks=pytest.mark.slow),
        ["drift", "contract.yaml", "contract.yaml", "--html", "FILE"],
        ["drift", "contract.yaml", "contract.yaml", "--write-baseline", "FILE"],
        ["history", ".", "--html", "FILE"],
    ],
    ids=" ".join,
)
def test_only_a_page_or_baseline_of_voicegauge_is_replaced(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_run(*make_run(tmp_path / "a", VOICES[:1], repetitions=1))
    contract = find_bundled_folder("contracts") / "pixelapi/openapi.yaml"
    (tmp_path / "contract.yaml").write_bytes(contract.read_bytes())
    Path("FILE").write_text("mine")
    assert voicegauge(command) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "FILE was not written by voicegauge: name another file, or delete it" in err
    assert Path("FILE").read_text() == "mine"
    Path("FILE").unlink()
    for _ in range(2):
        assert voicegauge(command) == 0
        assert Path("FILE").stat().st_size > 50
        Path("FILE").write_bytes(Path("FILE").read_bytes() + b" ")


def test_a_page_replaces_a_page_of_another_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_documents = ["check", "pixelapi"]
    contract = str(find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml")
    for command in (check_documents, ["drift", contract, contract], check_documents):
        assert voicegauge([*command, "--html", "page.html"]) == 0


def test_functions_do_not_replace_a_file_of_somebody_else(tmp_path: Path) -> None:
    report, file = check("pixelapi"), tmp_path / "mine"
    file.write_text("mine")
    for write in (write_findings_page, write_baseline):
        with pytest.raises(StorageError, match="mine was not written by voicegauge"):
            write(report, file)
    save_run(*make_run(tmp_path / "a", VOICES[:1], repetitions=1))
    with pytest.raises(StorageError, match="mine was not written by voicegauge"):
        write_history_page(read_history(tmp_path), file)
    assert file.read_text() == "mine"
    write_junit(report, file)  # jobs write such files again and again
    assert "<testsuites" in file.read_text()


def test_an_empty_run_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = make_run(tmp_path / "a", VOICES[:1], repetitions=1)
    save_run(folder, msgspec.structs.replace(run, samples=()))
    assert voicegauge(["report", str(folder)]) == 3
    printed = capsys.readouterr()
    assert printed.out.startswith("wrote ")
    assert printed.err == "voicegauge: nothing was measured: no request of these runs has a result\n"

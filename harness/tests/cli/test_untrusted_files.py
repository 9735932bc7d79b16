"""Files of a stranger: FIFOs, devices, links, and escape sequences for the terminal."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.run_store import save_run
from voicegauge.cli import run
from voicegauge.cli._console import define_safe_console
from voicegauge.errors import DataError
from voicegauge.files import open_file, read_file, write_file

from ..builders.contracts import MINIMAL_CONTRACT
from ..builders.report_runs import VOICES, make_run

ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202e"
CONTRACT = MINIMAL_CONTRACT.replace("Voice one", '"Voice\\e]0;owned\\a\\e[31m\\x9B2J\\u202e"')


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def no_hang() -> Iterator[None]:
    """Opening a FIFO would block forever; the alarm makes that a failure."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("link", "arguments"),
    [
        ("voicegauge.toml", "rules"),
        ("pyproject.toml", "rules"),
        ("mine/l.yaml", "check acme --contracts mine"),
        ("mine/acme/openapi.yaml", "providers --contracts mine"),
        ("documents/openai.yaml", "drift --official --from documents"),
        ("fixtures/openai/tts-1.har", "check openai"),
        ("fixtures/openai/tts-1.har", "record openai/tts-1 --emulated --refresh all --yes"),
        ("fixtures/openai/tts-1.har", "check openai --recordings fixtures"),
        ("fixtures/openai/tts-1.har", "serve openai --replay fixtures"),
        ("fixtures/openai/tts-1.har", "drift openai fixtures"),
        ("fixtures/openai/tts-1.har", "drift openai openai --uses fixtures"),
        ("fixtures/openai/tts-1.har", "convert fixtures --provider openai --out new"),
        ("fixtures/openai/tts-1.har", "init fixtures --out new.yaml"),
    ],
)
def test_no_link_out_of_a_folder_is_read(
    link: str, arguments: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file may be one of the user, of which errors and reports would quote parts."""
    outside = folder.parent / "outside"
    outside.write_text(
        "[tool.voicegauge]\nmy-own-secret = 1\n" if link.endswith("toml") else "password: my-own-secret\n"
    )
    (folder / link).parent.mkdir(parents=True, exist_ok=True)
    (folder / link).symlink_to(outside)
    assert run(arguments.split()) == 2
    captured = capsys.readouterr()
    assert f"{link}: a link leads out of the folder" in captured.err
    assert "my-own-secret" not in captured.out + captured.err


LINKED_RUN_COMMANDS = (
    "report runs/one --out page.html",
    "report runs/one/run.json --format csv",
    "compare runs/one runs/two",
    "score runs/one --asr none",
    "history runs",
)


@pytest.mark.parametrize("arguments", LINKED_RUN_COMMANDS)
@pytest.mark.parametrize("link", ["run.json", "journal.jsonl"])
def test_no_run_is_read_through_a_link_out_of_its_folder(
    link: str, arguments: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even a run: it may be one of the user, with texts and transcripts that nobody else should see."""
    is_run = link == "run.json"
    elsewhere, mine = make_run(tmp_path / "elsewhere", VOICES[:1], repetitions=1, texts=1)
    save_run(elsewhere, mine)
    for name in ("one", "two"):
        (folder / "runs" / name).mkdir(parents=True)
        # Samples of an unfinished run are read from its journal.
        unfinished = msgspec.structs.replace(mine.manifest, is_finished=False)
        here = msgspec.structs.replace(mine, manifest=mine.manifest if is_run else unfinished, samples=())
        save_run(folder / "runs" / name, here)
        (folder / "runs" / name / link).unlink(missing_ok=True)
        (folder / "runs" / name / link).symlink_to(elsewhere / link)
    (elsewhere / "journal.jsonl").write_text("my-own-secret\n")
    assert run(arguments.split()) == 2
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split()).replace(f"{link}:", link)
    assert f"{link} a link leads out of the folder" in said
    assert len(captured.err.splitlines()) <= 3
    printed = captured.out + captured.err
    assert not any(text in printed for text in ("my-own-secret", mine.manifest.run_id, VOICES[0].id))
    assert not (folder / "page.html").exists()


@pytest.mark.parametrize("device", [False, True])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("voicegauge.toml", ["rules"]),
        ("pyproject.toml", ["rules"]),
        ("any.toml", ["--settings", "any.toml", "rules"]),
        ("acme/openapi.yaml", ["providers", "--contracts", "."]),
        ("known.json", ["check", "pixelapi", "--baseline", "known.json"]),
        ("acme/x.har", ["check", "pixelapi", "--recordings", "."]),
        ("acme/x.har", ["serve", "--port", "0", "--replay", "."]),
        ("suite.yaml", ["bench", "pixelapi", "--suite", "suite.yaml"]),
        ("voice.wav", ["bench", "pixelapi", "--voice-sample", "voice.wav"]),
        ("run/run.json", ["report", "run"]),
        ("run/run.json", ["score", "run"]),
        ("run/run.json", ["compare", "run", "run"]),
        ("run/run.json", ["history", "."]),
        ("old.har", ["drift", "pixelapi", "old.har"]),
        ("old.yaml", ["drift", "old.yaml", "pixelapi"]),
        ("tape.json", ["convert", "tape.json", "--provider", "pixelapi"]),
        ("cassette.yaml", ["convert", "cassette.yaml", "--provider", "pixelapi"]),
        ("base.en.pt", ["asr", "install", "base.en", "--from", "base.en.pt"]),
    ],
)
@pytest.mark.usefixtures("no_hang")
def test_a_fifo_or_a_device_as_input_is_one_line(
    folder: Path, name: str, arguments: list[str], device: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("/dev/zero") if device else os.mkfifo(path)
    assert run(arguments) == 2
    line = one_line(capsys)
    assert path.name in line
    reasons = ("not a regular file", "no contract found", "a link leads out of the folder")
    assert any(reason in line for reason in reasons)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)  # a sparse file
    with pytest.raises(OSError, match="is larger than 1000 bytes"):
        read_file(tmp_path / "large", 1000)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is a folder"):
        open_file(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rules", "nothing", "--json", "link/out.json"],
        ["rules", "nothing", "--json", "file.json"],
        ["check", "pixelapi", "--junit", "link/junit.xml"],
        ["check", "pixelapi", "--emulated", "--fuzz", "1", "--write-tests", "link/found"],
        ["check", "pixelapi", "--emulated", "--fuzz", "1", "--failures", "link/saved"],
        ["record", "pixelapi", "--emulated", "--out", "link"],
        ["bench", "pixelapi/voice-design", "--limit", "1", "--asr", "none", "--out", "link"],
        ["bench", "pixelapi/voice-design", "--limit", "1", "--asr", "none", "--out", "link/sub"],
    ],
)
def test_an_output_through_a_link_out_of_the_folder_is_one_line(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("before")
    (folder / "link").symlink_to(outside)
    (folder / "file.json").symlink_to(outside / "precious")
    assert run(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "a link leads to" in line
    assert "outside of" in line
    assert sorted(path.name for path in outside.iterdir()) == ["precious"]
    assert (outside / "precious").read_text() == "before"


def test_a_link_within_the_folder_and_a_path_that_the_user_names_are_followed(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    assert run(["rules", "nothing", "--json", "link/out.json"]) == 0
    assert (folder / "real" / "out.json").is_file()
    (folder.parent / "elsewhere").symlink_to(folder)
    for path in ("../elsewhere/named.json", str(folder.parent / "elsewhere" / "absolute.json")):
        assert run(["rules", "nothing", "--json", path]) == 0
        assert (folder / Path(path).name).is_file()


def test_the_name_of_a_partial_file_is_no_trap(folder: Path) -> None:
    (folder.parent / "precious").write_text("before")
    (folder / f".out.{os.getpid()}.partial").symlink_to("../precious")
    write_file(folder / "out", b"content")
    assert (folder.parent / "precious").read_text() == "before"
    assert (folder / "out").read_bytes() == b"content"


def assert_harmless(text: str) -> None:
    assert not set(text) & set("\x1b\x07\x9b\u202e"), ascii(text)


def test_escape_sequences_of_a_contract_do_not_reach_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (folder / "acme.yaml").write_text(CONTRACT)
    for options in ([], ["--json", "-"]):
        assert run(["providers", "--contracts", "acme.yaml", *options]) == 0
        out = capsys.readouterr().out
        assert "owned" in out
        assert_harmless(out)
    (folder / "acme.yaml").write_text(CONTRACT.replace("voice-1", '"\\e[31mvoice"'))
    assert run(["providers", "--contracts", "acme.yaml"]) == 2
    assert_harmless(one_line(capsys))


def test_escape_sequences_of_file_names_do_not_reach_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"x{ESCAPES}.har"
    (folder / name).write_text("{}")
    assert run(["drift", name, "pixelapi"]) == 2
    assert_harmless(one_line(capsys))
    assert run(["check", "pixelapi", "--recordings", "."]) in {2, 3}
    assert_harmless("".join(capsys.readouterr()))


def test_errors_have_no_escape_sequences() -> None:
    assert str(DataError(f"{ESCAPES} is damaged")).startswith("\\u001b]0;owned\\u0007")


def test_a_console_keeps_its_own_colors_only() -> None:
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = define_safe_console()(file=out, force_terminal=True, color_system="standard", width=200, highlight=False)
    cells = Table(ESCAPES)
    cells.add_row(Text(ESCAPES, style="red"))
    console.print(ESCAPES, Text(ESCAPES), style="bold", markup=False)
    console.print(cells)
    own = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert_harmless(own)
    assert own.count("owned") == 4
    assert "\x1b[1m\\u001b]0;owned" in out.getvalue()

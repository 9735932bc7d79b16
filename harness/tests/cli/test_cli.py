"""The command line as a shell sees it: exit statuses, one line for a mistake, settings from files."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import voicegauge
from voicegauge.cli import HELP_BY_COMMAND, run
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import UsageError
from voicegauge.formats.located_yaml import MAX_DOCUMENT_DEPTH

from ..builders.contracts import MINIMAL_CONTRACT

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    # A live command says first where it sends keys, whatever follows.
    lines = [line for line in captured.err.splitlines() if not line.startswith("LIVE: ")]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("voicegauge: ")
    return lines[0]


def test_help_names_every_command_and_imports_little() -> None:
    code = "import sys; from voicegauge.cli import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, modules = done.stdout.rsplit("\n", 2)[0], done.stdout.splitlines()[-1].split()
    for name in HELP_BY_COMMAND:
        assert f"  {name} " in help_text
    heavy = {"httpx", "numpy", "torch", "scipy", "rich", "starlette", "hypothesis", "jinja2"}
    assert not heavy & set(modules)
    assert len(modules) < 250


def test_a_command_without_a_required_argument_says_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("init", "score", "proxy", "asr install", "report", "compare", "convert", "record"):
        assert run(command.split()) == 2, command
        assert "Missing argument" in one_line(capsys)


@pytest.mark.parametrize("command", ["serve", "check", "check --emulated", "bench pixelapi"])
def test_every_command_that_injects_faults_lists_them(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--fault", "list"]) == 0
    assert "silent-audio" in capsys.readouterr().out


def test_help_of_a_command_imports_little() -> None:
    code = "import sys; from voicegauge.cli import run; run(['check', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1].split()
    assert not {"asyncio", "httpx", "numpy", "rich", "starlette", "jinja2"} & set(modules)


def test_what_a_check_does_not_need_is_not_imported() -> None:
    code = "import sys; from voicegauge import check; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "voicegauge.conformance.check_report" in modules
    assert not {"uvicorn", "starlette", "jinja2", "hypothesis", "scipy", "voicegauge.drift.drift_report"} & set(modules)


@pytest.mark.parametrize("name", HELP_BY_COMMAND)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: voicegauge {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chek"], ["'chek'", "did you mean check? Known: asr, "]),
        (["providers", "--jsom", "-"], ["--jsom"]),
        (["providers", "--contracts", "nowhere"], ["nowhere"]),
        (["bench", "pixazo/xtts-v3"], ["'pixazo/xtts-v3'", "did you mean pixazo/xtts-v2?"]),
        (["bench", "pixazo", "--live", "--base-url", "ftp://x"], ["--base-url", "https"]),
        (["bench", "pixazo", "--live", "--base-url", "http://[::1"], ["--base-url", "https"]),
        (["bench", "pixazo", "--live", "--base-url", "http://x:99999"], ["--base-url", "https"]),
        (["bench", "pixazo", "--live", "--base-url", "http://a b"], ["--base-url", "https"]),
        (["bench", "pixazo", "--live", "--base-url", "http://x/y?z=1"], ["--base-url", "query"]),
        (["bench", "--voice-sample", "no-audio.txt"], ["no-audio.txt", "not a valid voice sample"]),
        (["bench", "--suite", "no-audio.txt"], ["unknown suite"]),
        (["serve", "--plan", "freee"], ["unknown plan 'freee'"]),
        (["serve", "pixazo", "--plan", "free"], ["unknown plan 'free': there is no plan; leave out --plan"]),
        (["serve", "--pace", "0"], ["--pace goes with --replay"]),
        (["serve", "--replay", ".", "--fault", "ignored-key"], ["--replay and --fault exclude each other"]),
        (["serve", "--replay", ".", "--time-scale", "1"], ["--replay and --time-scale exclude each other"]),
        (["report", "nowhere", "--json", "-", "--out", "-"], ["standard output"]),
        (["bench", "--max-cost", "nan"], ["--max-cost", "nan"]),
        (["bench", "--max-cost", "inf"], ["--max-cost", "inf"]),
        (["compare", "a", "b", "--min-slowdown", "nan"], ["--min-slowdown", "nan"]),
        (["bench", "pixazo", "--base-url", "http://127.0.0.1:1"], ["--base-url", "--live"]),
        (["bench", "pixazo", "--live", "--base-url", "nope=http://127.0.0.1:1"], ["nope", "gateway"]),
        (["check", "pixazo", "pixelapi", "--live", "--base-url", "http://127.0.0.1:1"], ["one provider"]),
        (["bench", "--seed", "-1"], ["--seed"]),
        (["bench", "--price", "acme"], ["--price", "acme"]),
        (["bench", "--price", "pixelap=1"], ["unknown target 'pixelap'"]),
        (
            ["check", "pixelapi", "--live", "--dry-run", "--price", "pixelapi/voice-desing=1"],
            ["unknown target", "did you mean pixelapi/voice-design?"],
        ),
        (["bench", "--json", "."], ["'--json': cannot write .: is a folder, name a file"]),
        (["rules", "--json", "loop"], ["'--json': cannot write loop: "]),
        (["record", "pixelapi", "--live", "--out", "no-audio.txt/x"], ["'--out': cannot write", "is not a folder"]),
        (["check", "--junit", "no-audio.txt/x.xml"], ["'--junit': cannot write", "no-audio.txt is not a folder"]),
        (["check", "--junit", "a.xml", "--sarif", "./a.xml"], ["--junit and --sarif", "same file"]),
        (
            ["drift", "pixelapi", ".", "--propose", "a.patch", "--json", "a.patch"],
            ["--json and --propose", "same file"],
        ),
        (["report", "nowhere", "--out", "a.html", "--json", "a.html"], ["--json and --out", "same file"]),
        (["check", "--select", "empty-body", "--ignore", "empty-body"], ["leave no rule"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    folder: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "no-audio.txt").write_text("hello")
    (folder / "loop").symlink_to("loop")
    assert run(arguments) == 2
    line = one_line(capsys)
    for word in words:
        assert word in line


def test_a_password_in_a_base_url_is_not_repeated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "pixazo", "--live", "--base-url", "http://me:hunter2@127.0.0.1:9"]) == 2
    assert "hunter2" not in one_line(capsys)


def test_a_broken_contract_names_file_line_and_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "acme").mkdir()
    (folder / "acme" / "openapi.yaml").write_text(
        MINIMAL_CONTRACT.replace("delivery_method: bytes", "delivery_method: letters")
    )
    assert run(["providers", "--contracts", str(folder)]) == 2
    line = one_line(capsys)
    assert "acme/openapi.yaml:11:" in line
    assert "letters" in line


def test_a_user_contract_is_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "acme").mkdir()
    (folder / "acme" / "openapi.yaml").write_text(MINIMAL_CONTRACT)
    assert run(["providers", "--contracts", str(folder), "--json", "-"]) == 0
    listed = {provider["id"]: provider for provider in json.loads(capsys.readouterr().out)["providers"]}
    assert listed["acme"]["targets"][0]["id"] == "acme/voice-1"
    assert listed["acme"]["is_key_set"] is False
    assert set(listed) == {"acme"}, "the bundled providers are not in the folder"


def test_text_of_a_contract_is_printed_unchanged(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markup and emoji codes of rich are not interpreted."""
    monkeypatch.setenv("COLUMNS", "200")
    (folder / "openapi.yaml").write_text(MINIMAL_CONTRACT.replace("Voice one", "'Voice [red] [/b] :key:'"))
    assert run(["providers", "--contracts", "openapi.yaml"]) == 0
    assert "Voice [red] [/b] :key:" in capsys.readouterr().out


def test_a_contract_without_examples_and_recordings_is_not_judged(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text(MINIMAL_CONTRACT)
    assert run(["check", "acme", "--contracts", "acme.yaml"]) == 3
    assert "nothing was judged of acme: its document has no examples" in capsys.readouterr().err


def test_settings_come_from_the_file_and_flags_win(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text('[providers]\njson = "listed/out.json"\n')
    assert run(["providers"]) == 0
    assert json.loads((folder / "listed" / "out.json").read_text())["schema"] == "voicegauge/providers/2"
    capsys.readouterr()
    assert run(["providers", "--json", "other.json"]) == 0
    assert (folder / "other.json").exists()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("sead = 3\n", "did you mean seed?"),
        ("[provider]\nx = 1\n", "did you mean providers?"),
        ("[providers]\njsn = 'x'\n", "did you mean json?"),
        ("providers = 3\n", "must be a table"),
        ("= 3\n", "voicegauge.toml: is not valid TOML: "),
        pytest.param(
            f"seed = 3\n{'.'.join('a' * 200_000)} = 1\n", "toml:2: has a key of more than 100 parts", id="long key"
        ),
        ("a = " + 3000 * "[", "voicegauge.toml: is nested too deeply"),
        ("live = true\n", "--live"),
        ("[providers]\nlive = true\n", "--live"),
        ("[providers]\njson = ['a']\n", "[providers] json must be a string or a number"),
        ("[providers]\njson = true\n", "[providers] json must be a string or a number"),
        ("[providers]\njson = 1979-05-27\n", "[providers] json must be a string or a number"),
        ("[providers.json]\na = 1\n", "[providers] json must be a string or a number"),
        ("contracts = [['a']]\n", "contracts must be a string or a number, or a list of them"),
    ],
)
def test_an_invalid_setting_is_rejected(folder: Path, text: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text(text)
    assert run(["providers"]) == 2
    assert word in one_line(capsys)


_SETTINGS_OF_WHOLE_NUMBERS = [
    (("check", "pixelapi", "--emulated", "--dry-run"), "max-calls"),
    (("check", "pixelapi", "--emulated", "--dry-run"), "fuzz"),
    (("check", "pixelapi", "--emulated", "--dry-run"), "seed"),
    (("bench", "pixelapi", "--dry-run"), "repetitions"),
    (("bench", "pixelapi", "--dry-run"), "seed"),
    (("bench", "pixelapi", "--dry-run"), "limit"),
]


@pytest.mark.parametrize(("command", "setting"), _SETTINGS_OF_WHOLE_NUMBERS)
@pytest.mark.parametrize("is_in_table", [False, True])
def test_a_fraction_is_not_cut_to_a_whole_number(
    folder: Path, command: tuple[str, ...], setting: str, is_in_table: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    table = f"[{command[0]}]\n" if is_in_table else ""
    for value, shown in (("2.5", "2.5"), ("'2.5'", "'2.5'"), ("nan", "nan"), ("inf", "inf")):
        (folder / "voicegauge.toml").write_text(f"{table}{setting} = {value}\n")
        assert run(["--settings", "voicegauge.toml", *command]) == 2
        message = f"Invalid value for '{setting}' in voicegauge.toml: {shown} is not a valid integer."
        assert one_line(capsys).endswith(message)
    (folder / "voicegauge.toml").write_text(f"{table}{setting} = true\n")
    assert run(["--settings", "voicegauge.toml", *command]) == 2
    assert f"{setting} must be a string or a number" in one_line(capsys)


def test_a_whole_number_in_settings_may_be_written_as_a_float(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for value in ("3", "3.0"):
        (folder / "voicegauge.toml").write_text(f"[bench]\nrepetitions = {value}\n")
        assert run(["bench", "pixelapi", "--dry-run"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("text", ["[check]\nbogus = 1\n", "bogus = 1\n"])
def test_an_unknown_setting_suggests_only_what_a_file_may_set_and_lists_no_hundred_names(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text(text)
    assert run(["check", "pixelapi", "--dry-run"]) == 2
    said = one_line(capsys)
    assert "did you mean" not in said
    assert "--help` lists all " in said
    assert "seed" not in said


def test_the_name_of_a_command_is_not_taken_for_a_misspelled_setting(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text("check = 3\n")
    assert run(["bench", "pixelapi", "--dry-run"]) == 2
    assert "check must be a table of settings" in one_line(capsys)


@pytest.mark.parametrize(
    "command",
    [
        ("init", "deep.yaml"),
        ("check", "--contracts", "deep.yaml"),
        ("bench", "pixelapi", "--suite", "deep.yaml"),
        ("drift", "deep.yaml", "deep.yaml"),
    ],
)
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_a_deeply_nested_file_is_rejected_before_it_is_parsed(
    folder: Path, command: tuple[str, ...], brackets: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """To parse such a file would take minutes."""
    depth = 200_000
    (folder / "deep.yaml").write_text(f"{brackets[0] * depth}{brackets[1] * depth}")
    assert run([*command]) == 2
    assert one_line(capsys) == f"voicegauge: deep.yaml:1: is nested deeper than {MAX_DOCUMENT_DEPTH}"


def test_a_target_limits_the_list_of_its_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["providers", "openai/tts-1", "--json", "-"]) == 0
    (provider,) = json.loads(capsys.readouterr().out)["providers"]
    assert [target["id"] for target in provider["targets"]] == ["openai/tts-1"]
    assert run(["providers", "openai/tts-9"]) == 2
    assert "unknown target 'openai/tts-9': did you mean openai/tts-1?" in one_line(capsys)


@pytest.mark.parametrize(("text", "word"), [("[tool]\nvoicegauge = 3\n", "must be a table"), ("tool = 3\n", "")])
def test_a_project_file_of_another_shape_is_not_a_traceback(
    folder: Path, text: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pyproject.toml").write_text(text)
    assert run(["rules", "nothing"]) == (2 if word else 0)
    assert word in capsys.readouterr().err


def test_a_top_level_setting_of_another_command_is_accepted(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.voicegauge]\nseed = 3\nasr = 'embedded'\n")
    assert run(["rules", "nothing"]) == 0
    assert run(["asr", "--help"]) == 0


def test_an_option_that_may_be_repeated_takes_one_value(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text("contracts = 'nowhere'\n")
    assert run(["--settings", "voicegauge.toml", "providers"]) == 2
    assert "'nowhere' does not exist" in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "variable", "source"),
    [
        ([], None, "'max-wait' in voicegauge.toml: -1.0"),
        (["--settings", "sub/my.toml"], None, "'max-wait' in sub/my.toml: -4.0"),
        ([], "-2", "the environment variable VOICEGAUGE_MAX_WAIT: -2.0"),
        (["--max-wait", "-3"], "-2", "'--max-wait': -3.0"),
    ],
)
def test_an_invalid_value_is_reported_with_the_place_where_it_was_written(
    folder: Path,
    arguments: list[str],
    variable: str | None,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "my.toml").write_text("max-wait = -4\n")
    (folder / "voicegauge.toml").write_text("max-wait = -1\n")
    if variable is not None:
        monkeypatch.setenv("VOICEGAUGE_MAX_WAIT", variable)
    before = arguments if "--settings" in arguments else []
    assert run([*before, "check", "pixelapi", *(arguments if not before else [])]) == 2
    assert f"Invalid value for {source} is not a number above 0" in one_line(capsys)


def test_a_variable_that_a_flag_excludes_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICEGAUGE_REGION", "eu")
    assert run(["bench", "pixelapi", "--limit", "1", "--dry-run"]) == 0
    assert "VOICEGAUGE_REGION" not in capsys.readouterr().err
    assert run(["bench", "pixelapi", "--limit", "1", "--dry-run", "--dask", "tcp://127.0.0.1:1"]) == 0
    assert "VOICEGAUGE_REGION has no effect with --dask" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", ".: cannot be read: is a folder, not a file"),
        ("sub/my.toml", "sub/my.toml: seed must be"),
        ("sub/broken.toml", "sub/broken.toml: "),
        ("sub/pyproject.toml", "sub/pyproject.toml: [tool.voicegauge] must be a table"),
    ],
)
def test_a_settings_file_is_called_what_the_user_called_it(
    folder: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "my.toml").write_text("seed = [1]\n")
    (folder / "sub" / "broken.toml").write_text("= 3\n")
    (folder / "sub" / "pyproject.toml").write_text("tool = {voicegauge = 3}\n")
    assert run(["--settings", name, "check"]) == 2
    assert one_line(capsys).startswith(f"voicegauge: {message}")


def test_output_to_a_full_disk_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this test needs /dev/full, which Linux has")
    (folder / "full").symlink_to("/dev/full")
    assert run(["providers", "--json", str(folder / "nodir" / ".." / "full" / "x")]) == 2
    one_line(capsys)


def test_a_table_for_a_full_disk_names_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class FullDisk(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stdout", FullDisk())
    assert run(["rules"]) == 2
    assert capsys.readouterr().err == "voicegauge: standard output cannot be written: No space left on device\n"


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = line.replace("voicegauge", f"{sys.executable} -m voicegauge")
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_a_closed_pipe_is_not_a_finding(folder: Path) -> None:
    done = shell("voicegauge rules | true; echo ${PIPESTATUS[0]}", folder)
    assert done.stdout.strip() == "141"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_closed_standard_output_discards_the_table(folder: Path) -> None:
    done = shell("voicegauge providers lmnt --json out.json >&-", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((folder / "out.json").read_text())["providers"]


@pytest.mark.slow
def test_a_closed_standard_input_is_not_a_terminal(folder: Path) -> None:
    """Overwriting is confirmed only on a terminal."""
    shutil.copytree(ROOT / "fixtures" / "pixelapi", folder / "fixtures" / "pixelapi")
    done = shell("voicegauge record pixelapi --emulated --refresh all <&-", folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "add --yes" in done.stderr


@pytest.mark.slow
def test_characters_missing_in_the_locale_are_escaped_and_json_is_utf_8(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "acme.yaml").write_text(MINIMAL_CONTRACT.replace("Voice one", "声"), encoding="utf-8")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    call = "voicegauge providers acme --contracts acme.yaml --json"
    done = shell(f"{call} a.json && {call} - >b.json", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u58f0" in done.stdout
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()


@pytest.mark.parametrize("columns", ["wide", "0", "-5", ""])
def test_an_invalid_width_is_ignored(columns: str, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run(["providers"]) == 0
    assert "PIXAZO_API_KEY" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["80", "120"])
def test_all_providers_take_a_line_each_and_are_counted_as_errors_count_them(columns, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run(["providers"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    contracts = list(load_catalogue())
    assert [line.split()[0] for line in lines[2:-2]] == sorted(contract.id for contract in contracts)
    assert lines[-2].startswith("over WebSockets (they respond with a conversation): cartesia/sonic-3.5-socket, ")
    count = sum(1 for contract in contracts for _ in contract.iterate_targets())
    assert lines[-1].startswith(f"{len(contracts)} providers, {count} targets; ")
    for arguments in (["check", "nowhere"], ["check", "xai", "--live", "--dry-run", "--price", "nowhere=1"]):
        assert run(arguments) == 2
        assert capsys.readouterr().err.endswith(f"'nowhere': `voicegauge providers` lists all {count}\n")


@pytest.mark.parametrize(
    ("module", "command"),
    [("emulator.app", "serve"), pytest.param("relay._traffic_judge", "proxy", marks=pytest.mark.slow)],
)
def test_a_module_that_other_commands_start_names_the_command(module: str, command: str) -> None:
    """A terminal is simulated with a pseudo-terminal, where the process would wait for its settings."""
    main_end, terminal = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"voicegauge.{module}"],
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        os.close(main_end)
        os.close(terminal)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"this module is started by other commands with its settings: run `voicegauge {command}`"
    ]


@pytest.mark.parametrize("module", ["click", "threading"])
def test_ctrl_c_while_the_command_is_imported_is_one_line(module: str, tmp_path: Path) -> None:
    """The handler of Ctrl-C needs `threading` itself."""
    (tmp_path / f"{module}.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "voicegauge", "rules"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (130, "voicegauge: stopped")


@pytest.mark.parametrize(
    "code",
    [
        "exec('press()')",  # as in `dataclass`: Python would exit by SIGINT
        "class Name:\n def __set_name__(self, *_): press()\nclass Owner: name = Name()",
        "try:\n press()\nexcept BaseException:\n pass",
        "class Lock: pass\nlock = Lock()\nref = weakref.ref(lock, lambda _: press())\ndel lock",
        "OUTSIDE class Lock: pass\nlock = Lock()\nref = weakref.ref(lock, lambda _: press())\ndel lock",
    ],
)
@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_is_not_lost_where_python_or_a_module_ignores_it(
    code: str, stop: signal.Signals, tmp_path: Path
) -> None:
    """In the callback that frees the lock of an import, Python itself ignores what is raised.

    SIGTERM is sent to a command that ignores Ctrl-C, as a background job of a shell does.
    """
    press = f"import signal, weakref\ndef press(): signal.raise_signal({stop:d})\n"
    (tmp_path / "late.py").write_text(press + code.removeprefix("OUTSIDE "))
    late = f"exec({press + code[8:]!r}, {{}})" if code.startswith("OUTSIDE ") else "import late"
    imports = "import signal, time, voicegauge.__main__ as m, voicegauge.cli as c\n"
    imports += "from voicegauge.api.calls import interrupt_on_termination\n"
    program = f"{imports}@interrupt_on_termination()\ndef run():\n {late}\n time.sleep(600)\n"
    handler = "SIG_IGN" if stop is signal.SIGTERM else "default_int_handler"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}c.run = run\nsignal.signal(signal.SIGINT, signal.{handler})\nm.main()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr.strip()) == (130, "voicegauge: stopped")


@pytest.mark.parametrize("command", [("check", "pixelapi"), ("bench", "pixelapi")])
def test_a_share_in_percent_is_rejected_with_the_share_that_is_meant(command, capfd) -> None:
    assert run([*command, "--fail-under", "60"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith("60.0 is not a number from 0 to 1. For 60%, write 0.6.")


def test_large_bounds_are_named_exactly(capfd) -> None:
    assert run(["bench", "pixelapi", "--seed", "-1"]) == 2
    assert capfd.readouterr().err.strip().endswith("-1 is not a number from 0 to 4294967295.")
    with pytest.raises(UsageError, match="seed is 8589934592: choose a number from 0 to 4294967295"):
        voicegauge.benchmark("pixelapi", seed=2**33)


def test_the_base_url_of_other_commands_is_named_upstream_by_the_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["proxy", "cartesia", "--base-url", "http://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err == "voicegauge: No such option '--base-url': here it is --upstream\n"


def test_the_markdown_of_other_commands_is_a_format_of_the_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "lmnt", "--markdown", "prices.md"]) == 2
    assert capsys.readouterr().err == "voicegauge: No such option '--markdown': here it is --format markdown\n"

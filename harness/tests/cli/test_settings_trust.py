"""A settings file in the current folder may be a stranger's: what it may set, each option declares."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from voicegauge.cli import COMMAND_LOADER_BY_NAME, HELP_BY_COMMAND, _load_command, run
from voicegauge.cli._options import RequestOption
from voicegauge.cli._settings import collect_command_defaults, find_settings
from voicegauge.errors import UsageError
from voicegauge.options import DeclaredOption, Trust

from ..builders.contracts import MINIMAL_CONTRACT

CONTRACT = MINIMAL_CONTRACT.replace("https://", "http://").replace(
    "      requestBody:", "      x-pricing: {usd_per_unit: 0.001, unit: request}\n      requestBody:"
)
ARGUMENTS = {
    "compare": ["a", "b"],
    "convert": ["."],
    "drift": ["pixelapi", "pixelapi"],
    "init": ["."],
    "proxy": ["pixelapi"],
    "record": ["pixelapi"],
    "report": ["run"],
    "score": ["run"],
}
"""What a command needs besides its options."""
OUTSIDE = ["../out.json", "/etc/out.json", "link/out.json"]
NOT_OURS = [
    "out.json", ".git/hooks/pre-commit.json", ".venv/lib/x.json", "src/.hidden/x.json", "src/out.json", "new/x.pth",
    "new/x.py", "new/conftest.py", "new/x", "src/../src/out.json",
]  # fmt: skip


def iterate_options() -> Iterator[tuple[str, DeclaredOption]]:
    for command_name in HELP_BY_COMMAND:
        for option in _load_command(command_name).params:
            if isinstance(option, RequestOption):
                yield command_name, option.declared


OPTIONS = [pytest.param(command, one, id=f"{command} {one.flag}") for command, one in iterate_options()]


def choose_value(one: DeclaredOption) -> str:
    """A valid value of an option, as TOML."""
    shape, spec = one.shape, one.spec
    if shape.item_type is bool:
        return "true"
    if shape.choices:
        return json.dumps(shape.choices[-1])
    if shape.item_type in {int, float}:
        low = spec.minimum or 0
        return str(shape.item_type(low + 0.5 if spec.excludes_bounds else low + 1))
    return json.dumps({
        "--base-url": "https://evil.test", "--against-url": "https://evil.test", "--upstream": "https://evil.test",
        "--price": "pixelapi=0", "--credit-rate": "ttsai=0.001", "--severity": "job-stuck=info", "--host": "127.0.0.1",
        "--characters-per-month": "2M", "--allow-key": "ACME_KEY=evil.test",
    }.get(one.flag, "given"))  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "out.json").write_text("mine")
    (folder / "link").symlink_to("..")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path / "state"))
    return folder


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def collect_defaults(command_name: str, one: DeclaredOption, value: str) -> object:
    """What `command_name` takes as the default of an option from a settings file that was found."""
    Path("voicegauge.toml").write_text(f"[{command_name}]\n{one.setting_name} = {value}\n")
    settings = find_settings(Path.cwd())
    assert settings is not None
    return collect_command_defaults(_load_command(command_name), settings, COMMAND_LOADER_BY_NAME).get(one.name)


def test_every_option_of_every_command_is_declared() -> None:
    for name in HELP_BY_COMMAND:
        options = [option for option in _load_command(name).params if isinstance(option, click.Option)]
        assert [option for option in options if not isinstance(option, RequestOption)] == []


@pytest.mark.parametrize(("command", "one"), [one for one in OPTIONS if not str(one.id).endswith("--live")])
def test_a_found_file_sets_what_the_declaration_allows(
    command: str, one: DeclaredOption, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = choose_value(one)
    if one.spec.found_file is Trust.REFUSED:
        (folder / "voicegauge.toml").write_text(f"[{command}]\n{one.setting_name} = {value}\n")
        assert run([command, *ARGUMENTS.get(command, [])]) == 2
        line = one_line(capsys)
        assert f"{one.setting_name} ({one.spec.refusal_reason})" in line
        assert f"pass {one.flag}, or trust the file" in line
        return
    refused: list[str] = []
    if one.spec.found_file is Trust.UP_TO_DEFAULT:
        value, refused = str(one.default), [str(2 * one.default), "nan"]
    elif one.spec.found_file is Trust.PLAIN_NAME:
        refused = ['"./model.pt"', '"whisper:model.pt"', '"https://evil.test"']
    elif one.spec.found_file is Trust.PATH_IN_FOLDER:
        refused = [json.dumps(path) for path in (*OUTSIDE, "https://evil.test/x")]
    elif one.spec.found_file is Trust.NEW_OUTPUT:
        is_folder = one.spec.path.is_output_folder
        value = json.dumps("new" if is_folder else "new/given.json")
        refused = [json.dumps(path) for path in (*OUTSIDE, *(["src", ".git/x"] if is_folder else NOT_OURS))]
    expected = json.loads(value) if not value[0].isdigit() else float(value)
    given = collect_defaults(command, one, value)
    assert given == ([expected] if one.shape.is_multiple else expected)
    for wrong in refused:
        with pytest.raises(UsageError, match=f"{one.setting_name} \\("):
            collect_defaults(command, one, wrong)


def test_the_documentation_lists_what_a_found_file_may_not_set() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.partition("These are refused:")[2].partition("With `--live`")[0]
    listed = set(re.findall(r"`([a-z-]+)`", table))
    refused = {
        one.setting_name
        for _, one in iterate_options()
        if one.spec.found_file not in {Trust.ANY_VALUE, Trust.NEW_OUTPUT, Trust.PATH_IN_FOLDER}
    }
    assert listed == refused - {"live"}, "--live is set by no file at all"

    listed_for_live = set(re.findall(r"`([a-z-]+)`", page.partition("With `--live`, these")[2].partition("\n\n")[0]))
    assert listed_for_live == {one.setting_name for _, one in iterate_options() if one.spec.live_refusal_reason}


LIVE_COMMANDS = ("check", "bench", "record")
RAISES_NO_COST = {
    # How it is sent, and how fast
    "arrivals", "concurrency", "http2", "rate", "text-rate", "text-burst", "flush", "listen-port", "max-wait",
    "max-time", "seed",
    # Fewer requests, or a lower limit
    "language", "category", "limit", "stop-when-decided", "margin", "max-cost",
    # Names on the user's own server, which the command line names
    "model", "voice", "capability",
    # The emulator, which costs nothing
    "emulated", "fault",
    # What is judged and how it is reported
    "select", "ignore", "severity", "recordings", "strict", "strict-baseline", "fail-under", "region", "asr", "quality",
    "text-length", "no-report", "mask", "github", "out", "baseline",
}  # fmt: skip
"""Settings of live commands that a found file may set, and why they do not raise what a run costs."""


def test_what_can_raise_the_cost_of_a_live_run_is_decided_for_each_option(folder: Path) -> None:
    for command, one in iterate_options():
        if command not in LIVE_COMMANDS or one.spec.found_file is Trust.REFUSED or one.flag == "--live":
            continue
        is_output_file = one.spec.found_file is Trust.NEW_OUTPUT
        assert one.spec.live_refusal_reason or is_output_file or one.setting_name in RAISES_NO_COST, (
            f"decide about {one.setting_name}"
        )
        if one.spec.live_refusal_reason:
            (folder / "voicegauge.toml").write_text(f"[{command}]\n{one.setting_name} = {choose_value(one)}\n")
            settings = find_settings(folder)
            assert settings is not None
            with pytest.raises(UsageError, match=rf"{one.setting_name} \({one.spec.live_refusal_reason}"):
                collect_command_defaults(
                    _load_command(command), settings, COMMAND_LOADER_BY_NAME, given_flags={"--live"}
                )


def test_a_repository_does_not_raise_what_a_live_check_costs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text("[check]\nmax-calls = 100\n[bench]\nsessions = 20\n")
    for command, setting in (("check", "max-calls"), ("bench", "sessions")):
        assert run([command, "pixelapi", "--live", "--dry-run"]) == 2
        assert f"{setting} (it can raise what a live run costs): pass --{setting}" in one_line(capsys)
    assert run(["check", "pixelapi", "--live", "--dry-run", "--max-calls", "2"]) == 0
    assert run(["check", "pixelapi", "--emulated", "--dry-run"]) == 0


@pytest.mark.parametrize("command", sorted(HELP_BY_COMMAND.keys() - {"asr"}))  # a group without options
def test_no_file_permits_to_send_to_a_live_service(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text("live = true\n")
    named = ["--settings", "voicegauge.toml"]
    for before in ([], named):
        assert run([*before, command, *ARGUMENTS.get(command, [])]) == 2
        assert "live cannot be set in a file, because it costs money" in one_line(capsys)


def test_an_output_of_a_found_file_goes_into_a_folder_that_voicegauge_created(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text("[rules]\njson = 'out/rules.json'\n")
    output = folder / "out" / "rules.json"
    for _ in range(2):  # the second command replaces the file of the first one
        assert run(["rules", "nothing"]) == 0
        assert json.loads(output.read_text())["schema"].startswith("voicegauge/rules/")
    (folder / "out" / "other.json").write_text("mine")
    (folder / "voicegauge.toml").write_text("[rules]\njson = 'out/other.json'\n")
    capsys.readouterr()
    assert run(["rules", "nothing"]) == 2
    assert "'out/other.json' is a file that voicegauge did not write" in one_line(capsys)
    assert (folder / "out" / "other.json").read_text() == "mine"
    assert run(["rules", "nothing", "--json", "out/other.json"]) == 0  # the user names it
    assert (folder / "out" / "other.json").read_text() != "mine"


def test_a_folder_with_a_copied_marker_is_not_ours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text("[rules]\njson = 'out/rules.json'\n")
    assert run(["rules", "nothing"]) == 0
    (folder / "out").rename(folder / "copy")
    (folder / "voicegauge.toml").write_text("[rules]\njson = 'copy/rules.json'\n")
    capsys.readouterr()
    assert run(["rules", "nothing"]) == 2
    assert "'copy' is a folder that voicegauge did not create" in one_line(capsys)
    (folder / "out").mkdir()  # as by a checkout after the folder was deleted
    (folder / "out" / "rules.json").write_text("mine")
    (folder / "voicegauge.toml").write_text("[rules]\njson = 'out/rules.json'\n")
    assert run(["rules", "nothing"]) == 2
    assert (folder / "out" / "rules.json").read_text() == "mine"


def test_a_settings_file_cannot_write_a_module_that_python_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (".venv/lib/python3.11/site-packages/x.pth", "yaml/__init__.py", ".git/config"):
        (folder / "voicegauge.toml").write_text(f"[report]\nformat = 'csv'\nout = '{path}'\n")
        assert run(["report", "run"]) == 2
        assert "out (" in one_line(capsys)
        assert not (folder / path).exists()


def test_a_file_cannot_replace_a_check_by_the_list_of_faults(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text('[check]\nfault = ["list"]\n')
    assert run(["check", "pixelapi/voice-design", "--emulated", "--max-calls", "1"]) == 2
    assert "unknown fault 'list'" in capsys.readouterr().err


def test_a_setting_without_an_effect_is_left_at_its_default(folder: Path) -> None:
    """A settings file applies to many calls of a command, so it is not an error."""
    (folder / "voicegauge.toml").write_text("[check]\nmax-calls = 3\nconcurrency = 2\nfault = 'slow'\n")
    assert run(["check", "pixelapi"]) == 0


@pytest.mark.parametrize(
    ("command", "text", "words"),
    [
        ("check", 'base-url = "https://evil.test"', ["base-url", "where your key is sent"]),
        ("bench", '[bench]\nbase-url = "https://evil.test"', ["base-url", "pass --base-url"]),
        ("record", "[record.base-url]\n'' = 'https://evil.test'", ["base-url"]),
        ("check", "allow-insecure-http = true", ["allow-insecure-http", "unencrypted"]),
        ("check", 'contracts = "."', ["contracts", "which key is sent where"]),
        ("serve", 'contracts = "."', ["contracts"]),
        ("check", 'key-env = "AWS_SECRET_ACCESS_KEY"', ["key-env", "which secret is sent"]),
        ("drift", 'from = "/etc/passwd"', ["from", "which file or URL is read"]),
        ("score", 'dask = "tcp://evil.test:8786"', ["dask", "runs code"]),
        ("bench", 'dask = "tcp://evil.test:8786"', ["dask", "runs code"]),
        ("check", "max-cost = 100", ["max-cost", "raises the limit of 1"]),
        ("check", f"max-cost = {10**400}", ["max-cost", "raises the limit of 1"]),
        ("check", "max-cost = nan", ["max-cost"]),
        ("bench", "[bench.price]\npixazo = 0", ["price", "exceeds your budget"]),
        ("bench", "retry-ambiguous = true", ["retry-ambiguous", "pays again"]),
        ("check", 'public-url = "https://evil.test"', ["public-url"]),
        ("serve", 'webhook-host = "evil.test"', ["webhook-host"]),
        ("record", "yes = true", ["yes", "overwrites"]),
        ("report", "open = true", ["open"]),
        ("score", 'asr = "whisper:./model.pt"', ["asr", "is not a plain name"]),
        ("bench", 'plan = "free"', ["plan", "exceeds your budget"]),
        ("check", '[check]\nplan = ["free"]', ["plan", "exceeds your budget"]),
        ("check", "junit = '../out.xml'", ["junit", "'../out.xml' is outside of this folder"]),
        ("check", "sarif = '/etc/out.sarif'", ["sarif", "'/etc/out.sarif' is outside"]),
        ("check", "[check]\nfailures = '../saved'", ["failures", "where files are written"]),
        ("check", "write-tests = '..'", ["write-tests", "which are run"]),
        ("check", "recordings = ['.', '..']", ["recordings", "'..' is outside"]),
        ("bench", "out = '../reports'", ["out", "outside"]),
        ("bench", "suite = '/etc/passwd'", ["suite", "outside"]),
        ("bench", "voice-sample = '../secret.wav'", ["voice-sample", "outside"]),
        ("drift", "propose = 'link/patch'", ["propose", "'link/patch' is outside"]),
        ("report", "out = 'link/page.html'", ["out", "outside"]),
    ],
)
@pytest.mark.parametrize("project_file", [False, True])
def test_a_dangerous_setting_of_a_found_file_is_one_line(
    folder: Path, command: str, text: str, words: list[str], project_file: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "pyproject.toml" if project_file else "voicegauge.toml"
    if project_file:
        text = "[tool.voicegauge]\n" + re.sub(r"^\[", "[tool.voicegauge.", text, flags=re.MULTILINE)
    (folder / name).write_text(text)
    arguments = {"score": ["run"], "drift": ["pixazo", "pixelapi"], "report": ["run"]}.get(command, [])
    assert run([command, *arguments]) == 2
    line = one_line(capsys)
    for word in [name, "voicegauge --settings", *words]:
        assert word in line


def test_all_dangerous_settings_of_a_found_file_are_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text(
        "live = true\nbase-url = 'https://evil.test'\nseed = 3\n[check]\nmax-cost = 100\njunit = '../out.xml'\n"
    )
    assert run(["check"]) == 2
    line = one_line(capsys)
    assert line.startswith("voicegauge: voicegauge.toml: live cannot be set in a file, because it costs money")
    for setting, reason in {
        "base-url": "it decides where your key is sent",
        "max-cost": "it raises the limit of 1",
        "junit": "'../out.xml' is outside of this folder",
    }.items():
        assert f"{setting} ({reason})" in line
    assert (
        "pass --base-url, --max-cost, --junit, or trust the file with `voicegauge --settings voicegauge.toml`" in line
    )
    assert "seed" not in line


def test_harmless_settings_of_a_found_file_apply(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text("max-cost = 0.25\nasr = 'none'\n[drift]\njson = 'reports/out.json'\n")
    assert run(["drift", "pixazo", "pixazo"]) == 0
    assert (folder / "reports" / "out.json").is_file()
    assert run(["bench", "pixelapi", "--dry-run", "--limit", "1"]) == 0


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_named_settings_file_may_set_everything_but_live(
    folder: Path, by_environment: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text(CONTRACT)
    (folder / "voicegauge.toml").write_text("seed = 'ignored'")
    (folder.parent / "mine.toml").write_text("contracts = 'acme.yaml'\njson = '../listed.json'\n")
    named = ["--settings", "../mine.toml"]
    if by_environment:
        monkeypatch.setenv("VOICEGAUGE_SETTINGS", "../mine.toml")
        named = []
    assert run([*named, "providers"]) == 0
    assert '"acme"' in (folder.parent / "listed.json").read_text()
    (folder.parent / "mine.toml").write_text("live = true\n")
    assert run([*named, "check"]) == 2
    assert "--live" in one_line(capsys)
    (folder.parent / "mine.toml").unlink()
    assert run([*named, "check"]) == 2
    assert "no such file" in one_line(capsys)


def test_a_live_command_first_names_the_settings_file_the_key_and_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-secret")
    (folder / "acme.yaml").write_text(CONTRACT.replace("http://", "https://"))
    (folder / "voicegauge.toml").write_text("seed = 3\n")
    for command in ("check", "bench", "record"):
        # The plan is over the budget, so nothing is sent.
        allowed = ["--allow-key", "ACME_KEY=api.acme.test"]
        assert run([command, "acme", "--contracts", "acme.yaml", "--live", "--max-cost", "0", *allowed]) == 4
        first, second, *_ = capsys.readouterr().err.splitlines()
        assert first == f"LIVE: settings are read from {folder / 'voicegauge.toml'}"
        assert second == "LIVE: acme sends the key in ACME_KEY to https://api.acme.test, as acme.yaml says"


def test_a_key_is_sent_unencrypted_to_another_machine_only_with_a_flag(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text(CONTRACT)
    monkeypatch.setenv("ACME_KEY", "sk-secret")
    live = ["acme", "--contracts", "acme.yaml", "--live", "--max-cost", "0"]
    for command in ("check", "bench", "record"):
        assert run([command, *live]) == 2
        assert (
            "unencrypted to http://api.acme.test: use https, or pass --allow-insecure-http" in capsys.readouterr().err
        )
        assert run([command, *live, "--allow-insecure-http", "--allow-key", "ACME_KEY=api.acme.test:80"]) == 4
        assert run([command, *live, "--base-url", "http://127.0.0.1:9"]) == 4
    assert run(["check", "acme", "--contracts", "acme.yaml", "--allow-insecure-http"]) == 2
    assert "--allow-insecure-http goes with --live" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("http://api.acme.test", "https://evil.test", "names https://evil.test, which is not among its servers"),
        ("http://api.acme.test", "http://api.pixelapi.dev", "names http://api.pixelapi.dev"),
        (
            "key_variable: ACME_KEY",
            "key_variable: GITHUB_TOKEN",
            "takes the key from GITHUB_TOKEN, not from PIXELAPI_KEY",
        ),
    ],
)
def test_an_own_contract_does_not_take_over_the_key_of_a_bundled_one(
    folder: Path, old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CONTRACT.replace("id: acme", "id: pixelapi").replace(old, new)
    if old != "http://api.acme.test":
        text = text.replace("http://api.acme.test", "https://api.pixelapi.dev")
    (folder / "pixelapi.yaml").write_text(text)
    assert run(["providers", "--contracts", "pixelapi.yaml"]) == 2
    line = one_line(capsys)
    assert line.startswith("voicegauge: pixelapi.yaml:4: ")
    assert words in line


@pytest.mark.parametrize("command", ["check", "bench", "record"])
@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("ACME_KEY", "ACME_KEY to api.acme.test"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY (the key of openai) to api.acme.test"),
        pytest.param("GITHUB_TOKEN", "GITHUB_TOKEN to api.acme.test", marks=pytest.mark.slow),
        pytest.param("PATH", "PATH to api.acme.test", marks=pytest.mark.slow),
    ],
)
def test_an_own_contract_gets_a_key_only_with_consent(
    folder: Path,
    command: str,
    variable: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, "a-secret-of-the-environment")
    text = CONTRACT.replace("http://", "https://").replace("ACME_KEY", variable)
    (folder / "acme.yaml").write_text(text)
    live = [command, "acme", "--contracts", "acme.yaml", "--live", "--max-cost", "0"]
    flags = [] if command == "record" else ["--dry-run"]
    for allowed in ([], ["--allow-key", f"{variable}=other.test"], ["--allow-key", "OTHER=api.acme.test"]):
        assert run([*live, *flags, *allowed]) == 2
        line = one_line(capsys)
        assert line == (
            f"voicegauge: acme.yaml sends the key in {named}, which no bundled contract does: if you trust it with "
            f"that key, pass --allow-key {variable}=api.acme.test, or set VOICEGAUGE_ALLOW_KEYS"
        )
    assert run([*live, "--allow-key", f"{variable}=API.acme.test:443"]) == 4  # over the budget, so nothing is sent
    monkeypatch.setenv("VOICEGAUGE_ALLOW_KEYS", f"OTHER=host.test {variable}=api.acme.test")
    assert run(live) == 4
    monkeypatch.delenv("VOICEGAUGE_ALLOW_KEYS")
    (folder.parent / "mine.toml").write_text(f"allow-key = '{variable}=api.acme.test'\n")
    assert run(["--settings", "../mine.toml", *live]) == 4


def test_a_host_whose_letters_only_look_alike_is_no_host(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "acme.yaml").write_text(CONTRACT.replace("http://api.acme.test", "https://\u0430pi.openai.com"))
    assert run(["providers", "--contracts", "acme.yaml"]) == 2
    assert "must be ASCII: write other letters of its host as xn--..." in one_line(capsys)


def test_what_needs_no_consent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "acme.yaml").write_text(CONTRACT.replace("http://", "https://"))
    live = ["--contracts", "acme.yaml", "--live", "--max-cost", "0"]
    monkeypatch.delenv("ACME_KEY", raising=False)
    assert run(["check", "acme", *live[:-2], "--dry-run"]) == 0  # no key to send
    monkeypatch.setenv("ACME_KEY", "k-1234567890")
    assert run(["check", "acme", *live, "--base-url", "http://127.0.0.1:9"]) == 4  # the user's own server
    assert run(["check", "acme", *live, "--base-url", "https://staging.test"]) == 2
    for variable, host in (("OPENAI_API_KEY", "https://api.openai.com"), ("ACME_KEY", "http://127.0.0.1:9")):
        monkeypatch.setenv(variable, "k-1234567890")
        text = CONTRACT.replace("http://api.acme.test", host).replace("ACME_KEY", variable)
        (folder / "acme.yaml").write_text(text)
        # A bundled contract sends this key there; a server on this machine that a contract names may be anybody's.
        assert run(["check", "acme", *live]) == (4 if variable == "OPENAI_API_KEY" else 2)


@pytest.mark.parametrize(
    "pair", ["ACME_KEY", "ACME_KEY=", "=host", "ACME_KEY=https://host", "ACME_KEY=host/path", "*=*"]
)
def test_a_pair_that_cannot_be_read_is_one_line(pair: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "pixelapi", "--live", "--allow-key", pair]) == 2
    assert "write VARIABLE=HOST[:PORT], such as ACME_KEY=api.acme.example" in one_line(capsys)


@pytest.mark.parametrize("name", ["voicegauge.toml", "pyproject.toml"])
@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = [" * 5000, "seed = 2026-02-30", "seed = 'x", "\xff"])
def test_a_settings_file_that_cannot_be_parsed_is_one_line(
    folder: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).write_text(text, encoding="latin-1")
    assert run(["providers"]) == 2
    assert one_line(capsys).startswith(f"voicegauge: {name}: ")

"""voicegauge in a repository that was made hostile on purpose, as CI runs it on a pull request with keys at hand.

No key is sent anywhere but to the hosts of the bundled contracts, no code of the repository runs, and nothing outside
of its folder changes. A `conftest.py`, and modules beside the tests, are left out: pytest runs them by design.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import voicegauge
from voicegauge.speech.asr_engines import create_embedded_faster_whisper

from ..builders.contracts import MINIMAL_CONTRACT
from ..builders.documents import changed_yaml

ROOT = Path(__file__).resolve().parents[3]
BUNDLED_HOSTS = {"gateway.pixazo.ai", "api.pixelapi.dev", "api.tts.ai", "tts.ai"}
KEYS = {
    "PIXAZO_API_KEY": "canary-pixazo-7f3a",
    "PIXELAPI_KEY": "canary-pixelapi-7f3a",
    "TTSAI_API_KEY": "canary-ttsai-7f3a",
    "GITHUB_TOKEN": "canary-github-7f3a",
}
SEPARATOR = "=== end of a command ===\n"
SCRIPT = f"""
import json, pathlib, sys
from voicegauge.cli import run
for words, settings in json.loads(sys.argv[1]):
    if settings is not None:
        pathlib.Path("voicegauge.toml").write_text(settings)
    status = run(words)
    sys.stderr.flush()
    print(f"\\n{{status}}" + {SEPARATOR!r}, end="", flush=True)
"""
ESCAPES = "\x1b]0;owned\x07\x1b[2J"
LIMIT_S = 120
"""Time after which a command counts as hanging."""


class Stranger:
    """A server of the attacker. It records what it receives, and closes the connection."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the socket was closed
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(5)
                    self.received.append(b"")
                    with contextlib.suppress(OSError):
                        self.received[-1] = connection.recv(65536)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@dataclass
class Repository:
    """The hostile repository, and what surrounds it."""

    folder: Path
    stranger: Stranger
    proxy: Stranger
    """Receives what is sent to any host beyond this machine."""
    owned: Path = field(init=False)
    """Exists if code of the repository ran."""

    def __post_init__(self) -> None:
        self.owned = self.folder.parent / "owned"

    @property
    def environment(self) -> dict[str, str]:
        proxy = f"http://127.0.0.1:{self.proxy.port}"
        home = self.folder.parent / "home"
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "harness"),
            "HOME": str(home),
            "VOICEGAUGE_CACHE": str(self.folder.parent / "cache"),
            "VOICEGAUGE_STATE": str(self.folder.parent / "state"),
            "HTTPS_PROXY": proxy,
            "HTTP_PROXY": proxy,
            "CI": "true",
            **KEYS,
        }

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python program in the repository, as an installed script: without the folder in its import path."""
        script = self.folder.parent / "bin" / "script"
        script.parent.mkdir(exist_ok=True)
        script.write_text(code)
        return subprocess.Popen(
            [sys.executable, str(script), *arguments],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *commands: str | tuple[str, str]) -> list[tuple[str, int, str]]:
        """Run voicegauge commands one after another; return each with its exit status and what it printed.

        Args:
            commands: commands, or pairs of a command and the text of the settings file for it and for later ones.
        """
        pairs = [(one, None) if isinstance(one, str) else one for one in commands]
        with self.start(SCRIPT, json.dumps([(command.split(), settings) for command, settings in pairs])) as process:
            printed, _ = process.communicate(timeout=LIMIT_S)
        assert "Traceback" not in printed, printed
        parts = printed.split(SEPARATOR)[:-1]
        assert len(parts) == len(pairs), printed
        found = [part.rpartition("\n") for part in parts]
        return [(command, int(last), text) for (command, _), (text, _, last) in zip(pairs, found, strict=True)]

    def assert_unharmed(self, printed: str = "") -> None:
        """Check that the attacks failed."""
        assert not self.owned.exists(), "code of the repository ran"
        assert self.stranger.received == []
        for data in self.proxy.received:
            assert re.match(rb"CONNECT ([^: ]+):443 ", data), data
            assert data.split()[1].rpartition(b":")[0].decode() in BUNDLED_HOSTS
        assert not any(key.encode() in data for data in self.proxy.received for key in KEYS.values())
        assert not any(key in printed for key in KEYS.values())
        assert not set(printed) & set("\x1b\x07")
        outside = {str(path.relative_to(self.folder.parent)) for path in self.folder.parent.rglob("*")}
        expected = ("repository", "cache", "state", "bin", "home/.cache")
        outside = {name for name in outside if not name.startswith(expected)}
        assert outside == {"home", "home/.bashrc"}
        assert (self.folder.parent / "home" / ".bashrc").read_text() == "# mine"


SETTINGS = (
    ('base-url = "http://127.0.0.1:PORT"\nallow-insecure-http = true\n', "check pixelapi --live"),
    ('[bench]\nbase-url = "http://127.0.0.1:PORT"\n', "bench pixelapi --live --limit 1 --asr none"),
    ('contracts = "contracts"\n', "record pixazo --live"),
    ('[score]\ndask = "tcp://127.0.0.1:PORT"\n', "score runs/good"),
    ("max-cost = 1000\n", "check pixelapi --live --full"),
    ("[bench.price]\npixelapi = 0\n", "bench pixelapi --dry-run"),
    ('[check]\njunit = "../home/.bashrc"\n', "check pixelapi"),
    ('[report]\nout = "link/.bashrc"\n', "report runs/good"),
    ('[bench]\nout = "link"\n', "bench pixelapi"),
)
"""Settings of the attacker, each with a command to which they apply."""


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    result = voicegauge.benchmark(
        "pixelapi/voice-design", max_texts=1, warmup=0, asr="none", write_html_report=False, out=out
    )
    return Path(result.folder)


@pytest.fixture
def repository(tmp_path: Path, saved_run: Path) -> Iterator[Repository]:
    stranger, proxy = Stranger(), Stranger()
    repository = Repository(tmp_path / "repository", stranger, proxy)
    folder = repository.folder
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".bashrc").write_text("# mine")
    folder.mkdir()
    write_code(folder, repository.owned)
    write_contracts(folder / "contracts", stranger.port)
    write_recordings(folder / "recordings", stranger.port)
    write_run(folder / "runs" / "evil", saved_run)
    shutil.copytree(saved_run, folder / "runs" / "good")
    (folder / "suite.yaml").write_text(f"id: !!python/object/apply:os.system ['touch {repository.owned}']\n")
    (folder / "link").symlink_to("../home")
    (folder / "reports").symlink_to("../home")
    (folder / "fixtures").symlink_to("../home")
    os.mkfifo(folder / "fifo.json")
    os.mkfifo(folder / "fifo.har")
    yield repository
    stranger.close()
    proxy.close()


def write_code(folder: Path, owned: Path) -> None:
    """Write modules with the names of modules that voicegauge and its subprocesses import."""
    code = f"open({str(owned)!r}, 'w').close()\n"
    for name in ("json", "socket", "pickle", "click", "msgspec", "yaml", "sitecustomize", "usercustomize"):
        (folder / f"{name}.py").write_text(code)
    for name in ("voicegauge", "multiprocessing"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(code)
        (folder / name / "__main__.py").write_text(code)


def write_contracts(folder: Path, port: int) -> None:
    folder.mkdir()
    for provider, variable in (("pixelapi", "PIXELAPI_KEY"), ("pixazo", "GITHUB_TOKEN"), ("evil", "GITHUB_TOKEN")):
        text = changed_yaml(
            MINIMAL_CONTRACT,
            {
                "/servers/0/url": f"http://127.0.0.1:{port}",
                "/x-provider/id": provider,
                "/x-provider/key_variable": variable,
                "/paths/~1speak/post/x-speech/targets": {"voice-design": {"title": "Voice one"}},
                "/paths/~1speak/post/x-pricing": {"usd_per_unit": 0, "unit": "request"},
            },
        )
        (folder / provider).mkdir()
        (folder / provider / "openapi.yaml").write_text(text)


def write_recordings(folder: Path, port: int) -> None:
    """Write the bundled recordings with URLs of the stranger, escape sequences and a body in a file outside."""
    shutil.copytree(ROOT / "fixtures" / "pixelapi", folder)
    recording = json.loads((folder / "voice-design.har").read_text())
    for number, entry in enumerate(recording["log"]["entries"]):
        host = f"http://127.0.0.1:{port}" if number % 2 else "https://api.pixelapi.dev"
        entry["request"]["url"] = entry["request"]["url"].replace("https://api.pixelapi.dev", host)
        entry["response"]["statusText"] = ESCAPES
        entry["response"]["headers"].append({"name": "x-owned", "value": ESCAPES})
        if entry["response"]["content"]["mimeType"].startswith("application/json"):
            entry["response"]["content"]["text"] = json.dumps(
                {"job_id": ESCAPES, "status": ESCAPES, "output_url": f"http://127.0.0.1:{port}/x", "detail": ESCAPES}
            )
    (folder / "voice-design.har").write_text(json.dumps(recording))
    traversal = json.loads((folder / "voice-clone.har").read_text())
    for entry in traversal["log"]["entries"]:
        entry["response"]["content"] = {"mimeType": "audio/wav", "size": 6, "_file": "../../home/.bashrc"}
    (folder / "voice-clone.har").unlink()
    (folder.parent / "traversal").mkdir()
    (folder.parent / "traversal" / "voice-clone.har").write_text(json.dumps(traversal))


def write_run(folder: Path, saved_run: Path) -> None:
    """Write a run whose texts are escape sequences and HTML, whose audio is elsewhere, and whose page is a link."""
    shutil.copytree(saved_run, folder)
    run = json.loads((folder / "run.json").read_text())
    run["manifest"]["run_id"] = ESCAPES
    for sample in run["samples"]:
        sample["target"] = f"<script>alert(1)</script>{ESCAPES}"
        if sample.get("audio"):
            sample["audio"]["file_path"] = "../../../home/.bashrc"
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "report.html").symlink_to("../../../home/.bashrc")


def test_hostile_settings_are_rejected(repository: Repository) -> None:
    port = str(repository.stranger.port)
    done = repository.run(*((command, text.replace("PORT", port)) for text, command in SETTINGS))
    for _, status, printed in done:
        assert (status, printed.strip().count("\n")) == (2, 0), printed
        assert "voicegauge: voicegauge.toml: " in printed
    repository.assert_unharmed("".join(printed for _, _, printed in done))


HELP_BY_COMMAND = {
    "providers": 0,
    "check pixelapi": 0,
    "check pixelapi --recordings recordings": 1,
    "check pixelapi --recordings traversal": 2,
    "check pixelapi --contracts contracts": 2,
    "check pixelapi --live --contracts contracts": 2,
    "check pixelapi --baseline fifo.json": 2,
    "check pixelapi --junit link/.bashrc": 2,
    "bench --dry-run": 0,
    "bench --dry-run --suite suite.yaml": 2,
    "bench pixelapi/voice-design --limit 1 --asr none": 2,
    "drift pixelapi contracts/pixelapi/openapi.yaml": 1,
    "drift pixelapi recordings/voice-design.har": 1,
    "drift pixelapi fifo.har": 2,
    "report runs/evil": 2,
    "report runs/evil --out page.html": 0,
    "report runs/evil --format markdown": 0,
    "report runs/evil --format csv": 0,
    "score runs/evil --asr embedded": 2,
    "record pixelapi --emulated --yes": 2,
    "convert fifo.json --provider pixelapi": 2,
}
"""Commands, with the exit status of each in the hostile repository."""


@pytest.mark.slow
def test_commands_are_harmless_in_a_hostile_repository(repository: Repository) -> None:
    done = repository.run(*HELP_BY_COMMAND)
    assert {command: status for command, status, _ in done} == HELP_BY_COMMAND, done
    repository.assert_unharmed("".join(printed for _, _, printed in done))
    commands = re.findall(r"curl .*", "".join(printed for _, _, printed in done))
    assert any(f"http://127.0.0.1:{repository.stranger.port}/" in command for command in commands)
    assert not any("KEY" in command for command in commands if "https://api.pixelapi.dev/" not in command)
    page = (repository.folder / "page.html").read_text()
    assert "<script>alert" not in page
    assert not set(page) & set("\x1b\x07")


@pytest.mark.slow
def test_subprocesses_import_nothing_from_the_repository(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator, its synthesizer and the processes that transcribe are subprocesses."""
    cache = repository.folder.parent / "cache"
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(cache))
    create_embedded_faster_whisper()  # faster to import than openai-whisper
    (model,) = (cache / "embedded").iterdir()
    done = repository.run(
        "check pixelapi/voice-design --emulated --max-calls 1",
        f"score runs/good --asr faster-whisper:{model} --workers 1",
    )
    assert [status for _, status, _ in done] == [0, 0], done
    repository.assert_unharmed("".join(printed for _, _, printed in done))


def test_a_live_check_contacts_bundled_hosts_only(repository: Repository) -> None:
    [(_, status, printed)] = repository.run("check pixelapi/voice-design --live --max-calls 1")
    assert status == 3, printed  # the proxy connects to nothing
    assert "LIVE: pixelapi sends the key in PIXELAPI_KEY to https://api.pixelapi.dev" in printed
    assert repository.proxy.received
    repository.assert_unharmed(printed)


SERVE = "from voicegauge.__main__ import main; main()"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["pixelapi"], ["pixelapi", "--replay", "recordings"]])
def test_servers_are_harmless_in_a_hostile_repository(repository: Repository, arguments: list[str]) -> None:
    with repository.start(SERVE, "serve", *arguments, "--port", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert url, line + process.stdout.read()
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url[0]}/pixelapi/v1/tts/generate", b"text=Hi", timeout=LIMIT_S).close()  # noqa: S310
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in printed
    repository.assert_unharmed(line + printed)


TEST = """
import pytest

@pytest.mark.voicegauge("pixelapi/voice-design")
def test_contract(voicegauge_rule):
    voicegauge_rule.assert_holds()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--vg-live --vg-max-cost=1000", 4),
        ("--vg-contracts=contracts", 4),
        ("--vg-max-calls=1 -k empty-body", 0),
    ],
)
def test_the_plugin_is_harmless_in_a_hostile_repository(repository: Repository, options: str, expected: int) -> None:
    for path in (*repository.folder.glob("*.py"), *repository.folder.glob("*/__init__.py")):
        path.unlink()  # pytest itself imports modules beside the tests
    (repository.folder / "pytest.ini").write_text(f"[pytest]\naddopts = -p no:cacheprovider {options}\n")
    (repository.folder / "test_mine.py").write_text(TEST)
    basetemp = repository.folder.parent / "cache" / "pytest"
    basetemp.parent.mkdir()
    code = "import pytest, sys; sys.exit(pytest.main())"
    with repository.start(code, "-q", "test_mine.py", "--basetemp", str(basetemp)) as process:
        printed, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == expected, printed
    assert "Traceback" not in printed
    repository.assert_unharmed(printed)

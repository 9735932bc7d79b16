"""`voicegauge listen` as a shell sees it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema_rs
import pytest

from voicegauge.api import listen
from voicegauge.cli import run

ROOT = Path(__file__).resolve().parents[3]
END = {
    "request_id": "xtts-v2-api_1",
    "status": "COMPLETED",
    "model_id": "xtts-v2-api",
    "error": None,
    "output": {"media_url": ["https://cdn.example/a.wav"], "media_type": "audio/wav"},
    "created_at": "2026-05-22T13:17:32.110Z",
    "updated_at": "2026-05-22 13:19:23",
    "completed_at": "2026-05-22 13:19:23",
}


@contextlib.contextmanager
def _listening(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "voicegauge", "listen", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"at (http://127\.0\.0\.1:\d+/\S+)", process.stdout.readline())
            assert found is not None
            assert "unverified" in process.stdout.readline()
            yield process, found[1]
        finally:
            process.kill()  # a test that failed must not wait for it


def _post(url: str, value: object, status: int = 200) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == status
    connection.close()


def test_webhooks_are_printed_one_per_line_and_validated(tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    with _listening("pixazo", "--mode", "terminal", "--count", "5", "--json", str(file)) as (process, url):
        going = {**END, "request_id": "v_2\x1b[2J", "status": "PROCESSING", "output": None, "completed_at": None}
        for value in (END, END, {**END, "completed_at": "later"}, going, {"wrong": 1}):
            _post(url, value)
        out = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    lines = [line.split("  ", 1)[1] for line in out.splitlines() if not line.startswith("    ")]
    assert lines[:3] == [
        "LIVE  pixazo/generateXtts  xtts-v2-api_1  COMPLETED  passed  unverified",
        "LIVE  pixazo/generateXtts  xtts-v2-api_1  COMPLETED  passed  unverified",
        "LIVE  pixazo/generateXtts  xtts-v2-api_1  COMPLETED  failed  unverified",
    ]
    assert "v_2?[2J  PROCESSING  failed" in lines[3]
    found = set(re.findall(r"error (webhook-\S+|callback-\S+):", out))
    assert found == {"webhook-repeated", "webhook-early", "callback-schema"}
    written = json.loads(file.read_text())
    jsonschema_rs.validate(json.loads((ROOT / "docs" / "listen.schema.json").read_text()), written)
    assert [one["verdict"] for one in written["webhooks"]] == ["passed", "passed", "failed", "failed", "failed"]
    assert {one["sender"] for one in written["webhooks"]} == {"unverified"}


def test_the_provider_is_recognized_and_an_unknown_webhook_is_not_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    with _listening("--count", "2", "--json", str(file)) as (process, url):
        event = {"event": "task.completed", "task_id": "t", "status": "success"}
        for value in (END, {"hello": "world"}, event):
            _post(url, value)
        process.communicate(timeout=30)
    assert process.returncode == 0
    webhooks = json.loads(file.read_text())["webhooks"]
    assert [(one.get("provider"), one["verdict"]) for one in webhooks] == [
        ("pixazo", "passed"),
        (None, "unknown"),
        ("ttsai", "passed"),
    ]


@pytest.mark.parametrize("body", [b"", b"hello", b"{}", b"[" * 100_000])
def test_a_body_that_fits_no_contract_does_not_count(body: bytes) -> None:
    result = listen(port=0, max_webhooks=1, timeout_s=0.3, on_ready=lambda url: _post(url, body))
    assert [(one.verdict, one.sender) for one in result.webhooks] == [("unknown", "unverified")]
    assert result.assigned_webhooks == ()


@pytest.mark.parametrize("body", [b"", b"hello", b"{}", b"[" * 100_000])
def test_any_body_for_the_only_provider_is_judged(body: bytes) -> None:
    result = listen("pixazo", port=0, max_webhooks=1, on_ready=lambda url: _post(url, body))
    assert [one.verdict for one in result.webhooks] == ["failed"]


def test_a_command_without_a_fitting_webhook_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    post = functools.partial(_post, value={"hello": "world"})
    monkeypatch.setattr("voicegauge.cli.commands.listen._print_url", lambda _console, url: post(url))
    assert run(["listen", "--port", "0", "--count", "1", "--timeout", "0.2"]) == 3
    assert "no webhook that fits a contract was received within 0.2 s, only 1 other body" in capsys.readouterr().err


def test_other_urls_get_404() -> None:
    with _listening("--count", "1") as (process, url):
        for other in (url.rpartition("/")[0], f"{url[:-1]}", f"{url}x"):
            _post(other, END, status=404)
        _post(f"{url}/any/path", END)
        out = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert len(out.splitlines()) == 1


def test_ctrl_c_ends_it_with_the_verdict_so_far() -> None:
    with _listening() as (process, url):
        _post(url, END)
        assert process.stdout is not None
        assert "passed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize("limits", [[], ["--count", "1"], ["--timeout", "60"]])
def test_ctrl_c_before_a_webhook_is_an_interruption(limits: list[str], tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    with _listening(*limits, "--json", str(file)) as (process, _):
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=20)[0]
    assert process.returncode == 130
    assert out == "voicegauge: stopped: no webhook was received\n"
    assert json.loads(file.read_text())["stop_reason"] == "interrupted"


def test_ctrl_c_before_the_wanted_number_of_webhooks_is_an_interruption() -> None:
    with _listening("--count", "2") as (process, url):
        _post(url, END)
        assert process.stdout is not None
        assert "passed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=20)[0]
    assert process.returncode == 130
    assert out == "voicegauge: stopped before --count or --timeout was reached\n"


def test_no_webhook_within_the_timeout_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["listen", "--port", "0", "--timeout", "0"]) == 3
    assert "no webhook was received within 0 s" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["listen"], ["check", "pixazo/chatterbox", "--live"]])
def test_a_tunnel_without_https_is_rejected(command, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PIXAZO_API_KEY", "any-key")
    assert run([*command, "--public-url", "http://tunnel.example"]) == 2
    assert "must begin with https://" in capsys.readouterr().err

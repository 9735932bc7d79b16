"""`voicegauge listen` as a shell sees it."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
from rich.console import Console

from voicegauge.api.local_servers import listen
from voicegauge.cli import local_servers as command
from voicegauge.cli import run
from voicegauge.conformance.received_callbacks import JudgedCallback

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


class Listener:
    """`voicegauge listen` in this process, while its URL is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd
        self._printed = threading.Semaphore(0)
        self._errors: list[Exception] = []

    def run(self, call: Callable[[str], object], *arguments: str) -> tuple[int, list[str]]:
        """Listen until `call`, which gets the URL, has returned; return exit status and lines after the URL."""
        print_url, print_webhook = command._print_webhook_url, command._print_callback

        def call_url(url: str) -> None:
            try:
                call(url)
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self._errors.append(error)
                os.kill(os.getpid(), signal.SIGINT)

        def print_url_and_call(console: Console, url: str) -> None:
            print_url(console, url)
            threading.Thread(target=call_url, args=(url,)).start()

        def print_webhook_and_release(console: Console, webhook: JudgedCallback) -> None:
            print_webhook(console, webhook)
            self._printed.release()

        self._monkeypatch.setattr(command, "_print_webhook_url", print_url_and_call)
        self._monkeypatch.setattr(command, "_print_callback", print_webhook_and_release)
        status = run(["listen", "--port", "0", *arguments])
        assert self._errors == []
        out, err = self._capfd.readouterr()
        first, second, *lines = out.splitlines()
        assert "listening for webhooks at http://127.0.0.1:" in first
        assert "unverified" in second
        return status, [*lines, *err.splitlines()]

    def wait_for_webhook(self) -> None:
        """Wait until the next webhook is printed."""
        assert self._printed.acquire(timeout=60)

    @staticmethod
    def press_ctrl_c() -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Listener:
    return Listener(monkeypatch, capfd)


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
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == status
    connection.close()


def test_webhooks_are_printed_one_per_line_and_validated(listener: Listener, tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    going = {**END, "request_id": "v_2\x1b[2J", "status": "PROCESSING", "output": None, "completed_at": None}
    values: list[object] = [{"wrong": 1}, END, END, {**END, "completed_at": "later"}, going]
    status, out = listener.run(
        lambda url: [_post(url, value) for value in values],
        "pixazo", "--mode", "terminal", "--count", "4", "--json", str(file),
    )  # fmt: skip
    assert status == 1
    lines = [line.split("  ", 1)[1] for line in out if not line.startswith("    ")]
    assert lines[1:4] == [
        "LIVE  pixazo/generateXtts  xtts-v2-api_1  COMPLETED  passed  unverified",
        "LIVE  pixazo/generateXtts  xtts-v2-api_1  COMPLETED  passed  unverified",
        "LIVE  pixazo/generateXtts  xtts-v2-api_1  COMPLETED  failed  unverified",
    ]
    assert "v_2?[2J  PROCESSING  failed" in lines[4]
    found = set(re.findall(r"error (webhook-\S+|callback-\S+):", "\n".join(out)))
    assert found == {"webhook-repeated", "webhook-early", "callback-schema"}
    written = json.loads(file.read_text())
    jsonschema_rs.validate(json.loads((ROOT / "docs" / "listen.schema.json").read_text()), written)
    assert [one["verdict"] for one in written["webhooks"]] == ["failed", "passed", "passed", "failed", "failed"]
    assert {one["sender_verification"] for one in written["webhooks"]} == {"unverified"}


def test_the_provider_is_recognized_and_an_unknown_webhook_is_not_a_finding(listener: Listener, tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"

    def post(url: str) -> None:
        for value in (END, {"hello": "world"}, {"event": "task.completed", "task_id": "t", "status": "success"}):
            _post(url, value)

    status, _ = listener.run(post, "--count", "2", "--json", str(file))
    assert status == 0
    webhooks = json.loads(file.read_text())["webhooks"]
    assert [(one.get("provider"), one["verdict"]) for one in webhooks] == [
        ("pixazo", "passed"),
        (None, "unknown"),
        ("ttsai", "passed"),
    ]


KEY = "Pz-A9b8C7d6E5f4G3h2J1xx"
ISSUED_KEY = "sk-live-Zq8Xv3LmN0pR7tYw2KdF"


@pytest.mark.parametrize(
    "secret", [KEY, KEY.upper(), base64.b64encode(KEY.encode()).decode(), KEY.encode().hex(), ISSUED_KEY]
)
def test_no_secret_of_a_webhook_is_printed_or_written(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("PIXAZO_API_KEY", KEY)
    file = tmp_path / "webhooks.json"
    values = [
        {**END, "request_id": f"id {secret}"},
        {**END, "status": secret, "error": f"wrong {secret}", secret: 1},
        END,
        {"request_id": secret, "status": "FAILED", "error": secret},
    ]
    _, lines = listener.run(lambda url: [_post(url, value) for value in values],
        "pixazo", "--count", "3", "--timeout", "20", "--json", str(file))  # fmt: skip
    shown = "\n".join([*lines, file.read_text()])
    assert secret not in shown
    assert "id [redacted]" in shown
    assert "xtts-v2-api_1" in shown
    assert re.search(r'"\[redacted\]=?" is not one of', shown)


@pytest.mark.parametrize("message", ["token=hunter2", "login failed: password = hunter2 of", "{'api_key': 'hunter2'}"])
def test_a_short_secret_after_its_name_is_masked_in_a_webhook(listener: Listener, tmp_path: Path, message: str) -> None:
    file = tmp_path / "webhooks.json"
    values = [{**END, "status": message, "error": message}, {**END, "request_id": message}]

    def post(url: str) -> None:
        for value in values:
            _post(url, value)
            listener.wait_for_webhook()
        listener.press_ctrl_c()  # the first one fits no contract, so it does not count

    status, lines = listener.run(post, "pixazo", "--count", "2", "--json", str(file))
    assert status == 130
    shown = "\n".join([*lines, file.read_text()])
    assert "hunter2" not in shown
    assert "[redacted]" in shown


UNFITTING_BODIES = [
    b"", b"hello", b"{}", b"[" * 100_000, b'{"request_id": "a"}', b'{"status": "COMPLETED"}',
    b'{"request_id": 7, "status": "COMPLETED"}', b'{"request_id": "a", "status": "completed"}',
    b'{"request_id": "", "status": "COMPLETED"}', b'{"request_id": " ", "status": "COMPLETED"}',
]  # fmt: skip


def test_a_body_that_fits_no_contract_does_not_count() -> None:
    def post(url: str) -> None:
        for body in UNFITTING_BODIES:
            _post(url, body)

    result = listen(port=0, max_webhooks=1, timeout_s=0.3, on_ready=post)
    assert [(one.verdict, one.sender_verification) for one in result.webhooks] == [
        ("unknown", "unverified") for _ in UNFITTING_BODIES
    ]
    assert result.assigned_webhooks == ()


@pytest.mark.parametrize("body", UNFITTING_BODIES)
def test_any_body_for_the_only_provider_is_judged_but_only_a_fitting_one_counts(body: bytes) -> None:
    def post(url: str) -> None:
        _post(url, body)
        _post(url, END)

    result = listen("pixazo", port=0, max_webhooks=1, timeout_s=60, on_ready=post)
    assert [(one.verdict, one.fits_contract) for one in result.webhooks] == [("failed", False), ("passed", True)]


def test_a_command_without_a_fitting_webhook_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    post = functools.partial(_post, value={"hello": "world"})
    monkeypatch.setattr("voicegauge.cli.local_servers._print_webhook_url", lambda _console, url: post(url))
    assert run(["listen", "--port", "0", "--count", "1", "--timeout", "0.2"]) == 3
    assert "no webhook that fits a contract was received within 0.2 s, only 1 other body" in capsys.readouterr().err


def test_other_urls_get_404(listener: Listener) -> None:
    def post(url: str) -> None:
        for other in (url.rpartition("/")[0], f"{url[:-1]}", f"{url}x"):
            _post(other, END, status=404)
        _post(f"{url}/any/path", END)

    status, lines = listener.run(post, "--count", "1")
    assert (status, len(lines)) == (0, 1)


@pytest.mark.slow
def test_ctrl_c_ends_the_process_with_the_verdict_so_far() -> None:
    with _listening() as (process, url):
        _post(url, END)
        assert process.stdout is not None
        assert "passed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.parametrize("limits", [[], ["--count", "1"], ["--timeout", "60"]])
def test_ctrl_c_before_a_webhook_is_an_interruption(listener: Listener, limits: list[str], tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    status, lines = listener.run(lambda _: listener.press_ctrl_c(), *limits, "--json", str(file))
    assert (status, lines) == (130, ["voicegauge: stopped: no webhook was received"])
    assert json.loads(file.read_text())["stop_reason"] == "interrupted"


def test_ctrl_c_before_the_wanted_number_of_webhooks_is_an_interruption(listener: Listener) -> None:
    def post(url: str) -> None:
        _post(url, END)
        listener.wait_for_webhook()
        listener.press_ctrl_c()

    status, (webhook, stopped) = listener.run(post, "--count", "2")
    assert status == 130
    assert "passed" in webhook
    assert stopped == "voicegauge: stopped before --count or --timeout was reached"


def test_no_webhook_within_the_timeout_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["listen", "--port", "0", "--timeout", "0"]) == 3
    assert "no webhook was received within 0 s" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["listen"], ["check", "pixazo/chatterbox", "--live"]])
def test_a_tunnel_without_https_is_rejected(command, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PIXAZO_API_KEY", "any-key")
    assert run([*command, "--public-url", "http://tunnel.example"]) == 2
    assert "must begin with https://" in capsys.readouterr().err

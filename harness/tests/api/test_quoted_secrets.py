"""What a service sends in places that no contract documents is quoted without the words that could be a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge.cli import run

from .test_echoed_keys import SSE, as_json, contracts, events, http, job, serving, wav  # noqa: F401 - a fixture

SECRET = "blauerelefant77qzw4"
"""Nothing about it says that it is a key."""
WORDS = "voice not found"
"""The words around it, which a user needs."""
Answers = Callable[[str], dict[str, bytes]]


def build_error(secret: str) -> dict[str, object]:
    return {"message": f"{WORDS} {secret}", "session": secret, "list": [{"x": [secret]}], "n": 991827364551}


def build_text_events(secret: str) -> bytes:
    return (
        f": {secret}\n\n{secret}\n<p>{secret}</p>\nid: {secret}\nretry: {secret}\nnote: {secret}\n"
        f"event: audio\ndata: session={secret}\n\nevent: done\ndata: {WORDS} {secret}\n\n"
    ).encode()


SERVICES: dict[str, Answers] = {
    "an error": lambda s: {"": http("400 Bad", as_json(build_error(s)), f"X-Session: {s}")},
    "a large error": lambda s: {"": http("400 Bad", as_json(build_error(s) | {"padding": "x" * 300_000}))},
    "a server error": lambda s: {"": http("503 X", f"<p>{WORDS}: {s}</p>".encode(), media_type="text/html")},
    "a charge": lambda s: job(s) | {"POST": http("202 Accepted", as_json({"cost": {"session": s}, **build_error(s)}))},
    "a poll": lambda s: job(s) | {"GET": http("200 OK", f'{{"message": "{WORDS} {s}"'.encode())},
    "a stream": lambda s: {"": http("200 OK", events(("audio", {"session": s}), ("done", {"a": s})), media_type=SSE)},
    "a stream of texts": lambda s: {"": http("200 OK", build_text_events(s), media_type=SSE)},
    "a media type": lambda s: {"": http("200 OK", wav(), media_type=f"audio/wav; note={s}")},
    "a protocol error": lambda s: {"": f"HTTP/1.1 2OO {s}\r\n\r\n".encode()},
}
OUTPUTS = ("json", "junit", "sarif", "html", "markdown", "slack", "badge", "write-baseline")
COMMANDS = {
    "check": ["check", "echo", "--live", *(f"--{one}=out.{one}" for one in OUTPUTS)],
    "bench": ["bench", "echo", "--live", "--limit=1", "--warmup=0", "--asr=none", "--no-listening", "--json=out.json"],
    "record": ["record", "echo", "--live", "--yes", "--json=out.json"],
}
FAST = (
    ("an error", "check"),
    ("a large error", "check"),
    ("a stream of texts", "check"),
    ("a protocol error", "check"),
    ("a server error", "bench"),
    ("a media type", "record"),
)
CASES = [
    pytest.param(service, command, marks=() if (service, command) in FAST else pytest.mark.slow)
    for service in SERVICES
    for command in COMMANDS
]


@pytest.mark.parametrize(("service", "command"), CASES)
def test_a_secret_in_an_undocumented_place_is_never_quoted(
    contracts: Path,  # noqa: F811 - a fixture
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    command: str,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(work / "state"))
    requests: list[str] = []
    with serving(SERVICES[service](SECRET), requests) as url:
        status = run([*COMMANDS[command], "--contracts", str(contracts), "--base-url", url])
    printed = "".join(capfd.readouterr())
    assert requests, printed
    assert status in {1, 3, 4, 5}, printed  # 4: a charge that cannot be believed
    assert SECRET not in "".join(printed.split()), printed
    # Audio is saved as it is.
    written = [path for path in work.rglob("*") if path.is_file() and path.parent.name != "audio"]
    leaks = [path for path in written if SECRET.encode() in path.name.encode() + path.read_bytes()]
    assert not leaks, (leaks, leaks[0].read_text())
    if service in {"an error", "a large error"} and command == "check":
        output = json.dumps(json.loads((work / "out.json").read_text()))
        assert f"{WORDS} [redacted]" in output, "what went wrong can still be read"

"""A service that echoes the key, in any spelling and anywhere in a response, does not get it written or printed."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voicegauge.cli import run
from voicegauge.recording.secret_search import find_secret_spelling

KEY = "vG9kQz7-WmT4xP2rLs8Yb1"
SPELLINGS = [
    KEY,
    KEY.upper(),
    *(base64.b64encode(b"xy"[:shift] + KEY.encode()).decode() for shift in range(3)),
    KEY.encode().hex(),
    "".join(f"%{ord(c):02x}" for c in KEY),
]
OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "state", "audio", "type", "reason")}
    | {"cost": {"type": "number"}},
    "required": ["id"],
}
EVENT = {"type": "object", "properties": {"audio": {"type": "string"}, "reason": {"type": "string"}}}
AUDIO = {"description": "audio", "content": {"audio/wav": {}}}
JSON_BODY = {"content": {"application/json": {"schema": {"type": "object"}}}}
JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Echo", "version": "1"},
    "servers": [{"url": "https://api.echo.test", "x-name": "api"}],
    "security": [{"key": []}],
    "x-provider": {
        "id": "echo",
        "title": "Echo",
        "key_variable": "ECHO_KEY",
        "sources": {"echo.txt": {"title": "Echo", "date": "2026-01-01"}},
        "retry_policy": {
            "retried_statuses": [],
            "initial_delay_s": 0.1,
            "delay_factor": 1,
            "max_delay_s": 0.1,
            "max_attempts": 1,
        },
    },
    "paths": {
        "/jobs": {
            "post": {
                "operationId": "submit",
                "x-speech": {
                    "request_fields": {"text": "body#/text"},
                    "response": {"status_operation_id": "status", "charge_location": "body#/cost"},
                    "targets": {"queued": {"title": "Queued", "supported_languages": ["en"]}},
                },
                "x-pricing": {"unit": "request", "usd_per_unit": 0.0001},
                "requestBody": JSON_BODY,
                "responses": {"202": {"description": "queued", "content": {"application/json": {"schema": OBJECT}}}},
            },
        },
        "/jobs/{job_id}": {
            "get": {
                "operationId": "status",
                "parameters": [JOB_ID],
                "x-job": {
                    "submit_response": {"job_id_location": "body#/id"},
                    "job_id_location": "body#/id",
                    "state_location": "body#/state",
                    "states": {
                        "queued": {"successor_names": ["done", "failed"]},
                        "done": {"terminal_outcome": "success"},
                        "failed": {"terminal_outcome": "failure"},
                    },
                    "audio": {"location": "body#/audio", "delivery_method": "url", "media_type_location": "body#/type"},
                    "failure_reason_location": "body#/reason",
                    "poll_schedule": {
                        "min_interval_s": 0.01,
                        "max_interval_s": 0.01,
                        "interval_factor": 1,
                        "job_timeout_s": 0.3,
                    },
                },
                "responses": {"200": {"description": "state", "content": {"application/json": {"schema": OBJECT}}}},
            }
        },
        "/say": {
            "post": {
                "operationId": "say",
                "x-speech": {
                    "request_fields": {"text": "body#/text"},
                    "response": {"audio": {"location": "body", "delivery_method": "bytes"}},
                    "targets": {"direct": {"title": "Direct", "supported_languages": ["en"]}},
                },
                "x-pricing": {"unit": "request", "usd_per_unit": 0.0001},
                "requestBody": JSON_BODY,
                "responses": {"200": AUDIO},
            }
        },
        "/stream": {
            "post": {
                "operationId": "stream",
                "x-speech": {
                    "request_fields": {"text": "body#/text"},
                    "response": {"audio": {"location": "body", "delivery_method": "stream"}},
                    "targets": {"streamed": {"title": "Streamed", "supported_languages": ["en"]}},
                },
                "x-stream": {
                    "event_type_location": "event",
                    "events": {
                        "audio": {"successor_names": ["audio", "done"], "data_schema": EVENT},
                        "done": {"terminal_outcome": "success"},
                        "error": {"terminal_outcome": "failure", "data_schema": EVENT},
                    },
                    "audio": {"event_type": "audio", "location": "data#/audio", "encoding": "base64"},
                    "failure_reason_location": "data#/reason",
                },
                "x-pricing": {"unit": "request", "usd_per_unit": 0.0001},
                "requestBody": JSON_BODY,
                "responses": {"200": {"description": "audio", "content": {"text/event-stream": {}}}},
            }
        },
    },
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
}  # fmt: skip


def wav(comment: bytes = b"") -> bytes:
    """A second of a loud square wave, with a comment in its metadata."""
    info = b"INFOICMT" + struct.pack("<I", len(comment)) + comment + bytes(len(comment) % 2)
    samples = (b"\x00\x20" * 20 + b"\x00\xe0" * 20) * 200
    chunks = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    chunks += b"LIST" + struct.pack("<I", len(info)) + info + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def http(status: str, body: bytes, *headers: str, media_type: str = "application/json") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def echoes(spelled: str) -> dict[str, Any]:
    return {"id": "j1", "cost": spelled, spelled: spelled, "message": f"you sent {spelled}", "list": [{spelled: 1}]}


def events(*pairs: tuple[str, object]) -> bytes:
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in pairs)


def job(spelled: str, **status: Any) -> dict[str, bytes]:
    return {
        "POST": http("202 Accepted", as_json({"id": "j1"})),
        "GET": http("200 OK", as_json({"id": "j1", **status, "more": echoes(spelled)})),
    }


SSE = "text/event-stream"
SERVICES = {
    "an error": lambda s: {"": http(f"401 {s}", as_json(echoes(s)), f"X-Echo: {s}", f"Retry-After: {s}")},
    "an undocumented status": lambda s: {"": http("418 Teapot", as_json(echoes(s)), f"Location: /{s}")},
    "a page": lambda s: {"": http("200 OK", f"<p>{s}</p>".encode(), media_type="text/html")},
    "a media type": lambda s: {"": http("200 OK", as_json(echoes(s)), media_type=f"application/{s}")},
    "a redirect": lambda s: {"": http("302 Found", b"", f"Location: http://{s}.test/{s}")},
    "a protocol error": lambda s: {"": f"HTTP/1.1 2OO {s}\r\n\r\n".encode()},
    "a broken header": lambda s: {"": f"HTTP/1.1 200 OK\r\nX {s}: {s}\r\n\r\n".encode()},
    "a broken chunk": lambda s: {"": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{s}\r\n".encode()},
    "a job id": lambda s: job(s, state="failed") | {"POST": http("202 Accepted", as_json({"id": s}))},
    "a job state": lambda s: job(s, state=s),
    "a failed job": lambda s: job(s, state="failed", reason=f"bad {s}"),
    "an audio URL": lambda s: job(s, state="done", audio=f"http://127.0.0.1:1/{s}/{s}?{s}", type=f"audio/{s}"),
    "a wrong audio URL": lambda s: job(s, state="done", audio=f"ftp://{s}@{s}.test/"),
    "audio": lambda s: {"": http("200 OK", wav(s.encode()), media_type=f"audio/wav; note={s}")},
    "audio with a header": lambda s: {"": http("200 OK", wav(), f"X-Echo: {s}", media_type=f"audio/wav; note={s}")},
    "a file name": lambda s: {"": http("200 OK", wav(), f"Content-Disposition: attachment; filename={s}.wav")},
    "a stream": lambda s: {"": http("200 OK", events(("audio", {"audio": s, s: s}), (s, s)), media_type=SSE)},
    "a failed stream": lambda s: {"": http("200 OK", events(("error", {"reason": f"bad {s}"})), media_type=SSE)},
}  # fmt: skip


@contextlib.contextmanager
def serving(responses: dict[str, bytes], requests: list[str]) -> Iterator[str]:
    """Respond to each request by its method, or with the response for ""; note the methods in `requests`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, responses, requests), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def _serve(listening: socket.socket, responses: dict[str, bytes], requests: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(ConnectionError):
                method = _read_request(connection)
                if method is None:
                    continue
                requests.append(method)
                connection.sendall(responses.get(method, responses.get("", b"")))
                connection.shutdown(socket.SHUT_WR)


def _read_request(connection: socket.socket) -> str | None:
    """Read a request and return its method; `None` if a connection that was opened in advance is not used."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = connection.recv(65_536)
        if not received:
            return None
        request += received
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65_536)
    return head.split()[0].decode()


@pytest.fixture
def contracts(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ECHO_KEY", KEY)
    (tmp_path / "contracts" / "echo").mkdir(parents=True)
    (tmp_path / "contracts" / "echo" / "openapi.yaml").write_text(json.dumps(CONTRACT))
    return tmp_path / "contracts"


HELP_BY_COMMAND = {
    "check": ["check", "echo", "--live", "--github", "--json", "check.json", "--junit", "j.xml", "--sarif", "s.json"],
    "check with a baseline": ["check", "echo", "--live", "--write-baseline", "baseline.json"],
    "bench": ["bench", "echo", "--live", "--limit", "1", "--warmup", "0", "--asr", "none", "--json", "bench.json"],
    "record": ["record", "echo", "--yes", "--live", "--json", "record.json"],
}
EVERY_COMMAND = ("audio",)
CASES = [
    pytest.param(service, command, marks=() if command == "check" or service in EVERY_COMMAND else pytest.mark.slow)
    for service in SERVICES
    for command in HELP_BY_COMMAND
]


@pytest.mark.parametrize(("service", "command"), CASES)
def test_an_echoed_key_is_never_written_or_printed(contracts, tmp_path, capfd, monkeypatch, service, command) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    requests: list[str] = []
    with serving(SERVICES[service]("~".join(SPELLINGS)), requests) as url:
        status = run([*HELP_BY_COMMAND[command], "--contracts", str(contracts), "--base-url", url])
    printed = "".join(capfd.readouterr())
    # Audio with the key in its metadata cannot be recorded, and rejections with 401 alone are not saveding.
    refusals = ("is not written: exchange 1", "check the key; nothing was recorded")
    # 4: a charge that contains the key cannot be believed, and ends the requests.
    assert status in {0, 1, 3, 4, 5} or (command == "record" and any(part in printed for part in refusals)), printed
    assert requests
    assert find_secret_spelling(printed.encode(), [KEY]) is None, printed
    leaks = [path for path in (tmp_path / "work").rglob("*") if path.is_file() and has_key(path)]
    assert not leaks, leaks[0].read_bytes()


def has_key(path: Path) -> bool:
    return find_secret_spelling(path.name.encode() + b"\n" + path.read_bytes(), [KEY]) is not None

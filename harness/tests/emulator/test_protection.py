"""The emulator against hostile web pages, slow or large requests, and keys in its journal."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import pytest
import uvicorn
from uvicorn.server import ServerState

from voicegauge.contract.contract import Contract
from voicegauge.emulator import _accounts
from voicegauge.emulator._accounts import MAX_STORED_ACCOUNTS, AccountRegistry
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._request import IncomingRequest
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import CONTROL_PREFIX, EmulatorSettings
from voicegauge.emulator.server import (
    MAX_BODY_MEMORY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADER_COUNT,
    MAX_UPLOAD_BYTES,
    ClientLimits,
    ServerOptions,
    create_client_limiting_protocol,
    running_app,
)

CONTROL_ROUTES = [
    ("GET", "/health"),
    ("POST", "/reset"),
    ("GET", "/clock"),
    ("POST", "/clock"),
    ("GET", "/state"),
    ("GET", "/journal"),
    ("GET", "/faults"),
    ("PUT", "/faults"),
]
MEBIBYTE = 2**20


async def _control(api: Any, method: str, path: str, **more: Any) -> Any:
    return await api.http.request(method, f"{api.url}{CONTROL_PREFIX}{path}", **more)


@pytest.mark.parametrize(("method", "path"), CONTROL_ROUTES)
async def test_control_routes_reject_names_that_a_web_page_could_use(start: Any, method: str, path: str) -> None:
    api = await start()
    port = api.url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", f"localhost.evil.example:{port}", "127.0.0.1@evil.example"):
        response = await _control(api, method, path, headers={"Host": host})
        assert (response.status_code, list(response.json())) == (403, ["error"]), host
    assert (await api.control("GET", "/state"))["acme"]["jobs"] == []


async def test_control_routes_are_available_under_names_of_this_machine(start: Any) -> None:
    api = await start()
    port = api.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"LOCALHOST:{port}", "localhost", f"api.localhost:{port}", "[::1]:80"):
        assert (await _control(api, "GET", "/journal", headers={"Host": host})).status_code == 200, host


def test_control_routes_are_available_under_the_name_that_the_server_is_bound_to(plain_acme: Contract) -> None:
    import httpx

    with (
        running_app(create_app([plain_acme], control_route_host_names=["Build-Machine"])) as url,
        httpx.Client() as client,
    ):
        for host, status in (("build-machine:80", 200), ("other-machine:80", 403)):
            response = client.get(f"{url}{CONTROL_PREFIX}/journal", headers={"Host": host})
            assert response.status_code == status


@pytest.mark.parametrize(("method", "path"), CONTROL_ROUTES)
async def test_control_routes_reject_pages_of_other_origins(start: Any, method: str, path: str) -> None:
    api = await start()
    for origin in ("https://evil.example", "null", "http://localhost:1", api.url.replace("http:", "https:")):
        response = await _control(api, method, path, headers={"Origin": origin})
        assert response.status_code == 403, origin


async def test_control_routes_accept_their_own_origin(start: Any) -> None:
    api = await start()
    assert (await _control(api, "POST", "/reset", headers={"Origin": api.url})).status_code == 200


async def test_providers_and_their_audio_are_available_under_any_name(start: Any) -> None:
    api = await start()
    headers = {"Host": "speech.internal:8080", "Origin": "https://app.example"}
    job = (await api.submit(headers=headers)).json()["id"]
    await api.states(job, 2)
    audio = (await api.send("GET", f"/jobs/{job}", headers=headers)).json()["audio"]
    assert audio.startswith("http://speech.internal:8080/")
    path = audio.removeprefix("http://speech.internal:8080")
    assert (await api.http.get(f"{api.url}{path}", headers=headers)).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", "/clock"), ("PUT", "/faults"), ("POST", "/reset")])
@pytest.mark.parametrize("declares_length", [True, False])
async def test_large_bodies_of_control_routes_are_rejected(
    start: Any, method: str, path: str, declares_length: bool
) -> None:
    api = await start()

    async def chunks() -> Any:
        for _ in range(3):
            yield bytes(MEBIBYTE)

    response = await _control(api, method, path, content=bytes(3 * MEBIBYTE) if declares_length else chunks())
    assert response.status_code == 413
    assert (await _control(api, "POST", "/reset")).status_code == 200


def _exchange(url: str, request: bytes) -> bytes:
    """Send raw bytes, and return everything until the server closes the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


@pytest.mark.parametrize(
    ("path", "content_type", "size"),
    [
        (f"{CONTROL_PREFIX}/faults", "application/json", 2**30),
        ("/acme/speech", "application/json", 2**30),
        ("/acme/now", "application/x-www-form-urlencoded", 17 * MEBIBYTE),
        ("/acme/clone", "multipart/form-data; boundary=x", 2**30),
    ],
)
async def test_a_declared_length_above_the_limit_is_rejected_before_the_body_is_sent(
    plain_acme: Contract, path: str, content_type: str, size: int
) -> None:
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    with running_app(create_app([plain_acme])) as url:
        assert _exchange(url, head.encode()).startswith(b"HTTP/1.1 413 ")


@dataclass
class _Uploads:
    """Requests that are sent to an ASGI application, with the bytes that it has read of those in progress."""

    app: Any
    bytes_in_progress: int = 0
    most_bytes: int = 0
    statuses: list[int] = field(default_factory=list)
    are_at_limit: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, path: str, mebibytes: int, more: asyncio.Event | None = None) -> None:
        """Send a body; its end only after `more` is set."""
        headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=x")]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        read_bytes, piece = 0, bytes(MEBIBYTE)

        async def receive() -> dict[str, Any]:
            nonlocal read_bytes
            await asyncio.sleep(0)
            if read_bytes == mebibytes * MEBIBYTE:
                if more is not None:
                    await more.wait()
                return {"type": "http.request", "body": b"", "more_body": False}
            read_bytes += MEBIBYTE
            self.bytes_in_progress += MEBIBYTE
            self.most_bytes = max(self.most_bytes, self.bytes_in_progress)
            if self.bytes_in_progress >= MAX_BODY_MEMORY_BYTES:
                self.are_at_limit.set()
            return {"type": "http.request", "body": piece, "more_body": True}

        async def respond(message: dict[str, Any]) -> None:
            nonlocal read_bytes
            if message["type"] == "http.response.start":
                self.bytes_in_progress -= read_bytes
                self.statuses.append(message["status"])

        await self.app({**scope, "scheme": "http", "client": ("127.0.0.1", 1)}, receive, respond)


async def test_uploads_share_a_limit_and_wait_for_each_other(plain_acme: Contract) -> None:
    uploads, largest = _Uploads(create_app([plain_acme])), 20 * MEBIBYTE
    await asyncio.gather(*(uploads.send("/acme/speech", 20) for _ in range(5)))
    assert uploads.statuses == [401] * 5
    assert uploads.most_bytes <= MAX_BODY_MEMORY_BYTES + largest + 4 * MEBIBYTE  # each has read one piece that waits


async def test_small_requests_do_not_wait_for_uploads(plain_acme: Contract) -> None:
    uploads, more = _Uploads(create_app([plain_acme])), asyncio.Event()
    waiting = asyncio.gather(*(uploads.send("/acme/speech", 20, more) for _ in range(5)))
    await uploads.are_at_limit.wait()
    await uploads.send("/acme/speech", 0)
    assert len(uploads.statuses) == 1
    more.set()
    await waiting
    assert len(uploads.statuses) == 6


async def test_an_upload_without_an_end_is_rejected_at_the_limit(plain_acme: Contract) -> None:
    uploads = _Uploads(create_app([plain_acme]))
    await uploads.send("/acme/speech", 1024)
    assert uploads.statuses == [413]
    assert uploads.most_bytes <= MAX_UPLOAD_BYTES + MEBIBYTE


@pytest.fixture(scope="module")
def impatient(plain_acme: Contract) -> Iterator[str]:
    """URL of an emulator that waits half a second for the next bytes: a busy machine sends some until then."""
    limits = ClientLimits(headers_timeout_s=0.5, body_pause_timeout_s=0.5, body_timeout_s=1)
    with running_app(
        create_app([plain_acme], EmulatorSettings(clock="per-poll")), options=ServerOptions(client_limits=limits)
    ) as url:
        yield url


@pytest.mark.parametrize(
    ("request_bytes", "response"),
    [
        (b"", b""),
        (b"GET /acme/voices HTTP/1.1\r\nHost: lo", b"HTTP/1.1 408 "),
        (b"POST /acme/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 408 "),
        (b"PUT /_emulator/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 408 "),
        (
            b"GET /acme/voices HTTP/1.1\r\nHost: localhost\r\n\r\nGET /acme/voices HTTP/1.1\r\n",
            b"HTTP/1.1 200 ",
        ),
    ],
    ids=["nothing", "headers", "body", "control-body", "second-request"],
)
def test_a_client_that_stops_sending_is_disconnected(impatient: str, request_bytes: bytes, response: bytes) -> None:
    received = _exchange(impatient, request_bytes)
    assert received.startswith(response)
    assert bool(received) == bool(response)


def test_bytes_that_drip_do_not_extend_the_time_for_a_request(impatient: str) -> None:
    host, _, port = impatient.removeprefix("http://").partition(":")
    heads = (
        b"GET /acme/voices HTTP/1.1\r\nX-Long: ",
        b"POST /acme/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
    )
    for head in heads:
        with socket.create_connection((host, int(port)), timeout=0.01) as connection:
            connection.sendall(head)
            received = b""
            for _ in range(10_000):  # far longer than the limit
                try:
                    connection.sendall(b"x")
                    received = connection.recv(100)
                    break
                except TimeoutError:
                    continue
                except OSError:  # closed before the response was read
                    received = b"HTTP/1.1 408 "
                    break
            assert received.startswith(b"HTTP/1.1 408 ")


class _FakeLoop:
    """An event loop whose timers never fire, and that does not run its tasks."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, _callback: Any) -> Any:
        handle = Mock()
        self.timers.append((self.now + delay_s, handle))
        return handle

    def create_task(self, coroutine: Any) -> Any:
        coroutine.close()
        return Mock()

    @property
    def due(self) -> list[float]:
        """Times of the timers that were not cancelled."""
        return [at for at, handle in self.timers if not handle.cancel.called]


def test_time_limits_start_with_a_request_and_end_with_its_last_byte() -> None:
    loop, transport = _FakeLoop(), Mock(is_closing=lambda: False)
    limits = ClientLimits(headers_timeout_s=30, body_pause_timeout_s=5, body_timeout_s=12)
    config = uvicorn.Config(app=Mock(), log_config=None, lifespan="off")
    protocol = create_client_limiting_protocol(limits)(config, ServerState(), {}, loop)  # type: ignore[call-arg]
    protocol.connection_made(transport)
    assert loop.due == [130]
    steps = [
        (b"POST /acme/speech HTTP/1.1\r\n", 130),
        (b"Host: localhost\r\nContent-Length: 6\r\n", 130),
        (b"\r\n", 117),
        (b"12", 121),
        (b"34", 124),
        (b"5", 124),
    ]
    for data, due in steps:
        loop.now += 4
        protocol.data_received(data)
        assert loop.due == [due], data
    protocol.data_received(b"6")
    assert loop.due == [], "the response may take any time"


SECRET = "Zx81-acme-secret-42"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "URL": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
}


@pytest.mark.parametrize(
    "header",
    [
        "Authorization",
        "Proxy-Authorization",
        "x-api-key",
        "xi-api-key",
        "Ocp-Apim-Subscription-Key",
        "X-Auth",
        "X-Acme-Pass",
        "Cookie",
    ],
)
@pytest.mark.parametrize("form", ["{}", "Bearer {}", "session={}; theme=dark"])
async def test_the_journal_masks_keys_in_any_header(start: Any, header: str, form: str) -> None:
    api = await start()
    await api.submit(headers={header: form.format(SECRET)}, key=None)
    journal = await api.control("GET", "/journal")
    assert len(journal) == 1
    assert SECRET not in json.dumps(journal)
    assert header.lower() in journal[0]["headers"]


@pytest.mark.parametrize("parameter", ["api_key", "key", "token", "sig", "anything", "format"])
async def test_the_journal_masks_keys_in_the_query(start: Any, parameter: str) -> None:
    api = await start()
    await api.send("POST", "/now", params={parameter: SECRET}, data={"text": "Hello"}, key=SECRET)
    assert SECRET not in json.dumps(await api.control("GET", "/journal"))


async def test_the_journal_masks_a_key_that_is_repeated_in_path_or_body(start: Any) -> None:
    api = await start()
    await api.send("POST", f"/bots/{SECRET}/speech", json={"api_key": SECRET, "text": SECRET}, key=SECRET)
    await api.submit(SECRET, api_key=SECRET, key=SECRET)
    text = json.dumps([await api.control("GET", "/journal"), await api.control("GET", "/state")])
    assert SECRET not in text
    assert '"body_bytes": ' in text


async def test_the_journal_masks_the_documented_key_parameter(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["components"] = {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "who"}}}
        document["paths"]["/speech"]["post"]["parameters"] = [
            {"name": "who", "in": "query", "schema": {"type": "string"}}
        ]

    api = await start(edit=edit)
    await api.send("POST", "/speech", params={"who": SECRET}, json={"text": "Hello"}, key=None)
    (entry,) = await api.control("GET", "/journal")
    assert entry["status"] == 202
    assert SECRET not in json.dumps(entry)


async def test_the_journal_shows_documented_parameters(start: Any) -> None:
    api = await start()
    query = {"format": "mp3", "lang": "en"}
    await api.send("POST", "/now", params=query, data={"text": "Hello"}, headers={"X-Voicegauge-Scenario": "invalid"})
    (entry,) = await api.control("GET", "/journal")
    assert entry["query"] == query
    assert entry["headers"]["x-voicegauge-scenario"] == "invalid"
    assert entry["headers"]["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("encode", ENCODINGS, ids=ENCODINGS)
async def test_the_journal_masks_an_encoded_key_in_headers_that_are_shown(start: Any, encode: str) -> None:
    api = await start()
    text = ENCODINGS[encode](SECRET)
    await api.submit(headers={"User-Agent": f"app {text}", "X-Request-Id": text}, key=SECRET)
    (entry,) = await api.control("GET", "/journal")
    assert (entry["headers"]["user-agent"], entry["headers"]["x-request-id"]) == ("app [redacted]", "[redacted]")


async def test_a_request_with_very_many_credentials_is_not_shown(start: Any) -> None:
    api = await start()
    cookies = "; ".join(f"cookie-{number}=session-{number}" for number in range(200))
    await api.submit(headers={"Cookie": cookies, "User-Agent": "session-7"}, key=None)
    (entry,) = await api.control("GET", "/journal")
    assert set(entry["headers"].values()) == {"[redacted]"}
    assert entry["path"] == "[redacted]"


def test_the_journal_forgets_old_requests_before_it_takes_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_accounts, "MAX_JOURNAL_BYTES", 2**20)
    requests, contract = _accounts.RequestJournal(), Mock(id="acme", security_schemes={})
    headers = {f"x-{'y' * 140}-{number}": "" for number in range(90)}
    for number in range(60):
        incoming = IncomingRequest("GET", f"/{number}", {}, headers, b"", "http://h/acme", "127.0.0.1")
        requests.record_request(contract, incoming, EmulatedResponse("error", 404), 0.0)
    paths = [entry["path"] for entry in requests]
    assert 20 < len(paths) < 40
    assert paths[-1] == "/59"
    assert len(json.dumps(list(requests))) < 2**20


@pytest.mark.parametrize("path", ["/acme/voices", f"{CONTROL_PREFIX}/health"])
async def test_requests_with_large_headers_are_rejected(start: Any, path: str) -> None:
    api = await start()
    for headers, status in (
        ({"X-Long": "x" * MAX_HEADER_BYTES}, 431),
        ({f"X-{number}": "" for number in range(MAX_HEADER_COUNT)}, 431),
        ({"X-Long": "x" * (MAX_HEADER_BYTES - 1000)}, 200),
    ):
        headers = {"Authorization": "Bearer k", **headers}
        assert (await api.http.get(f"{api.url}{path}", headers=headers)).status_code == status


@pytest.mark.parametrize("body", [b"[" * 500_000, b'{"advance_s": NaN}', b"\xff", b'{"advance_s": "\\ud800"}'])
@pytest.mark.parametrize(("method", "path"), [("POST", "/clock"), ("PUT", "/faults")])
async def test_hostile_bodies_of_control_routes_are_rejected(start: Any, method: str, path: str, body: bytes) -> None:
    api = await start(clock="virtual")
    response = await _control(api, method, path, content=body)
    assert response.status_code == 400
    assert len(response.content) < 500


@pytest.mark.parametrize("years", [1e9, 1e300, 10**400])
async def test_the_clock_stays_within_the_years_that_can_be_written(start: Any, years: float) -> None:
    api = await start(clock="virtual")
    await api.control("POST", "/clock", {"advance_s": 200_000_000_000})
    response = await _control(api, "POST", "/clock", json={"advance_s": years * 31_536_000})
    assert (response.status_code, response.json()) == (400, {"error": "the clock would be later than the year 9999"})
    assert (await api.submit()).status_code == 202


async def test_the_number_of_accounts_is_limited(plain_acme: Contract) -> None:
    accounts = AccountRegistry(plain_acme, EmulatorSettings())
    operation = plain_acme.find_operation("submit")
    for number in range(MAX_STORED_ACCOUNTS + 10):
        headers = {"authorization": f"Bearer key-{number}"}
        accounts.identify_account(
            IncomingRequest("POST", "/speech", {}, headers, b"", "http://h/acme", "1.1.1.1"), operation, 0.0
        )
    assert len(list(accounts)) == MAX_STORED_ACCOUNTS

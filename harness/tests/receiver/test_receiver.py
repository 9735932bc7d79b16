"""The webhook receiver over a real socket: accepted and rejected requests, empty responses, and limits."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from voicegauge.callback_receiver import (
    MAX_BYTES_PER_URL,
    MAX_CALLBACK_BODY_BYTES,
    MAX_CALLBACKS_PER_URL,
    MAX_STORED_CALLBACK_BYTES,
    Receiver,
    run_receiver,
)
from voicegauge.emulator.server import ClientLimits
from voicegauge.errors import TimedOutError, UsageError
from voicegauge.model.exchange import ReceivedCallback


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


def _send(
    url: str, body: bytes = b"{}", method: str = "POST", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def _any(_callback: ReceivedCallback) -> bool:
    return True


async def test_each_url_has_its_own_webhooks(receiver) -> None:
    mine, other = receiver.create_url(), receiver.create_url()
    assert mine != other
    assert _send(mine, b'{"id": 1}')[0] == _send(other, b"[2]")[0] == 200
    (callback,) = await receiver.wait_for_callbacks(mine, _any, timeout_s=60)
    assert (callback.request.body, callback.request.method) == (b'{"id": 1}', "POST")
    assert callback.request.url == mine
    assert callback.request.find_header("content-type") == "application/json"
    assert [one.request.body for one in receiver.list_callbacks_to(other)] == [b"[2]"]


def test_paths_below_a_url_belong_to_it(receiver) -> None:
    url = receiver.create_url()
    assert _send(f"{url}/order/7")[0] == 200
    assert [callback.request.url for callback in receiver.list_callbacks_to(url)] == [f"{url}/order/7"]


def test_a_url_is_too_long_to_be_guessed(receiver) -> None:
    tokens = [receiver.create_url().removeprefix(f"{receiver.base_url}/") for _ in range(100)]
    assert len(set(tokens)) == 100
    assert min(map(len, tokens)) >= 22, "128 bits in base64"


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "HEAD", "OPTIONS"])
def test_requests_to_any_other_path_get_404_and_are_not_stored(receiver, method) -> None:
    token = receiver.create_url().rpartition("/")[2]
    before = len(receiver.callbacks)
    for path in ("", "/", "/favicon.ico", "/webhook", f"/{token[:-1]}", f"/{token}x", f"/{token.swapcase()}", "//"):
        status, headers, body = _send(f"{receiver.base_url}{path}", b"{}", method)
        assert (status, body, headers["connection"]) == (404, b"", "close"), path
    assert len(receiver.callbacks) == before


def test_the_body_of_a_request_to_another_path_is_not_awaited(receiver) -> None:
    parts = urlsplit(receiver.base_url)
    head = b"POST /guess HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")


async def test_next_callback_waits_for_the_id_and_returns_each_callback_once(receiver) -> None:
    url = receiver.create_url()
    for body in ({"id": "a"}, {"job": {"ids": ["x", "b"]}}, {"id": "b", "again": True}):
        _send(f"{url}/anything/at/all", json.dumps(body).encode())
    assert json.loads((await receiver.wait_for_next_callback("b")).request.body) == {"job": {"ids": ["x", "b"]}}
    assert json.loads((await receiver.wait_for_next_callback("b")).request.body) == {"id": "b", "again": True}
    assert json.loads((await receiver.wait_for_next_callback("a")).request.body) == {"id": "a"}
    with pytest.raises(TimedOutError, match=r"no webhook about 'b' within 0\.05 s"):
        await receiver.wait_for_next_callback("b", timeout_s=0.05)


@pytest.mark.parametrize(
    ("body", "method", "headers", "status"),
    [
        (b"x" * MAX_CALLBACK_BODY_BYTES, "POST", {}, 200),
        (b"", "GET", {}, 405),
        (b"{}", "PUT", {}, 405),
        (b"\xff\xfe not JSON", "POST", {}, 200),
        (b"{}", "POST", {"X-Long": "x" * 15_000}, 200),
        (b"{}", "POST", {"X-Long": "x" * 16_384}, 431),
        (b"{}", "POST", {f"X-{number}": "" for number in range(101)}, 431),
    ],
    ids=["largest", "get", "put", "not-json", "long-header", "too-long-header", "too-many-headers"],
)
def test_responses_by_method_and_size_are_empty(receiver, body, method, headers, status) -> None:
    before = len(receiver.callbacks)
    status_code, received_headers, received_body = _send(f"{receiver.create_url()}/<script>", body, method, headers)
    assert (status_code, received_body) == (status, b"")
    assert "script" not in str(received_headers)
    assert "server" not in received_headers
    assert len(receiver.callbacks) - before == (status == 200)


@pytest.mark.parametrize("framing", ["Content-Length: 1048577", "Transfer-Encoding: chunked"])
def test_a_large_body_is_rejected_before_it_has_arrived(receiver, framing: str) -> None:
    parts = urlsplit(receiver.create_url())
    head = f"POST {parts.path} HTTP/1.1\r\nHost: here\r\n{framing}\r\n\r\n"
    chunks = b"100001\r\n" + bytes(MAX_CALLBACK_BODY_BYTES + 1) if "chunked" in framing else b""
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(head.encode() + chunks)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


async def _post(receiver: Receiver, url: str, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()) -> int:
    statuses: list[int | None] = []
    path = urlsplit(url).path
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": list(headers)}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status"))

    await receiver(scope, receive, send)
    assert statuses[0] is not None
    return statuses[0]


async def test_the_total_size_of_callbacks_is_limited() -> None:
    receiver = Receiver()
    url = receiver.create_url(for_many_requests=True)
    statuses = [
        await _post(receiver, url, b"x" * MAX_CALLBACK_BODY_BYTES)
        for _ in range(MAX_STORED_CALLBACK_BYTES // MAX_CALLBACK_BODY_BYTES + 2)
    ]
    accepted = statuses.count(200)
    assert 0.9 * MAX_STORED_CALLBACK_BYTES < accepted * MAX_CALLBACK_BODY_BYTES <= MAX_STORED_CALLBACK_BYTES
    assert statuses == [200] * accepted + [503] * (len(statuses) - accepted)


async def test_headers_count_towards_the_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    stored_bytes = MAX_STORED_CALLBACK_BYTES // 8
    monkeypatch.setattr("voicegauge.callback_receiver.MAX_STORED_CALLBACK_BYTES", stored_bytes)
    receiver = Receiver()
    url = receiver.create_url(for_many_requests=True)
    headers = [(b"x-%d" % number, b"x" * 140) for number in range(100)]
    statuses = [await _post(receiver, url, b"", headers) for _ in range(2500 // 8)]
    stored = sum(len(name) + len(value) for one in receiver.callbacks for name, value in one.request.headers)
    assert 0.3 * stored_bytes < stored < stored_bytes
    assert statuses[-1] == 503


async def test_many_empty_headers_count_with_the_memory_that_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    stored_bytes = MAX_STORED_CALLBACK_BYTES // 8
    monkeypatch.setattr("voicegauge.callback_receiver.MAX_STORED_CALLBACK_BYTES", stored_bytes)
    receiver = Receiver()
    url = receiver.create_url(for_many_requests=True)
    while await _post(receiver, url, b"", [(b"x", b"")] * 100) == 200:
        assert len(receiver.callbacks) * 100 * 150 <= stored_bytes, "an empty header takes at least 150 bytes"
    assert receiver.callbacks


@pytest.mark.parametrize("body", [b"{}", b"x" * MAX_CALLBACK_BODY_BYTES])
async def test_a_sender_cannot_use_up_the_space_of_other_urls(body) -> None:
    receiver = Receiver()
    hostile, other = receiver.create_url(), receiver.create_url()
    statuses = [await _post(receiver, hostile, body) for _ in range(MAX_CALLBACKS_PER_URL + 1)]
    assert statuses[-1] == 503
    assert sum(len(one.request.body) for one in receiver.list_callbacks_to(hostile)) <= MAX_BYTES_PER_URL
    assert await _post(receiver, other, body) == 200


async def test_strangers_leave_no_trace() -> None:
    receiver = Receiver()
    url = receiver.create_url()
    for number in range(11_000):
        assert await _post(receiver, f"http://here/{number}", b"x" * 1000) == 404
    assert await _post(receiver, url) == 200
    assert len(receiver.callbacks) == 1


def test_a_sender_that_disconnects_within_the_body_is_ignored(receiver) -> None:
    before = len(receiver.callbacks)
    parts = urlsplit(receiver.create_url())
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST {parts.path} HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf"
        connection.sendall(head.encode())
    assert _send(receiver.create_url())[0] == 200
    assert len(receiver.callbacks) == before + 1


@pytest.mark.parametrize("rest", ["Ho", "Host: here\r\nContent-Length: 9\r\n\r\n{"], ids=["headers", "body"])
def test_slow_senders_are_disconnected(rest: str) -> None:
    # Long enough to send something before the time is over, however busy the machine is.
    limits = ClientLimits(headers_timeout_s=0.5, body_pause_timeout_s=0.5, body_timeout_s=1)
    with run_receiver(client_limits=limits) as receiver:
        parts = urlsplit(receiver.create_url())
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            connection.sendall(f"POST {parts.path} HTTP/1.1\r\n{rest}".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_idle_connections_do_not_lock_out_a_webhook() -> None:
    with run_receiver(client_limits=ClientLimits(max_connections=4)) as receiver:
        parts = urlsplit(receiver.create_url())
        idle = [socket.create_connection((parts.hostname, parts.port), timeout=60) for _ in range(12)]
        try:
            idle[-1].sendall(b"POST / HTTP/1.1\r\nX-Slow: ")
            assert _send(receiver.create_url())[0] == 200
            assert idle[0].recv(100) == b"", "the oldest one was closed"
        finally:
            for connection in idle:
                connection.close()


def test_a_tunnel_must_be_https() -> None:
    with pytest.raises(UsageError, match="must begin with https://"), run_receiver(public_url="http://t.example"):
        pass
    with run_receiver(public_url="https://t.example/") as behind:
        assert behind.create_url().startswith("https://t.example/")


@pytest.mark.parametrize("forwarded", ["", "/hooks"])
async def test_a_tunnel_may_have_a_path_and_may_forward_it(forwarded: str) -> None:
    receiver = Receiver()
    receiver.base_url = "https://t.example/hooks"
    url = receiver.create_url()
    token = url.rpartition("/")[2]
    assert await _post(receiver, f"http://127.0.0.1{forwarded}/{token}/x") == 200
    (callback,) = receiver.list_callbacks_to(url)
    assert callback.request.url == f"{url}/x"


def test_a_port_in_use_is_reported_in_one_line(receiver) -> None:
    port = urlsplit(receiver.base_url).port
    with pytest.raises(UsageError, match="cannot listen on"), run_receiver(port=port):
        pass

"""The webhook receiver over a real socket: accepted and rejected requests, and empty responses."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from voicegauge.errors import TimedOutError, UsageError
from voicegauge.receiver import MAX_BODY_BYTES, MAX_TOTAL_BYTES, Receiver, running_receiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def _send(url: str, body: bytes = b"{}", method: str = "POST") -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


async def test_each_url_has_its_own_webhooks(receiver) -> None:
    mine, other = receiver.url, receiver.url
    assert mine != other
    assert _send(mine, b'{"id": 1}')[0] == _send(other, b"[2]")[0] == 200
    (came,) = await receiver.wait_until(mine, bool, timeout_s=5)
    assert (came.request.body, came.request.method) == (b'{"id": 1}', "POST")
    assert came.request.header("content-type") == "application/json"
    assert [one.request.body for one in receiver.callbacks_to(other)] == [b"[2]"]


async def test_next_callback_waits_for_the_id_and_returns_each_callback_once(receiver) -> None:
    for body in ({"id": "a"}, {"job": {"ids": ["x", "b"]}}, {"id": "b", "again": True}):
        _send(f"{receiver.root}/anything/at/all", json.dumps(body).encode())
    assert json.loads((await receiver.next_callback("b")).request.body) == {"job": {"ids": ["x", "b"]}}
    assert json.loads((await receiver.next_callback("b")).request.body) == {"id": "b", "again": True}
    with pytest.raises(TimedOutError, match=r"no webhook about 'b' within 0\.05 s"):
        await receiver.next_callback("b", timeout_s=0.05)


@pytest.mark.parametrize(
    ("body", "method", "status"),
    [
        (b"x" * MAX_BODY_BYTES, "POST", 200),
        (b"x" * (MAX_BODY_BYTES + 1), "POST", 413),
        (b"", "GET", 405),
        (b"{}", "PUT", 405),
        (b"\xff\xfe not JSON", "POST", 200),
    ],
)
def test_responses_by_method_and_size_are_empty(receiver, body, method, status) -> None:
    before = len(receiver.received)
    status_code, headers, shown = _send(f"{receiver.root}/<script>", body, method)
    assert (status_code, shown) == (status, b"")
    assert "script" not in str(headers)
    assert "server" not in headers
    assert len(receiver.received) - before == (status == 200)


async def test_the_total_size_of_callbacks_is_limited() -> None:
    receiver, statuses = Receiver(), []
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    body = {"type": "http.request", "body": b"x" * MAX_BODY_BYTES}

    async def receive() -> dict[str, Any]:
        return body

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status"))

    for _ in range(MAX_TOTAL_BYTES // MAX_BODY_BYTES + 3):
        await receiver(scope, receive, send)
    assert len(receiver.received) == MAX_TOTAL_BYTES // MAX_BODY_BYTES
    assert statuses[-2:] == [503, None]


def test_a_sender_that_disconnects_within_the_body_is_ignored(receiver) -> None:
    before = len(receiver.received)
    parts = urlsplit(receiver.url)
    with socket.create_connection((parts.hostname, parts.port)) as raw:
        raw.sendall(b"POST /x HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf")
    assert _send(receiver.url)[0] == 200
    assert len(receiver.received) == before + 1


def test_a_tunnel_must_be_https() -> None:
    with pytest.raises(UsageError, match="must begin with https://"), running_receiver(public_url="http://t.example"):
        pass
    with running_receiver(public_url="https://t.example/") as behind:
        assert behind.url.startswith("https://t.example/")


def test_a_port_in_use_is_reported_in_one_line(receiver) -> None:
    taken = urlsplit(receiver.root).port
    with pytest.raises(UsageError, match="cannot listen on"), running_receiver(port=taken):
        pass

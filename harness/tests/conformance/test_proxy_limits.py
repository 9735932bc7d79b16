"""What a proxy refuses: too many headers, slow clients, many of them, foreign pages; and how it finds an API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

import voicegauge
from voicegauge.api.local_servers import LocalServer
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.server import MAX_HEADER_BYTES, MAX_HEADER_COUNT, ClientLimits
from voicegauge.errors import UsageError
from voicegauge.relay.relay_server import RELAY_CLIENT_LIMITS, RelayApp, run_relay
from voicegauge.relay.traffic_monitor import CapturedBodyLimit, RelayObserver, Upstream

from ..builders.own_server import running_own_server
from ..builders.servers import Handler, connected, listening

REQUEST = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
BODY_REQUEST = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\n"
SHORT = ClientLimits(
    headers_timeout_s=0.2, body_pause_timeout_s=0.2, body_timeout_s=0.4, write_timeout_s=0.2, max_connections=20
)


async def _respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


class LossCounter(RelayObserver):
    """Counts the exchanges that did not pass completely."""

    def __init__(self) -> None:
        self.count = 0

    def on_exchange_lost(self, reason: str) -> None:
        self.count += 1


@contextlib.asynccontextmanager
async def _proxied(
    limits: ClientLimits = RELAY_CLIENT_LIMITS, respond: Handler = _respond, observer: RelayObserver | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Address of a proxy that does not judge, in front of a server that responds to everything."""
    async with listening(respond) as url:
        upstream = Upstream(load_catalogue().find_provider("openai"), f"{url}/v1")
        app = RelayApp(upstream, CapturedBodyLimit(), observer or RelayObserver())
        server = LocalServer(run_relay(app, host="127.0.0.1", port=0, client_limits=limits))
        async with server as proxy_url:
            host, _, port = proxy_url.removeprefix("http://").partition(":")
            yield host, int(port)


async def _exchange(address: tuple[str, int], *parts: bytes) -> bytes:
    """Send `parts`, and return what arrives until the connection is closed, or the response of `_respond` is whole."""
    received = b""
    async with connected(*address) as (reader, writer):
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.wait_for(reader.read(2**16), 60):
                received += data
                if received.endswith(b"{}"):
                    break
    return received


@pytest.mark.parametrize(
    "headers",
    [
        b"X: y\r\n" * MAX_HEADER_COUNT,
        b"X-Long: " + b"y" * MAX_HEADER_BYTES + b"\r\n",
        b"X: y\r\n" * 1_000_000,
        b"X-Long: " + b"y" * 4_000_000 + b"\r\n",
        b"X" * 4_000_000 + b": y\r\n",
    ],
    ids=["count", "size", "a million lines", "four megabytes", "a long name"],
)
async def test_a_request_with_too_many_or_too_large_headers_is_not_forwarded(headers: bytes) -> None:
    async with _proxied() as address:
        pieces = [headers[start : start + 2**16] for start in range(0, len(headers), 2**16)]
        response = await _exchange(address, REQUEST, *pieces, b"\r\n")
        assert response == b"" or response.startswith(b"HTTP/1.1 431 ")  # data on the way may reset the connection
        assert (await _exchange(address, REQUEST + b"\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_endless_trailers_are_cut_off() -> None:
    async with _proxied() as address:
        head = BODY_REQUEST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        assert b"200" not in await _exchange(address, head, *[b"X-Long: " + b"y" * 2**16] * 64)


async def test_a_request_with_as_many_headers_as_allowed_is_forwarded() -> None:
    async with _proxied() as address:
        response = await _exchange(address, REQUEST + b"X: y\r\n" * (MAX_HEADER_COUNT - 1) + b"\r\n")
        assert response.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: localhost:8070\r\n", 200),
        (b"Host: 127.0.0.1\r\n", 200),
        (b"Host: [::1]:8070\r\n", 200),
        (b"Host: api.openai.com\r\n", 403),
        (b"Host: evil.example:8070\r\n", 403),
        (b"Host: localhost@evil.example\r\n", 403),
        (b"Host: localhost\r\nHost: evil.example\r\n", 403),
        (b"Host: \r\n", 403),
        (b"Host: localhost\r\nOrigin: http://localhost:3000\r\n", 200),
        (b"Host: localhost\r\nOrigin: https://evil.example\r\n", 403),
        (b"Host: localhost\r\nOrigin: null\r\n", 403),
    ],
)
async def test_only_requests_to_this_machine_and_of_its_own_pages_are_forwarded(headers: bytes, status: int) -> None:
    async with _proxied() as address:
        response = await _exchange(address, b"GET /v1/models HTTP/1.1\r\n" + headers + b"\r\n")
        assert response.startswith(b"HTTP/1.1 %d " % status)
        assert (b"x-voicegauge-proxy: error" in response) == (status == 403)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /v1/mo", REQUEST, BODY_REQUEST + b"Content-Length: 9\r\n\r\n{", REQUEST + b"\r\n" + REQUEST],
    ids=["nothing", "half a line", "half of the headers", "half of a body", "half of the next request"],
)
async def test_a_client_that_stops_sending_is_disconnected(sent: bytes) -> None:
    async with _proxied(SHORT) as address, connected(*address) as (reader, writer):
        writer.write(sent)
        while await asyncio.wait_for(reader.read(2**16), 60):
            pass


async def test_bytes_that_drip_do_not_extend_the_time_for_headers() -> None:
    async with _proxied(SHORT) as address, connected(*address) as (reader, writer):
        status_line = asyncio.ensure_future(reader.readline())
        writer.write(REQUEST + b"X-Long: ")
        while not status_line.done():
            with contextlib.suppress(ConnectionError):
                writer.write(b"y")
                await writer.drain()
            await asyncio.sleep(0.02)
        # Bytes that arrive after the response reset the connection, which may take the response with it.
        with contextlib.suppress(ConnectionResetError):
            assert status_line.result().startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    is_cut_off = asyncio.Event()

    async def respond(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            for _ in range(1_000):
                writer.write(bytes(1_000_000))
                await writer.drain()
        except ConnectionError:
            is_cut_off.set()

    losses = LossCounter()
    # A client with this limit reads a few bytes ahead.
    async with _proxied(SHORT, respond, losses) as address, connected(*address, limit=1) as (_, writer):
        writer.write(REQUEST + b"\r\n")
        await asyncio.wait_for(is_cut_off.wait(), 60)
    assert losses.count == 1


async def test_of_too_many_connections_the_oldest_idle_one_is_closed() -> None:
    async with _proxied(SHORT) as address, contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(*address)) for _ in range(3 * SHORT.max_connections)]
        assert (await _exchange(address, REQUEST + b"\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await asyncio.wait_for(connections[0][0].read(), 60) == b""


async def test_unfinished_bodies_do_not_occupy_all_connections() -> None:
    async with _proxied(SHORT) as address, contextlib.AsyncExitStack() as stack:
        for _ in range(SHORT.max_connections):
            _, writer = await stack.enter_async_context(connected(*address))
            writer.write(REQUEST + b"Content-Length: 5\r\n\r\n{")
            await writer.drain()
        assert (await _exchange(address, REQUEST + b"\r\n")).startswith(b"HTTP/1.1 200 ")


# A server of the user's own


@pytest.fixture
def own_server() -> Iterator[str]:
    with running_own_server() as url:
        yield url


@pytest.mark.parametrize("path", ["", "/v1", "/"])
def test_the_path_of_the_api_and_its_models_are_found(own_server: str, path: str) -> None:
    with voicegauge.proxy("openai-compatible", upstream=f"{own_server}{path}") as proxied:
        assert proxied.upstream_urls == (f"{own_server}/v1",)
        assert proxied.base_urls == {f"{own_server}/v1": f"{proxied.url}/v1"}
        body = {"model": "tiny", "input": "Good morning.", "voice": "alloy"}
        assert httpx.post(f"{proxied.url}/v1/audio/speech", json=body).status_code == 200
    report = proxied.report
    assert report.report.exchange_count_by_provenance == {"live": 1}
    assert report.report.unmatched_request_reason_by_name == {}
    assert report.unjudged_count_by_reason == {}
    assert report.report.no_verdict_reason is None


def test_where_the_key_goes_is_said_before_the_server_is_asked_for_its_models(monkeypatch) -> None:
    notices: list[str] = []
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-own")
    with (
        running_own_server(key="another") as url,
        pytest.raises(UsageError, match="401"),
        voicegauge.proxy("openai-compatible", upstream=url, on_notice=notices.append),
    ):
        pass
    assert notices == [f"LIVE: openai-compatible sends the key in OPENAI_COMPATIBLE_API_KEY to {url}"]


def test_a_server_without_the_api_is_an_error_of_one_line() -> None:
    with (
        running_own_server(prefix="/other/path") as url,
        pytest.raises(UsageError, match=r"has no /audio/speech \(404\): .* with --upstream"),
        voicegauge.proxy("openai-compatible", upstream=url),
    ):
        pass

"""Times and time limits of exchanges, over real sockets in virtual time: every number is exact."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from voicegauge.errors import TimedOutError
from voicegauge.model.exchange import Exchange, Request
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import Timeouts

from ..builders.servers import listening
from ..builders.virtual_time import in_virtual_time

CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
EXACTLY = 1e-3
"""Tolerance of a time in milliseconds: floating-point numbers add up."""


async def get(transport: Transport, url: str) -> Exchange:
    return await transport.send(Request(method="GET", url=url), provider_id="p", operation_id="o")


@in_virtual_time
async def test_the_split_of_an_exchange_is_what_the_server_did() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(0.15)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"4\r\nabcd\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")

    async with listening(handler) as url, Transport() as transport:
        exchange = await get(transport, url)
    timing = exchange.timing
    assert timing is not None
    assert timing.ttfb_ms == pytest.approx(150, abs=EXACTLY)
    assert timing.receive_ms == pytest.approx(300, abs=EXACTLY)
    assert timing.connect_ms is not None
    assert timing.tls_ms is None
    assert timing.dns_ms is None, "the URL has an IP address"
    assert timing.is_new_connection
    assert timing.http_version == "HTTP/1.1"
    assert timing.delay_before_send_ms == pytest.approx(timing.connection_wait_ms + timing.connect_ms, abs=EXACTLY)
    assert [size for _, size in timing.chunk_arrivals] == [4, 4, 4]
    gaps = [b - a for (a, _), (b, _) in zip(timing.chunk_arrivals, timing.chunk_arrivals[1:], strict=False)]
    assert gaps == [pytest.approx(100, abs=EXACTLY)] * 2
    parts = timing.connection_wait_ms + timing.connect_ms + timing.send_ms + timing.ttfb_ms + timing.receive_ms
    assert parts == pytest.approx(timing.total_ms, abs=EXACTLY)


@in_virtual_time
async def test_waiting_for_a_connection_is_not_the_servers_time() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(0.15)
        writer.write(CLOSE)

    async with listening(handler) as url, Transport(max_connections=1) as transport:
        exchanges = await asyncio.gather(get(transport, url), get(transport, url))
    waits = sorted(exchange.timing.connection_wait_ms for exchange in exchanges)
    assert waits == pytest.approx([0, 150], abs=EXACTLY)
    assert [exchange.timing.ttfb_ms for exchange in exchanges] == pytest.approx([150, 150], abs=EXACTLY)


@in_virtual_time
async def test_a_stream_ends_when_its_last_byte_arrives() -> None:
    async def handler(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n")
        await asyncio.sleep(0.1)
        writer.write(b"data: end\n\n")
        await asyncio.sleep(60)

    async with listening(handler) as url, Transport() as transport:
        exchange = await transport.send(
            Request(method="GET", url=url),
            provider_id="p",
            operation_id="o",
            detect_stream_end=lambda chunk: b"end" in chunk,
        )
    assert exchange.timing is not None
    assert exchange.timing.receive_ms == pytest.approx(100, abs=EXACTLY), "not the wait for events after the end"


@in_virtual_time
async def test_requests_begin_one_after_the_other_and_are_timed_from_then() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(0.05)
        writer.write(CLOSE)

    async with listening(handler) as url, Transport(min_send_interval_s=0.004) as transport:
        exchanges = await asyncio.gather(*(get(transport, url) for _ in range(3)))
    begun = [exchange.timing.started_ms - exchanges[0].timing.started_ms for exchange in exchanges]
    assert begun == pytest.approx([0, 4, 8], abs=EXACTLY)
    assert [exchange.timing.total_ms for exchange in exchanges] == pytest.approx([50, 50, 50], abs=EXACTLY)


@in_virtual_time
async def test_a_name_is_looked_up_once_for_each_connection(monkeypatch) -> None:
    async def handler(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CLOSE)

    async def look_up(host, port, **_options):
        assert host == "provider.test"
        await asyncio.sleep(0.03)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    async with listening(handler) as url, Transport() as transport:
        named = url.replace("127.0.0.1", "provider.test")
        cold, warm = await get(transport, named), await get(transport, named)
    assert cold.timing is not None
    assert warm.timing is not None
    assert (cold.timing.dns_ms, cold.timing.connect_ms) == pytest.approx((30, 0), abs=EXACTLY)
    assert (warm.timing.dns_ms, warm.timing.is_new_connection) == (None, False)


@in_virtual_time
async def test_a_fast_server_is_not_read_faster_than_the_response_is_used() -> None:
    size = 2**20

    async def handler(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(b"x" * size)

    async with listening(handler) as url, Transport() as transport:
        exchange = await get(transport, url)
    assert len(exchange.response.body) == size


@in_virtual_time
async def test_silence_times_out_by_phase() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(5)

    async with listening(handler) as url, Transport(timeouts=Timeouts(read_s=0.1)) as transport:
        with pytest.raises(TimedOutError, match=r"waiting for the response: nothing for 0\.1 s") as caught:
            await get(transport, url)
    assert caught.value.request_was_sent


@in_virtual_time
async def test_a_trickle_times_out_in_all() -> None:
    async def handler(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(handler) as url, Transport(timeouts=Timeouts(read_s=5, total_s=0.3)) as transport:
        with pytest.raises(TimedOutError, match=r"reading the response: not done after 0\.3 s in total"):
            await get(transport, url)


@in_virtual_time
async def test_waiting_for_a_connection_times_out_unsent() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(5)

    async with (
        listening(handler) as url,
        Transport(max_connections=1, timeouts=Timeouts(pool_s=0.1, read_s=1)) as transport,
    ):
        first = asyncio.create_task(get(transport, url))
        await asyncio.sleep(0.05)
        with pytest.raises(TimedOutError, match=r"free connection: nothing for 0\.1 s") as caught:
            await get(transport, url)
        first.cancel()
    assert not caught.value.request_was_sent


@in_virtual_time
async def test_connections_stay_open_are_used_again_and_are_limited_in_number() -> None:
    """The connection that was used last is used first, and an idle one makes room for another host."""
    arrived: list[int] = []

    async def handler(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                arrived.append(id(writer))
                await asyncio.sleep(0.1)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await reader.readuntil(b"\r\n\r\n")

    async with listening(handler) as url, listening(handler) as other, Transport(max_connections=3) as transport:
        first = await asyncio.gather(*(get(transport, url) for _ in range(3)))
        assert [one.timing and one.timing.is_new_connection for one in first] == [True] * 3
        again = [await get(transport, url) for _ in range(3)]
        assert [one.timing and one.timing.is_new_connection for one in again] == [False] * 3
        assert len(set(arrived[3:])) == 1, "one after the other needs one connection"
        elsewhere = await get(transport, other)
        assert elsewhere.timing is not None
        assert elsewhere.timing.is_new_connection
        back = await asyncio.gather(*(get(transport, url) for _ in range(2)))
        assert [one.timing and one.timing.is_new_connection for one in back] == [False] * 2


@in_virtual_time
async def test_a_connection_whose_request_was_cancelled_is_not_used_again() -> None:
    async def handler(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await asyncio.sleep(0.5)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await reader.readuntil(b"\r\n\r\n")

    async with listening(handler) as url, Transport(max_connections=1) as transport:
        cancelled = asyncio.create_task(get(transport, url))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        exchange = await get(transport, url)
    assert exchange.response.body == b"ok"
    assert exchange.timing is not None
    assert exchange.timing.is_new_connection
    assert exchange.timing.ttfb_ms == pytest.approx(500, abs=EXACTLY)

"""Times and time limits of exchanges, over real sockets in virtual time: every number is exact."""

from __future__ import annotations

import asyncio

import pytest

from voicegauge.errors import TimedOutError
from voicegauge.model import Exchange, Request
from voicegauge.transport import Timeouts, Transport

from ..builders.servers import listening
from ..builders.virtual_time import in_virtual_time

CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
EXACTLY = 1e-3
"""Tolerance of a time in milliseconds: floating-point numbers add up."""


async def get(transport: Transport, url: str) -> Exchange:
    return await transport.send(Request(method="GET", url=url), provider="p", operation="o")


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
    assert [size for _, size in timing.chunks] == [4, 4, 4]
    gaps = [b - a for (a, _), (b, _) in zip(timing.chunks, timing.chunks[1:], strict=False)]
    assert gaps == [pytest.approx(100, abs=EXACTLY)] * 2
    parts = timing.wait_ms + timing.connect_ms + timing.send_ms + timing.ttfb_ms + timing.receive_ms
    assert parts == pytest.approx(timing.total_ms, abs=EXACTLY)


@in_virtual_time
async def test_waiting_for_a_connection_is_not_the_servers_time() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(0.15)
        writer.write(CLOSE)

    async with listening(handler) as url, Transport(max_connections=1) as transport:
        exchanges = await asyncio.gather(get(transport, url), get(transport, url))
    waits = sorted(exchange.timing.wait_ms for exchange in exchanges)
    assert waits == pytest.approx([0, 150], abs=EXACTLY)
    assert [exchange.timing.ttfb_ms for exchange in exchanges] == pytest.approx([150, 150], abs=EXACTLY)


@in_virtual_time
async def test_silence_times_out_by_phase() -> None:
    async def handler(reader, writer):
        await asyncio.sleep(5)

    async with listening(handler) as url, Transport(timeouts=Timeouts(read_s=0.1)) as transport:
        with pytest.raises(TimedOutError, match=r"waiting for the response: nothing for 0\.1 s") as caught:
            await get(transport, url)
    assert caught.value.sent


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
    assert not caught.value.sent

"""Measures the error of one HTTP client. It runs as a script, in the environment of that client.

`timed_client.py CLIENT URL LOAD PATH=REQUESTS...` prints a JSON object with the errors for each path in milliseconds:
the measured time to first byte, from the last byte of the request, less the delay that the server states. LOAD is a
number of requests in flight, or a rate such as "20/s".
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

BODY = b'{"text": "The kettle is on the stove."}'
HEADERS = {"Content-Type": "application/json"}
WARM_UP_CONNECTIONS_AT_RATE = 16
Measure = Callable[[str], Awaitable[tuple[float, float]]]
"""Sends a request to a URL and returns the measured time and the stated delay, both in milliseconds."""


@asynccontextmanager
async def open_voicegauge() -> AsyncIterator[Measure]:
    """Yield a function that measures as `voicegauge bench` does."""
    from voicegauge.bench.run_config import open_transport_with_spaced_requests
    from voicegauge.bench.timing_error import reduce_event_loop_delays
    from voicegauge.model.exchange import Request

    with reduce_event_loop_delays():
        async with open_transport_with_spaced_requests() as transport:

            async def measure(url: str) -> tuple[float, float]:
                request = Request(method="POST", url=url, headers=tuple(HEADERS.items()), body=BODY)
                exchange = await transport.send(request, provider_id="", operation_id="")
                assert exchange.timing is not None
                return exchange.timing.ttfb_ms, float(exchange.response.find_header("x-delay-ms") or 0)

            yield measure


@asynccontextmanager
async def open_httpx() -> AsyncIterator[Measure]:
    """Yield a function that measures with the trace events of httpx."""
    import httpx

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def measure(url: str) -> tuple[float, float]:
            times_s: dict[str, float] = {}

            async def trace(event: str, _info: Any) -> None:
                times_s[event] = time.perf_counter()

            async with client.stream("POST", url, content=BODY, headers=HEADERS, extensions={"trace": trace}) as found:
                async for _ in found.aiter_raw():
                    pass
            sent_s = times_s["http11.send_request_body.complete"]
            first_byte_s = times_s["http11.receive_response_headers.complete"]
            return (first_byte_s - sent_s) * 1000, float(found.headers["x-delay-ms"])

        yield measure


@asynccontextmanager
async def open_aiohttp() -> AsyncIterator[Measure]:
    """Yield a function that measures with the trace events of aiohttp, and around the call for the first byte."""
    import aiohttp

    sent_s: ContextVar[list[float]] = ContextVar("sent_s")

    async def note_bytes_sent(*_event: Any) -> None:
        sent_s.get()[:] = [time.perf_counter()]

    events = aiohttp.TraceConfig()
    events.on_request_headers_sent.append(note_bytes_sent)
    events.on_request_chunk_sent.append(note_bytes_sent)
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[events], auto_decompress=False) as session:

        async def measure(url: str) -> tuple[float, float]:
            sent_s.set([])
            async with session.post(url, data=BODY, headers=HEADERS) as found:
                first_byte_s = time.perf_counter()
                async for _ in found.content.iter_any():
                    pass
            return (first_byte_s - sent_s.get()[0]) * 1000, float(found.headers["x-delay-ms"])

        yield measure


CLIENTS = {"voicegauge": open_voicegauge, "httpx": open_httpx, "aiohttp": open_aiohttp}


async def measure_errors(client: str, url: str, load: str, requests_by_path: dict[str, int]) -> dict[str, list[float]]:
    """Return the errors by path, after a request on each connection."""
    amount, _, is_rate = load.partition("/")
    errors: dict[str, list[float]] = {path: [] for path in requests_by_path}

    async def send(path: str, measure: Measure) -> None:
        measured_ms, stated_ms = await measure(url + path)
        errors[path].append(measured_ms - stated_ms)

    async def send_in_turn(remaining: Any, path: str, measure: Measure) -> None:
        for _ in remaining:
            await send(path, measure)

    async def send_at_rate(count: int, path: str, measure: Measure) -> None:
        loop, tasks = asyncio.get_running_loop(), []
        start_s = loop.time()
        for number in range(count):
            await asyncio.sleep(max(start_s + number / float(amount) - loop.time(), 0))
            tasks.append(asyncio.create_task(send(path, measure)))
        await asyncio.gather(*tasks)

    async with CLIENTS[client]() as measure:
        in_flight = WARM_UP_CONNECTIONS_AT_RATE if is_rate else int(amount)
        first_path = next(iter(requests_by_path))
        await asyncio.gather(*(send(first_path, measure) for _ in range(in_flight)))
        errors[first_path].clear()
        for path, count in requests_by_path.items():
            if is_rate:
                await send_at_rate(count, path, measure)
                continue
            remaining = iter(range(count))
            await asyncio.gather(*(send_in_turn(remaining, path, measure) for _ in range(in_flight)))
    return errors


if __name__ == "__main__":
    name, base_url, load_text, *wanted = sys.argv[1:]
    counts = {path: int(count) for path, _, count in (one.partition("=") for one in wanted)}
    gc.collect()
    print(json.dumps(asyncio.run(measure_errors(name, base_url, load_text, counts))))

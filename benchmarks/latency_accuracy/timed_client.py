"""Measures the error of one HTTP client. It runs as a script, in the environment of that client.

`timed_client.py CLIENT URL LOAD PATH=REQUESTS...` prints a JSON object with the errors for each path in milliseconds:
the measured time to first byte, from the last byte of the request, less the delay that the server states in a later
response. LOAD is a number of requests in flight, or a rate such as "20/s".
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
from typing import Any, NamedTuple

BODY = b'{"text": "The kettle is on the stove."}'
HEADERS = {"Content-Type": "application/json"}
WARM_UP_CONNECTIONS_AT_RATE = 16


class TimedResponse(NamedTuple):
    """A response with its time."""

    time_ms: float
    number: str | None
    """The number that the server gave it."""
    stated_delays: str | None
    """The delays of earlier responses, such as "7=5.012 8=50.101"."""


Measure = Callable[[str], Awaitable[TimedResponse]]
"""Sends a request to a URL and returns the response."""


@asynccontextmanager
async def open_voicegauge() -> AsyncIterator[Measure]:
    """Yield a function that measures as `voicegauge bench` does."""
    from voicegauge.bench.run_config import open_benchmark_transport
    from voicegauge.bench.timing_error import reduce_event_loop_delays
    from voicegauge.model.exchange import Request

    with reduce_event_loop_delays():
        async with open_benchmark_transport() as transport:

            async def measure(url: str) -> TimedResponse:
                request = Request(method="POST", url=url, headers=tuple(HEADERS.items()), body=BODY)
                exchange = await transport.send(request, provider_id="", operation_id="")
                assert exchange.timing is not None
                find = exchange.response.find_header
                return TimedResponse(exchange.timing.ttfb_ms, find("x-response-number"), find("x-delays-ms"))

            yield measure


@asynccontextmanager
async def open_httpx() -> AsyncIterator[Measure]:
    """Yield a function that measures with the trace events of httpx."""
    import httpx

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def measure(url: str) -> TimedResponse:
            times_s: dict[str, float] = {}

            async def trace(event: str, _info: Any) -> None:
                times_s[event] = time.perf_counter()

            async with client.stream("POST", url, content=BODY, headers=HEADERS, extensions={"trace": trace}) as found:
                async for _ in found.aiter_raw():
                    pass
            sent_s = times_s["http11.send_request_body.complete"]
            first_byte_s = times_s["http11.receive_response_headers.complete"]
            headers = found.headers
            return TimedResponse((first_byte_s - sent_s) * 1000, headers["x-response-number"], headers["x-delays-ms"])

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

        async def measure(url: str) -> TimedResponse:
            sent_s.set([])
            async with session.post(url, data=BODY, headers=HEADERS) as found:
                first_byte_s = time.perf_counter()
                async for _ in found.content.iter_any():
                    pass
            time_ms, headers = (first_byte_s - sent_s.get()[0]) * 1000, found.headers
            return TimedResponse(time_ms, headers["x-response-number"], headers["x-delays-ms"])

        yield measure


CLIENTS = {"voicegauge": open_voicegauge, "httpx": open_httpx, "aiohttp": open_aiohttp}


async def measure_errors(client: str, url: str, load: str, requests_by_path: dict[str, int]) -> dict[str, list[float]]:
    """Return the errors by path, after a request on each connection."""
    amount, _, is_rate = load.partition("/")
    times_ms: dict[str, dict[str, float]] = {path: {} for path in requests_by_path}
    delays_ms: dict[str, float] = {}

    async def send(path: str, measure: Measure) -> None:
        found = await measure(url + path)
        times_ms[path][found.number or ""] = found.time_ms
        stated = (one.split("=") for one in (found.stated_delays or "").split())
        delays_ms.update((number, float(delay)) for number, delay in stated)

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
        times_ms[first_path].clear()
        for path, count in requests_by_path.items():
            if is_rate:
                await send_at_rate(count, path, measure)
                continue
            remaining = iter(range(count))
            await asyncio.gather(*(send_in_turn(remaining, path, measure) for _ in range(in_flight)))
        await send(first_path, measure)  # states the delays of the last ones, and has none itself
    return {
        path: [time_ms - delays_ms[number] for number, time_ms in by_number.items() if number in delays_ms]
        for path, by_number in times_ms.items()
    }


if __name__ == "__main__":
    name, base_url, load_text, *wanted = sys.argv[1:]
    counts = {path: int(count) for path, _, count in (one.partition("=") for one in wanted)}
    gc.collect()
    print(json.dumps(asyncio.run(measure_errors(name, base_url, load_text, counts))))

"""Compares measured times to first byte with the delays that the loopback server states."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence

from voicegauge.bench.calibration.loopback import run_loopback_server
from voicegauge.model import Request, TimingError
from voicegauge.transport import Transport

DELAYS_MS = (0, 5, 50)
"""Delays with which the loopback server is asked to respond."""
REQUESTS_PER_DELAY = 32
"""Number of requests that are sent for each delay, unless many requests in flight need more."""
MIN_REQUESTS_PER_DELAY_PER_REQUEST_IN_FLIGHT = 2
"""Smallest number of requests for each delay, divided by the number of requests in flight."""
_REQUEST_BODY = b'{"text": "The kettle is on the stove."}'


async def measure_timing_error(concurrency: int, open_transport: Callable[[], Transport]) -> TimingError:
    """Send requests to a loopback server, and return by how much their times are wrong. It takes less than a second.

    Args:
        concurrency: number of requests in flight.
        open_transport: opens connections as the benchmark does.

    Raises:
        OSError: the server cannot be started.
        TransportError: the server does not respond.
    """
    with run_loopback_server() as url:
        async with open_transport() as transport:
            await _measure_timing_errors_ms(transport, url, [0] * concurrency, concurrency)  # opens the connections
            count = max(REQUESTS_PER_DELAY, MIN_REQUESTS_PER_DELAY_PER_REQUEST_IN_FLIGHT * concurrency)
            delays_ms = list(itertools.chain.from_iterable([delay_ms] * count for delay_ms in DELAYS_MS))
            errors_ms = await _measure_timing_errors_ms(transport, url, delays_ms, concurrency)
    return summarize_timing_errors(errors_ms, concurrency)


async def _measure_timing_errors_ms(
    transport: Transport, url: str, delays_ms: Sequence[int], concurrency: int
) -> list[float]:
    remaining, errors_ms = iter(delays_ms), list[float]()

    async def send_requests_in_turn() -> None:
        for delay_ms in remaining:
            request = Request(method="POST", url=f"{url}/bytes/{delay_ms}", body=_REQUEST_BODY)
            exchange = await transport.send(request, provider_id="", operation_id="")
            assert exchange.timing is not None
            errors_ms.append(exchange.timing.ttfb_ms - float(exchange.response.find_header("x-delay-ms") or 0))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(send_requests_in_turn())
    return errors_ms


def summarize_timing_errors(timing_errors_ms: Sequence[float], concurrency: int) -> TimingError:
    """Return the median and the 99th percentile of the absolute errors."""
    ordered = sorted(map(abs, timing_errors_ms))

    def find_percentile(fraction: float) -> float:
        return ordered[max(math.ceil(len(ordered) * fraction) - 1, 0)]

    return TimingError(
        concurrency=concurrency,
        request_count=len(ordered),
        median_error_ms=round(find_percentile(0.5), 3),
        p99_error_ms=round(find_percentile(0.99), 3),
    )

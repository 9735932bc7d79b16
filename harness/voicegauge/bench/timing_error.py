"""Measures the error of voicegauge's own times with a loopback server, and watches how late the event loop is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import random
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from voicegauge.bench import MAX_LAG_OF_UNDISTURBED_SAMPLE_MS, MAX_LAG_SHARE_OF_LATENCY
from voicegauge.bench.run_store import save_audio
from voicegauge.errors import VoicegaugeError
from voicegauge.model.exchange import Exchange, Request
from voicegauge.model.run import TimingError
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import run_in_thread

# Runs the loopback server in a process of its own.


LOOPBACK_SERVER_FILE = Path(__file__).with_name("loopback_server.py")
"""The script of the server, which needs nothing but Python."""


@contextmanager
def run_loopback_server() -> Iterator[str]:
    """Yield the base URL of a server that runs as long as the context.

    Raises:
        OSError: the server cannot be started.
    """
    with subprocess.Popen(
        # Isolated (-I): no file in the current folder can take the place of a module.
        [sys.executable, "-I", str(LOOPBACK_SERVER_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise OSError("the loopback server has ended")
            yield f"http://127.0.0.1:{int(port)}"
        finally:
            process.stdin.close()  # which ends the server
            process.terminate()


# Compares measured times to first byte with the delays that the loopback server states.


LOOPBACK_DELAYS_MS = (0, 5, 50)
"""Delays with which the loopback server is asked to respond."""
REQUESTS_PER_DELAY = 32
"""Number of requests that are sent for each delay, unless many requests in flight need more."""
MAX_SENDING_TIME_AT_RATE_S = 3.0
"""Longest time for which requests are sent at a rate, in seconds, unless fewer requests than
`MIN_REQUESTS_PER_DELAY_AT_RATE` would be sent."""
MIN_REQUESTS_PER_DELAY_AT_RATE = 5
"""Smallest number of requests for each delay that are sent at a rate."""
MIN_REQUESTS_PER_DELAY_PER_REQUEST_IN_FLIGHT = 2
"""Smallest number of requests for each delay, divided by the number of requests in flight."""
_LOOPBACK_REQUEST_BODY = b'{"text": "The kettle is on the stove."}'
"""Body of the requests to the loopback server, as long as one with a short text."""


async def measure_timing_error(
    concurrency: int, open_transport: Callable[[], Transport], *, requests_per_s: float | None = None
) -> TimingError:
    """Send requests to a loopback server, and return the error of their measured times. It takes a second or two.

    The requests are sent in the same way as those of the run. After each of them, a thread writes as much as for a
    sample: its audio, and a line of a journal.

    Args:
        concurrency: number of requests in flight.
        open_transport: opens connections as the benchmark does.
        requests_per_s: rate at which requests are sent instead; `None` for a closed loop.

    Raises:
        OSError: the server cannot be started.
        TransportError: the server does not respond.
    """
    with run_loopback_server() as url, tempfile.TemporaryDirectory() as folder:
        async with open_transport() as transport:
            sender = _TimedSender(transport, url, Path(folder))
            await sender.send_closed_loop([0] * concurrency, concurrency)  # opens the connections
            sender.times = LoopbackTimes()
            if requests_per_s is None:
                count = max(REQUESTS_PER_DELAY, MIN_REQUESTS_PER_DELAY_PER_REQUEST_IN_FLIGHT * concurrency)
                await sender.send_closed_loop(_repeat_delays(count), concurrency)
            else:
                limit = round(requests_per_s * MAX_SENDING_TIME_AT_RATE_S / len(LOOPBACK_DELAYS_MS))
                count = min(max(limit, MIN_REQUESTS_PER_DELAY_AT_RATE), REQUESTS_PER_DELAY)
                delays_ms = _repeat_delays(count)
                # In random order: the delays would otherwise come in three blocks, one at each time of the measurement.
                random.Random(0).shuffle(delays_ms)  # noqa: S311 - an order, not a secret
                await sender.send_at_rate(delays_ms, requests_per_s)
            await sender.send_closed_loop([0], 1)  # its response states the delays of the last ones
    return summarize_timing_errors(sender.times.compute_errors_ms(), concurrency, requests_per_s)


def _repeat_delays(count: int) -> list[int]:
    """Return a list of delays in ms: each of `LOOPBACK_DELAYS_MS`, `count` times."""
    return list(itertools.chain.from_iterable([delay_ms] * count for delay_ms in LOOPBACK_DELAYS_MS))


class LoopbackTimes:
    """Measured times to first byte of the loopback server, and the true delays, which its later responses state."""

    def __init__(self) -> None:
        """Create an object without the times of any response."""
        self._measured_ms_by_number: dict[int, float] = {}
        self._delay_ms_by_number: dict[int, float] = {}

    def __len__(self) -> int:
        """Return the number of responses whose times were added."""
        return len(self._measured_ms_by_number)

    def add(self, exchange: Exchange) -> None:
        """Add the time of a response, and the true delays of earlier responses that its headers state."""
        assert exchange.timing is not None
        response = exchange.response
        self._measured_ms_by_number[int(response.find_header("x-response-number") or 0)] = exchange.timing.ttfb_ms
        for stated in (response.find_header("x-delays-ms") or "").split():
            number, _, delay_ms = stated.partition("=")
            self._delay_ms_by_number[int(number)] = float(delay_ms)

    def compute_errors_ms(self) -> list[float]:
        """Return by how much each measured time exceeds its delay. The delay of the last response is not known yet."""
        return [
            measured_ms - self._delay_ms_by_number[number]
            for number, measured_ms in self._measured_ms_by_number.items()
            if number in self._delay_ms_by_number
        ]


class _TimedSender:
    """Sends requests to the loopback server, and collects their times."""

    def __init__(self, transport: Transport, url: str, folder: Path) -> None:
        self._transport, self._url, self._folder = transport, url, folder
        self.times = LoopbackTimes()

    async def send_closed_loop(self, delays_ms: Sequence[int], concurrency: int) -> None:
        remaining = iter(delays_ms)

        async def send_requests_in_turn() -> None:
            for delay_ms in remaining:
                await self._send(delay_ms)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(send_requests_in_turn())

    async def send_at_rate(self, delays_ms: Sequence[int], requests_per_s: float) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for number, delay_ms in enumerate(delays_ms):
                await asyncio.sleep(max(start_s + number / requests_per_s - loop.time(), 0))
                tasks.create_task(self._send(delay_ms))

    async def _send(self, delay_ms: int) -> None:
        request = Request(method="POST", url=f"{self._url}/bytes/{delay_ms}", body=_LOOPBACK_REQUEST_BODY)
        exchange = await self._transport.send(request, provider_id="", operation_id="")
        self.times.add(exchange)
        await run_in_thread(self._write_sample, exchange)

    def _write_sample(self, exchange: Exchange) -> None:
        """Write to files what a run would write for one sample, so that the same work disturbs the times."""
        save_audio(self._folder, exchange.response.body)
        with (self._folder / "journal.jsonl").open("ab") as journal:
            journal.write(msgspec.json.encode(exchange.timing) + b"\n")


# Measures the error while a run sends its own requests: in its mode, under its load, and beside its work.


PROBE_DELAYS_MS = (0, 2, 5, 10, 20, 50)
"""Delays from which that of each probe is drawn at random."""
FIRST_PROBE_INTERVAL_S, LATER_PROBE_INTERVAL_S = 0.02, 0.5
"""Mean time between two probes, in seconds: of the first `PROBE_COUNT_AT_SHORT_INTERVALS` probes, and of later ones,
which take a thousandth of the time of one processor."""
PROBE_COUNT_AT_SHORT_INTERVALS = 300
"""Number of probes at the start of a run that are sent at short intervals."""
MAX_PROBES_IN_FLIGHT = 8
"""Largest number of probes in flight, for which as many connections are opened in advance, because opening one would
count as an error. Probes that were due during a lag are sent after it, as the requests of the run are."""
MIN_SUMMARIZED_PROBE_COUNT = 30
"""Number of probes below which their errors are not summarized: a run of a second or two has fewer."""


class TimingProbes:
    """Requests to the loopback server that are sent during a run, over the transport of the run.

    What delays the run's requests delays them as much. They are sent at random times (a Poisson process), so that they
    meet the run as it is on average.
    """

    def __init__(self, url: str) -> None:
        """Send the probes to the loopback server at `url`."""
        self._url, self._times = url, LoopbackTimes()
        self._random = random.Random(0)  # noqa: S311 - moments, not secrets

    @contextlib.asynccontextmanager
    async def send_with(self, transport: Transport) -> AsyncIterator[None]:
        """Send probes as long as the context lasts."""
        prober = asyncio.create_task(self._send_continuously(transport))
        try:
            yield
        finally:
            prober.cancel()
            # A server that fails ends the probes, not the run.
            with contextlib.suppress(asyncio.CancelledError):
                await _ignore_failed_requests(prober)

    async def _send_continuously(self, transport: Transport) -> None:
        opening = (self._request_delayed_response(transport) for _ in range(MAX_PROBES_IN_FLIGHT))
        await asyncio.gather(*opening)  # the connections; the times do not count
        loop = asyncio.get_running_loop()
        due_s, in_flight = loop.time(), set[asyncio.Task[None]]()
        async with asyncio.TaskGroup() as tasks:
            while True:
                is_early = len(self._times) < PROBE_COUNT_AT_SHORT_INTERVALS
                mean_s = FIRST_PROBE_INTERVAL_S if is_early else LATER_PROBE_INTERVAL_S
                due_s += self._random.expovariate(1 / mean_s)
                await asyncio.sleep(max(due_s - loop.time(), 0))
                if len(in_flight) < MAX_PROBES_IN_FLIGHT:
                    # Nothing waits for the one before, which would leave out the moments at which all are slow.
                    sending = tasks.create_task(self._send_probe(transport))
                    in_flight.add(sending)
                    sending.add_done_callback(in_flight.discard)

    async def _send_probe(self, transport: Transport) -> None:
        self._times.add(await self._request_delayed_response(transport))

    async def _request_delayed_response(self, transport: Transport) -> Exchange:
        delay_ms = self._random.choice(PROBE_DELAYS_MS)
        request = Request(method="POST", url=f"{self._url}/bytes/{delay_ms}", body=_LOOPBACK_REQUEST_BODY)
        return await transport.send(request, provider_id="", operation_id="")

    def summarize(self, concurrency: int, requests_per_s: float | None) -> TimingError | None:
        """Return the errors of all probes; `None` if there were fewer than `MIN_SUMMARIZED_PROBE_COUNT`.

        Args:
            concurrency: number of requests of the run in flight.
            requests_per_s: rate of the run; `None` for a closed loop.
        """
        errors_ms = self._times.compute_errors_ms()
        if len(errors_ms) < MIN_SUMMARIZED_PROBE_COUNT:
            return None
        return summarize_timing_errors(errors_ms, concurrency, requests_per_s, is_measured_during_run=True)


async def _ignore_failed_requests(prober: asyncio.Task[None]) -> None:
    """Wait for the end of the probes, and ignore requests that failed."""
    try:
        await prober
    except* VoicegaugeError:
        pass


def summarize_timing_errors(
    timing_errors_ms: Sequence[float],
    concurrency: int,
    requests_per_s: float | None = None,
    *,
    is_measured_during_run: bool = False,
) -> TimingError:
    """Return the median and the 99th percentile of the absolute errors, in ms.

    Args:
        timing_errors_ms: the measured time less the true time of each request.
        concurrency: number of requests in flight.
        requests_per_s: rate at which the requests were sent; `None` for a closed loop.
        is_measured_during_run: whether the requests were sent during a run.
    """
    ordered = sorted(map(abs, timing_errors_ms))

    def find_percentile(fraction: float) -> float:
        return ordered[max(math.ceil(len(ordered) * fraction) - 1, 0)]

    return TimingError(
        concurrency=concurrency,
        requests_per_s=requests_per_s,
        request_count=len(ordered),
        median_error_ms=round(find_percentile(0.5), 3),
        p99_error_ms=round(find_percentile(0.99), 3),
        is_measured_during_run=is_measured_during_run,
    )


# Watches how late the event loop is, because a busy event loop makes measured times too long.


LAG_CHECK_INTERVAL_S = 0.005
"""Time between two checks of the event loop, in seconds."""
MIN_RECORDED_LAG_MS = 1.0
"""Shortest lag that is recorded; shorter ones count as no lag."""
NEW_OBJECTS_PER_GARBAGE_COLLECTION = 200_000
"""Number of objects that are created, and not freed without a collection of garbage, before there is one. Python's
default is 700: with 256 connections, which keep their messages, 160 collections of up to 6 ms took a fortieth of the
time. A request that succeeds leaves no garbage, and one that fails about 50 objects, so that memory stays bounded."""
THREAD_SWITCH_INTERVAL_S = 0.0005
"""Time for which a thread may keep the interpreter while the event loop waits; Python's default is ten times that."""
_MAX_OBJECTS_FROZEN_BY_PYTHON = 10_000
"""Largest result of `gc.get_freeze_count()` for which it is assumed that no other code of this process has called
`gc.freeze()`. Python 3.12 itself freezes a few hundred objects at startup."""


class EventLoopLag:
    """The lags of the running event loop, in the order of time."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._lags_ms: list[float] = []

    def find_max_lag_ms(self, start_s: float, end_s: float) -> float:
        """Return the longest lag between two moments of the event loop's time, in milliseconds."""
        first = bisect_left(self._times_s, start_s)  # a lag is noted when it ends
        lags = zip(self._times_s[first:], self._lags_ms[first:], strict=True)
        return max((lag_ms for noted_s, lag_ms in lags if noted_s - lag_ms / 1000 <= end_s), default=0.0)

    @contextlib.asynccontextmanager
    async def measure_lag(self) -> AsyncIterator[None]:
        """Record the lags of the running event loop as long as the context lasts."""
        watcher = asyncio.create_task(self._measure_continuously())
        try:
            yield
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _measure_continuously(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LAG_CHECK_INTERVAL_S
            await asyncio.sleep(LAG_CHECK_INTERVAL_S)
            lag_ms = (loop.time() - due_s) * 1000
            if lag_ms >= MIN_RECORDED_LAG_MS:
                self._times_s.append(loop.time())
                self._lags_ms.append(lag_ms)


def is_timing_disturbed(max_lag_ms: float, latency_ms: float | None) -> bool:
    """Whether the longest lag of this process, in ms, is too long for a sample with this latency.

    A latency of `None` is unknown, and counts as 0.
    """
    return max_lag_ms > max(MAX_LAG_OF_UNDISTURBED_SAMPLE_MS, (latency_ms or 0.0) * MAX_LAG_SHARE_OF_LATENCY)


@contextlib.contextmanager
def reduce_event_loop_delays() -> Iterator[None]:
    """Keep the garbage collector and other threads from delaying the event loop.

    Objects that exist already, such as the contracts, are frozen: the garbage collector skips them, which saves tens of
    milliseconds in each collection. Collections are made rare.
    If the calling program has frozen objects itself, nothing is frozen or unfrozen, because only all objects together
    can be unfrozen.
    """
    switch_interval_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL_S)
    gc.set_threshold(NEW_OBJECTS_PER_GARBAGE_COLLECTION, *thresholds[1:])
    freezes_objects = not _has_objects_exempt_from_gc()
    if freezes_objects:
        # Garbage would be frozen with the rest, and stay in memory.
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        if freezes_objects:
            gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(switch_interval_s)


def _has_objects_exempt_from_gc() -> bool:
    """Whether this process has exempted objects from garbage collection, as `gc.freeze` does."""
    return gc.get_freeze_count() > _MAX_OBJECTS_FROZEN_BY_PYTHON

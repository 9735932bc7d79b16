"""Measures from several places: sends samples to workers of a Dask cluster, and compares their clocks.

The name of a worker says at which place it is. A worker carries out each order at most once: Dask never repeats the
calls that are used here, and a worker that was restarted does not have the run in its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from voicegauge.bench import _measuring_worker
from voicegauge.bench._measuring_worker import MeasuredSample, SampleOrder, WorkerSetup
from voicegauge.bench._transcription_workers import (
    CLUSTER_CONNECT_TIMEOUT_S,
    CLUSTER_WORKER_TIMEOUT_S,
    check_cluster_address,
    silence_loggers,
)
from voicegauge.bench.benchmark_plan import SampleRound
from voicegauge.errors import MissingExtraError, UnreachableError, UsageError
from voicegauge.model.run import MeasuringWorker, TimingError
from voicegauge.version import __version__

# Decides where each sample is measured.


MAX_PLACE_CHARACTERS = 40
"""Largest number of characters of the name of a place."""
_WORKER_NUMBER_PATTERN = re.compile(r"-\d+$")
"""Matches the number that Dask adds to the names of several workers."""


def find_place(worker_name: object, address: str) -> str:
    """Return the place of a worker: its name without the number that Dask adds to the names of several workers.

    A worker without a name of its own is at its host.

    >>> find_place("frankfurt-2", "tcp://10.0.0.1:4000"), find_place(0, "tcp://10.0.0.1:4000")
    ('frankfurt', '10.0.0.1')

    Raises:
        UsageError: the name cannot be shown beside numbers.
    """
    name = str(worker_name)
    if name == address or name.isdecimal():
        return urlsplit(address).hostname or address
    place = _WORKER_NUMBER_PATTERN.sub("", name)
    if not place or place != place.strip() or not place.isprintable() or len(place) > MAX_PLACE_CHARACTERS:
        raise UsageError(
            f"the worker name {name!r} cannot be used as a place: start the worker with --name and at most "
            f"{MAX_PLACE_CHARACTERS} characters, such as frankfurt"
        )
    return place


def assign_places(rounds: Iterable[SampleRound], places: Sequence[str]) -> dict[str, str]:
    """Return the place of each sample, by sample id.

    All targets of a round are measured from the same place, so that they can be compared in pairs. A text moves to the
    next place with each repetition: with as many repetitions as places, each text is measured from each of them. The
    order of the rounds does not matter, so that a text has the same place in runs with other seeds.
    """
    rounds = list(rounds)
    text_ids = sorted({row[0].text.id for row in rounds if not row[0].is_warmup})
    text_indexes = {text_id: index for index, text_id in enumerate(text_ids)}
    warmup_counts: Counter[int] = Counter()
    place_by_id: dict[str, str] = {}
    for row in rounds:
        first = row[0]
        if first.is_warmup:
            index = warmup_counts[first.session_number]
            warmup_counts[first.session_number] += 1
        else:
            index = text_indexes[first.text.id] + first.repetition_number
        place = places[(index + first.session_number) % len(places)]
        place_by_id |= {planned.id: place for planned in row}
    return place_by_id


def split_requests_in_flight_evenly(total: int, part_count: int) -> list[int]:
    """Split a number of requests in flight into parts that differ by one at the most; each part is 1 at least.

    >>> split_requests_in_flight_evenly(16, 3), split_requests_in_flight_evenly(1, 2)
    ([6, 5, 5], [1, 1])
    """
    return [max(total // part_count + (index < total % part_count), 1) for index in range(part_count)]


# Compares clocks.


READINGS_PER_CLOCK_COMPARISON = 8
"""Number of round trips of which the shortest compares a worker's clock with this machine's."""
CLOCK_COMPARISON_INTERVAL_S = 15.0
"""Time between two comparisons of clocks, in seconds. A comparison also shows a worker that the run goes on."""


class ClockReading(NamedTuple):
    """One round trip to a worker, in seconds."""

    sent_s: float
    """This machine's time at which the worker was asked."""
    worker_s: float
    """The worker's time at which it answered."""
    received_s: float
    """This machine's time at which the answer arrived."""

    @property
    def error_s(self) -> float:
        """Largest error of `offset_s`: the answer was given at any moment of the round trip."""
        return max(self.received_s - self.sent_s, 0.0) / 2

    @property
    def offset_s(self) -> float:
        """By how much the worker's clock is ahead, if it answered in the middle of the round trip."""
        return self.worker_s - (self.sent_s + self.received_s) / 2


def choose_clock_reading(readings: Sequence[ClockReading]) -> ClockReading:
    """Return the reading with the shortest round trip, as NTP does (RFC 5905, section 10): its error is smallest."""
    return min(readings, key=lambda one: one.error_s)


# Connects to the workers.


class WorkerLostError(Exception):
    """A worker ended, or its connection, while it had an order: it is not known whether the request was sent."""


class OrderNotGivenError(Exception):
    """An order never reached its worker, so that nothing was sent."""


class ClusterWorker:
    """A worker of the cluster."""

    def __init__(self, name: str, address: str, place: str) -> None:
        self.name, self.address, self.place = name, address, place
        self.reading: ClockReading | None = None
        self.timing_error: TimingError | None = None
        self.is_open = self.is_lost = False
        self.opening = asyncio.Lock()  # two orders that choose a worker at the same time open it once

    def build_record(self) -> MeasuringWorker:
        """Return the record of the worker for the run's manifest."""
        reading = self.reading or ClockReading(0.0, 0.0, 0.0)
        return MeasuringWorker(
            name=self.name,
            place=self.place,
            clock_offset_ms=round(reading.offset_s * 1000, 3),
            clock_error_ms=round(reading.error_s * 1000, 3),
            timing_error=self.timing_error,
        )


@contextlib.asynccontextmanager
async def _connect(address: str) -> AsyncIterator[Any]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise MissingExtraError("Dask", "dask") from error
    check_cluster_address(address)
    with silence_loggers("distributed", "tornado", "asyncio"):
        try:
            client_class: Any = Client
            client = await client_class(
                address, timeout=CLUSTER_CONNECT_TIMEOUT_S, set_as_default=False, asynchronous=True
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"no Dask scheduler responds at {address}: write it like tcp://HOST:8786") from error
        async with client:
            yield client


async def find_places(address: str) -> tuple[str, ...]:
    """Return the places of the workers of a cluster, sorted.

    Raises:
        MissingExtraError: Dask is not installed.
        UsageError: no scheduler responds, it has no worker, or a worker has another version of voicegauge.
    """
    async with _connect(address) as client:
        try:
            await client.wait_for_workers(1, timeout=CLUSTER_WORKER_TIMEOUT_S)
        except TimeoutError as error:
            raise UsageError(
                f"the Dask cluster at {address} has no worker: start one with `dask worker {address} --name PLACE`"
            ) from error
        workers = _read_workers(await client.scheduler.identity())
        await _check_worker_versions(client, workers)
        return tuple(sorted({one.place for one in workers}))


def _read_workers(scheduler_identity: Mapping[str, Any]) -> list[ClusterWorker]:
    """Return the workers that a Dask scheduler states, in the order of their addresses."""
    return [
        ClusterWorker(str(facts["name"]), address, find_place(facts["name"], address))
        for address, facts in sorted(scheduler_identity["workers"].items())
    ]


async def _check_worker_versions(client: Any, workers: Iterable[ClusterWorker]) -> None:
    """Check that all workers have this version of voicegauge.

    Raises:
        UsageError: a worker has another version, or voicegauge is not installed there.
    """
    names = {one.address: one.name for one in workers}
    # A function of Python itself, which every worker has.
    found = await client.run(importlib.metadata.version, "voicegauge", workers=list(names), on_error="return")
    for address, version in found.items():
        if version != __version__:
            has = "no voicegauge" if isinstance(version, Exception) else f"voicegauge {version}"
            raise UsageError(
                f"the Dask worker {names[address]} has {has}, but this machine {__version__}: install the same version "
                "there, and start the worker again"
            )


class MeasuringWorkers:
    """The connections to the workers of a cluster during one run."""

    def __init__(self, client: Any, setup: WorkerSetup, on_notice: Callable[[str], None]) -> None:
        """Create the connections over the Dask client `client`; the workers are opened by `open`."""
        self._client, self._setup, self._on_notice = client, setup, on_notice
        self._run_name = uuid.uuid4().hex
        self._workers: dict[str, ClusterWorker] = {}
        self._in_flight: Counter[str] = Counter()
        self._abandoned_places: set[str] = set()
        self._refreshing = asyncio.Lock()
        self._session: tuple[tuple[str, ...], int] = ((), 0)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, address: str, setup: WorkerSetup, on_notice: Callable[[str], None]
    ) -> AsyncIterator[MeasuringWorkers]:
        """Yield the opened workers of the cluster at `address`; they are closed with the context.

        Args:
            address: address of the scheduler.
            setup: what the workers need.
            on_notice: called with each text that the user should read.

        Raises:
            UsageError: a worker cannot measure the run: it has another version, or lacks a key.
        """
        async with _connect(address) as client:
            workers = cls(client, setup, on_notice)
            try:
                await workers._refresh_workers()
                await asyncio.gather(*(workers._open_worker(one) for one in workers._reachable_workers))
                keeper = asyncio.create_task(workers._compare_clocks_continuously())
                try:
                    yield workers
                finally:
                    keeper.cancel()
                    await asyncio.wait([keeper])
            finally:
                await workers._close()

    @property
    def records(self) -> tuple[MeasuringWorker, ...]:
        """The workers that were opened, sorted by name."""
        used = [one for one in self._workers.values() if one.reading is not None]
        return tuple(sorted((one.build_record() for one in used), key=lambda one: one.name))

    @property
    def _reachable_workers(self) -> list[ClusterWorker]:
        return [one for one in self._workers.values() if not one.is_lost]

    async def _refresh_workers(self) -> None:
        """Update the list of workers from the cluster's scheduler."""
        found = {one.address: one for one in _read_workers(await self._client.scheduler.identity())}
        for address, worker in self._workers.items():
            worker.is_lost = worker.is_lost or address not in found
        self._workers |= {address: one for address, one in found.items() if address not in self._workers}

    async def _call_on_worker(
        self, worker: ClusterWorker, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call a function on a worker, once.

        Raises:
            OrderNotGivenError: the worker could not be reached.
            WorkerLostError: the worker ended during the call.
        """
        from distributed.comm.core import CommClosedError

        try:
            found = await self._client.run(function, *args, workers=[worker.address], on_error="return", **kwargs)
            result = found[worker.address]
        except (OSError, KeyError) as error:  # the connection to the scheduler has ended
            raise WorkerLostError(f"the connection to the Dask scheduler ended: {error}") from error
        if isinstance(result, OSError):
            worker.is_lost = True
            # Only this error of Dask says that there was no connection over which anything could have been sent.
            if isinstance(result, CommClosedError) or "timed out trying to connect" not in str(result).lower():
                raise WorkerLostError(f"the worker {worker.name} ended before it returned the result") from result
            raise OrderNotGivenError(worker.name) from result
        if isinstance(result, Exception):
            raise result
        return result

    async def _open_worker(self, worker: ClusterWorker) -> None:
        async with worker.opening:
            if worker.is_open or worker.is_lost:
                return
            await _check_worker_versions(self._client, [worker])
            problem = await self._call_on_worker(
                worker, _measuring_worker.prepare_run, self._build_run_name(worker), self._setup
            )
            if problem is not None:
                raise UsageError(f"worker {worker.name}: {problem}")
            await self._compare_clock(worker)
            target_ids, request_count = self._session
            if target_ids:
                await self._call_on_worker(
                    worker, _measuring_worker.begin_session, self._build_run_name(worker), target_ids, request_count
                )
            worker.is_open = True

    def _build_run_name(self, worker: ClusterWorker) -> str:
        return f"{self._run_name}/{worker.address}"

    async def begin_session(self, target_ids: Iterable[str], request_count: int) -> None:
        """Let all workers open new connections, together for `request_count` requests in flight."""
        await self._refresh_workers()
        open_workers = [one for one in self._reachable_workers if one.is_open]
        self._session = (tuple(target_ids), -(-request_count // max(len(open_workers), 1)))
        calls = (
            self._call_on_worker(one, _measuring_worker.begin_session, self._build_run_name(one), *self._session)
            for one in open_workers
        )
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, WorkerLostError | OrderNotGivenError):
                raise outcome

    @contextlib.asynccontextmanager
    async def borrow_worker(self, place: str) -> AsyncIterator[ClusterWorker]:
        """Yield the worker at `place` with the fewest requests in flight; it counts as one more.

        If the place has lost its workers, and none comes back within `CLUSTER_WORKER_TIMEOUT_S`, a worker at another
        place is used.

        Raises:
            UnreachableError: the cluster has lost all of its workers.
            UsageError: a worker that has joined cannot measure the run.
        """
        worker = await self._choose_worker(place)
        self._in_flight[worker.address] += 1
        try:
            yield worker
        finally:
            self._in_flight[worker.address] -= 1

    async def measure(self, worker: ClusterWorker, order: SampleOrder) -> tuple[MeasuredSample, MeasuringWorker]:
        """Let a worker measure a sample; return the sample, and the record of the worker with its clock's offset.

        Raises:
            OrderNotGivenError: the worker could not be reached, so that nothing was sent.
            WorkerLostError: the worker ended before it returned the sample.
        """
        reply = await self._call_on_worker(
            worker, _measuring_worker.measure_sample, self._build_run_name(worker), msgspec.msgpack.encode(order)
        )
        measured = msgspec.msgpack.decode(reply, type=MeasuredSample)
        if not measured.worker_knows_run:
            worker.is_open = False
            raise OrderNotGivenError(worker.name)
        return measured, worker.build_record()

    async def _choose_worker(self, place: str) -> ClusterWorker:
        deadline_s = time.monotonic() + CLUSTER_WORKER_TIMEOUT_S
        while True:
            workers = [one for one in self._reachable_workers if one.place == place]
            if not workers and place in self._abandoned_places:
                workers = self._reachable_workers
            if workers:
                worker = min(workers, key=lambda one: self._in_flight[one.address])
                if not worker.is_open:
                    with contextlib.suppress(WorkerLostError, OrderNotGivenError):
                        await self._open_worker(worker)
                    continue  # chosen again: it may be lost, and meanwhile others may have fewer requests in flight
                return worker
            if time.monotonic() >= deadline_s:
                self._abandon_place(place)
                continue
            async with self._refreshing:
                await asyncio.sleep(0.2)
                await self._refresh_workers()

    def _abandon_place(self, place: str) -> None:
        """Let other places measure the samples of a place that has no worker.

        Raises:
            UnreachableError: no place has a worker.
        """
        if not self._reachable_workers:
            raise UnreachableError(
                "the Dask cluster lost all of its workers: start them again, then the same command goes on"
            )
        if place not in self._abandoned_places:
            self._abandoned_places.add(place)
            self._on_notice(f"{place} has lost its workers: the rest of its samples is measured from other places")

    async def _compare_clocks_continuously(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_COMPARISON_INTERVAL_S)
            with contextlib.suppress(OSError):
                # A worker that a nanny has restarted is used again, beside others at its place.
                await self._refresh_workers()
            for worker in [one for one in self._reachable_workers if one.is_open]:
                with contextlib.suppress(WorkerLostError, OrderNotGivenError):
                    await self._compare_clock(worker)

    async def _compare_clock(self, worker: ClusterWorker) -> None:
        readings = []
        for _ in range(READINGS_PER_CLOCK_COMPARISON):
            sent_s = time.time()
            worker_s = await self._call_on_worker(
                worker, _measuring_worker.read_worker_clock, self._build_run_name(worker)
            )
            readings.append(ClockReading(sent_s, worker_s, time.time()))
        worker.reading = choose_clock_reading(readings)

    async def _close(self) -> None:
        """End the run on all workers, and note the errors of their times."""
        workers = [one for one in self._reachable_workers if one.is_open]
        closing = [
            self._call_on_worker(
                one, _measuring_worker.close_run, self._build_run_name(one), measures_timing_error=True
            )
            for one in workers
        ]
        outcomes = await asyncio.gather(*closing, return_exceptions=True)
        for worker, outcome in zip(workers, outcomes, strict=True):
            if isinstance(outcome, TimingError):
                worker.timing_error = outcome


def list_rounds_by_place(rounds: Iterable[SampleRound], place_by_id: Mapping[str, str]) -> dict[str, list[SampleRound]]:
    """Return the rounds of each place, in their order; a round is measured from one place."""
    found: dict[str, list[SampleRound]] = defaultdict(list)
    for row in rounds:
        found[place_by_id[row[0].id]].append(row)
    return dict(found)

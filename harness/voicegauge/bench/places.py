"""Measures from several places: sends samples to workers of a Dask cluster, and keeps account of their prices here.

A worker carries out each order at most once: Dask never repeats the calls that are used here, and a worker that was
restarted does not have the run in its memory.

The price of a sample is reserved, and its submit is written to the journal, before a worker receives the order. If a
worker ends during an order, the price counts as spent and no other worker receives the order: it is not known whether
the request was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.metadata
import itertools
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from voicegauge.bench import measuring_worker
from voicegauge.bench._sample_building import build_sample_lost_by_worker
from voicegauge.bench._transcription_workers import (
    CLUSTER_CONNECT_TIMEOUT_S,
    CLUSTER_WORKER_TIMEOUT_S,
    check_cluster_address,
    silence_loggers,
)
from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.measuring_worker import (
    CLOCK_COMPARISON_INTERVAL_S,
    READINGS_PER_CLOCK_COMPARISON,
    ClockReading,
    ContractForWorker,
    EarlierRequest,
    MeasuredSample,
    SampleOrder,
    WorkerSetup,
    assign_places,
    choose_clock_reading,
    find_place,
    split_requests_in_flight_evenly,
)
from voicegauge.bench.request_building import SpokenUpload
from voicegauge.bench.run_config import ArrivalRate, ClusterSettings, RunConfig
from voicegauge.bench.run_store import JournalState
from voicegauge.client.client import RequestToRepeat
from voicegauge.client.http_request import create_idempotency_key
from voicegauge.client.ledger import Ledger, Reservation, Settlement, settle_when_done
from voicegauge.client.spending_journal import Journal, SubmitRecorder, SubmitStartedEvent
from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.price_computation import PriceQuote
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.errors import MissingExtraError, UnreachableError, UsageError
from voicegauge.model.exchange import BillingStatus
from voicegauge.model.run import MeasuringWorker, TimingError
from voicegauge.transport.timing import run_in_thread
from voicegauge.version import __version__

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
            raise UnreachableError(f"no Dask scheduler responds at {address}: write it like tcp://HOST:8786") from error
        async with client:
            yield client


async def find_places(address: str) -> tuple[str, ...]:
    """Return the places of the workers of a cluster, sorted.

    Raises:
        MissingExtraError: Dask is not installed.
        UnreachableError: no scheduler responds, or it has no worker.
        UsageError: a worker has another version of voicegauge.
    """
    async with _connect(address) as client:
        try:
            await client.wait_for_workers(1, timeout=CLUSTER_WORKER_TIMEOUT_S)
        except TimeoutError as error:
            raise UnreachableError(
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
        """Places whose samples any worker may measure, because their own were lost."""
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
        """Call `function` with the arguments on a worker, once, and return its result.

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
                worker, measuring_worker.prepare_run, self._build_run_name(worker), self._setup
            )
            if problem is not None:
                raise UsageError(f"worker {worker.name}: {problem}")
            await self._compare_clock(worker)
            target_ids, request_count = self._session
            if target_ids:
                await self._call_on_worker(
                    worker, measuring_worker.begin_session, self._build_run_name(worker), target_ids, request_count
                )
            worker.is_open = True

    def _build_run_name(self, worker: ClusterWorker) -> str:
        return f"{self._run_name}/{worker.address}"

    async def begin_session(self, target_ids: Iterable[str], request_count: int) -> None:
        """Let all workers open new connections, together for `request_count` requests in flight."""
        await self._refresh_workers()
        open_workers = [one for one in self._reachable_workers if one.is_open]
        # Rounded up, so that no request has to open a connection of its own.
        self._session = (tuple(target_ids), -(-request_count // max(len(open_workers), 1)))
        calls = (
            self._call_on_worker(one, measuring_worker.begin_session, self._build_run_name(one), *self._session)
            for one in open_workers
        )
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, WorkerLostError | OrderNotGivenError):
                raise outcome

    @contextlib.asynccontextmanager
    async def borrow_worker(self, place: str) -> AsyncIterator[ClusterWorker]:
        """Yield the worker at `place` with the fewest requests in flight; it has one more as long as the context lasts.

        If the place has no worker, and gets none within `CLUSTER_WORKER_TIMEOUT_S`, one at another place is used.

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
            worker, measuring_worker.measure_sample, self._build_run_name(worker), msgspec.msgpack.encode(order)
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
            # One look at the scheduler at a time, however many samples wait for a worker.
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
                worker, measuring_worker.read_worker_clock, self._build_run_name(worker)
            )
            readings.append(ClockReading(sent_s, worker_s, time.time()))
        worker.reading = choose_clock_reading(readings)

    async def _close(self) -> None:
        """End the run on all workers, and note the errors of their times."""
        workers = [one for one in self._reachable_workers if one.is_open]
        closing = [
            self._call_on_worker(one, measuring_worker.close_run, self._build_run_name(one), measures_timing_error=True)
            for one in workers
        ]
        outcomes = await asyncio.gather(*closing, return_exceptions=True)
        for worker, outcome in zip(workers, outcomes, strict=True):
            if isinstance(outcome, TimingError):
                worker.timing_error = outcome


# Sends the samples of a run to the workers, and pays for them.


@dataclass
class PlaceSender:
    """Lets the workers at each place measure the samples that the plan assigns to the place."""

    config: RunConfig
    measuring_workers: MeasuringWorkers
    """The opened workers of the cluster."""
    journal: Journal
    ledgers: Mapping[str, Ledger]
    """The ledgers by provider id; a provider without one costs nothing."""
    reservation_by_sample: Mapping[str, Reservation]
    """What is already reserved, by sample id, for jobs and requests of an earlier process."""
    earlier_state: JournalState
    """What an earlier process has sent."""

    def __post_init__(self) -> None:
        """Assign a place to each sample of the plan."""
        assert self.config.cluster is not None, "only a run on a cluster has places"
        self.place_by_id = assign_places(self.config.plan.rounds, self.config.cluster.places)
        self._order_numbers = itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        config: RunConfig,
        journal: Journal,
        ledgers: Mapping[str, Ledger],
        reservation_by_sample: Mapping[str, Reservation],
        earlier_state: JournalState,
    ) -> AsyncIterator[PlaceSender | None]:
        """Yield a sender whose workers are ready; `None` if this machine sends the samples.

        Raises:
            UsageError: a worker cannot measure the run.
        """
        if config.cluster is None:
            yield None
            return
        setup = _build_worker_setup(config, config.cluster)
        async with MeasuringWorkers.open(config.cluster.address, setup, config.cluster.on_notice) as measuring_workers:
            yield cls(config, measuring_workers, journal, ledgers, reservation_by_sample, earlier_state)

    @property
    def workers(self) -> tuple[MeasuringWorker, ...]:
        """The workers that were used; complete when the context has ended."""
        return self.measuring_workers.records

    def split_load(self, rounds: Sequence[SampleRound]) -> list[tuple[Sequence[SampleRound], RunConfig]]:
        """Return the rounds of each place, and the configuration with its share of the load.

        A ramp is not split: its steps need the samples of all places together.
        """
        if self.config.ramp_settings is not None:
            return [(rounds, self.config)]
        by_place: dict[str, list[SampleRound]] = defaultdict(list)
        for row in rounds:  # a round is measured from one place
            by_place[self.place_by_id[row[0].id]].append(row)
        shares = split_requests_in_flight_evenly(self.config.concurrency, len(by_place)) if by_place else []
        rate = self.config.arrival_rate
        share_of_rate = None if rate is None else ArrivalRate(rate.requests_per_s / len(by_place), rate.arrival_process)
        return [
            (own, dataclasses.replace(self.config, concurrency=share, arrival_rate=share_of_rate))
            for own, share in zip(by_place.values(), shares, strict=True)
        ]

    async def measure(
        self,
        planned_sample: PlannedSample,
        target: BaseTarget,
        price_quote: PriceQuote,
        *,
        upload: SpokenUpload | None,
        request_to_repeat: RequestToRepeat | None,
        slot_wait_ms: float,
    ) -> MeasuredSample:
        """Pay for a sample, and let a worker at its place measure it. Its start is stated by this machine's clock.

        `upload` is `None` if text is sent, and `request_to_repeat` if no request of an earlier command is repeated.

        Raises:
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
            UsageError: the worker could not build the request.
            UnreachableError: the cluster has lost all of its workers.
        """
        earlier_request = self._find_earlier_request(planned_sample, request_to_repeat)
        is_submitted = earlier_request is not None and earlier_request.job_id is not None
        limiter = self.config.access_by_provider[target.contract.id].rate_limiter
        if limiter is not None and not is_submitted:
            await limiter.wait_for_request()  # here, not on the worker: all places share one account
        order = SampleOrder(
            number=next(self._order_numbers),
            planned_sample=planned_sample,
            price=price_quote,
            upload=upload,
            idempotency_key=create_idempotency_key(target.operation) if earlier_request is None else None,
            earlier_request=earlier_request,
            is_at_fixed_rate=self.config.arrival_rate is not None,
            slot_wait_ms=slot_wait_ms,
        )
        with settle_when_done(self._reserve(planned_sample, target, price_quote)) as settlement:
            if is_submitted or (earlier_request is not None and earlier_request.idempotency_key is not None):
                # What counts if the worker never answers.
                settlement.status = BillingStatus.ACCEPTED if is_submitted else BillingStatus.AMBIGUOUS
            while True:
                # Nothing is written before there is a worker: without any, nothing is sent.
                async with self.measuring_workers.borrow_worker(self.place_by_id[planned_sample.id]) as worker:
                    with contextlib.suppress(OrderNotGivenError):
                        return await self._send_sample_from_worker(worker, order, settlement)

    async def _send_sample_from_worker(
        self, worker: ClusterWorker, order: SampleOrder, settlement: Settlement
    ) -> MeasuredSample:
        """Write the submit of an order to the journal, unless its job exists already, and give it to a worker.

        Raises:
            OrderNotGivenError: nothing was sent.
            UsageError: the worker could not build the request.
        """
        planned_sample, earlier_request = order.planned_sample, order.earlier_request
        if earlier_request is not None and earlier_request.job_id is not None:
            return await self._give_order(worker, order, settlement)
        observer = SubmitRecorder(self.journal.write, planned_sample.id, order.price.price_usd, place=worker.place)
        key = order.idempotency_key or (earlier_request.idempotency_key if earlier_request is not None else None)
        await run_in_thread(observer.before_submit, key)
        settlement.note_sending()
        try:
            return await self._give_order(worker, order, settlement)
        except OrderNotGivenError:
            settlement.status = BillingStatus.NOT_SENT
            await run_in_thread(observer.on_submit_not_sent)
            raise
        except UsageError:
            if settlement.status is BillingStatus.NOT_SENT:
                await run_in_thread(observer.on_submit_not_sent)
            raise

    def _find_earlier_request(
        self, planned_sample: PlannedSample, request_to_repeat: RequestToRepeat | None
    ) -> EarlierRequest | None:
        job = self.earlier_state.open_jobs.get(planned_sample.id)
        if job is not None:
            history = self.earlier_state.histories[planned_sample.id]
            return EarlierRequest(
                job_id=job.job_id,
                charged_usd=history.purchases[-1].charged_usd,
                earlier_attempt_count=history.attempt_count,
            )
        if request_to_repeat is not None:
            return EarlierRequest(idempotency_key=request_to_repeat.idempotency_key)
        return None

    def _reserve(
        self, planned_sample: PlannedSample, target: BaseTarget, price_quote: PriceQuote
    ) -> Reservation | None:
        reservation, ledger = self.reservation_by_sample.get(planned_sample.id), self.ledgers.get(target.contract.id)
        if reservation is not None or ledger is None:
            return reservation
        if price_quote.reserved_usd is None:
            raise UsageError(f"no document states the price of {target.id}: give the price of a request")
        return ledger.reserve(price_quote.reserved_usd, target.id)

    async def _give_order(self, worker: ClusterWorker, order: SampleOrder, settlement: Settlement) -> MeasuredSample:
        """Let a worker carry out an order, and note what the sample is charged.

        Raises:
            OrderNotGivenError: nothing was sent.
            UsageError: the worker could not build the request.
        """
        sent_at = datetime.now(UTC)
        try:
            measured, record = await self.measuring_workers.measure(worker, order)
        except WorkerLostError as error:
            lost = build_sample_lost_by_worker(order.planned_sample, sent_at, str(error), worker.place)
            return MeasuredSample(sample=lost, billing=BillingStatus.AMBIGUOUS)
        is_known_to_journal = order.earlier_request is None or order.earlier_request.job_id is None
        # The first submit was written to the journal before the worker got the order.
        for event in measured.submits[1:] if is_known_to_journal else ():
            if isinstance(event, SubmitStartedEvent):
                event = msgspec.structs.replace(event, place=worker.place)
            await run_in_thread(self.journal.write, event)
        settlement.status, settlement.charged_usd = measured.billing, measured.charged_usd
        settlement.unreadable_charge = measured.unreadable_charge
        if measured.sample is None:
            raise UsageError(f"worker {worker.name}: {measured.error_message}")
        # By the clock of this machine, so that samples from all places have one order.
        started = datetime.fromisoformat(measured.sample.started_at) - timedelta(milliseconds=record.clock_offset_ms)
        sample = msgspec.structs.replace(
            measured.sample, started_at=started.isoformat(timespec="milliseconds"), place=record.place
        )
        return msgspec.structs.replace(measured, sample=sample)


def _build_worker_setup(config: RunConfig, cluster: ClusterSettings) -> WorkerSetup:
    contracts = {target.contract.id: target.contract for target in config.targets.values()}
    worker_count = max(len(cluster.places), 1)
    rate = config.arrival_rate
    return WorkerSetup(
        contracts=tuple(map(ContractForWorker.of_contract, contracts.values())),
        is_emulated=cluster.emulator_settings is not None,
        emulator_settings=cluster.emulator_settings or EmulatorSettings(),
        base_urls_by_provider={name: dict(one.base_urls) for name, one in config.access_by_provider.items()},
        allowed_keys=cluster.allowed_keys,
        allows_insecure_http=cluster.allows_insecure_http,
        delivery_settings=config.delivery_settings,
        seed=config.plan.settings.seed,
        max_wait_s=config.max_wait_s,
        uses_http2=config.uses_http2,
        concurrency=-(-config.concurrency // worker_count),
        requests_per_s=None if rate is None else rate.requests_per_s * len(config.targets) / worker_count,
    )

"""Sends the samples of a run from several places, and keeps account of their prices on the planning machine.

The price of a sample is reserved, and its submit is written to the journal, before a worker receives the order. If a
worker ends during an order, the price counts as spent and no other worker receives the order: it is not known whether
the request was sent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from voicegauge.bench._measuring_worker import (
    ContractForWorker,
    EarlierRequest,
    MeasuredSample,
    SampleOrder,
    WorkerSetup,
)
from voicegauge.bench._sample_building import build_sample_lost_by_worker
from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.places import (
    ClusterWorker,
    MeasuringWorkers,
    OrderNotGivenError,
    WorkerLostError,
    assign_places,
    list_rounds_by_place,
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
from voicegauge.errors import UsageError
from voicegauge.model.exchange import BillingStatus
from voicegauge.model.run import MeasuringWorker
from voicegauge.transport.timing import run_in_thread


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

    async def begin_session(self, request_count: int) -> None:
        """Open new connections at all places, together for `request_count` requests in flight."""
        await self.measuring_workers.begin_session(self.config.targets, request_count)

    def split_load(self, rounds: Sequence[SampleRound]) -> list[tuple[Sequence[SampleRound], RunConfig]]:
        """Return the rounds of each place, and the configuration with its share of the load.

        A ramp is not split: its steps need the samples of all places together.
        """
        if self.config.ramp_settings is not None:
            return [(rounds, self.config)]
        by_place = list_rounds_by_place(rounds, self.place_by_id)
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
        """Pay for a sample, and let a worker measure it; it has its place, and was started by this machine's clock.

        Raises:
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
            UsageError: the worker could not build the request.
            UnreachableError: the cluster has lost all of its workers.
        """
        earlier_request = self._find_earlier_request(planned_sample, request_to_repeat)
        is_submitted = earlier_request is not None and earlier_request.job_id is not None
        if not is_submitted:
            await self._wait_for_rate_limit(target)
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

    async def _wait_for_rate_limit(self, target: BaseTarget) -> None:
        """Wait until the account's plan allows one more request. All places share one account."""
        limiter = self.config.access_by_provider[target.contract.id].rate_limiter
        if limiter is not None:
            await limiter.wait_for_request()

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
        for event in measured.submits[1:] if is_known_to_journal else ():
            if isinstance(event, SubmitStartedEvent):
                event = msgspec.structs.replace(event, place=worker.place)
            await run_in_thread(self.journal.write, event)
        settlement.status, settlement.charged_usd = measured.billing, measured.charged_usd
        settlement.unreadable_charge = measured.unreadable_charge
        if measured.sample is None:
            raise UsageError(f"worker {worker.name}: {measured.error_message}")
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

"""Runs a benchmark plan: the targets take turns with one text after the other.

The runner sends and times the requests, saves the audio and writes the journal. It does not decode
or score anything, because a busy process would distort the times.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench._sample_building import (
    FailedExchangeQuoter,
    SampleTimes,
    build_lost_sample,
    build_sample,
    build_unmeasured_audio,
)
from voicegauge.bench.audio_measurement import measure_audio
from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.load import LoadGate, RampStepListener, SampleSender, send_rounds, send_with_concurrency
from voicegauge.bench.measuring_worker import MeasuredSample
from voicegauge.bench.places import PlaceSender
from voicegauge.bench.ramp import get_latency_s
from voicegauge.bench.request_building import (
    DeliveryRequester,
    RequestedSample,
    SpokenUpload,
    select_delivery_audio,
    synthesize_upload,
)
from voicegauge.bench.run_config import (
    MAX_PREPARED_CONNECTIONS,
    MAX_REQUESTS_IN_FLIGHT_AT_FIXED_RATE,
    RunConfig,
    RunOutcome,
    StopSignal,
    open_clients,
    prepare_connections_of_targets,
)
from voicegauge.bench.run_store import (
    JobLeftOpenEvent,
    JournalState,
    SampleFinishedEvent,
    open_journal,
    read_journal,
    save_audio,
)
from voicegauge.bench.timing_error import EventLoopLag, reduce_event_loop_delays
from voicegauge.client.client import Client, RequestToRepeat
from voicegauge.client.daily_spending import open_provider_ledgers
from voicegauge.client.exchange_log import DeliveryInterruptedError
from voicegauge.client.ledger import Ledger, Reservation
from voicegauge.client.spending_journal import Journal, Purchase, SubmitRecorder
from voicegauge.contract.contract import BaseTarget, TranscriptionSocketTarget
from voicegauge.contract.price_computation import PriceQuote, quote_price
from voicegauge.emulator.process import is_emulated
from voicegauge.errors import NothingMeasuredError, OverchargedError, VoicegaugeError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import TRAILING_SILENCE_S, BillingStatus, Delivery
from voicegauge.model.ramp import RampResult
from voicegauge.model.sample import Sample
from voicegauge.transport.http import SEND_NOT_BEFORE_S
from voicegauge.transport.timing import RealClock, run_in_thread


async def run_plan(
    config: RunConfig,
    run_folder: Path,
    *,
    earlier_journal_state: JournalState | None = None,
    stop_signal: StopSignal | None = None,
    on_sample: Callable[[Sample], None] = lambda _: None,
    on_ramp_step: RampStepListener = lambda _number, _level: None,
) -> RunOutcome:
    """Send the requests of a plan, and write their results to the journal in `run_folder`.

    If `stop_signal` is requested, the run ends early and returns the samples so far. The user requests it;
    the run itself requests it if the budget is spent, the disk is full, or no provider could be
    reached in the first round. In these cases, `stop_signal.error` gives the reason.

    Args:
        config: the plan, the targets and the access to them.
        run_folder: folder of the run, which must exist.
        earlier_journal_state: what an interrupted run of this plan has paid for, not paid again; `None` for a new run.
        stop_signal: signal that the caller and the run itself can request; `None` if the caller does not.
        on_sample: called with each sample as it finishes.
        on_ramp_step: called when a step of a ramp begins.

    Raises:
        DataError: another process is writing the same run.
        UsageError: the journal cannot be opened.
    """
    # What costs nothing need not survive a power failure, and waiting for the disk delays requests.
    with open_journal(run_folder, is_durable=config.may_cost_money) as journal:
        state, stop = earlier_journal_state or JournalState(), stop_signal or StopSignal()
        runner = _PlanRunner(config, run_folder, journal, state, stop, on_sample, on_ramp_step=on_ramp_step)
        return await runner.run()


MAX_UNSAVED_BYTES = 64 * 2**20
"""Size of the responses above which the deliveries of a step are saved before it ends."""


class _UnsavedDelivery(NamedTuple):
    """A delivery that has ended, and what its sample is built of."""

    planned_sample: PlannedSample
    target: BaseTarget
    delivery: Delivery
    price_quote: PriceQuote
    sample_times: SampleTimes
    ended_s: float
    """When it ended, in seconds of the event loop's clock."""


class _PlanRunner:
    """State of one run of a plan."""

    def __init__(
        self,
        config: RunConfig,
        run_folder: Path,
        journal: Journal,
        earlier_journal_state: JournalState,
        stop_signal: StopSignal,
        on_sample: Callable[[Sample], None],
        *,
        on_ramp_step: RampStepListener,
    ) -> None:
        self._config, self._folder, self._journal = config, run_folder, journal
        self._earlier_state = earlier_journal_state
        self._stop, self._on_sample, self._on_ramp_step = stop_signal, on_sample, on_ramp_step
        self._samples = dict(earlier_journal_state.finished_samples)
        if config.retry_ambiguous:  # these are bought again
            for sample_id in earlier_journal_state.ids_with_ambiguous_last_request:
                self._samples.pop(sample_id, None)
        self._exchange_quoter = FailedExchangeQuoter(
            {provider: access.api_key for provider, access in config.access_by_provider.items()},
            self._samples.values(),
        )
        self._ids_with_open_job: set[str] = set()
        self._may_cost_money = config.may_cost_money
        self._saves_after_step = config.ramp_settings is not None and not self._may_cost_money
        self._unsaved: list[_UnsavedDelivery] = []
        self._unsaved_bytes = 0
        self._uploads: dict[str, SpokenUpload] = {}
        self._is_emulated = config.plan.provenance is Provenance.EMULATED or earlier_journal_state.is_emulated
        self._repeatable_purchases = self._find_repeatable_requests()
        self._contracts = {target.contract.id: target.contract for target in config.targets.values()}
        self._ledger: Ledger | None = None
        self._ledgers: dict[str, Ledger] = {}
        """The shares of the ledger by provider id."""
        self._reservation_by_sample: dict[str, Reservation] = {}
        """Reservations for open jobs and for requests that are repeated without a new charge, by sample id."""
        self._requester: DeliveryRequester | None = None
        self._place_sender: PlaceSender | None = None
        if config.max_cost_usd is not None:
            self._open_ledger(config.max_cost_usd)
        has_variable_load = config.arrival_rate is not None or config.ramp_settings is not None
        in_flight = MAX_REQUESTS_IN_FLIGHT_AT_FIXED_RATE if has_variable_load else config.concurrency
        self._slots = asyncio.Semaphore(in_flight)
        self._provider_slots = {
            provider: asyncio.Semaphore(min(access.max_concurrency or in_flight, in_flight))
            for provider, access in config.access_by_provider.items()
        }
        self._clock = config.clock or RealClock()
        self._loop_lag = EventLoopLag()
        plan_limits = (access.max_concurrency for access in config.access_by_provider.values())
        self._load_gate = LoadGate(min([in_flight, *filter(None, plan_limits)]))
        self._ramp_result: RampResult | None = None

    def _open_ledger(self, max_cost_usd: float) -> None:
        """Open the budget, with what earlier processes of this run have spent and what may still be charged."""
        config, earlier = self._config, self._earlier_state
        # Reserved before anything else: these requests are already paid for, whenever it is their turn.
        pending = {sample_id: job.counted_usd for sample_id, job in earlier.open_jobs.items()}
        pending |= {
            sample_id: purchase.charge_or_price_usd for sample_id, purchase in self._repeatable_purchases.items()
        }
        ledger = self._ledger = Ledger(max_cost_usd, spent_usd=earlier.sum_spent_usd_except_last_requests(pending))
        targets = {one.id: config.targets[one.target] for row in config.plan.rounds for one in row}

        def sum_spent_usd_of_provider(provider: str) -> float:
            """Return what an interrupted run has spent; the last requests in `pending` are reserved separately."""
            ids = {sample_id for sample_id, target in targets.items() if target.contract.id == provider}
            return earlier.sum_spent_usd_except_last_requests(pending, ids.__contains__)

        has_own_budgets = bool(config.max_cost_usd_by_provider)
        self._ledgers = open_provider_ledgers(
            ledger,
            self._contracts.keys(),
            daily_budget_by_provider=config.daily_budget_by_provider,
            max_cost_usd_by_provider=config.max_cost_usd_by_provider,
            spent_usd_by_provider={
                provider: sum_spent_usd_of_provider(provider)
                for provider in (self._contracts if has_own_budgets else ())
            },
        )
        for sample_id, usd in pending.items():
            target = targets.get(sample_id)
            own_ledger = ledger if target is None else self._ledgers[target.contract.id]
            self._reservation_by_sample[sample_id] = own_ledger.reserve_unconditionally(usd or 0.0)
        earlier.note_overcharges(ledger, lambda sample_id: targets[sample_id].id if sample_id in targets else "")

    async def run(self) -> RunOutcome:
        """Run the sessions one after the other, each on new connections.

        If the task is canceled after a stop was requested, requests in flight are dropped and
        the samples so far are returned.
        """
        rounds = self._config.plan.rounds
        if self._config.plan.run_kind != "speech":  # synthesized now, so that it disturbs no measurement
            texts = dict.fromkeys(one.text for row in rounds for one in row)
            self._uploads = await asyncio.to_thread(lambda: {text.id: synthesize_upload(text) for text in texts})
        self._mark_lost_samples()
        if self._config.stop_rule is not None:
            self._config.stop_rule.add_samples(self._samples.values())
        task = asyncio.current_task()
        try:
            with reduce_event_loop_delays():
                async with (
                    self._loop_lag.measure_lag(),
                    PlaceSender.open(
                        self._config, self._journal, self._ledgers, self._reservation_by_sample, self._earlier_state
                    ) as self._place_sender,
                ):
                    for _, session in itertools.groupby(rounds, key=lambda row: row[0].session_number):
                        if not self._stop.requested:
                            await self._run_session(list(session))
        except asyncio.CancelledError:
            if not self._stop.requested or task is None:
                raise
            task.uncancel()
        try:
            await self._save_deliveries()  # of a step that was interrupted
            self._journal.flush()
        except VoicegaugeError as error:
            self._stop.request_stop(error)
        overcharge = self._ledger.first_overcharge_message if self._ledger is not None else None
        if overcharge is not None and not self._stop.requested:  # also if nothing was left to be sent after it
            self._stop.request_stop(OverchargedError(overcharge))
        planned_ids = [one.id for row in rounds for one in row]
        # Read back from the file, so that the result counts what the next process would find there, and nothing else.
        state = read_journal(self._folder)
        return RunOutcome(
            samples=tuple(self._samples[sample_id] for sample_id in planned_ids if sample_id in self._samples),
            spent_usd=state.spent_usd if self._ledger else 0.0,
            is_complete=not self._ids_with_open_job and self._has_sent_plan(planned_ids),
            is_emulated=self._is_emulated,
            ambiguous_requests=state.ambiguous_requests,
            open_jobs=tuple(state.open_jobs.values()),
            ramp=self._ramp_result,
            workers=self._place_sender.workers if self._place_sender is not None else (),
            early_stop=self._config.stop_rule.build_early_stop(len(self._samples)) if self._config.stop_rule else None,
        )

    def _has_sent_plan(self, planned_ids: Sequence[str]) -> bool:
        """Whether every sample was sent, or as many as the ramp or the stop rule needs."""
        if self._config.ramp_settings is not None:
            return self._ramp_result is not None and self._ramp_result.is_search_complete
        rule = self._config.stop_rule
        return (rule is not None and rule.is_decided) or all(sample_id in self._samples for sample_id in planned_ids)

    def _find_repeatable_requests(self) -> dict[str, Purchase]:
        """Return, by sample id, the last request of each unfinished sample, if repeating it is not charged again.

        Only requests that an earlier process sent, and whose outcome is unknown, are returned.
        """
        earlier, now = self._earlier_state, datetime.now(UTC)
        targets = {one.id: self._config.targets[one.target] for row in self._config.plan.rounds for one in row}
        return {
            sample_id: last
            for sample_id in earlier.ids_with_ambiguous_last_request
            if sample_id not in self._samples and sample_id in targets
            if (last := earlier.histories[sample_id].purchases[-1]).can_be_repeated_without_charge(
                targets[sample_id].operation, now
            )
        }

    def _mark_lost_samples(self) -> None:
        """Finish, as lost, the samples whose request an earlier process sent without saving a result."""
        if self._config.retry_ambiguous:
            return
        for planned in itertools.chain.from_iterable(self._config.plan.rounds):
            is_lost = (
                planned.id in self._earlier_state.ids_with_ambiguous_last_request
                and planned.id not in self._repeatable_purchases
            )
            if is_lost and planned.id not in self._samples:
                lost = build_lost_sample(planned, self._earlier_state)
                self._write_sample(lost, BillingStatus.AMBIGUOUS, has_open_job=False)
                self._add_sample(lost)

    async def _run_session(self, rounds: Sequence[SampleRound]) -> None:
        probes = self._config.timing_probes
        async with (
            self._config.open_transport() as transport,
            DeliveryRequester.open(self._config.delivery_settings, self._config.targets.values()) as self._requester,
            probes.send_with(transport) if probes is not None else contextlib.nullcontext(),
        ):
            clients = open_clients(
                self._contracts.values(),
                self._config.access_by_provider,
                transport,
                self._ledgers,
                self._config.plan.settings.seed,
                clock=self._config.clock,
                max_wait_s=self._config.max_wait_s,
                # The emulator's jobs last as long as it says, and waiting for longer only takes time.
                staggers_polls=self._config.plan.provenance is not Provenance.EMULATED,
            )

            async def send_sample(planned_sample: PlannedSample, due_s: float | None) -> None:
                await self._measure_sample_or_request_stop(planned_sample, clients, due_s)

            if self._place_sender is not None:
                await self._place_sender.measuring_workers.begin_session(
                    self._config.targets, self._estimate_requests_in_flight()
                )
            unfinished = (tuple(one for one in row if one.id not in self._samples) for row in rounds)
            remaining = [row for row in unfinished if row]
            if remaining and not self._samples:  # one text for all targets, to see whether any can be reached
                await send_with_concurrency(remaining[:1], self._config, send_sample)
                self._stop_if_unreachable()
                remaining = remaining[1:]

            async def prepare_connections(request_count: int) -> None:
                if self._place_sender is None and not self._stop.requested:
                    await prepare_connections_of_targets(self._config.targets.values(), clients, request_count)

            self._load_gate.prepare_connections = prepare_connections
            if self._config.ramp_settings is None:
                await prepare_connections(self._estimate_requests_in_flight())
            parts = self._place_sender.split_load(remaining) if self._place_sender else [(remaining, self._config)]
            await asyncio.gather(*(self._send_rounds(rows, config, send_sample) for rows, config in parts))

    async def _send_rounds(self, rounds: Sequence[SampleRound], config: RunConfig, send_sample: SampleSender) -> None:
        """Send the rounds of one place, or all rounds if this machine sends them."""

        def keep_ramp_result(ramp_so_far: RampResult) -> None:
            self._ramp_result = ramp_so_far

        await send_rounds(
            rounds,
            config,
            send_sample,
            self._collect_sent_samples,
            clock=self._clock,
            should_stop_sending=self._should_stop_sending,
            load_gate=self._load_gate,
            on_ramp_step=self._on_ramp_step,
            on_step_result=keep_ramp_result,
        )

    def _estimate_requests_in_flight(self) -> int:
        """Return how many requests will be in flight; at a rate, as many as come during the longest latency so far."""
        rate = self._config.arrival_rate
        if rate is None:
            return self._config.concurrency
        longest_s = max((get_latency_s(one) or 0.0 for one in self._samples.values()), default=0.0)
        per_s = rate.requests_per_s * len(self._config.targets)
        return min(math.ceil(per_s * longest_s) + 1, MAX_PREPARED_CONNECTIONS)

    async def _collect_sent_samples(
        self, planned_samples: Sequence[PlannedSample], step_number: int
    ) -> Sequence[Sample]:
        """Return the samples of one step of a ramp, with the duration of their audio; none if the run is stopped."""
        try:
            await self._save_deliveries()
        except VoicegaugeError as error:
            self._stop.request_stop(error)
        if self._stop.requested:
            return ()
        sent = [
            msgspec.structs.replace(self._samples[planned.id], ramp_step=step_number)
            for planned in planned_samples
            if planned.id in self._samples
        ]
        self._samples |= {sample.id: sample for sample in sent}
        return await run_in_thread(measure_audio, self._folder, sent, self._config.targets)

    def _stop_if_unreachable(self) -> None:
        failures = [sample.failure for sample in self._samples.values() if sample.failure is not None]
        if failures and len(failures) == len(self._samples) and all(one.kind == "network" for one in failures):
            message = f"every connection failed, the first one with: {failures[0].message}"
            self._stop.request_stop(NothingMeasuredError(message))

    async def _measure_sample_or_request_stop(
        self, planned_sample: PlannedSample, clients: Mapping[str, Client], due_s: float | None
    ) -> None:
        """Measure one sample, at `due_s` of the clock or at once (`None`). A failed delivery affects only this sample.

        A charge above the price ends the requests to its target. Any other error that voicegauge raises, such as a full
        disk, stops the run, but not the requests in flight.
        """
        target = self._config.targets[planned_sample.target]
        try:
            await self._measure_sample(planned_sample, target, clients[target.contract.id], due_s)
        except OverchargedError:
            return  # the run goes on with the other targets, and ends with this error
        except VoicegaugeError as error:
            self._stop.request_stop(error)

    async def _measure_sample(
        self, planned_sample: PlannedSample, target: BaseTarget, client: Client, due_s: float | None
    ) -> None:
        price = self._quote_sample_price(planned_sample, target)
        waiting_since_s, due_ms = self._clock.monotonic(), None
        if due_s is not None and self._clock.is_clock_of_exchange_timings:
            waiting_since_s, due_ms = max(waiting_since_s, due_s), due_s * 1000  # it is prepared before it is due
            SEND_NOT_BEFORE_S.set(due_s)
        # If a slot is free, this process may still lose the processor while it takes it: that does not count as a wait.
        has_to_wait = due_s is not None and (
            self._provider_slots[target.contract.id].locked() or self._slots.locked() or self._load_gate.is_full
        )
        try:
            # The provider's semaphore first: a task that waits for its provider holds no common slot. Slots are free
            # again before the sample is saved: the service has nothing to do with that.
            async with (
                self._provider_slots[target.contract.id],
                self._slots,
                self._load_gate.hold(planned_sample.id, self._clock),
            ):
                slot_wait_s = max(self._clock.monotonic() - waiting_since_s, 0.0) if has_to_wait else 0.0
                self._load_gate.slot_wait_s_by_id[planned_sample.id] = slot_wait_s
                times = SampleTimes(datetime.now(UTC), asyncio.get_running_loop().time(), due_ms, slot_wait_s * 1000)
                if self._should_stop_sending():
                    return
                if self._place_sender is not None:
                    found = await self._measure_at_place(planned_sample, target, price, due_s, slot_wait_s)
                else:
                    delivery = await self._request_delivery(planned_sample, target, client, price)
        except DeliveryInterruptedError as error:
            if error.delivery.has_open_job:  # what was observed is kept, and the next run polls the job again
                await self._save_delivery(planned_sample, target, error.delivery, price, times)
            raise
        if self._place_sender is not None:
            self._add_sample(await run_in_thread(self._write_sample_from_place, planned_sample, found))
        else:
            await self._save_delivery(planned_sample, target, delivery, price, times)

    async def _measure_at_place(
        self,
        planned_sample: PlannedSample,
        target: BaseTarget,
        price_quote: PriceQuote,
        due_s: float | None,
        slot_wait_s: float,
    ) -> MeasuredSample:
        assert self._place_sender is not None, "only a run on a cluster has places"
        if due_s is not None:  # the way to the worker takes longer than the preparation
            await self._clock.sleep(max(due_s - self._clock.monotonic(), 0.0))
        return await self._place_sender.measure(
            planned_sample,
            target,
            price_quote,
            upload=self._uploads.get(planned_sample.text.id),
            request_to_repeat=self._find_request_to_repeat(planned_sample),
            slot_wait_ms=slot_wait_s * 1000,
        )

    def _write_sample_from_place(self, planned_sample: PlannedSample, measured_sample: MeasuredSample) -> Sample:
        """Save the audio of a sample that a worker measured, and write the sample to the journal."""
        sample = measured_sample.sample
        assert sample is not None, "an order that was not sent raises an error"
        upload = self._uploads.get(planned_sample.text.id)
        audio = upload.file.data if sample.transcript is not None and upload is not None else measured_sample.audio
        if sample.audio is not None and audio is not None:
            facts = msgspec.structs.replace(sample.audio, file_path=save_audio(self._folder, audio)[1])
            sample = msgspec.structs.replace(sample, audio=facts)
        self._is_emulated |= measured_sample.is_emulated
        one = measured_sample
        self._write_sample(sample, one.billing, one.unreadable_charge, has_open_job=one.has_open_job)
        return sample

    async def _save_delivery(
        self,
        planned_sample: PlannedSample,
        target: BaseTarget,
        delivery: Delivery,
        price_quote: PriceQuote,
        sample_times: SampleTimes,
    ) -> None:
        """Save a delivery at once if it may cost money, otherwise after the step of a ramp that it belongs to."""
        ended_s = asyncio.get_running_loop().time()
        self._unsaved.append(_UnsavedDelivery(planned_sample, target, delivery, price_quote, sample_times, ended_s))
        self._unsaved_bytes += sum(len(exchange.response.body) for exchange in delivery.exchanges)
        if not self._saves_after_step or self._unsaved_bytes > MAX_UNSAVED_BYTES:
            await self._save_deliveries()

    async def _save_deliveries(self) -> None:
        """Save the audio of the deliveries that are not saved yet, and write their samples, in a thread."""
        unsaved, self._unsaved, self._unsaved_bytes = self._unsaved, [], 0
        await asyncio.sleep(0)  # a lag until now is noted in this turn of the loop
        lags_ms = [self._loop_lag.find_max_lag_ms(one.sample_times.started_s, one.ended_s) for one in unsaved]
        for sample in await run_in_thread(lambda: list(map(self._write_delivery, unsaved, lags_ms))):
            self._add_sample(sample)

    def _write_delivery(self, unsaved: _UnsavedDelivery, max_lag_ms: float) -> Sample:
        earlier, delivery, sample_id = self._earlier_state, unsaved.delivery, unsaved.planned_sample.id
        is_resumed = sample_id in earlier.open_jobs
        audio, media_type = select_delivery_audio(delivery, self._uploads.get(unsaved.planned_sample.text.id))
        # Decoding would take processor time that other requests need now, so the audio is measured after the run.
        saved_audio = (
            None if audio is None else build_unmeasured_audio(audio, media_type, save_audio(self._folder, audio)[1])
        )
        sample = build_sample(
            unsaved.planned_sample,
            unsaved.target,
            delivery,
            unsaved.price_quote,
            unsaved.sample_times,
            attempt_count=earlier.histories[sample_id].attempt_count if is_resumed else delivery.submit_count,
            max_lag_ms=max_lag_ms,
            saved_audio=saved_audio,
            failed_exchange=self._exchange_quoter.quote_exchange_if_cause_is_new(unsaved.target, delivery),
        )
        self._is_emulated |= any(map(is_emulated, delivery.exchanges))
        self._write_sample(
            sample, delivery.billing_status, delivery.unreadable_charge, has_open_job=delivery.has_open_job
        )
        return sample

    def _write_sample(
        self, sample: Sample, billing: BillingStatus, unreadable_charge: str | None = None, *, has_open_job: bool
    ) -> None:
        # The emulator's jobs end with it, and an emulated run is never resumed.
        if has_open_job and self._config.plan.provenance is not Provenance.EMULATED:
            self._journal.write(JobLeftOpenEvent(sample=sample, is_emulated=self._is_emulated))
            self._ids_with_open_job.add(sample.id)
        else:
            self._journal.write(
                SampleFinishedEvent(
                    sample=sample, billing=billing, unreadable_charge=unreadable_charge, is_emulated=self._is_emulated
                )
            )

    def _add_sample(self, sample: Sample) -> None:
        self._samples[sample.id] = sample
        if self._config.stop_rule is not None:
            self._config.stop_rule.add_samples([sample])
        self._on_sample(sample)

    def _should_stop_sending(self) -> bool:
        """Whether to send no more requests, because a stop was requested or the stop rule has decided."""
        rule = self._config.stop_rule
        return self._stop.requested or (rule is not None and rule.is_decided)

    async def _request_delivery(
        self, planned_sample: PlannedSample, target: BaseTarget, client: Client, price_quote: PriceQuote
    ) -> Delivery:
        job = self._earlier_state.open_jobs.get(planned_sample.id)
        if job is not None:
            return await client.resume_job(
                target,
                job.job_id,
                reservation=self._reservation_by_sample.get(planned_sample.id),
                charged_usd=self._earlier_state.histories[planned_sample.id].purchases[-1].charged_usd,
                price_usd=self._config.user_price_usd_by_target.get(target.id),
            )
        assert self._requester is not None, "opened with the session"
        requested = RequestedSample(
            planned_sample,
            target,
            price_quote,
            self._uploads.get(planned_sample.text.id),
            SubmitRecorder(
                self._journal.write if self._may_cost_money else self._journal.defer,
                planned_sample.id,
                price_quote.price_usd,
                waits_for_disk=self._may_cost_money,
            ),
            self._find_request_to_repeat(planned_sample),
        )
        return await self._requester.request(requested, client)

    def _find_request_to_repeat(self, planned_sample: PlannedSample) -> RequestToRepeat | None:
        purchase = self._repeatable_purchases.get(planned_sample.id)
        if purchase is None or purchase.idempotency_key is None:
            return None
        return RequestToRepeat(purchase.idempotency_key, self._reservation_by_sample.get(planned_sample.id))

    def _quote_sample_price(self, planned_sample: PlannedSample, target: BaseTarget) -> PriceQuote:
        """Return the planned price, or for audio input the price for the actual duration of the audio."""
        upload = self._uploads.get(planned_sample.text.id)
        if upload is None:
            return planned_sample.price
        usd = self._config.user_price_usd_by_target.get(target.id)
        trailing_s = TRAILING_SILENCE_S if isinstance(target, TranscriptionSocketTarget) else 0.0
        audio_s = upload.audio_duration_s + trailing_s
        return quote_price(target, len(planned_sample.text.text), audio_s=audio_s, user_usd_per_request=usd)

"""Carrying out a plan: round by round, each text by all targets side by side.

The runner sends, times, keeps the audio and journals. It decodes nothing and scores
nothing: a busy process would show in the times.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from voicegauge.bench.planning import (
    BenchPlan,
    PlannedSample,
    Round,
    SpokenUpload,
    SuiteText,
    speech_request,
    synthesize_texts,
)
from voicegauge.bench.running.access import ProviderAccess, open_clients, provider_semaphores
from voicegauge.bench.running.journal import (
    Journal,
    JournalState,
    SampleAbandoned,
    SampleFinished,
    SubmitCompleted,
    SubmitStarted,
)
from voicegauge.bench.running.latency import measure_latency
from voicegauge.bench.running.playback import measure_streaming
from voicegauge.bench.running.store import save_audio
from voicegauge.client import Client, Ledger
from voicegauge.contract import AudioInputTarget, BaseTarget, PriceQuote, Target, quote
from voicegauge.emulator import is_emulated
from voicegauge.errors import NothingMeasuredError, VoicegaugeError
from voicegauge.model import (
    AudioFacts,
    Cost,
    Delivery,
    Exchange,
    Provenance,
    Request,
    Sample,
    VoiceSample,
)
from voicegauge.transport import Transport


@dataclass(frozen=True)
class RunConfig:
    """A plan and all that carrying it out takes."""

    plan: BenchPlan
    targets: Mapping[str, BaseTarget]
    """By id."""
    access: Mapping[str, ProviderAccess]
    """By provider id."""
    concurrency: int = 16
    """Requests in flight at most, one a target. Up to 16 shift no time to first byte by more than a few ms."""
    max_cost_usd: float | None = None
    """The budget; `None` for an emulator, which costs nothing."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Dollars a request by target id, where the user named them."""
    voice: VoiceSample | None = None
    """The user's own voice sample."""


class StopSignal:
    """How a run is asked to end early: no new request is sent, those under way are seen through."""

    def __init__(self) -> None:
        self.requested = False
        self.error: VoicegaugeError | None = None
        """Why, where it was not the user."""

    def request(self, error: VoicegaugeError | None = None) -> None:
        """Ask; the first reason counts."""
        self.error = self.error or error
        self.requested = True


@dataclass(frozen=True)
class RunOutcome:
    """What a run came to."""

    samples: tuple[Sample, ...]
    """In the plan's order; those of an interrupted run that it resumed are among them."""
    spent_usd: float
    complete: bool
    """Nothing that was planned is missing."""
    emulated: bool = False
    """Somebody who answered said that it was voicegauge's emulator."""


async def run_plan(
    order: RunConfig,
    folder: Path,
    *,
    past: JournalState | None = None,
    stop: StopSignal | None = None,
    on_sample: Callable[[Sample], None] = lambda _: None,
) -> RunOutcome:
    """Send what `order` plans and journal what comes back in `folder`.

    Ends early, with what there is, where `stop` asks for it: the user, a spent budget, a
    full disk (`stop.error` says which), or a first round in which nobody could be reached.

    Args:
        order: the plan, the targets and how to reach them.
        folder: of the run; it exists.
        past: what an interrupted run of the same plan left: it is not bought again.
        stop: asked by the caller, or by the run itself.
        on_sample: told of each sample as it ends.

    Raises:
        DataError: another process is carrying out the same run.
        UsageError: the journal cannot be opened.
    """
    live = order.plan.provenance is not Provenance.EMULATED
    with Journal(folder, durable=live) as journal:
        runner = _Runner(order, folder, journal, past or JournalState(), stop or StopSignal(), on_sample)
        return await runner.run()


class _Runner:
    """One carrying out of an order."""

    def __init__(
        self,
        order: RunConfig,
        folder: Path,
        journal: Journal,
        past: JournalState,
        stop: StopSignal,
        on_sample: Callable[[Sample], None],
    ) -> None:
        self._order, self._folder, self._journal, self._past = order, folder, journal, past
        self._stop, self._on_sample = stop, on_sample
        self._samples = dict(past.finished)
        self._uploads: dict[str, SpokenUpload] = {}
        self._emulated = order.plan.provenance is Provenance.EMULATED
        self._ledger = None if order.max_cost_usd is None else Ledger(order.max_cost_usd, spent_usd=past.spent_usd)
        self._slots = asyncio.Semaphore(order.concurrency)
        self._gates = provider_semaphores(order.access, order.concurrency)
        self._contracts = {target.contract.id: target.contract for target in order.targets.values()}

    async def run(self) -> RunOutcome:
        """Session by session, each on connections of its own.

        Cancelled after it was asked to stop, it drops what is under way and says what there is.
        """
        rounds = self._order.plan.rounds
        if self._order.plan.kind != "speech":  # before anything is timed
            self._uploads = await asyncio.to_thread(synthesize_texts, _texts(self._order.plan))
        task = asyncio.current_task()
        try:
            for _, session in itertools.groupby(rounds, key=lambda row: row[0].session):
                if not self._stop.requested:
                    await self._session(session)
        except asyncio.CancelledError:
            if not self._stop.requested or task is None:
                raise
            task.uncancel()
        planned = [one.id for row in rounds for one in row]
        return RunOutcome(
            samples=tuple(self._samples[name] for name in planned if name in self._samples),
            spent_usd=self._spent_usd,
            complete=all(name in self._samples for name in planned),
            emulated=self._emulated,
        )

    async def _session(self, rounds: Iterable[Round]) -> None:
        async with Transport() as transport:
            clients = open_clients(
                self._contracts.values(),
                self._order.access,
                transport,
                self._ledger,
                self._order.plan.settings.seed,
            )
            for row in rounds:
                if not self._stop.requested:
                    await self._round(row, clients)

    @property
    def _spent_usd(self) -> float:
        return self._ledger.spent_usd if self._ledger else 0.0

    async def _round(self, row: Round, clients: Mapping[str, Client]) -> None:
        """One text by all its targets; each failure stays a target's own."""
        fresh = not self._samples
        async with asyncio.TaskGroup() as tasks:
            for planned in row:
                if planned.id not in self._samples:
                    tasks.create_task(self._guarded(planned, clients))
        if fresh:
            self._check_reached()

    def _check_reached(self) -> None:
        failures = [sample.failure for sample in self._samples.values()]
        if failures and all(failure and failure.kind == "network" for failure in failures):
            assert failures[0] is not None
            self._stop.request(NothingMeasuredError(f"nobody could be reached: {failures[0].message}"))

    async def _guarded(self, planned: PlannedSample, clients: Mapping[str, Client]) -> None:
        """One utterance. An error of ours stops the run, but not what others have under way."""
        target = self._order.targets[planned.target]
        async with self._gates[target.contract.id], self._slots:  # whoever waits for a provider takes no slot
            if self._stop.requested:
                return
            try:
                await self._one(planned, target, clients[target.contract.id])
            except VoicegaugeError as error:
                self._stop.request(error)
            except asyncio.CancelledError:
                self._journal.write(SampleAbandoned(sample=planned.id))
                raise

    async def _one(self, planned: PlannedSample, target: BaseTarget, client: Client) -> None:
        started = datetime.now(UTC)
        delivery = await self._delivered(planned, target, client)
        self._emulated |= any(map(is_emulated, delivery.exchanges))
        sample = self._sample(planned, target, delivery, started)
        self._journal.write(SampleFinished(sample=sample, spent_usd=self._spent_usd))
        self._samples[planned.id] = sample
        self._on_sample(sample)

    async def _delivered(self, planned: PlannedSample, target: BaseTarget, client: Client) -> Delivery:
        usd = self._order.prices.get(target.id)
        observer = _Witness(self._journal, planned.id, self._quote(planned, target).usd)
        if isinstance(target, AudioInputTarget):
            file, audio_s = self._uploads[planned.text.id]
            return await client.send_audio(target, file, audio_s=audio_s, observer=observer, price_usd=usd)
        assert isinstance(target, Target), "what is not sent audio speaks"
        job = self._job_to_resume(planned, target)
        if job is not None:
            return await client.resume(target, job, observer=observer)
        speech = speech_request(target, planned.text, self._order.voice)
        return await client.speak(target, speech, observer=observer, price_usd=usd)

    def _job_to_resume(self, planned: PlannedSample, target: BaseTarget) -> str | None:
        """The job paid for earlier; not one that the user stopped and the provider was told to cancel."""
        operation = target.job_operation
        if operation is None or operation.job is None:
            return None
        if planned.id in self._past.abandoned and operation.job.cancel is not None:
            return None
        return self._past.pending_jobs.get(planned.id)

    def _sample(self, planned: PlannedSample, target: BaseTarget, delivery: Delivery, started: datetime) -> Sample:
        audio, data, media_type = None, delivery.audio, delivery.media_type
        if delivery.text is not None:  # what was sent is what there is to hear
            sent = self._uploads[planned.text.id].file
            data, media_type = sent.data, sent.media_type
        if data is not None:
            digest, file = save_audio(self._folder, data)
            audio = AudioFacts(sha256=digest, file=file, bytes=len(data), media_type=media_type, container=None)
        return Sample(
            id=planned.id,
            target=target.id,
            text_id=planned.text.id,
            text=planned.text.text,
            language=planned.text.language,
            category=planned.text.category,
            session=planned.session,
            repetition=planned.repetition,
            warmup=planned.warmup,
            started_at=started.isoformat(timespec="milliseconds"),
            attempts=delivery.attempts,
            polls=_polls(delivery),
            request_id=delivery.job.id if delivery.job else None,
            latency=measure_latency(delivery, target),
            streaming=measure_streaming(delivery, target),
            audio=audio,
            transcript=delivery.text,
            cost=self._cost(planned, target, delivery),
            failure=delivery.failure,
        )

    def _quote(self, planned: PlannedSample, target: BaseTarget) -> PriceQuote:
        """The price of one request: by its text, or by the length of what is sent."""
        sent = self._uploads.get(planned.text.id)
        usd = self._order.prices.get(target.id)
        return quote(target, len(planned.text.text), audio_s=sent.audio_s if sent else None, usd=usd)

    def _cost(self, planned: PlannedSample, target: BaseTarget, delivery: Delivery) -> Cost:
        """The price of what was delivered; what the provider says it charged, delivered or not."""
        price = self._quote(planned, target)
        delivered = delivery.failure is None
        return Cost(
            price_usd=price.usd if delivered else None,
            price_credits=price.credits if delivered else None,
            charged_usd=delivery.charged_usd,
            charged_credits=delivery.charged_credits,
            disputed=price.disputed,
        )


def _texts(plan: BenchPlan) -> Iterable[SuiteText]:
    return (planned.text for row in plan.rounds for planned in row)


def _polls(delivery: Delivery) -> int:
    if delivery.job is None:
        return 0
    return sum(exchange.operation == delivery.job.status_operation for exchange in delivery.exchanges)


class _Witness:
    """Journals a sample's submits before and after they are sent."""

    def __init__(self, journal: Journal, sample: str, usd: float | None) -> None:
        self._journal, self._sample, self._usd = journal, sample, usd

    def before_submit(self, target: BaseTarget, request: Request) -> None:
        """Write down that money may be spent from now on."""
        del target, request
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._journal.write(SubmitStarted(sample=self._sample, at=at, usd=self._usd))

    def after_submit(self, target: BaseTarget, exchange: Exchange, job_id: str | None) -> None:
        """Write down what it was answered with."""
        del target
        self._journal.write(SubmitCompleted(sample=self._sample, status=exchange.response.status, job=job_id))

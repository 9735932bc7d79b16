"""Measures samples on a worker of a Dask cluster, for the machine that has the plan, the budget and the journal.

The name of a worker says at which place it is. The machine with the plan calls the functions at the end of this module
on a worker. A run has its own thread and event loop there, so that the messages of Dask delay no request. Keys come
from the worker's environment. They and the exchanges, which contain them, stay on the worker: what returns is the
measured sample with its audio.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import msgspec

from voicegauge.bench._sample_building import FailedExchangeQuoter, SampleTimes, build_sample, build_unmeasured_audio
from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.request_building import (
    DeliveryRequester,
    DeliverySettings,
    RequestedSample,
    SpokenUpload,
    select_delivery_audio,
)
from voicegauge.bench.run_config import (
    ProviderAccess,
    build_emulated_access,
    open_benchmark_transport,
    open_clients,
    prepare_connections_of_targets,
)
from voicegauge.bench.timing_error import (
    EventLoopLag,
    TimingProbes,
    measure_timing_error,
    reduce_event_loop_delays,
    run_loopback_server,
)
from voicegauge.client.client import Client, RequestToRepeat
from voicegauge.client.connection import find_key_destinations, read_permitted_key
from voicegauge.client.spending_journal import SubmitEvent, SubmitRecorder
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import ProviderSpec
from voicegauge.contract.loading import build_contract, is_bundled, load_catalogue
from voicegauge.contract.price_computation import PriceQuote
from voicegauge.contract.schemas import Schemas
from voicegauge.emulator.process import EmulatorSettings, is_emulated, running_emulator
from voicegauge.errors import TransportError, UsageError, VoicegaugeError
from voicegauge.formats.located_yaml import Document
from voicegauge.model.base import Record
from voicegauge.model.exchange import BillingStatus, Delivery
from voicegauge.model.run import TimingError
from voicegauge.model.sample import Sample
from voicegauge.transport.http import Transport

# Decides where each sample is measured, and compares clocks.


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


READINGS_PER_CLOCK_COMPARISON = 8
"""Number of round trips of which the shortest compares a worker's clock with this machine's."""
CLOCK_COMPARISON_INTERVAL_S = 15.0
"""Time between two comparisons of clocks, in seconds. A comparison also shows a worker that the run goes on."""


class ClockReading(NamedTuple):
    """A worker's clock, read between two readings of this machine's clock; all in seconds."""

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


def split_requests_in_flight_evenly(total: int, part_count: int) -> list[int]:
    """Split a number of requests in flight into parts that differ by one at the most; each part is 1 at least.

    >>> split_requests_in_flight_evenly(16, 3), split_requests_in_flight_evenly(1, 2)
    ([6, 5, 5], [1, 1])
    """
    return [max(total // part_count + (index < total % part_count), 1) for index in range(part_count)]


# Records of what the planning machine sends to a worker, and of what the worker returns.


MAX_TIME_WITHOUT_CALL_S = 120.0
"""Time without a call from the planning machine, in seconds, after which a worker ends the run, because that machine
was probably stopped."""


class ContractForWorker(NamedTuple):
    """The parts of a contract that are sent to a worker, which builds the validators itself."""

    document: Document
    provider: ProviderSpec
    account_plans: frozenset[str]

    @classmethod
    def of_contract(cls, contract: Contract) -> Self:
        """Return the parts of `contract` to send."""
        return cls(contract.document, contract.provider, contract.account_plans)

    def build_contract(self) -> Contract:
        """Build the contract from these parts; a bundled contract has the path of its document on this machine.

        Raises:
            UsageError: this machine has another bundled contract of the same provider.
        """
        document, own_path = copy.copy(self.document), load_catalogue().bundled_paths.get(self.provider.id)
        own = load_catalogue().find_provider(self.provider.id) if own_path is not None else None
        if own is not None and own.document.sha256 == document.sha256:
            document.path = own.document.path
        elif is_bundled(document.path):
            raise UsageError(
                f"the bundled contract of {self.provider.id} is another one there: install the same voicegauge"
            )
        contract = build_contract(document, Schemas(document))
        return dataclasses.replace(contract, provider=self.provider, account_plans=self.account_plans)


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to measure samples of a run; it contains no key."""

    contracts: tuple[ContractForWorker, ...]
    is_emulated: bool
    """Whether the worker starts an emulator of its own, and measures that."""
    emulator_settings: EmulatorSettings
    base_urls_by_provider: Mapping[str, Mapping[str, str]]
    """The user's own base URLs, by provider id and then by server name."""
    allowed_keys: tuple[str, ...]
    """Which variable's key may go to which host; see `check_key_consent`."""
    allows_insecure_http: bool
    """Whether a key may be sent unencrypted to another machine."""
    delivery_settings: DeliverySettings
    """How samples are requested."""
    seed: int
    """Seed of random waits between attempts."""
    max_wait_s: float | None
    """Maximum time of one delivery in seconds; `None` for as long as the contract documents."""
    uses_http2: bool
    """Whether HTTP/2 is used with servers that support it."""
    concurrency: int
    """Number of requests that the worker is expected to have in flight."""
    requests_per_s: float | None
    """Rate at which the worker is expected to send; `None` without a fixed rate."""


class EarlierRequest(Record, frozen=True, kw_only=True):
    """A submit that an earlier process sent for a sample: its job is polled again, or its request is sent again."""

    job_id: str | None = None
    """The job that was submitted already; `None` to send a request."""
    charged_usd: float | None = None
    """The charge in dollars that the response to the submit reported; `None` if it reported none."""
    idempotency_key: str | None = None
    """The idempotency key of the request that is sent again; `None` to continue a job."""
    earlier_attempt_count: int = 0
    """Number of submits of earlier processes."""


class SampleOrder(Record, frozen=True, kw_only=True):
    """One sample that a worker has to measure."""

    number: int
    """Number of the order, unique in its run: a worker carries each of them out once."""
    planned_sample: PlannedSample
    """What is to be sent, and to which target."""
    price: PriceQuote
    """Price of the request, for which the planning machine has reserved money."""
    upload: SpokenUpload | None = None
    """The audio to send; `None` for a target that takes text."""
    idempotency_key: str | None = None
    """The idempotency key of a new request; `None` where the contract documents none."""
    earlier_request: EarlierRequest | None = None
    """What an earlier process sent for the sample; `None` if nothing."""
    is_at_fixed_rate: bool = False
    """Whether the sample is due as soon as the worker has the order."""
    slot_wait_ms: float = 0.0
    """How long the sample has waited because as many requests as allowed were in flight."""


class MeasuredSample(Record, frozen=True, kw_only=True):
    """What a worker returns for an order."""

    sample: Sample | None
    """The sample, with times of the worker's clock; `None` if it could not be sent: `error_message` says why."""
    audio: bytes | None = None
    """The received audio; `None` if there is none, also if the target transcribes audio that was sent to it."""
    billing: BillingStatus
    """What is known about whether the last submit is charged."""
    charged_usd: float | None = None
    """What a response states as the charge in dollars; `None` if none does."""
    unreadable_charge: str | None = None
    """What a response states as the charge, if that cannot be believed; otherwise `None`."""
    has_open_job: bool = False
    """Whether the job was paid for and not followed to its end."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""
    submits: tuple[SubmitEvent, ...] = ()
    """The events of all submits of the sample for the journal, in the order of time."""
    error_message: str | None = None
    """Why the sample could not be sent; `None` if it was sent."""
    worker_knows_run: bool = True
    """Whether the worker's process knows the run. A process that was restarted does not, and sends nothing."""


# Finds the keys and servers of a run on the worker.


def _open_provider_access(
    setup: WorkerSetup, resources: contextlib.ExitStack
) -> tuple[list[Contract], dict[str, ProviderAccess]]:
    """Return the contracts of a run, and the access to their providers.

    Raises:
        MissingKeyError: a key is not set in the worker's environment.
        UsageError: this machine has another version of a contract, or a key would be sent where it must not be.
    """
    contracts = [sent.build_contract() for sent in setup.contracts]
    if setup.is_emulated:
        missing = [one.document.path for one in contracts if not one.document.path.exists()]
        if missing:
            raise UsageError(f"the emulator needs {missing[0]}, which is not on this machine: copy it there")
        emulator = resources.enter_context(running_emulator(contracts, setup.emulator_settings))
        return contracts, build_emulated_access(contracts, emulator)
    access = {}
    for contract in contracts:
        base_urls = setup.base_urls_by_provider[contract.id]
        if not setup.allows_insecure_http:
            find_key_destinations(contract, base_urls).check_encryption()
        access[contract.id] = ProviderAccess(base_urls, read_permitted_key(contract, base_urls, setup.allowed_keys))
    return contracts, access


# Measures samples, in a thread with an event loop of its own.


class _Session(NamedTuple):
    """The clients of one session, by provider id, and the requester that sends the samples through them."""

    clients: Mapping[str, Client]
    requester: DeliveryRequester


class _WorkerRun:
    """One run on this worker."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._access: dict[str, ProviderAccess]
        self._probes: TimingProbes | None = None
        self._session: _Session | None = None
        self._session_end: asyncio.Event | None = None
        self._session_task: asyncio.Task[None] | None = None
        self._lag = EventLoopLag()
        self._known_numbers: set[int] = set()
        """Numbers of the orders that arrived: a repeated one must not buy anything again."""
        self.last_message_s = time.monotonic()

    def start(self) -> None:
        """Start the thread, and wait until it can begin a session.

        Raises:
            MissingKeyError: a key is not set in the environment of this worker.
            UsageError: the contract differs on this machine, or a key would be sent where it must not be.
        """
        started: Future[None] = Future()
        # A daemon: the process of the worker may end while a run goes on.
        threading.Thread(target=self._run_thread, args=(started,), name="voicegauge", daemon=True).start()
        started.result()

    def _run_thread(self, started: Future[None]) -> None:
        try:
            with contextlib.ExitStack() as resources:
                contracts, self._access = _open_provider_access(self._setup, resources)
                with contextlib.suppress(OSError):  # without the server, the error of times is not known
                    self._probes = TimingProbes(resources.enter_context(run_loopback_server()))
                self._contracts = contracts
                self._targets = {target.id: target for one in contracts for target in one.iterate_targets()}
                self._quoter = FailedExchangeQuoter({name: one.api_key for name, one in self._access.items()}, ())
                with reduce_event_loop_delays():
                    asyncio.run(self._run_until_end(started))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            if not started.done():
                started.set_exception(error)

    async def _run_until_end(self, started: Future[None]) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with self._lag.measure_lag():
            started.set_result(None)
            while not self._end.is_set() and time.monotonic() - self.last_message_s < MAX_TIME_WITHOUT_CALL_S:
                # Awake now and then, to see whether the planning machine still calls.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end.wait(), MAX_TIME_WITHOUT_CALL_S / 10)
            await self.end_session()

    async def call(self, coroutine_function: Callable[..., object], *args: object) -> object:
        """Call a method in the event loop of the run's thread, and return the result; this also keeps the run alive."""
        self.last_message_s = time.monotonic()
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(coroutine_function(*args), self._loop)  # type: ignore[arg-type]
        )

    async def begin_session(self) -> None:
        """Close the connections of the session before, and open new ones."""
        await self.end_session()
        ready: asyncio.Future[None] = self._loop.create_future()
        self._session_end = asyncio.Event()
        self._session_task = asyncio.create_task(self._keep_session_open(ready, self._session_end))
        await asyncio.wait([ready, self._session_task], return_when=asyncio.FIRST_COMPLETED)
        # The task has ended before it was ready: waiting for it raises its error.
        if self._session_task.done():
            await self._session_task

    async def end_session(self) -> None:
        """Close the connections, if any are open."""
        if self._session_end is not None and self._session_task is not None:
            self._session_end.set()
            await self._session_task
        self._session = self._session_end = self._session_task = None

    async def _keep_session_open(self, opened: asyncio.Future[None], end_requested: asyncio.Event) -> None:
        """Keep the connections of a session open until `end_requested` is set; `opened` is done once they are open."""
        setup = self._setup
        async with (
            self._open_transport() as transport,
            DeliveryRequester.open(setup.delivery_settings, self._targets.values()) as requester,
            self._probes.send_with(transport) if self._probes is not None else contextlib.nullcontext(),
        ):
            clients = open_clients(
                self._contracts,
                self._access,
                transport,
                {},  # the planning machine reserves what an order costs, and an order buys one request at the most
                setup.seed,
                max_wait_s=setup.max_wait_s,
                staggers_polls=not setup.is_emulated,
            )
            self._session = _Session(clients, requester)
            opened.set_result(None)
            await end_requested.wait()

    def _open_transport(self) -> Transport:
        return open_benchmark_transport(uses_http2=self._setup.uses_http2)

    async def prepare_connections(self, target_ids: tuple[str, ...], request_count: int) -> None:
        """Open connections to the targets for a number of requests in flight."""
        assert self._session is not None, "a session begins first"
        targets = [self._targets[name] for name in target_ids]
        await prepare_connections_of_targets(targets, self._session.clients, request_count)

    async def measure(self, order: SampleOrder) -> MeasuredSample:
        """Send the request of an order, unless this worker has received the same order before, and measure it."""
        if self._session is None or order.number in self._known_numbers:
            message = "the order was carried out before" if self._session is not None else "there is no session"
            return MeasuredSample(sample=None, billing=BillingStatus.NOT_SENT, error_message=message)
        self._known_numbers.add(order.number)
        submits: list[SubmitEvent] = []
        times = SampleTimes(
            datetime.now(UTC),
            self._loop.time(),
            time.perf_counter() * 1000 if order.is_at_fixed_rate else None,
            order.slot_wait_ms,
        )
        try:
            delivery = await self._request_delivery(order, self._session, submits)
        except VoicegaugeError as error:
            billing = BillingStatus.AMBIGUOUS if submits else BillingStatus.NOT_SENT
            return MeasuredSample(sample=None, billing=billing, submits=tuple(submits), error_message=str(error))
        return await self._build_result(order, delivery, times, tuple(submits))

    async def _request_delivery(self, order: SampleOrder, session: _Session, submits: list[SubmitEvent]) -> Delivery:
        target = self._targets[order.planned_sample.target]
        client, earlier_request = session.clients[target.contract.id], order.earlier_request
        if earlier_request is not None and earlier_request.job_id is not None:
            price_usd = self._setup.delivery_settings.user_price_usd_by_target.get(target.id)
            return await client.resume_job(
                target, earlier_request.job_id, charged_usd=earlier_request.charged_usd, price_usd=price_usd
            )
        key = earlier_request.idempotency_key if earlier_request is not None else None
        requested = RequestedSample(
            order.planned_sample,
            target,
            order.price,
            order.upload,
            SubmitRecorder(submits.append, order.planned_sample.id, order.price.price_usd, waits_for_disk=False),
            RequestToRepeat(key, None) if key is not None else None,
            order.idempotency_key,
        )
        return await session.requester.request(requested, client)

    async def _build_result(
        self, order: SampleOrder, delivery: Delivery, times: SampleTimes, submits: tuple[SubmitEvent, ...]
    ) -> MeasuredSample:
        ended_s = self._loop.time()
        await asyncio.sleep(0)  # a lag until now is noted in this turn of the loop
        target = self._targets[order.planned_sample.target]
        audio, media_type = select_delivery_audio(delivery, order.upload)
        earlier_attempt_count = order.earlier_request.earlier_attempt_count if order.earlier_request is not None else 0
        sample = build_sample(
            order.planned_sample,
            target,
            delivery,
            order.price,
            times,
            attempt_count=earlier_attempt_count or delivery.submit_count,
            max_lag_ms=self._lag.find_max_lag_ms(times.started_s, ended_s),
            saved_audio=None if audio is None else build_unmeasured_audio(audio, media_type, file_path=""),
            failed_exchange=self._quoter.quote_exchange_if_cause_is_new(target, delivery),
        )
        return MeasuredSample(
            sample=sample,
            audio=delivery.audio,
            billing=delivery.billing_status,
            charged_usd=delivery.charged_usd,
            unreadable_charge=delivery.unreadable_charge,
            has_open_job=delivery.has_open_job,
            is_emulated=any(map(is_emulated, delivery.exchanges)),
            submits=submits,
        )

    async def find_timing_error(self) -> TimingError | None:
        """Return the error of times, measured now if the run was too short for it; `None` if measuring failed."""
        setup = self._setup
        measured = self._probes.summarize(setup.concurrency, setup.requests_per_s) if self._probes is not None else None
        if measured is not None:
            return measured
        try:
            return await measure_timing_error(
                setup.concurrency, self._open_transport, requests_per_s=setup.requests_per_s
            )
        except (OSError, TransportError):
            return None

    async def stop(self) -> None:
        """Let the thread end its session, and then itself."""
        self._end.set()


# Functions that the planning machine calls on a worker. They run in Dask's event loop, and only pass calls on.


_run_by_name: dict[str, _WorkerRun] = {}
"""The runs of this process, by a name that the planning machine chooses."""


async def prepare_run(run_name: str, setup: WorkerSetup) -> str | None:
    """Prepare to measure samples of a run, and return why that is impossible; `None` if it is possible."""
    run = _WorkerRun(setup)
    try:
        await asyncio.to_thread(run.start)
    except VoicegaugeError as error:
        return str(error)
    _run_by_name[run_name] = run
    return None


async def begin_session(run_name: str, target_ids: tuple[str, ...], request_count: int) -> None:
    """Begin a session of a run with new connections.

    Connections to the targets `target_ids` are opened in advance, for `request_count` requests in flight.
    """
    run = _run_by_name[run_name]
    await run.call(run.begin_session)
    await run.call(run.prepare_connections, target_ids, request_count)


async def measure_sample(run_name: str, order: bytes) -> bytes:
    """Measure one sample: a `SampleOrder` in, a `MeasuredSample` out, both as MessagePack."""
    run = _run_by_name.get(run_name)
    if run is None:
        return msgspec.msgpack.encode(
            MeasuredSample(sample=None, billing=BillingStatus.NOT_SENT, worker_knows_run=False)
        )
    return msgspec.msgpack.encode(await run.call(run.measure, msgspec.msgpack.decode(order, type=SampleOrder)))


def read_worker_clock(run_name: str) -> float:
    """Return this machine's time in seconds since 1970; the call also keeps the run from ending.

    See `MAX_TIME_WITHOUT_CALL_S`.
    """
    if (run := _run_by_name.get(run_name)) is not None:
        run.last_message_s = time.monotonic()
    return time.time()


async def close_run(run_name: str, *, measures_timing_error: bool) -> TimingError | None:
    """End a run on this worker, and return the error of its times; `None` if it is unknown or not to be measured."""
    run = _run_by_name.pop(run_name, None)
    if run is None:
        return None
    try:
        await run.call(run.end_session)
        found = await run.call(run.find_timing_error) if measures_timing_error else None
    finally:
        await run.call(run.stop)
    assert found is None or isinstance(found, TimingError)
    return found

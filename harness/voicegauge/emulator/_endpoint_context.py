"""What all endpoints of a provider share: its jobs, resources and downloads, and the base class of its WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from starlette.types import Receive, Send

from voicegauge.contract.contract import BaseSocketTarget, BaseTarget, Contract, Target
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.sockets import SocketSpec
from voicegauge.contract.operation import Operation, find_id_parameter
from voicegauge.contract.price_computation import PriceQuote, quote_price
from voicegauge.contract.socket_messages import ClientIntent
from voicegauge.emulator._accounts import REJECTED_KEY_PREFIX, AccountRegistry
from voicegauge.emulator._output import EmulatedResponse, SocketFault
from voicegauge.emulator._provider_state import (
    CLOCK_ADVANCE_PER_POLL_S,
    AudioFileStore,
    BoundedDict,
    EmulatedAccount,
    EmulatedBatch,
    EmulatedClock,
    EmulatedJob,
    compute_state_durations_s,
    find_shortest_state_sequence,
)
from voicegauge.emulator._request import ParsedRequest, Rejection
from voicegauge.emulator._resource_endpoints import ResourceStore
from voicegauge.emulator._response_builder import ResponseBuilder
from voicegauge.emulator._schema_values import DEFAULT_ID_TEMPLATE, create_seeded_random, fill_random_hex, generate_id
from voicegauge.emulator._speech_synthesis import SynthesisRequest, SynthesizedSpeech, synthesize
from voicegauge.emulator.client_findings import ClientFindingLog, ClientMonitor
from voicegauge.emulator.fault_injection import FaultInjector
from voicegauge.emulator.process import SCENARIO_HEADER, STATE_SCENARIO_PREFIX, EmulatorSettings
from voicegauge.formats.locations import MISSING, Location
from voicegauge.speech.encoding import find_media_type_of_format

# Stores the jobs of one provider: creates, finds and updates them, and charges and refunds accounts.


MAX_STORED_JOBS = 20_000
"""Maximum number of stored jobs; older jobs are forgotten, so that memory stays bounded in long runs."""


class PlannedSpeech(NamedTuple):
    """The speech of one request, with the emulated duration of each phase."""

    target: Target
    """The target that the request addresses."""
    synthesis: SynthesisRequest
    billable_character_count: int
    """Number of characters that are charged."""
    submit_latency_s: float
    """Time in seconds until the request is accepted."""
    queue_time_s: float
    """Time in seconds for which the job waits before it is processed."""
    processing_time_s: float
    """Time in seconds that the synthesis takes."""


class JobStore:
    """Creates, finds and updates the jobs of one provider, and charges accounts."""

    def __init__(
        self, contract: Contract, settings: EmulatorSettings, clock: EmulatedClock, fault_injector: FaultInjector
    ) -> None:
        """Create a store without jobs."""
        self._contract, self._settings, self._clock, self._fault_injector = contract, settings, clock, fault_injector
        self.jobs = BoundedDict[str, EmulatedJob](MAX_STORED_JOBS)
        self._created_rng_count = 0
        self._refundable_jobs: list[EmulatedJob] = []

    def charge_target_price(
        self, account: EmulatedAccount, target: BaseTarget, character_count: int, audio_duration_s: float | None = None
    ) -> float | None:
        """Subtract the price of a request from the balance of an account; faults can change the amount.

        Args:
            account: the account to charge.
            target: the target that was used.
            character_count: the number of characters in the text.
            audio_duration_s: for audio input, the duration of the uploaded audio in seconds; else `None`.

        Returns:
            The amount in credits if the provider uses credits, else in US dollars; 0 for an account without a key, and
            `None` if there is no price.

        Raises:
            Rejection: the balance is too low.
        """
        price = quote_price(target, character_count, audio_s=audio_duration_s)
        return self.charge_price(account, price, lambda amount: self._fault_injector.change_charge(amount, target))

    def charge_price(
        self,
        account: EmulatedAccount,
        price: PriceQuote | PriceSpec | None,
        change_amount: Callable[[float], float] = lambda amount: amount,
    ) -> float | None:
        """Subtract a price from the balance of an account, after the refunds that are due were made.

        Args:
            account: the account to charge.
            price: the price; if it is `None`, nothing is charged.
            change_amount: function that returns the amount to charge instead of the computed amount; faults change it.

        Returns:
            The amount in credits if the provider uses credits, else in US dollars; 0 for an account without a key, and
            `None` if there is no price.

        Raises:
            Rejection: the balance is too low.
        """
        if isinstance(price, PriceSpec):
            price = PriceQuote(price.usd_per_unit, price.credits_per_unit, price.usd_per_unit)
        if price is None:
            return None
        if self._contract.provider.credits is not None:
            amount = price.price_credits
        else:
            # Where no document that binds the provider states a price, what a client reserves is charged.
            amount = price.price_usd if price.price_usd is not None else price.reserved_usd
        if amount is None:
            return None
        if account.is_keyless:
            return 0.0  # nobody pays without a key; the allowance of characters limits such requests
        # Jobs that will end in a state without charge: accounts are refunded even if nobody polls.
        for job in self._refundable_jobs:
            self.update_job_state(job)
        self._refundable_jobs = [job for job in self._refundable_jobs if not job.is_refunded]
        if account.credit_balance is not None and account.credit_balance < amount:
            raise Rejection("no-credit", None, f"{amount:g} needed, {account.credit_balance:g} left")
        # After the check of the balance: a faulty provider bills too much for what it has accepted.
        amount = change_amount(amount)
        account.subtract_from_balance(amount)
        return amount

    def create_job(
        self,
        request: ParsedRequest,
        planned_speech: PlannedSpeech,
        account: EmulatedAccount,
        charge: float | None,
        batch_items: list[EmulatedJob] | None = None,
    ) -> EmulatedJob:
        """Create a job, or a batch if `batch_items` are given.

        Args:
            request: the request that submits the job.
            planned_speech: what the job speaks, and how long it takes.
            account: the account that the job belongs to.
            charge: the amount charged; `None` if the request has no price.
            batch_items: the jobs of a batch; `None` for a single job.

        Raises:
            Rejection: the scenario header names a state that such jobs do not have.
        """
        target = planned_speech.target
        assert target.job_operation is not None
        spec = target.job_operation.job
        assert spec is not None
        scenario = (request.incoming_request.find_header(SCENARIO_HEADER) or "").strip()
        end = scenario.removeprefix(STATE_SCENARIO_PREFIX) if scenario.startswith(STATE_SCENARIO_PREFIX) else None
        if end is not None and end not in spec.states:
            raise Rejection("invalid", None, f"{SCENARIO_HEADER}: this job has no state {end!r}")
        # Faults come last: they change the way to the state that the header asks for, too.
        path = self._fault_injector.change_job_states(spec, find_shortest_state_sequence(spec, end), target)
        rng = self.create_next_rng()
        job = (EmulatedJob if batch_items is None else functools.partial(EmulatedBatch, items=batch_items))(
            id=generate_id(
                target.target_spec.emulation.job_id_format,
                DEFAULT_ID_TEMPLATE,
                find_id_parameter(target.job_operation),
                rng,
            ),
            target=target,
            account=account,
            synthesis=planned_speech.synthesis,
            state_sequence=path,
            state_durations_s=compute_state_durations_s(
                spec, path, planned_speech.queue_time_s, planned_speech.processing_time_s
            ),
            created_at_s=self._clock.now(),
            charge=charge,
            response_constants=fill_constant_placeholders(target, rng),
        )
        self.jobs[job.id] = job
        last = spec.states.get(path[-1])
        if last is not None and last.is_charged is False:
            self._refundable_jobs.append(job)
        return job

    async def wait_for_end(self, job: EmulatedJob, max_wait_s: float) -> None:
        """Wait until a job has ended, at most for `max_wait_s` seconds multiplied by the time scale.

        With a clock that advances with each poll, the job ends at once. With a virtual clock, the method does not wait.
        """
        if max_wait_s <= 0:
            return
        if self._clock.advances_per_poll:
            for _ in job.state_durations_s:  # as many polls as there are states before the last
                self._clock.advance(CLOCK_ADVANCE_PER_POLL_S)
                self.update_job_state(job, is_poll=True)
            return
        await self._clock.sleep(min(sum(job.state_durations_s), self._clock.scale_duration(max_wait_s)))
        self.update_job_state(job)

    def create_next_rng(self) -> random.Random:
        """Return a new random generator.

        In every run with the same seed, the n-th call returns an equal generator.
        """
        self._created_rng_count += 1
        return create_seeded_random(self._settings.seed, self._contract.id, self._created_rng_count)

    def find_job(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedJob:
        """Return the job that one of the path or query parameters names.

        Raises:
            Rejection: there is no such job, it has expired, or the operation needs a key and the job belongs to another
                account.
        """
        # Of all parameters, because contracts need not say which of them is the id of a job.
        for value in (*request.path_parameters.values(), *request.query_parameters.values()):
            job = self.jobs.get(str(value))
            # Without a key, a job belongs to nobody: all who know its id may ask for it.
            anyones = not request.operation.needs_key or self._fault_injector.is_check_skipped("key", request.operation)
            if job is not None and (anyones or job.account is account):
                self._check_expiry(job)
                return job
        raise Rejection("not-found", None, "no such job")

    def _check_expiry(self, job: EmulatedJob) -> None:
        status = job.target.job_operation
        spec = status.job if status is not None else None
        if (
            status is None
            or spec is None
            or spec.ended_job_lifetime_s is None
            or self._fault_injector.is_check_skipped("expiry", status)
        ):
            return
        self.update_job_state(job)
        ended = job.find_end_time(spec)
        if ended is not None and self._clock.now() - ended > spec.ended_job_lifetime_s:
            raise Rejection("expired", None, f"the job ended more than {spec.ended_job_lifetime_s:g} s ago")

    def cancel_job(self, job: EmulatedJob, job_spec: JobSpec) -> None:
        """Cancel a job, unless it has ended or a fault prevents cancellation."""
        self.update_job_state(job)  # it may have ended since the last request about it
        if job_spec.cancellation is not None and not self._fault_injector.is_check_skipped(
            "cancelling", job.target.operation
        ):
            job.cancel(job_spec.cancellation.resulting_state, job_spec, self._clock.now())
        self.update_job_state(job)

    def update_job_state(self, job: EmulatedJob, *, is_poll: bool = False) -> str:
        """Update a job and return its state; refund the charge if the state is a failure that costs nothing."""
        state = job.update_state(self._clock, is_poll=is_poll)
        operation = job.target.job_operation
        spec = operation.job.states.get(state) if operation and operation.job else None
        if spec is not None and spec.terminal_outcome == "failure" and spec.is_charged is False and not job.is_refunded:
            job.is_refunded = True
            job.account.subtract_from_balance(-job.charge if job.charge else None)
        return state

    def has_succeeded(self, job: EmulatedJob) -> bool:
        """Whether `job` has ended in success by now; its state is updated first."""
        operation = job.target.job_operation
        state = self.update_job_state(job)
        known = operation.job.states.get(state) if operation and operation.job else None
        return known is not None and known.terminal_outcome == "success"


def fill_constant_placeholders(target: Target, rng: random.Random) -> dict[Location, object]:
    """Return the fixed values of responses by location, with each "{hexN}" replaced by N random hexadecimal digits."""
    return {
        location: fill_random_hex(value, rng) if isinstance(value, str) else value
        for location, value in target.target_spec.emulation.response_constants.items()
    }


# Serves the audio that clients download: from jobs, from speech responses and from processed uploads.


MAX_SPEECH_FILES = 20_000
"""Maximum number of speech files that can be downloaded; older files are forgotten, so that memory stays bounded. Only
the parameters of the synthesis are stored, not the audio."""


SHARED_FILE_WRITING_DURATION_S = 0.5
"""Time in seconds from writing to reading a file that several requests share because of a fault. It is real time,
since clients send the requests in real time."""


class AudioDownloads:
    """Finds or synthesizes the audio behind the URLs of one provider."""

    def __init__(self, job_store: JobStore, fault_injector: FaultInjector) -> None:
        """Create a store without files. The audio of jobs is read from `job_store`."""
        self._job_store, self._fault_injector = job_store, fault_injector
        self.files = AudioFileStore()
        """Audio made from uploads, each under its file name."""
        self._shared_files: dict[tuple[str, str, int], SynthesisRequest] = {}
        """What was written last to the file of each target, voice and pitch, if a fault gives them one file."""
        self._speech_by_media_id = BoundedDict[str, tuple[Target, SynthesisRequest]](MAX_SPEECH_FILES)

    def add_speech(self, media_id: str, target: Target, synthesis: SynthesisRequest) -> None:
        """Make speech available as `media_id`; it is synthesized when it is downloaded."""
        self._speech_by_media_id[media_id] = (target, synthesis)

    async def synthesize_with_faults(self, target: Target, synthesis: SynthesisRequest) -> SynthesizedSpeech:
        """Return the speech that `synthesis` describes, encoded and changed by the faults of `target`."""
        synthesis = self._fault_injector.change_synthesis(synthesis, target)
        if self._fault_injector.is_check_skipped("file-names", target.operation):
            name = (target.id, synthesis.espeak_variant, synthesis.pitch)
            self._shared_files[name] = synthesis
            # Another request with this name that arrives now replaces what this one will read.
            await asyncio.sleep(SHARED_FILE_WRITING_DURATION_S)
            synthesis = self._shared_files[name]
        return await synthesize(synthesis)

    async def find_download_response(self, file_name: str) -> EmulatedResponse | None:
        """Return the response with the file `file_name`, which may have an extension.

        Return `None` if the file does not exist or is not ready yet.
        """
        for media_id in (file_name, file_name.rpartition(".")[0]):
            job = self._job_store.jobs.get(media_id)
            if job is not None and self._job_store.has_succeeded(job):
                return await self._build_speech_download(job.target, job.synthesis, job)
            generated = self.files.find_file(media_id)
            if generated is not None:
                return _build_download(generated.audio_bytes, generated.audio_format)
            if media_id in self._speech_by_media_id:
                return await self._build_speech_download(*self._speech_by_media_id[media_id], None)
        return None

    async def _build_speech_download(
        self, target: Target, synthesis: SynthesisRequest, job: EmulatedJob | None
    ) -> EmulatedResponse:
        speech = await self.synthesize_with_faults(target, synthesis)
        return _build_download(speech.audio_bytes, synthesis.audio_format, target=target, job=job)


def _build_download(audio_bytes: bytes, audio_format: str, **fields: Any) -> EmulatedResponse:
    media_type = find_media_type_of_format(audio_format)
    return EmulatedResponse("audio", 200, audio_bytes, media_type, audio_format=audio_format, **fields)


# Defines the objects that all endpoints of one provider share.


class EndpointContext:
    """Contract, settings and state of one emulated provider, for use by its endpoints, WebSockets and webhooks."""

    def __init__(
        self,
        contract: Contract,
        settings: EmulatorSettings,
        *,
        clock: EmulatedClock,
        fault_injector: FaultInjector,
        client_findings: ClientFindingLog,
        upload_lock: asyncio.Lock,
    ) -> None:
        """Create the state of a provider without accounts, jobs and resources.

        Args:
            contract: contract of the provider.
            settings: settings of the emulator.
            clock: the time of the emulator. All providers share it, as they share the following objects.
            fault_injector: applies the injected faults.
            client_findings: where findings about the clients of WebSockets go.
            upload_lock: held while an uploaded recording is decoded and processed, because its samples may take
                hundreds of megabytes.
        """
        self.contract, self.settings, self.clock = contract, settings, clock
        self.fault_injector, self.client_findings, self.upload_lock = fault_injector, client_findings, upload_lock
        self.response_builder = ResponseBuilder(contract)
        self.accounts = AccountRegistry(contract, settings)
        self.job_store = JobStore(contract, settings, clock, fault_injector)
        self.resources = ResourceStore(contract, fault_injector, is_quota_enforced=settings.enforces_rate_limits)
        self.downloads = AudioDownloads(self.job_store, fault_injector)


# The base class of emulated WebSocket connections: the messages, limits and end of those that speak or transcribe.


NORMAL_CLOSE_CODE, POLICY_CLOSE_CODE, TOO_BIG_CLOSE_CODE = 1000, 1008, 1009
MAX_CLOSE_REASON_BYTES = 123
"""Maximum size of the reason in a close frame, as UTF-8."""


class ConnectionEndedError(Exception):
    """Raised if nothing more can be sent, because the connection has ended."""


def list_setting_locations(spec: SocketSpec) -> set[Location]:
    """Return the locations at which a client of the channel may state a voice, a language, a model or a format."""
    locations = {one for one in (spec.voice_location, spec.language_location) if one is not None}
    for target in spec.targets.values():
        locations |= set(target.request_constants)
        for audio_format in target.formats.values():
            locations |= set(audio_format.request_constants)
    return locations


def _matches_constant(value: Any, constant: Any) -> bool:
    """Whether `value` equals `constant` or its text, or is an object that has all members of the object `constant`."""
    if isinstance(constant, dict) and isinstance(value, dict):
        return all(_matches_constant(value.get(key), item) for key, item in constant.items())
    return bool(value == constant) or (isinstance(value, str) and value == str(constant))


class EmulatedConnection(ABC):
    """One accepted WebSocket connection."""

    def __init__(
        self,
        operation: Operation,
        handshake_values: Mapping[Location, Any],
        context: EndpointContext,
        receive: Receive,
        send: Send,
    ) -> None:
        """Prepare to answer the messages of a client whose handshake was accepted.

        Args:
            operation: the channel of the connection.
            handshake_values: what the handshake states of voice, language, model and format, by location.
            context: contract, settings and state of the provider.
            receive: receives messages of the client.
            send: sends messages to the client.
        """
        assert operation.socket is not None, "only channels have sockets"
        self._operation, self._channel, self._spec = operation, operation.socket, operation.socket.spec
        self._receive, self._send, self._settings = receive, send, context.settings
        self._handshake_values, self._fault_injector = handshake_values, context.fault_injector
        self._client_monitor = ClientMonitor(operation, context.client_findings)
        self._work_checks = context.client_findings.work_checks
        self._is_closed = False
        self._send_lock = asyncio.Lock()

    async def run(self) -> None:
        """Answer messages until the connection ends."""
        limit = self._spec.limits.inactivity
        # Without waiting times, a client would be idle at once.
        idle_s = None if limit is None else limit.max_s * (self._settings.time_scale or 1.0)
        is_closed_by_client = False
        self._work_checks.add(self._has_more_to_send)  # a check asks before it gives up waiting for more
        try:
            await self._report_event("connected")
            if "session" not in self._spec.client_messages:
                await self._report_event("session")
            while not self._is_closed:
                try:
                    async with asyncio.timeout(idle_s):
                        event = await self._receive()
                except TimeoutError:
                    assert limit is not None, "otherwise there is no timeout"
                    self._client_monitor.report("client-idle", f"nothing was sent for {idle_s:g} s")
                    await self._close(limit.close_code, "inactivity")
                    return
                if event["type"] == "websocket.disconnect":
                    is_closed_by_client = True
                    return
                if event["type"] == "websocket.receive":
                    await self._answer_message(event)
        except ConnectionEndedError:
            return
        finally:
            self._work_checks.discard(self._has_more_to_send)
            self._client_monitor.judge_end_of_connection(is_closed_by_client=is_closed_by_client)
            await self._stop_unfinished_work()

    @abstractmethod
    async def _answer_message(self, event: Mapping[str, Any]) -> None:
        """Answer one message of the client, which `event` has as `text` or `bytes`, as in ASGI."""

    @abstractmethod
    def _has_more_to_send(self) -> bool:
        """Whether the emulator will send more messages even if the client sends none."""

    @abstractmethod
    async def _report_event(self, event_kind: Any, **values: Any) -> None:
        """Send an event with `values`, by placeholder of its template, if the contract has such a message."""

    @abstractmethod
    async def _stop_unfinished_work(self) -> None:
        """End what was still in progress when the connection ended."""

    def _read_setting(self, location: Location) -> Any:
        """Return what the client has stated at `location`; `MISSING` if it has stated nothing."""
        return self._handshake_values.get(location, MISSING)

    def _count_sent_constants(self, constants: Mapping[Location, Any]) -> int:
        """Return the number of `constants`, given by location, that the client has sent."""
        return sum(_matches_constant(self._read_setting(location), value) for location, value in constants.items())

    def _list_socket_faults(self, target: BaseSocketTarget) -> list[SocketFault]:
        return self._fault_injector.list_socket_faults(target)

    async def _accept_key_message(self, intent: ClientIntent, faults: Iterable[SocketFault]) -> bool:
        """Check the key of the first message, and return whether the connection is ready, which is then reported.

        If the key is missing or wrong, an error is reported, and the connection is closed.
        """
        is_missing = not intent.key or intent.key.startswith(REJECTED_KEY_PREFIX)
        if self._spec.sends_key_in_message and is_missing and not any(fault.ignores_key for fault in faults):
            self._client_monitor.report("client-message-invalid", "the API key is missing or not valid")
            await self._report_event("error", reason="the API key is not valid")
            await self._close(POLICY_CLOSE_CODE, "unauthorized")
            return False
        await self._report_event("session")
        return True

    async def _report_error_or_close(self, reason: str, **values: Any) -> None:
        """Report an error with `values`, or close the connection if the contract has no message for errors."""
        if self._spec.has_event("error"):
            await self._report_event("error", reason=reason, **values)
        else:
            await self._close(POLICY_CLOSE_CODE, reason)

    async def _send_text(self, text: str) -> None:
        await self._send_event({"type": "websocket.send", "text": text})

    async def _send_event(self, event: dict[str, Any]) -> None:
        if self._is_closed:
            raise ConnectionEndedError
        try:
            # Each turn has a task that sends, beside the one that answers the client.
            async with self._send_lock:
                await self._send(event)
        except (OSError, RuntimeError) as error:  # the client has gone
            self._is_closed = True
            raise ConnectionEndedError from error

    async def _close(self, code: int | None, reason: str) -> None:
        if not self._is_closed:
            # A close frame has at most 125 bytes (RFC 6455, section 5.5), two of them for the code. A longer one is not
            # sent at all: the connection would end without any.
            shown = reason.encode(errors="replace")[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
            close = {"type": "websocket.close", "code": code or NORMAL_CLOSE_CODE, "reason": shown}
            with contextlib.suppress(ConnectionEndedError):
                await self._send_event(close)
            self._is_closed = True

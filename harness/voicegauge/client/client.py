"""Sends requests to one provider: operations, deliveries of speech from the submit to the audio, and uploads."""

from __future__ import annotations

import asyncio
import copy
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Self

from voicegauge.client.audio_download import WHOLE_BODY_AUDIO, DownloadedAudio, fetch_audio
from voicegauge.client.connection import ProviderConnection
from voicegauge.client.exchange_log import (
    DeliveryDeadline,
    DeliveryFailedError,
    DeliveryInterruptedError,
    ExchangeLog,
    build_rejection_failure,
    describe_exchange,
    iterate_retry_waits_s,
)
from voicegauge.client.http_request import add_idempotency_key, create_idempotency_key
from voicegauge.client.job_polling import JobPoller, JobTracker
from voicegauge.client.ledger import (
    Ledger,
    Reservation,
    Settlement,
    SubmitObserver,
    UsagePricedRequest,
    settle_when_done,
    should_send_again,
)
from voicegauge.client.speech_request import RequestParts, build_audio_input_request, map_speech_request
from voicegauge.contract.contract import AudioInputTarget, BaseTarget, Target
from voicegauge.contract.extension.speech import ResponseAudio
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, read_transcript
from voicegauge.contract.price_computation import quote_price
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats.bodies import UnreadableSubtitlesError
from voicegauge.formats.locations import Location
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import BillingStatus, Delivery, Exchange, Failure, Request, Timing, UploadedFile
from voicegauge.recording.masking import mask_record
from voicegauge.transport.timing import Clock, run_in_thread

CANCEL_REQUEST_TIMEOUT_S = 5.0
"""Time limit in seconds of the request that cancels a job: short, because the user has pressed Ctrl-C and waits."""


class ReceivedTranscript(NamedTuple):
    """The transcript of audio that was sent."""

    text: str
    exchange_index: int
    """Index of the exchange whose response contained the transcript."""


class DeliveryTask:
    """One delivery in progress: submit, poll, download. An instance is used once."""

    def __init__(
        self,
        connection: ProviderConnection,
        target: BaseTarget,
        submit_observer: SubmitObserver | None,
        settlement: Settlement,
        *,
        cancel_on_interrupt: bool,
        stop_at_undocumented_state: bool = False,
    ) -> None:
        """Prepare a delivery.

        Args:
            connection: the connection to the provider of `target`.
            target: the target that the request is for.
            submit_observer: notified before and after every submit; `None` notifies nobody.
            settlement: collects what becomes known about the charge.
            cancel_on_interrupt: whether cancelling the task also cancels the job, if the provider documents how.
            stop_at_undocumented_state: whether the delivery ends when the job is in a state that the contract does not
                name.
        """
        self._connection, self._target, self._observer = connection, target, submit_observer
        self._settlement, self._cancel_on_interrupt = settlement, cancel_on_interrupt
        self._stop_at_undocumented_state = stop_at_undocumented_state
        self._clock = connection.clock
        self._started_s = connection.clock.monotonic()
        status = target.job_operation
        job_s = status.job.poll_schedule.job_timeout_s if status is not None and status.job is not None else 0.0
        self._deadline = DeliveryDeadline(connection, max_job_duration_s=job_s)
        self._log = ExchangeLog(connection, self._deadline)
        self._job = JobTracker(connection, target, status, settlement) if status is not None else None
        self._attempts = 0
        self._submit_index: int | None = None
        self._observed_charge: tuple[float | None, str | None] = (None, None)
        """The charge of which the observer was notified, see `Settlement.reported_charge`."""
        self._first_sent_ms: float | None = None

    def submit_and_deliver(self, request: Request, idempotency_key: str | None = None) -> Coroutine[Any, Any, Delivery]:
        """Send `request`, and return its delivery. `idempotency_key` is the key in `request`; `None` if it has none."""
        return self._complete_delivery(self._submit(request, idempotency_key), self._fetch_result_of_submit)

    async def resume_job(self, job_id: str) -> Delivery:
        """Poll a job that was submitted earlier, and return its delivery."""
        self._settlement.status = BillingStatus.ACCEPTED
        if self._job is None:
            raise UsageError(f"{self._target.id} has no jobs: its responses are audio")
        return await self._complete_delivery(
            self._poll_resumed_job(self._job, job_id), functools.partial(self._fetch_job_result, self._job)
        )

    async def fetch_submitted(self, exchange: Exchange) -> Delivery:
        """Fetch the audio of a submit that was sent and accepted elsewhere; the delivery begins with `exchange`."""
        self._settlement.status = BillingStatus.ACCEPTED
        return await self._complete_delivery(self._note_earlier_submit(exchange), self._fetch_result_of_submit)

    async def _note_earlier_submit(self, exchange: Exchange) -> ParsedExchange:
        submit = self._log.add(exchange)
        self._submit_index = self._log.last_exchange_index
        if self._job is not None:
            self._job.record_job_id(submit)
        return submit

    async def _complete_delivery(
        self,
        first_exchange: Awaitable[ParsedExchange],
        fetch_result: Callable[[ParsedExchange], Awaitable[DownloadedAudio | ReceivedTranscript]],
    ) -> Delivery:
        """Return the delivery, also if it fails.

        Args:
            first_exchange: the accepted submit, or the last poll of a job that was submitted earlier.
            fetch_result: follows the first exchange to the audio or transcript.

        Raises:
            DeliveryInterruptedError: the task was cancelled.
        """
        try:
            return self._build_delivery(result=await fetch_result(await first_exchange))
        except DeliveryFailedError as error:
            has_open_job = error.is_temporary and self._job is not None and self._job.can_be_resumed
            return self._build_delivery(failure=error.failure, has_open_job=has_open_job)
        except asyncio.CancelledError as error:
            if self._cancel_on_interrupt:
                await self._cancel_job()
            job = self._job
            seen = f", last seen: state {job.last_state!r}" if job is not None and job.last_state is not None else ""
            failure = Failure(kind="interrupted", message=f"interrupted before the delivery was complete{seen}")
            has_open_job = job is not None and job.can_be_resumed
            raise DeliveryInterruptedError(self._build_delivery(failure=failure, has_open_job=has_open_job)) from error
        finally:
            await self._notify_of_later_charge()

    async def _fetch_result_of_submit(self, submit_exchange: ParsedExchange) -> DownloadedAudio | ReceivedTranscript:
        response = self._target.response
        if response.audio is not None:
            return await self._fetch_audio(submit_exchange, response.audio, self._target.operation)
        if self._job is None:
            return self._read_transcript(submit_exchange)
        return await self._poll_submitted_job_and_fetch(self._job, submit_exchange)

    def _read_transcript(self, submit_exchange: ParsedExchange) -> ReceivedTranscript:
        assert isinstance(self._target, AudioInputTarget)
        transcription = self._target.transcription
        assert transcription is not None, "a response without audio or a job is a transcript"
        location = transcription.response.text_location
        try:
            text, reason = read_transcript(submit_exchange, transcription.response), f"no text at {location}"
        except UnreadableSubtitlesError as error:
            text, reason = None, f"no {transcription.response.subtitle_format}: {error}"
        if text is None:
            shown = describe_exchange(submit_exchange.exchange, self._connection)
            message = self._connection.mask_secrets(f"the response has {reason}: {shown}")
            raise DeliveryFailedError(Failure(kind="protocol", message=message))
        return ReceivedTranscript(text, self._log.last_exchange_index)

    async def _poll_resumed_job(self, job: JobTracker, job_id: str) -> ParsedExchange:
        """Poll a job that was submitted earlier to its end, and return the last poll."""
        job.id = job_id
        request = job.build_poll_request_by_job_id(job_id)
        if request is None:
            status = job.status_operation
            raise UsageError(f"{status.contract.id} {status.id} does not say which parameter takes the job's id")
        return await self._create_poller(job).poll_until_done(request, poll_immediately=True)

    async def _submit(self, request: Request, idempotency_key: str | None) -> ParsedExchange:
        """Send `request`; repeat it while it is rejected with a status that the contract documents for retries.

        `idempotency_key` is the key in `request`; `None` if it has none. A request with a key is also repeated if the
        connection is lost, because it is charged only once.
        """
        retry = self._target.contract.provider.retry_policy
        for wait in (*iterate_retry_waits_s(retry, self._connection.retry_random), None):  # `None`: the last attempt
            await self._wait_for_rate_limit()
            self._deadline.require_time("no time is left for the next request")
            if self._observer is not None:
                try:
                    await self._call_observer_method(self._observer.before_submit, idempotency_key)
                except asyncio.CancelledError:
                    # The thread has noted the submit nevertheless, and nothing was sent.
                    await self._call_observer_method(self._observer.on_submit_not_sent)
                    raise
            self._attempts += 1
            self._settlement.note_sending()
            if self._attempts == 1:
                self._started_s = self._clock.monotonic()
            call_time_ms = time.perf_counter() * 1000
            try:
                submit = self._log.add(
                    await self._connection.send(
                        request, self._target.operation.id, max_total_s=self._deadline.exchange_timeout_s
                    )
                )
            except TransportError as error:
                self._record_time_of_first_attempt(call_time_ms)
                self._settlement.note_failure(error)
                is_not_sent = self._settlement.status is BillingStatus.NOT_SENT
                if self._observer is not None and is_not_sent:
                    await self._call_observer_method(self._observer.on_submit_not_sent)
                # What was sent may have been performed. Only with a key is a repetition charged once.
                if wait is None or (error.request_was_sent and idempotency_key is None):
                    raise self._log.build_no_response_error(
                        error, "; it may have been charged, so it was not sent again"
                    ) from error
                await self._log.wait_before_retry(wait, self._connection.mask_secrets(str(error)))
                continue
            self._record_time_of_first_attempt(call_time_ms, submit.exchange.timing)
            if await self._record_submit_response(submit):
                return submit
            rejection = build_rejection_failure(submit.exchange, self._connection)
            if wait is None or not should_send_again(submit.exchange.response.status, retry):
                raise DeliveryFailedError(rejection)
            await self._log.wait_before_retry(self._log.get_requested_wait_s(submit, wait), rejection.message)
        raise AssertionError("the last attempt has no wait")

    async def _call_observer_method(self, method: Callable[..., None], *args: Any) -> None:
        """Call a method of the observer: in a thread if it waits for the disk, which would delay other requests."""
        if self._observer is not None and self._observer.waits_for_disk:
            await run_in_thread(method, *args)
        else:
            method(*args)

    def _record_time_of_first_attempt(self, fallback_time_ms: float, timing: Timing | None = None) -> None:
        """Note the time at which the first attempt was sent; a later attempt changes nothing.

        The time is read from `timing`. If there was no response, `timing` is `None`, and `fallback_time_ms` is noted.
        """
        if self._first_sent_ms is None:
            opening_ms = timing.delay_before_send_ms if timing is not None else 0.0
            self._first_sent_ms = (fallback_time_ms if timing is None else timing.started_ms) + opening_ms
            if self._clock.is_clock_of_exchange_timings:
                self._started_s = self._first_sent_ms / 1000

    async def _wait_for_rate_limit(self) -> None:
        """Wait until the account's plan allows a request. The wait does not count towards the deadline."""
        started_s = self._clock.monotonic()
        await self._connection.wait_for_rate_limit(self._target.operation)
        self._deadline.extend(self._clock.monotonic() - started_s)

    async def _record_submit_response(self, submit_exchange: ParsedExchange) -> bool:
        """Note the response to a submit; return whether the submit was accepted.

        The observer learns the job id before anything else happens, so that an interrupted run can resume the job.
        """
        status = submit_exchange.exchange.response.status
        self._submit_index = self._log.last_exchange_index
        self._settlement.note_status(status, self._target.contract.provider.retry_policy)
        accepted = 200 <= status < 300
        if accepted:
            self._settlement.note_usage(submit_exchange)
        self._record_reported_charge(submit_exchange, self._target.response.charge_location)
        if accepted and self._job is not None:
            self._job.record_job_id(submit_exchange)
        if self._observer is not None:
            job_id = self._job.id if self._job is not None and self._job.can_be_resumed else None
            await self._call_observer_method(self._observer.after_submit, status, self._settlement, job_id)
            self._observed_charge = self._settlement.reported_charge
        return accepted

    async def _notify_of_later_charge(self) -> None:
        """Notify the observer again if a later response than that to the submit stated what the request is charged.

        Otherwise a command that is interrupted before it has judged the delivery would not know the charge.
        """
        if self._observer is None or self._submit_index is None:
            return
        if self._settlement.reported_charge != self._observed_charge:
            status = self._log.exchanges[self._submit_index].response.status
            job_id = self._job.id if self._job is not None and self._job.can_be_resumed else None
            await self._call_observer_method(self._observer.after_submit, status, self._settlement, job_id)

    # Jobs

    async def _poll_submitted_job_and_fetch(
        self, job_tracker: JobTracker, submit_exchange: ParsedExchange
    ) -> DownloadedAudio:
        if submit_exchange.exchange.response.media_type.startswith("audio/"):
            return await self._fetch_audio(submit_exchange, WHOLE_BODY_AUDIO, self._target.operation)
        if job_tracker.record_submit_response(
            submit_exchange,
            received_ms=(self._clock.monotonic() - self._started_s) * 1000,
            exchange_index=self._log.last_exchange_index,
        ):
            return await self._fetch_job_result(job_tracker, submit_exchange)
        last_poll = await self._create_poller(job_tracker).poll_until_done(
            job_tracker.build_poll_request(submit_exchange), poll_immediately=False
        )
        return await self._fetch_job_result(job_tracker, last_poll)

    def _create_poller(self, job_tracker: JobTracker) -> JobPoller:
        return JobPoller(
            self._log,
            job_tracker,
            submitted_at_s=self._started_s,
            stop_at_undocumented_state=self._stop_at_undocumented_state,
        )

    async def _fetch_job_result(self, job_tracker: JobTracker, final_poll: ParsedExchange) -> DownloadedAudio:
        """Return the audio of a job whose `final_poll`, or the response to its submit, says that it has ended."""
        if job_tracker.job_spec.result_operation_id is None:
            return await self._fetch_audio(final_poll, job_tracker.job_spec.speech_audio, job_tracker.status_operation)
        operation = self._target.contract.find_operation(job_tracker.job_spec.result_operation_id)
        result = await self._log.send_with_retries(
            job_tracker.build_result_request(final_poll, operation), operation.id
        )
        if not 200 <= result.exchange.response.status < 300:
            raise self._log.build_rejection_error(result, "fetching the result")
        self._settlement.note_usage(result)
        self._record_reported_charge(result, job_tracker.job_spec.charge_location)
        return await self._fetch_audio(result, job_tracker.job_spec.speech_audio, operation)

    async def _cancel_job(self) -> None:
        """Cancel the job, if the provider documents how, because nobody is waiting for the result any more."""
        job = self._job
        if job is None or job.job_spec.cancellation is None or job.has_ended:
            return
        operation = self._target.contract.find_operation(job.job_spec.cancellation.operation_id)
        # If it cannot be cancelled, the job continues, as it would have without the attempt.
        with suppress(TransportError, DeliveryFailedError, TimeoutError):
            request = job.build_request_by_job_id(operation)
            if request is not None:
                async with asyncio.timeout(CANCEL_REQUEST_TIMEOUT_S):
                    self._log.add(
                        await self._connection.send(
                            request, operation.id, max_total_s=self._deadline.exchange_timeout_s
                        )
                    )

    # Shared

    async def _fetch_audio(
        self, source_exchange: ParsedExchange, response_audio: ResponseAudio, source_operation: Operation
    ) -> DownloadedAudio:
        return await fetch_audio(
            self._log, source_exchange, response_audio, source_operation, self._log.last_exchange_index
        )

    def _record_reported_charge(self, exchange: ParsedExchange, location: Location | None) -> None:
        self._settlement.note_charge(exchange, location, self._target.contract.provider.credits)

    def _build_delivery(
        self,
        *,
        result: DownloadedAudio | ReceivedTranscript | None = None,
        failure: Failure | None = None,
        has_open_job: bool = False,
    ) -> Delivery:
        job = self._job.build_job_record() if self._job is not None else None
        text = result.text if isinstance(result, ReceivedTranscript) else None
        media_type = result.media_type if isinstance(result, DownloadedAudio) else None
        # What is saved and printed, unlike the exchanges.
        job, text, media_type, failure = mask_record((job, text, media_type, failure), self._connection.secrets)
        return Delivery(
            target=self._target.id,
            exchanges=tuple(self._log.exchanges),
            submit_count=self._attempts,
            job=job,
            audio=result.audio_bytes if isinstance(result, DownloadedAudio) else None,
            transcript=text,
            media_type=media_type,
            audio_exchange_index=result.exchange_index if result else None,
            submit_exchange_index=self._submit_index,
            first_submit_sent_ms=self._first_sent_ms,
            charged_usd=self._settlement.charged_usd,
            charged_credits=self._settlement.charged_credits,
            unreadable_charge=self._settlement.unreadable_charge,
            billing_status=self._settlement.status,
            has_open_job=has_open_job,
            failure=failure,
        )


# The client, whose methods send the requests of one provider and pay for them.


class RequestToRepeat(NamedTuple):
    """A request of an earlier process whose outcome is unknown, to be sent again with the same idempotency key."""

    idempotency_key: str
    reservation: Reservation | None
    """The reserved price of the request; `None` if the price is still to be reserved."""


class Client(ProviderConnection):
    """Submits, polls and downloads as the contract of one provider describes.

    Several requests may be in progress at once. A client belongs to one event loop.
    """

    def copy_with(self, *, clock: Clock | None, ledger: Ledger | None) -> Self:
        """Return a client that shares the connections, the key and the rate limiter of this one.

        Args:
            clock: the clock on which the new client waits; `None` for that of this client.
            ledger: the budget of the new client; `None` for that of this client.
        """
        client = copy.copy(self)
        client.clock = clock or self.clock
        client._ledger = ledger or self._ledger  # noqa: SLF001 - a copy of this client
        return client

    async def speak(
        self,
        target: Target,
        speech_request: SpeechRequest,
        *,
        submit_observer: SubmitObserver | None = None,
        price_usd: float | None = None,
        cancel_on_interrupt: bool = True,
        stop_at_undocumented_state: bool = False,
        request_to_repeat: RequestToRepeat | None = None,
        idempotency_key: str | None = None,
    ) -> Delivery:
        """Request speech: submit, poll until the job ends, and download the audio.

        A rejected submit is sent again if the contract documents a retry for its status. A submit that may have been
        charged is only sent again with the same idempotency key, if the contract documents one: otherwise a connection
        lost after sending is a failure.

        Args:
            target: a speech target of this client's contract.
            speech_request: the text, the voice and the options to request.
            submit_observer: notified before and after every submit; `None` notifies nobody.
            price_usd: the price of this request in dollars, instead of the contract's price; `None` keeps that price.
            cancel_on_interrupt: whether cancelling the task also cancels the job, if the provider documents how.
            stop_at_undocumented_state: whether the delivery ends when the job is in a state that the contract does not
                name. By default the job is polled to its end, because the provider may have added the state.
            request_to_repeat: the earlier request that this one repeats; `None` for a new request.
            idempotency_key: the key of a new request; `None` creates one where the contract documents such keys.

        Returns:
            The delivery, with audio or with the failure.

        Raises:
            UsageError: the target does not support the request, or there is a budget and the price is unknown.
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
            DeliveryInterruptedError: the task was cancelled; the error has what was observed so far.
        """
        parts = map_speech_request(target, speech_request)
        request, key = self._build_submit_request(target, parts, request_to_repeat, idempotency_key)
        characters = target.count_charged_characters(speech_request.text)
        price = quote_price(target, characters, user_usd_per_request=price_usd).reserved_usd
        priced = UsagePricedRequest(target, characters) if price_usd is None else None
        with self.reserve_and_settle(target, price, request_to_repeat, priced) as settlement:
            task = DeliveryTask(
                self,
                target,
                submit_observer,
                settlement,
                cancel_on_interrupt=cancel_on_interrupt,
                stop_at_undocumented_state=stop_at_undocumented_state,
            )
            return await task.submit_and_deliver(request, key)

    async def send_audio(
        self,
        audio_input_target: AudioInputTarget,
        audio: UploadedFile,
        *,
        audio_duration_s: float,
        submit_observer: SubmitObserver | None = None,
        price_usd: float | None = None,
        cancel_on_interrupt: bool = True,
        request_to_repeat: RequestToRepeat | None = None,
        idempotency_key: str | None = None,
    ) -> Delivery:
        """Send audio to be transcribed or converted, and fetch the result. Works like `speak`.

        Args:
            audio_input_target: a target of this client's contract that audio is sent to.
            audio: the file to upload.
            audio_duration_s: duration of the upload in seconds, from which its price is computed.
            submit_observer: see `speak` for this argument and the others, and for what `None` means.
            price_usd: see `speak`.
            cancel_on_interrupt: see `speak`.
            request_to_repeat: see `speak`.
            idempotency_key: see `speak`.

        Raises:
            UsageError: there is a budget and the price is unknown.
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
        """
        parts = build_audio_input_request(audio_input_target, audio, {})
        request, key = self._build_submit_request(audio_input_target, parts, request_to_repeat, idempotency_key)
        quote = quote_price(audio_input_target, 0, audio_s=audio_duration_s, user_usd_per_request=price_usd)
        priced = UsagePricedRequest(audio_input_target, 0) if price_usd is None else None
        with self.reserve_and_settle(audio_input_target, quote.reserved_usd, request_to_repeat, priced) as settlement:
            task = DeliveryTask(
                self, audio_input_target, submit_observer, settlement, cancel_on_interrupt=cancel_on_interrupt
            )
            return await task.submit_and_deliver(request, key)

    async def resume_job(
        self,
        target: BaseTarget,
        job_id: str,
        *,
        reservation: Reservation | None = None,
        charged_usd: float | None = None,
        price_usd: float | None = None,
    ) -> Delivery:
        """Poll and download a job that was submitted earlier; nothing is reserved.

        Times are measured from this call. The first poll is sent without a wait. Cancelling the task does not cancel
        the job, so the job can be resumed again.

        Args:
            target: the target of this client's contract that the job was submitted for.
            job_id: the provider's id of the job.
            reservation: the price, reserved since the submit; it is settled with the charge that the job reports.
                `None` if nothing is reserved.
            charged_usd: the charge that the response to the submit reported; `None` if it reported none.
            price_usd: the price of this request in dollars, instead of the contract's price; `None` keeps that price.

        Raises:
            UsageError: the target has no jobs, or the contract does not say how to request a job by its id.
        """
        priced = UsagePricedRequest(target, None) if price_usd is None else None
        with settle_when_done(reservation, priced) as settlement:
            settlement.note_earlier_charge(charged_usd)
            return await DeliveryTask(self, target, None, settlement, cancel_on_interrupt=False).resume_job(job_id)

    async def fetch_submitted(self, target: Target, exchange: Exchange) -> Delivery:
        """Follow a speech request that was sent and accepted already to its audio; nothing is paid for.

        Args:
            target: the speech target that the request addresses.
            exchange: the request with its response.

        Raises:
            DeliveryInterruptedError: the task was cancelled; the error has what was observed so far.
        """
        with settle_when_done(None) as settlement:
            task = DeliveryTask(self, target, None, settlement, cancel_on_interrupt=True)
            return await task.fetch_submitted(exchange)

    def _build_submit_request(
        self, target: BaseTarget, parts: RequestParts, request_to_repeat: RequestToRepeat | None, new_key: str | None
    ) -> tuple[Request, str | None]:
        """Return the request to submit, and its key, `None` if none is documented; see `speak` for the arguments."""
        key = new_key or create_idempotency_key(target.operation)
        if request_to_repeat is not None:
            key = request_to_repeat.idempotency_key
        return self.build_request(target.operation, add_idempotency_key(target.operation, parts, key)), key

    @contextmanager
    def reserve_and_settle(
        self,
        target: BaseTarget,
        price_usd: float | None,
        request_to_repeat: RequestToRepeat | None = None,
        usage_priced_request: UsagePricedRequest | None = None,
    ) -> Iterator[Settlement]:
        """Reserve the price of a request, yield its settlement, and settle the reservation after the block.

        The block notes in the settlement what is known about the charge. Nothing is reserved if `request_to_repeat` has
        a reservation already.

        Args:
            target: the target that the request addresses.
            price_usd: the price of the request in dollars; `None` if no document states it.
            request_to_repeat: the earlier request that this one repeats; `None` for a new request.
            usage_priced_request: the request, if its price depends on the usage that the response reports; else `None`.

        Raises:
            UsageError: there is a budget, and the price is unknown.
            BudgetError: the price exceeds the rest of the budget.
        """
        reservation = request_to_repeat.reservation if request_to_repeat is not None else None
        if reservation is None and self._ledger is not None:
            if price_usd is None:
                raise UsageError(f"no document states the price of {target.id}: give the price of a request")
            reservation = self._ledger.reserve(price_usd, target.id)
        with settle_when_done(reservation, usage_priced_request) as settlement:
            if request_to_repeat is not None:
                settlement.status = BillingStatus.AMBIGUOUS
            yield settlement

"""Sends requests to one provider: operations, deliveries and uploads."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery import DeliveryTask
from voicegauge.client.http_request import add_idempotency_key, create_idempotency_key
from voicegauge.client.ledger import Ledger, Reservation
from voicegauge.client.settlement import Settlement, SubmitObserver, UsagePricedRequest, settle_when_done
from voicegauge.client.speech_request import RequestParts, build_audio_input_request, map_speech_request
from voicegauge.contract.extension.speech import AudioInputField
from voicegauge.contract.price_computation import quote_price
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, Target
from voicegauge.errors import UsageError
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Exchange, UploadedFile
from voicegauge.model.job import BillingStatus, Delivery
from voicegauge.transport.clock import Clock


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
            submit_observer: notified before and after every submit.
            price_usd: the price of this request in dollars; replaces the contract's price.
            cancel_on_interrupt: whether cancelling the task also cancels the job, if the provider documents how.
            stop_at_undocumented_state: whether the delivery ends when the job is in a state that the contract does not
                name. By default the job is polled to its end, because the provider may have added the state.
            request_to_repeat: the earlier request that this one repeats; `None` for a new request.
            idempotency_key: the idempotency key of a new request; by default one is created where a contract documents
                it.

        Returns:
            The delivery, with audio or with the failure.

        Raises:
            UsageError: the target does not support the request, or there is a budget and the price is unknown.
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
            DeliveryInterruptedError: the task was cancelled; the error has what was observed so far.
        """
        parts, key = self._add_idempotency_key(
            target, map_speech_request(target, speech_request), request_to_repeat, idempotency_key
        )
        request = self.build_request(target.operation, parts)
        characters = target.count_charged_characters(speech_request.text)
        price = quote_price(target, characters, user_price_usd=price_usd).reserved_usd
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
        fields: Mapping[AudioInputField, Any] = {},
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
            fields: further inputs, by their provider-neutral names.
            submit_observer: notified before and after every submit.
            price_usd: the price of this request in dollars; replaces the contract's price.
            cancel_on_interrupt: whether cancelling the task also cancels the job, if the provider documents how.
            request_to_repeat: the earlier request that this one repeats; `None` for a new request.
            idempotency_key: see `speak`.

        Raises:
            UsageError: the operation has no parameter for one of `fields`, or there is a budget and the price is
                unknown.
            BudgetError: the price exceeds the rest of the budget. Nothing was sent.
        """
        parts = build_audio_input_request(audio_input_target, audio, fields)
        parts, key = self._add_idempotency_key(audio_input_target, parts, request_to_repeat, idempotency_key)
        request = self.build_request(audio_input_target.operation, parts)
        price = quote_price(audio_input_target, 0, audio_s=audio_duration_s, user_price_usd=price_usd).reserved_usd
        priced = UsagePricedRequest(audio_input_target, 0) if price_usd is None else None
        with self.reserve_and_settle(audio_input_target, price, request_to_repeat, priced) as settlement:
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
            charged_usd: the charge that the response to the submit reported.
            price_usd: the price of this request in dollars; replaces the contract's price.

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

    def _add_idempotency_key(
        self,
        target: BaseTarget,
        request_parts: RequestParts,
        request_to_repeat: RequestToRepeat | None,
        new_key: str | None,
    ) -> tuple[RequestParts, str | None]:
        """Return the request with an idempotency key, and the key. It is `None` if the contract documents none."""
        key = (
            request_to_repeat.idempotency_key
            if request_to_repeat is not None
            else new_key or create_idempotency_key(target.operation)
        )
        return add_idempotency_key(target.operation, request_parts, key), key

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
            usage_priced_request: the request, if its price depends on the usage that the response reports.

        Raises:
            UsageError: there is a budget, and the price is unknown.
            BudgetError: the price exceeds the rest of the budget.
        """
        earlier = request_to_repeat.reservation if request_to_repeat is not None else None
        reservation = self._reserve_price(target, price_usd) if earlier is None else earlier
        with settle_when_done(reservation, usage_priced_request) as settlement:
            if request_to_repeat is not None:
                settlement.status = BillingStatus.AMBIGUOUS
            yield settlement

    def _reserve_price(self, target: BaseTarget, price_usd: float | None) -> Reservation | None:
        if self._ledger is None:
            return None
        if price_usd is None:
            raise UsageError(f"no document states the price of {target.id}: give the price of a request")
        return self._ledger.reserve(price_usd, target.id)

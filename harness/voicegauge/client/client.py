"""One async client over any contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery.audio_input import audio_input_request
from voicegauge.client.delivery.delivery import DeliveryTask
from voicegauge.client.requests.speech_request import map_speech_request
from voicegauge.client.spending.ledger import Ledger, Reservation
from voicegauge.client.spending.observer import PaymentObserver
from voicegauge.client.spending.rate_limit import RateLimiter
from voicegauge.contract import AudioInputTarget, BaseTarget, Contract, Target, quote
from voicegauge.contract.extension import AudioInputField
from voicegauge.errors import UsageError
from voicegauge.model import Delivery, Request, SpeechRequest, UploadedFile
from voicegauge.transport import Clock, Transport


class Client(ProviderConnection):
    """Speaks to one provider as its contract says.

    Several requests may be under way at once; one client belongs to one event loop.
    """

    def __init__(
        self,
        contract: Contract,
        transport: Transport,
        *,
        base_urls: Mapping[str, str] | None = None,
        key: str | None = None,
        clock: Clock | None = None,
        ledger: Ledger | None = None,
        rate_limiter: RateLimiter | None = None,
        seed: int = 0,
    ) -> None:
        """Set it up; nothing is sent yet. See `ProviderConnection` for what is not said here.

        Args:
            contract: of the provider.
            transport: open; closing it is the caller's business.
            base_urls: where the servers are.
            key: of the provider.
            clock: for waiting between polls and retries.
            ledger: the budget that `speak` reserves from; `None` spends without asking.
            rate_limiter: of the account; `None` sends requests without delay.
            seed: of the jitter in retries.
        """
        super().__init__(
            contract, transport, base_urls=base_urls, key=key, clock=clock, rate_limiter=rate_limiter, seed=seed
        )
        self._ledger = ledger

    async def speak(
        self,
        target: Target,
        speech: SpeechRequest,
        *,
        observer: PaymentObserver | None = None,
        price_usd: float | None = None,
    ) -> Delivery:
        """Ask for speech and see it through: submit, poll, fetch.

        A refused submit is sent again as the contract's retry advice says. One that may
        have been paid for never is: a connection that breaks after sending is a failure.

        Args:
            target: of this client's contract.
            speech: what is asked for.
            observer: told of every submit.
            price_usd: of this request, where the user knows better than the contract.

        Returns:
            The delivery: audio, or a failure that says why not.

        Raises:
            UsageError: the target cannot be asked that, or a budget is set and nobody
                knows the price.
            BudgetError: less than the price is left of the budget. Nothing was sent.
        """
        request = self.build(target.operation, map_speech_request(target, speech))
        price = quote(target, len(speech.text), usd=price_usd).usd
        return await self._see_through(DeliveryTask(self, target, observer), request, self._reserve(target, price))

    async def _see_through(
        self, utterance: DeliveryTask, request: Request, reservation: Reservation | None
    ) -> Delivery:
        try:
            delivery = await utterance.speak(request)
        except BaseException:
            _close(reservation, paid=utterance.may_be_paid, charged_usd=None)
            raise
        _close(reservation, paid=utterance.may_be_paid, charged_usd=delivery.charged_usd)
        return delivery

    async def send_audio(
        self,
        intake: AudioInputTarget,
        audio: UploadedFile,
        *,
        audio_s: float,
        words: Mapping[AudioInputField, Any] = {},
        observer: PaymentObserver | None = None,
        price_usd: float | None = None,
    ) -> Delivery:
        """Send audio to be transcribed or converted, and fetch what comes of it. As `speak`.

        Args:
            intake: of this client's contract.
            audio: what is sent.
            audio_s: its length, for its price.
            words: neutral words beside it.
            observer: told of every submit.
            price_usd: of this request, where the user knows better than the contract.

        Raises:
            UsageError: the operation takes no such word, or a budget is set and nobody knows the price.
            BudgetError: less than the price is left of the budget. Nothing was sent.
        """
        request = self.build(intake.operation, audio_input_request(intake, audio, words))
        price = quote(intake, 0, audio_s=audio_s, usd=price_usd).usd
        return await self._see_through(DeliveryTask(self, intake, observer), request, self._reserve(intake, price))

    async def resume(self, target: Target, job_id: str, *, observer: PaymentObserver | None = None) -> Delivery:
        """See a job through that was submitted before; nothing is reserved or paid again.

        Its times count from this call, and its first poll is sent at once.

        Raises:
            UsageError: the target has no jobs, or its jobs cannot be asked for by id.
        """
        return await DeliveryTask(self, target, observer).resume(job_id)

    def _reserve(self, target: BaseTarget, price: float | None) -> Reservation | None:
        if self._ledger is None:
            return None
        if price is None:
            raise UsageError(f"no document says what {target.id} costs: name the price of a request")
        return self._ledger.reserve(price)


def _close(reservation: Reservation | None, *, paid: bool, charged_usd: float | None) -> None:
    if reservation is None:
        return
    if paid:
        reservation.settle(charged_usd)
    else:
        reservation.release()

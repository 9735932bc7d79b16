"""One async client over any contract."""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from typing import Final, Literal

from voicegauge.client.building import Builder, bare_request
from voicegauge.client.ledger import Ledger, Reservation
from voicegauge.client.mapping import WireRequest, to_wire
from voicegauge.client.observer import Observer
from voicegauge.client.utterance import Utterance
from voicegauge.contract import Contract, Operation, Target
from voicegauge.contract.pricing import quote
from voicegauge.errors import UsageError
from voicegauge.model import Delivery, Exchange, Request, SpeechRequest
from voicegauge.recording import mask_credentials
from voicegauge.transport import Clock, RealClock, Transport


class Default(enum.Enum):
    """Stands for the client's own key, since `None` means none."""

    KEY = enum.auto()


DEFAULT_KEY: Final = Default.KEY
Key = str | None | Literal[Default.KEY]


class Client:
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
        seed: int = 0,
    ) -> None:
        """Set it up; nothing is sent yet.

        Args:
            contract: of the provider.
            transport: open; closing it is the caller's business.
            base_urls: where the servers are, by the contract's server name, or "" for all.
            key: of the provider; see `client_key`.
            clock: for waiting between polls and retries; the real one if left out.
            ledger: the budget that `speak` reserves from; `None` spends without asking.
            seed: of the jitter in retries.

        Raises:
            UnknownNameError: `base_urls` names a server that the contract does not.
            UsageError: a base URL cannot be used.
        """
        self.contract, self.transport = contract, transport
        self.clock: Clock = clock or RealClock()
        self.dice = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._builder = Builder(contract, base_urls or {})
        self._key, self._ledger = key, ledger

    @property
    def origins(self) -> frozenset[tuple[str, str, int]]:
        """Scheme, host and port of every server: where the key may go."""
        return self._builder.origins

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be written anywhere."""
        return (self._key,) if self._key else ()

    def scrub(self, text: str) -> str:
        """`text` without the key and without anything that looks like one."""
        return mask_credentials(text, self.secrets)

    def build(
        self, operation: Operation, wire: WireRequest, *, key: Key = DEFAULT_KEY, url: str | None = None
    ) -> Request:
        """The request that `wire` means for `operation`.

        Args:
            operation: of this client's contract.
            wire: what it is sent.
            key: instead of the client's own; `None` sends none.
            url: instead of the operation's own; one elsewhere gets no key.

        Raises:
            UsageError: something in it cannot be sent.
        """
        return self._builder.build(operation, wire, self._key if key is Default.KEY else key, url=url)

    @staticmethod
    def bare_request(url: str) -> Request:
        """A GET without anything of the provider's: no key, none of its headers."""
        return bare_request(url)

    async def call(self, operation: Operation, wire: WireRequest, *, key: Key = DEFAULT_KEY) -> Exchange:
        """One exchange: no retry, no redirect followed.

        Raises:
            UsageError: something in `wire` cannot be sent.
            TransportError: no answer could be had.
        """
        request = self.build(operation, wire, key=key)
        return await self.transport.send(request, provider=self.contract.id, operation=operation.id)

    async def speak(
        self,
        target: Target,
        speech: SpeechRequest,
        *,
        observer: Observer | None = None,
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
        request = self.build(target.operation, to_wire(target, speech))
        reservation = self._reserve(target, len(speech.text), price_usd)
        utterance = Utterance(self, target, observer)
        try:
            delivery = await utterance.speak(request)
        except BaseException:
            _close(reservation, paid=utterance.may_be_paid, charged_usd=None)
            raise
        _close(reservation, paid=utterance.may_be_paid, charged_usd=delivery.charged_usd)
        return delivery

    async def resume(self, target: Target, job_id: str, *, observer: Observer | None = None) -> Delivery:
        """See a job through that was submitted before; nothing is reserved or paid again.

        Its times count from this call, and its first poll is sent at once.

        Raises:
            UsageError: the target has no jobs, or its jobs cannot be asked for by id.
        """
        return await Utterance(self, target, observer).resume(job_id)

    def _reserve(self, target: Target, characters: int, price_usd: float | None) -> Reservation | None:
        if self._ledger is None:
            return None
        price = quote(target, characters, usd=price_usd).usd
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

"""How one provider is reached: its servers, its key, and one exchange at a time."""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping
from typing import Final, Literal

from voicegauge.client.delivery.audio_stream import stream_end_detector
from voicegauge.client.requests.http_request import RequestBuilder
from voicegauge.client.requests.speech_request import RequestParts
from voicegauge.client.spending.rate_limit import RateLimiter
from voicegauge.contract import Contract, Operation
from voicegauge.model import Exchange, Request
from voicegauge.recording import mask_credentials
from voicegauge.transport import Clock, RealClock, Transport


class KeyDefault(enum.Enum):
    """Stands for the client's own key, since `None` means none."""

    KEY = enum.auto()


DEFAULT_KEY: Final = KeyDefault.KEY
KeyChoice = str | None | Literal[KeyDefault.KEY]


class ProviderConnection:
    """The way to one provider."""

    def __init__(
        self,
        contract: Contract,
        transport: Transport,
        *,
        base_urls: Mapping[str, str] | None = None,
        key: str | None = None,
        clock: Clock | None = None,
        rate_limiter: RateLimiter | None = None,
        seed: int = 0,
    ) -> None:
        """Set it up; nothing is sent yet.

        Args:
            contract: of the provider.
            transport: open; closing it is the caller's business.
            base_urls: where the servers are, by the contract's server name, or "" for all.
            key: of the provider; see `client_key`.
            clock: for waiting between polls and retries; the real one if left out.
            rate_limiter: of the account; `None` sends requests without delay.
            seed: of the jitter in retries.

        Raises:
            UnknownNameError: `base_urls` names a server that the contract does not.
            UsageError: a base URL cannot be used.
        """
        self.contract, self.transport = contract, transport
        self.clock: Clock = clock or RealClock()
        self.jitter = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._builder = RequestBuilder(contract, base_urls or {})
        self._key, self._rate_limiter = key, rate_limiter

    @property
    def origins(self) -> frozenset[tuple[str, str, int]]:
        """Scheme, host and port of every server: where the key may go."""
        return self._builder.origins

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be written anywhere."""
        return (self._key,) if self._key else ()

    def mask_secrets(self, text: str) -> str:
        """`text` without the key and without anything that looks like one."""
        return mask_credentials(text, self.secrets)

    def build(
        self, operation: Operation, wire: RequestParts, *, key: KeyChoice = DEFAULT_KEY, url: str | None = None
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
        return self._builder.build(operation, wire, self._key if key is KeyDefault.KEY else key, url=url)

    async def wait_for_rate_limit(self, operation: Operation) -> None:
        """Return when the account's plan allows a request; polls are not counted, and are never held back."""
        if self._rate_limiter is not None and operation.job is None:
            await self._rate_limiter.acquire()

    async def call(
        self, operation: Operation, wire: RequestParts, *, key: KeyChoice = DEFAULT_KEY, server: str | None = None
    ) -> Exchange:
        """One exchange: no retry, no redirect followed.

        Args:
            operation: of this client's contract.
            wire: what it is sent.
            key: instead of the client's own; `None` sends none.
            server: the `x-name` of another server than the operation's own.

        Raises:
            UsageError: something in `wire` cannot be sent.
            TransportError: no answer could be had.
        """
        url = self._builder.url(operation, wire.path, server) if server is not None else None
        request = self.build(operation, wire, key=key, url=url)
        done = stream_end_detector(self.contract, operation.id)
        await self.wait_for_rate_limit(operation)
        return await self.transport.send(request, provider=self.contract.id, operation=operation.id, done=done)

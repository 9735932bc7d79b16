"""The exchanges of one request for speech, in order, and sending again what costs nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery.audio_stream import stream_end_detector
from voicegauge.client.delivery.failures import DeliveryFailedError, kind_of_error, refusal
from voicegauge.client.delivery.response_values import ParsedResponse
from voicegauge.client.delivery.retry_policy import MAX_RETRY_AFTER_S, retry_after_s, retry_waits
from voicegauge.errors import TransportError
from voicegauge.model import Exchange, Failure, Request


class ExchangeLog:
    """Sends over a connection and keeps every exchange."""

    def __init__(self, connection: ProviderConnection) -> None:
        """Nothing is sent yet."""
        self.connection = connection
        self.exchanges: list[Exchange] = []

    async def send(self, request: Request, operation: str, address: str | None = None) -> ParsedResponse:
        """One exchange, kept."""
        reached = self.connection
        exchange = await reached.transport.send(
            request,
            provider=reached.contract.id,
            operation=operation,
            address=address,
            done=stream_end_detector(reached.contract, operation),
        )
        self.exchanges.append(exchange)
        return ParsedResponse(exchange)

    async def insist(
        self, request: Request, operation: str, addresses: Sequence[str | None] = (None,)
    ) -> ParsedResponse:
        """Send a call that costs nothing, and again while its answer is passing; to `addresses` in turn."""
        retry = self.connection.contract.provider.retry
        waits = (*retry_waits(retry, self.connection.jitter), None)
        for wait, address in zip(waits, itertools.cycle(addresses), strict=False):
            try:
                answer = await self.send(request, operation, address)
            except TransportError as error:
                if wait is None:
                    raise self.failed_on(error) from error
                await self.connection.clock.sleep(wait)
                continue
            if wait is None or not self.is_passing(answer.response.status):
                return answer
            await self.connection.clock.sleep(self.asked_wait(answer, wait))
        raise AssertionError("the last send has no wait")

    def is_passing(self, status: int) -> bool:
        """Whether an answer may be another in a while: a server that fails, or one that asks to be asked again."""
        again = (408, 425, 429, *self.connection.contract.provider.retry.statuses)
        return status in again or (status >= 500 and status != 501)  # what is not implemented stays so

    def asked_wait(self, answer: ParsedResponse, wait: float) -> float:
        """`Retry-After` where there is one, else `wait`.

        Raises:
            DeliveryFailedError: it asks for longer than anybody waits.
        """
        asked = retry_after_s(answer.response)
        if asked is not None and asked > MAX_RETRY_AFTER_S:
            bad = refusal(answer.response, self.connection.secrets)
            message = f"{bad.message}; asks to wait {asked:.0f} s, more than {MAX_RETRY_AFTER_S:.0f}"
            raise DeliveryFailedError(Failure(kind=bad.kind, message=message, status=bad.status))
        return wait if asked is None else asked

    def failed_on(self, error: TransportError, more: str = "") -> DeliveryFailedError:
        """What a network error means for the delivery; `more` is said where the request had been sent."""
        said = more if error.sent else ""
        return DeliveryFailedError(
            Failure(kind=kind_of_error(error), message=self.connection.mask_secrets(f"{error}{said}"))
        )

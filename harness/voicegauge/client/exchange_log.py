"""Keeps the exchanges of a delivery, and decides which requests are sent again."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator, Sequence

from voicegauge.client._delivery_failures import (
    Deadline,
    DeliveryFailedError,
    build_rejection_failure,
    describe_response,
    get_failure_kind_of_error,
)
from voicegauge.client.connection import ProviderConnection
from voicegauge.contract.extension.jobs import PollSchedule
from voicegauge.contract.extension.provider import RetryPolicy
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.errors import TransportError
from voicegauge.formats.dates import parse_http_date
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.model.job import Failure

# Computes the waits before retries and polls from documented intervals with backoff, and from `Retry-After`.


MAX_RETRY_AFTER_S = 120.0
"""Maximum requested wait in seconds. Longer waits are not honored, because a faulty `Retry-After` must not stall a
whole run. Rate limits are usually counted per minute, so two minutes are enough."""
MAX_JITTER_FRACTION = 0.1
"""Maximum fraction by which a wait is randomly extended, so that clients that failed together do not retry together."""


def get_retry_after_s(response: Response, *, now_unix_s: float | None = None) -> float | None:
    """Return the wait that `Retry-After` requests, in seconds; `None` if the header is missing or not valid.

    The header is a number of seconds or an HTTP date (RFC 9110, section 10.2.3).

    Args:
        response: the response whose header is read.
        now_unix_s: Unix time in seconds; the current time by default.
    """
    value = response.find_header("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = parse_http_date(value)
        if date is None:
            return None
        seconds = date.timestamp() - (time.time() if now_unix_s is None else now_unix_s)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def iterate_retry_waits_s(retry_policy: RetryPolicy, jitter_random: random.Random) -> Iterator[float]:
    """Yield the wait before each retry in seconds, never shorter than documented. The first attempt has no wait."""
    wait = retry_policy.initial_delay_s
    for _ in range(retry_policy.max_attempts - 1):
        yield wait * (1 + MAX_JITTER_FRACTION * jitter_random.random())
        wait = min(wait * retry_policy.delay_factor, retry_policy.max_delay_s)


def iterate_poll_waits_s(poll_schedule: PollSchedule) -> Iterator[float]:
    """Yield the wait before each poll in seconds, without end, growing from `min_interval_s` to `max_interval_s`."""
    wait = poll_schedule.min_interval_s
    while True:
        yield wait
        wait = min(
            wait * poll_schedule.interval_factor, max(poll_schedule.max_interval_s, poll_schedule.min_interval_s)
        )


# Records the exchanges of one delivery in order, and retries requests that cost nothing.


MIN_EXCHANGE_TIMEOUT_S = 0.01
"""Shortest time limit of a request, in seconds. It applies to a request that is sent just before the deadline."""


class ExchangeLog:
    """Sends requests over a connection and keeps every exchange."""

    def __init__(self, connection: ProviderConnection, deadline: Deadline) -> None:
        """Start with an empty log. No exchange continues after `deadline`."""
        self.connection, self.deadline = connection, deadline
        self.exchanges: list[Exchange] = []

    @property
    def last_exchange_index(self) -> int:
        """Index of the last exchange, counted from 0."""
        return len(self.exchanges) - 1

    async def send(self, request: Request, operation_id: str, pinned_address: str | None = None) -> ParsedExchange:
        """Send `request` once and log the exchange; see `ProviderConnection.send`."""
        exchange = await self.connection.send(
            request,
            operation_id,
            pinned_address=pinned_address,
            max_total_s=max(self.deadline.remaining_s, MIN_EXCHANGE_TIMEOUT_S),
        )
        self.exchanges.append(exchange)
        return parse_exchange(exchange)

    async def send_with_retries(
        self, request: Request, operation_id: str, pinned_addresses: Sequence[str | None] = (None,)
    ) -> ParsedExchange:
        """Send a request that costs nothing, and send it again while it fails for a temporary reason.

        Args:
            request: an idempotent request: for a status, a result or a download.
            operation_id: id of an operation of the contract, or `DOWNLOAD_OPERATION`.
            pinned_addresses: IP addresses to try in turn; `None` means that the host name is resolved.

        Raises:
            DeliveryFailedError: no attempt got a response, the provider asks for too long a wait, or the deadline has
                passed.
        """
        self.deadline.require_time("no time is left for the next request")
        retry = self.connection.contract.provider.retry_policy
        waits = (*iterate_retry_waits_s(retry, self.connection.retry_random), None)
        for wait, address in zip(waits, itertools.cycle(pinned_addresses), strict=False):
            try:
                exchange = await self.send(request, operation_id, address)
            except TransportError as error:
                if wait is None:
                    raise self.build_no_response_error(error, is_temporary=True) from error
                await self.wait_before_retry(wait, self.connection.mask_secrets(str(error)))
                continue
            if wait is None or not self.is_temporary_status(exchange.exchange.response.status):
                return exchange
            reason = describe_response(exchange.exchange.response, self.connection.secrets)
            await self.wait_before_retry(self.get_requested_wait_s(exchange, wait), reason)
        raise AssertionError("the last attempt has no wait")

    async def wait_before_retry(self, wait_s: float, failure_message: str) -> None:
        """Wait before the next attempt.

        Args:
            wait_s: duration of the wait.
            failure_message: why the last attempt failed, for the error message.

        Raises:
            DeliveryFailedError: the deadline would pass before the next attempt.
        """
        self.deadline.require_time(failure_message, needed_s=wait_s)
        await self.connection.clock.sleep(wait_s)

    def is_temporary_status(self, http_status: int) -> bool:
        """Whether a request with this status may get another status if it is sent again later.

        408, 425 and 429 ask for a later attempt (RFC 9110, section 15.5.9; RFC 8470; RFC 6585), as do server errors
        except 501, because a method that is not implemented stays so (RFC 9110, section 15.6.2).
        """
        temporary = (408, 425, 429, *self.connection.contract.provider.retry_policy.retried_statuses)
        return http_status in temporary or (http_status >= 500 and http_status != 501)

    def build_rejection_error(self, exchange: ParsedExchange, request_purpose: str) -> DeliveryFailedError:
        """Return the error for a request that costs nothing and whose response is not 2xx.

        `request_purpose` says what was requested, such as "downloading the audio".
        """
        response = exchange.exchange.response
        failure = build_rejection_failure(response, self.connection.secrets, request_purpose)
        needs_key = response.status in (401, 403)  # with a valid key, a later attempt gets another status
        return DeliveryFailedError(failure, is_temporary=needs_key or self.is_temporary_status(response.status))

    def get_requested_wait_s(self, exchange: ParsedExchange, default_wait_s: float, request_purpose: str = "") -> float:
        """Return the wait that `Retry-After` requests, or `default_wait_s` without that header.

        `request_purpose` says what was requested, if it was not the submit.

        Raises:
            DeliveryFailedError: the requested wait is longer than `MAX_RETRY_AFTER_S`.
        """
        response = exchange.exchange.response
        requested = get_retry_after_s(response)
        if requested is not None and requested > MAX_RETRY_AFTER_S:
            failure = build_rejection_failure(response, self.connection.secrets, request_purpose)
            message = f"{failure.message}; asks to wait {requested:.0f} s, more than {MAX_RETRY_AFTER_S:.0f} s"
            too_long = Failure(kind=failure.kind, message=message, http_status=failure.http_status)
            raise DeliveryFailedError(too_long, is_temporary=True)
        return default_wait_s if requested is None else requested

    def build_no_response_error(
        self, transport_error: TransportError, suffix_if_sent: str = "", *, is_temporary: bool = False
    ) -> DeliveryFailedError:
        """Return the error that ends a delivery because a request got no response.

        Args:
            transport_error: the connection error.
            suffix_if_sent: text that is appended to the message if the request had been sent.
            is_temporary: whether the request costs nothing, so that it may be sent again later.
        """
        message = self.connection.mask_secrets(
            f"{transport_error}{suffix_if_sent if transport_error.request_was_sent else ''}"
        )
        return DeliveryFailedError(
            Failure(kind=get_failure_kind_of_error(transport_error), message=message), is_temporary=is_temporary
        )

"""Keeps the exchanges of a delivery, decides which requests are sent again, and says why there is no audio."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import Iterator, Sequence

from voicegauge.client.connection import ProviderConnection
from voicegauge.contract.extension.jobs import PollSchedule
from voicegauge.contract.extension.provider import RetryPolicy
from voicegauge.contract.parsed_exchange import ParsedExchange, parse_exchange
from voicegauge.errors import TimedOutError, TransportError
from voicegauge.formats.bodies import parse_http_date
from voicegauge.model.exchange import Delivery, Exchange, Failure, FailureKind, Request, Response
from voicegauge.recording.masking import mask_credentials

# Describes in one line, without secrets, why a delivery has no audio.


_MAX_EXCERPT_CHARACTERS = 200
"""Maximum length of an excerpt: two to three lines of a terminal."""
_MAX_CHARACTERS_TO_MASK = 4_096
"""Length of the beginning of a text in which secrets are masked before the excerpt is cut from it. It is larger than
the excerpt, because runs of white space are shortened before the cut."""


class DeliveryFailedError(Exception):
    """Ends a delivery without audio. Caught inside the client, which returns the failure."""

    def __init__(self, failure: Failure, *, is_temporary: bool = False) -> None:
        """End the delivery with `failure`.

        Args:
            failure: why there is no audio.
            is_temporary: whether the failed step costs nothing and may succeed later.
        """
        super().__init__(failure.message)
        self.failure, self.is_temporary = failure, is_temporary


class DeliveryInterruptedError(asyncio.CancelledError):
    """Raised instead of `CancelledError` by a delivery whose task is cancelled, as by Ctrl-C."""

    def __init__(self, delivery: Delivery) -> None:
        """Keep `delivery`, which has the exchanges and states that were observed before the interruption."""
        super().__init__()
        self.delivery = delivery


def get_failure_kind_of_status(http_status: int) -> FailureKind:
    """Return the kind of failure for an HTTP status other than 2xx."""
    if http_status == 429:
        return "rate_limited"
    if http_status == 402:
        return "no_credit"
    if 400 <= http_status < 500:
        return "rejected"
    return "server_error" if http_status >= 500 else "protocol"


def build_rejection_failure(exchange: Exchange, connection: ProviderConnection, request_purpose: str = "") -> Failure:
    """Return the failure for a response other than 2xx.

    Args:
        exchange: the exchange with the response.
        connection: masks what must not be in the message, because some providers echo the key.
        request_purpose: what was requested, if it was not the submit, such as "downloading the audio".
    """
    message = f"{request_purpose + ': ' if request_purpose else ''}{describe_exchange(exchange, connection)}"
    status = exchange.response.status
    return Failure(kind=get_failure_kind_of_status(status), message=message, http_status=status)


def describe_exchange(exchange: Exchange, connection: ProviderConnection) -> str:
    """Return the status and an excerpt of the body, without what is undocumented and could be a secret."""
    return connection.mask_quotation(exchange, describe_response(exchange.response, connection.secrets))


def describe_response(response: Response, secrets: Sequence[str]) -> str:
    """Return the status of `response` and an excerpt of its body as text, in which `secrets` are masked.

    Of a body that is not text, the size and the media type are named instead.
    """
    if not response.media_type.startswith("text/") and b"\0" in response.body[:_MAX_CHARACTERS_TO_MASK]:
        return f"HTTP {response.status}: {len(response.body)} bytes of {response.media_type or 'unknown type'}"
    # A character of UTF-8 has at most four bytes. One more is read, so that
    # `build_masked_excerpt` sees whether the text continues.
    text = build_masked_excerpt(response.body[: 4 * _MAX_CHARACTERS_TO_MASK + 4].decode(errors="replace"), secrets)
    return f"HTTP {response.status}: {text}" if text else f"HTTP {response.status} with an empty body"


def build_masked_excerpt(text: str, secrets: Sequence[str]) -> str:
    """Return the beginning of a provider's text on one line. Secrets are masked before the text is cut."""
    shown = mask_credentials(text[:_MAX_CHARACTERS_TO_MASK], secrets)
    if len(text) > _MAX_CHARACTERS_TO_MASK:
        # The cut may have split a secret, which is then not recognized: drop as many characters as it could have.
        shown = shown[: -max(map(len, secrets), default=1)]
    line = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    return f"{line[:_MAX_EXCERPT_CHARACTERS]}{'...' if len(line) > _MAX_EXCERPT_CHARACTERS else ''}"


# Limits the time of one delivery, however slowly the service responds.


MAX_SUBMIT_AND_DOWNLOAD_S = 300.0
"""Maximum time of a submit with its retries and of a download, in seconds. The documented maximum time of the job is
added."""
MIN_EXCHANGE_TIMEOUT_S = 0.01
"""Shortest time limit of a request, in seconds. It applies to a request that is sent just before the deadline."""


class DeliveryDeadline:
    """The time at which a delivery must end, on the clock of its client. No request is sent later."""

    def __init__(self, connection: ProviderConnection, *, max_job_duration_s: float = 0.0) -> None:
        """Start the time limit.

        Args:
            connection: the connection of the delivery, whose `max_wait_s` is respected.
            max_job_duration_s: the documented maximum time of the job in seconds; 0 if there is no job.
        """
        documented_s, set_s = MAX_SUBMIT_AND_DOWNLOAD_S + max_job_duration_s, connection.max_wait_s
        self.limit_s = documented_s if set_s is None else min(documented_s, set_s)
        self._clock = connection.clock
        self._ends_at_s = self._clock.monotonic() + self.limit_s

    @property
    def remaining_s(self) -> float:
        """Number of seconds until the deadline; 0 after it."""
        return max(self._ends_at_s - self._clock.monotonic(), 0.0)

    @property
    def exchange_timeout_s(self) -> float:
        """Time limit in seconds of a request that is sent now, so that no exchange continues after the deadline."""
        return max(self.remaining_s, MIN_EXCHANGE_TIMEOUT_S)

    def extend(self, seconds: float) -> None:
        """Move the deadline later by `seconds`, in which the delivery did not wait for the service."""
        self._ends_at_s += seconds

    def require_time(self, incomplete_reason: str, *, needed_s: float = 0.0) -> None:
        """Check that more than `needed_s` seconds are left.

        Args:
            incomplete_reason: why the delivery is not complete yet, for the message.
            needed_s: time in seconds until the next request can be sent.

        Raises:
            DeliveryFailedError: the delivery would exceed its deadline.
        """
        if self.remaining_s > needed_s:
            return
        wait = f", and the next attempt is due in {needed_s:.3g} s" if needed_s else ""
        message = f"{incomplete_reason}; a delivery may take {self.limit_s:g} s{wait}"
        raise DeliveryFailedError(Failure(kind="timeout", message=message), is_temporary=True)


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
        now_unix_s: Unix time in seconds from which a date is counted; `None` for the current time.
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
        # A documented shortest interval may be above the default of the longest one.
        wait = min(
            wait * poll_schedule.interval_factor, max(poll_schedule.max_interval_s, poll_schedule.min_interval_s)
        )


# Records the exchanges of one delivery in order, and retries requests that cost nothing.


class ExchangeLog:
    """Keeps every exchange of a delivery, and sends requests that cost nothing until one succeeds."""

    def __init__(self, connection: ProviderConnection, deadline: DeliveryDeadline) -> None:
        """Create an empty log. No request that it sends continues after `deadline`."""
        self.connection, self.deadline = connection, deadline
        self.exchanges: list[Exchange] = []

    @property
    def last_exchange_index(self) -> int:
        """Index of the last exchange, counted from 0."""
        return len(self.exchanges) - 1

    def add(self, exchange: Exchange) -> ParsedExchange:
        """Keep an exchange as the last one of the delivery, and return it parsed."""
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

        Returns:
            The exchange of the last attempt, whose response may be a rejection.

        Raises:
            DeliveryFailedError: the last attempt got no response, the provider asks for too long a wait, or the
                deadline has passed.
        """
        self.deadline.require_time("no time is left for the next request")
        retry = self.connection.contract.provider.retry_policy
        waits = (*iterate_retry_waits_s(retry, self.connection.retry_random), None)  # `None`: the last attempt
        # The addresses in turn, since the network of one of them, IPv6 or IPv4, may not work.
        for wait, address in zip(waits, itertools.cycle(pinned_addresses), strict=False):
            try:
                exchange = self.add(
                    await self.connection.send(
                        request, operation_id, pinned_address=address, max_total_s=self.deadline.exchange_timeout_s
                    )
                )
            except TransportError as error:
                if wait is None:
                    raise self.build_no_response_error(error, is_temporary=True) from error
                await self.wait_before_retry(wait, self.connection.mask_secrets(str(error)))
                continue
            if wait is None or not self.is_temporary_status(exchange.exchange.response.status):
                return exchange
            reason = describe_exchange(exchange.exchange, self.connection)
            await self.wait_before_retry(self.get_requested_wait_s(exchange, wait), reason)
        raise AssertionError("the last attempt has no wait")

    async def wait_before_retry(self, wait_s: float, failure_message: str) -> None:
        """Wait before the next attempt.

        Args:
            wait_s: duration of the wait in seconds.
            failure_message: why the last attempt failed, for the error message.

        Raises:
            DeliveryFailedError: the deadline would pass before the next attempt.
        """
        self.deadline.require_time(failure_message, needed_s=wait_s)
        await self.connection.clock.sleep(wait_s)

    def is_temporary_status(self, http_status: int) -> bool:
        """Whether a request with this status may get another status if it is sent again later.

        408, 425 and 429 ask for a later attempt (RFC 9110, section 15.5.9; RFC 8470; RFC 6585), as do server errors
        except 501, because a method that is not implemented stays so (RFC 9110, section 15.6.2). Statuses for which the
        contract documents a retry count too.
        """
        temporary = (408, 425, 429, *self.connection.contract.provider.retry_policy.retried_statuses)
        return http_status in temporary or (http_status >= 500 and http_status != 501)

    def build_rejection_error(self, exchange: ParsedExchange, request_purpose: str) -> DeliveryFailedError:
        """Return the error for a request that costs nothing and whose response is not 2xx.

        `request_purpose` says what was requested, such as "downloading the audio".
        """
        response = exchange.exchange.response
        failure = build_rejection_failure(exchange.exchange, self.connection, request_purpose)
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
            failure = build_rejection_failure(exchange.exchange, self.connection, request_purpose)
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
        kind: FailureKind = "timeout" if isinstance(transport_error, TimedOutError) else "network"
        return DeliveryFailedError(Failure(kind=kind, message=message), is_temporary=is_temporary)

"""Computes the waits before retries and polls from documented intervals with backoff, and from `Retry-After`."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

from voicegauge.contract.extension import PollSchedule, RetryPolicy
from voicegauge.model import Response

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
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        date = (
            date if date.tzinfo else date.replace(tzinfo=UTC)
        )  # the asctime form has no zone and means GMT (RFC 9110, section 5.6.7)
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

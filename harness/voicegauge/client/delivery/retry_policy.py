"""When to ask again: documented intervals, growing waits, and `Retry-After`."""

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
"""A provider that asks for a longer wait is not waited for: it could stall a run for good."""
JITTER = 0.1
"""A wait grows by up to this part of itself, so that many clients do not come back at one moment."""


def retry_after_s(response: Response, *, now: float | None = None) -> float | None:
    """The wait that `Retry-After` asks for: seconds or an HTTP date (RFC 9110, section 10.2.3).

    `None` where there is none that can be read. `now` is Unix time in seconds.
    """
    value = (response.header("retry-after") or "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)  # asctime's form names no zone and means GMT
        seconds = date.timestamp() - (time.time() if now is None else now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def retry_waits(retry: RetryPolicy, jitter: random.Random) -> Iterator[float]:
    """The waits between sends, in seconds: one fewer than `retry.attempts`; never shorter than documented."""
    wait = retry.initial_delay_s
    for _ in range(retry.max_attempts - 1):
        yield wait * (1 + JITTER * jitter.random())
        wait = min(wait * retry.factor, retry.max_delay_s)


def poll_waits(poll: PollSchedule) -> Iterator[float]:
    """The waits before each poll, in seconds, without end: from `min_s`, growing to `max_s`."""
    wait = poll.min_s
    while True:
        yield wait
        wait = min(wait * poll.factor, max(poll.max_s, poll.min_s))

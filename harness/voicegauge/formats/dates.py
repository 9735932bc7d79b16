"""Reads moments in messages: timestamps in bodies, and dates in headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

MAX_UNIX_TIME_S = 1e11
"""Largest Unix time that is read as seconds; larger numbers are read as milliseconds. As seconds, this value is in the
year 5138, as milliseconds, in 1973."""


def parse_timestamp(value: Any) -> datetime | None:
    """Parse a timestamp in a response, which is an ISO 8601 text or a Unix time; `None` if `value` is neither.

    A text without a time zone is read as UTC.
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > MAX_UNIX_TIME_S else value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_http_date(text: str) -> datetime | None:
    """Parse an HTTP date in any of its three forms, in UTC (RFC 9110, section 5.6.7); `None` if `text` is none."""
    try:
        date = parsedate_to_datetime(text.strip())
        # The asctime form has no zone and means GMT.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

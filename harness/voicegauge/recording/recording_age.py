"""Computes the age of recorded traffic, from which callers decide whether a recording is stale."""

from __future__ import annotations

import datetime as dt

from voicegauge.errors import DataError
from voicegauge.model import Exchange
from voicegauge.recording.har import Recording


def get_recording_time(recording: Recording, exchange: Exchange) -> dt.datetime:
    """Return the UTC time at which `exchange` was sent; the time of `recording` if the exchange has no timing.

    Raises:
        DataError: the time of the exchange or of the recording is invalid.
    """
    try:
        if exchange.timing is not None:
            return dt.datetime.fromtimestamp(exchange.timing.started_at, dt.UTC)
        moment = dt.datetime.fromisoformat(recording.recorded_at)
    except (ValueError, OverflowError, OSError) as error:
        raise DataError(f"a recording of {recording.provider} has an invalid time: {error}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def compute_age_days(recording: Recording, exchange: Exchange, now: dt.datetime) -> float:
    """Return the number of days from the time at which `exchange` was recorded to `now`."""
    return (now - get_recording_time(recording, exchange)).total_seconds() / 86_400

"""How old recorded traffic is."""

from __future__ import annotations

import datetime as dt

from voicegauge.errors import DataError
from voicegauge.model import Exchange
from voicegauge.recording.har_file import Recording


def recorded_at(recording: Recording, exchange: Exchange) -> dt.datetime:
    """When `exchange` was recorded, in UTC: its own time, else its recording's.

    Raises:
        DataError: the recording's time is none.
    """
    try:
        if exchange.timing is not None:
            return dt.datetime.fromtimestamp(exchange.timing.started_at, dt.UTC)
        moment = dt.datetime.fromisoformat(recording.recorded_at)
    except (ValueError, OverflowError, OSError) as error:
        raise DataError(f"a recording of {recording.provider} has no time that can be read: {error}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def age_days(recording: Recording, exchange: Exchange, now: dt.datetime) -> float:
    """Days from when `exchange` was recorded until `now`."""
    return (now - recorded_at(recording, exchange)).total_seconds() / 86_400

"""What became of one request for speech: the states it was seen in, and what was delivered."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange

FailureKind = Literal[
    "refused", "failed", "server", "rate_limited", "credit", "timeout", "network", "protocol", "cancelled"
]


class Interval(Record, frozen=True, kw_only=True):
    """A time known only to lie between two polls, both in milliseconds."""

    low_ms: float
    high_ms: float


class StateObservation(Record, frozen=True, kw_only=True):
    """One state a job was seen in."""

    state: str
    at_ms: float
    """Milliseconds after the submit began at which the answer was complete."""
    requested_ms: float
    """Milliseconds after the submit began at which the question was sent."""
    exchange: int
    """Index into the delivery's exchanges."""


class Job(Record, frozen=True, kw_only=True):
    """A job as it was seen from outside, the submit's own answer first."""

    id: str | None
    status_operation: str
    observations: tuple[StateObservation, ...]


class Failure(Record, frozen=True, kw_only=True):
    """Why no audio was delivered."""

    kind: FailureKind
    message: str
    status: int | None = None
    """The HTTP status that said so, where one did."""


class Delivery(Record, frozen=True, kw_only=True):
    """All that one request for speech, or one that sent audio, led to.

    Exactly one of `audio`, `text` and `failure` is set.
    """

    target: str
    exchanges: tuple[Exchange, ...]
    attempts: int
    """Submits sent, retries included."""
    job: Job | None = None
    audio: bytes | None = None
    text: str | None = None
    """The transcript, where audio was sent to be transcribed."""
    media_type: str | None = None
    """What the provider declares the audio to be; `None` where it declares nothing."""
    audio_exchange: int | None = None
    """Index of the exchange that carried the audio, or the text."""
    submit_exchange: int | None = None
    """Index of the last submit."""
    charged_usd: float | None = None
    charged_credits: float | None = None
    failure: Failure | None = None

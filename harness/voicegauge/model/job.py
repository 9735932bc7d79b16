"""Deliveries: the job states observed while polling, and the audio, transcript or failure at the end."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record
from voicegauge.model.billing import BillingStatus
from voicegauge.model.exchange import Exchange

FailureKind = Literal[
    "rejected",
    "failed",
    "server_error",
    "rate_limited",
    "no_credit",
    "timeout",
    "network",
    "protocol",
    "audio",
    "interrupted",
]
"""`failed`: the job ended in failure; `protocol`: a response could not be understood; `audio`: the audio that arrived
cannot be used; `interrupted`: voicegauge was stopped before the result was saved."""


class Interval(Record, frozen=True, kw_only=True):
    """Lower and upper bound, in milliseconds, of a time that polling cannot determine exactly."""

    low_ms: float
    high_ms: float


class StateObservation(Record, frozen=True, kw_only=True):
    """A job state that a response reported."""

    state: str
    at_ms: float
    """When the response was complete, in milliseconds after the start of the submit."""
    requested_ms: float
    """When the request was sent, in milliseconds after the start of the submit."""
    exchange: int
    """Index into the delivery's exchanges."""


class Job(Record, frozen=True, kw_only=True):
    """A job with its observed states; the first is from the submit response, if that has a state."""

    id: str | None
    status_operation: str
    observations: tuple[StateObservation, ...]


class Failure(Record, frozen=True, kw_only=True):
    """Why a delivery failed."""

    kind: FailureKind
    message: str
    status: int | None = None
    """The HTTP status, if one caused the failure."""


class Delivery(Record, frozen=True, kw_only=True):
    """The result of one speech request or one audio input request, with all exchanges.

    Exactly one of `audio`, `text` and `failure` is set.
    """

    target: str
    exchanges: tuple[Exchange, ...]
    attempts: int
    """Number of submits sent, including retries."""
    job: Job | None = None
    audio: bytes | None = None
    text: str | None = None
    """The transcript, for a transcription."""
    media_type: str | None = None
    """The media type that the provider declares for the audio; `None` if it declares none."""
    audio_exchange: int | None = None
    """Index of the exchange with the audio or the transcript."""
    submit_exchange: int | None = None
    """Index of the exchange of the last submit."""
    charged_usd: float | None = None
    charged_credits: float | None = None
    billing: BillingStatus = BillingStatus.ACCEPTED
    """Whether the provider charges for it, as far as is known."""
    has_open_job: bool = False
    """Whether the job may still succeed: its status or its result could not be fetched."""
    failure: Failure | None = None

"""Records of deliveries: the job states observed while polling, and the resulting audio, transcript or failure."""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record
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
"""Kinds of failure: `failed` if the job ended in failure, `protocol` if a response could not be understood, `audio` if
the received audio cannot be used, `interrupted` if voicegauge was stopped before the result was saved."""


class Interval(Record, frozen=True, kw_only=True):
    """Lower and upper bound, in milliseconds, of a time that polling cannot determine exactly."""

    low_ms: Number
    high_ms: NonNegativeNumber


class StateObservation(Record, frozen=True, kw_only=True):
    """A job state that a response reported."""

    state: str
    response_began_ms: float
    """Time at which the response began to arrive, in milliseconds after the first submit request was sent."""
    requested_ms: float
    """Time at which the request was sent, in milliseconds after the first submit request was sent."""
    exchange_index: int
    """Index of the exchange with this response in `Delivery.exchanges`."""


class Job(Record, frozen=True, kw_only=True):
    """A job with its observed states. If the submit response reports a state, that is the first one."""

    id: str | None
    status_operation: str
    """Id of the operation that reports the status of the job."""
    observations: tuple[StateObservation, ...]


class Failure(Record, frozen=True, kw_only=True):
    """Why a delivery failed."""

    kind: FailureKind
    message: str
    http_status: Count | None = msgspec.field(default=None, name="status")
    """The HTTP status that caused the failure; `None` if the failure has another cause."""


class Delivery(Record, frozen=True, kw_only=True):
    """The result of one speech request or one audio input request, with all exchanges.

    Exactly one of `audio`, `transcript` and `failure` is set.
    """

    target: str
    exchanges: tuple[Exchange, ...]
    submit_count: int = msgspec.field(name="attempts")
    """Number of submit requests that were sent, including retries."""
    job: Job | None = None
    audio: bytes | None = None
    transcript: str | None = msgspec.field(default=None, name="text")
    """The transcript, if the request asked for a transcription."""
    media_type: str | None = None
    """The media type that the provider declares for the audio; `None` if it declares none."""
    audio_exchange_index: int | None = None
    """Index in `exchanges` of the exchange with the audio or the transcript."""
    submit_exchange_index: int | None = None
    """Index in `exchanges` of the last submit request."""
    first_submit_sent_ms: float | None = msgspec.field(default=None, name="first_sent_ms")
    """Time at which the first submit request was sent, on the clock of `Timing.started_ms`; `None` if this delivery
    sent none."""
    charged_usd: float | None = None
    """The reported charge in US dollars; `None` if it is not known."""
    charged_credits: float | None = None
    """The reported charge in the provider's credits; `None` if it is not known."""
    billing_status: BillingStatus = msgspec.field(default=BillingStatus.ACCEPTED, name="billing")
    """What is known about whether the provider charges for the request."""
    has_open_job: bool = False
    """Whether the job may still succeed because its status or its result could not be fetched."""
    failure: Failure | None = None

"""Jobs and deliveries: their states, failures, and what was billed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record
from voicegauge.model.exchange import Exchange, Interruption, TranscriptTiming
from voicegauge.model.price import format_price_usd
from voicegauge.printable_text import format_count, format_names

# Records of whether requests are charged, and of requests that may have been charged without a saved result.


class BillingStatus(StrEnum):
    """What is known about whether the provider charges for a request."""

    NOT_SENT = "not_sent"
    """The request was not sent, so it cannot be charged."""
    REJECTED = "rejected"
    """The provider did not perform the request, or it documents that requests with this outcome are free."""
    AMBIGUOUS = "ambiguous"
    """The request was sent, but the provider failed or its response was lost. The provider may have performed the
    request and charged for it."""
    ACCEPTED = "accepted"

    @property
    def may_be_charged(self) -> bool:
        """Whether the provider charges, or may have charged, for the request, so that its price counts as spent."""
        return self in (BillingStatus.AMBIGUOUS, BillingStatus.ACCEPTED)


class AmbiguousRequest(Record, frozen=True, kw_only=True):
    """A request whose price counts as spent although its result is unknown or was not saved."""

    sample_or_case_id: str
    """Id of the sample or test case that the request was sent for."""
    sent_at: str
    """Time at which the request was sent: UTC, in ISO 8601 format."""
    counted_usd: NonNegativeNumber | None
    """The amount in US dollars that counts as spent: the reported charge, or else the price. `None` if neither is
    known, which happens only with an emulator."""
    reason: str
    """One line that explains why the result is unknown or was not saved."""
    was_sent_again: bool = False
    """Whether the request was sent again later because the user asked for it with `--retry-ambiguous`."""


class OpenJob(Record, frozen=True, kw_only=True):
    """A job that was paid for and may still succeed; the same command polls it again."""

    sample_id: str
    """Id of the sample that the job was submitted for."""
    job_id: str
    """The provider's id of the job."""
    sent_at: str
    """Time at which the request was sent: UTC, in ISO 8601 format."""
    counted_usd: NonNegativeNumber | None
    """The amount in US dollars that counts as spent: the reported charge, or else the price. `None` if neither is
    known, which happens only with an emulator."""
    reason: str
    """One line that explains why voicegauge stopped polling before the job ended."""


def describe_ambiguous_requests(ambiguous_requests: Sequence[AmbiguousRequest]) -> list[str]:
    """Return one line for each request that may have been charged without a result."""
    return [
        f"may have been charged, without a result: {one.sample_or_case_id}"
        f"{_format_price(one.counted_usd)}: {one.reason}"
        f"{' (bought again)' if one.was_sent_again else ''}"
        for one in ambiguous_requests
    ]


MAX_REQUESTS_SHOWN = 3
"""Number of requests to the emulator without a saved result that are named."""
MAX_REASONS_SHOWN = 2
"""Number of reasons why the emulator's results are missing that are given."""


def describe_unresolved_requests(
    ambiguous_requests: Sequence[AmbiguousRequest], open_jobs: Sequence[OpenJob] = (), *, is_emulated: bool = False
) -> list[str]:
    """Return one line for each request that was paid for without a result, and lines that say what to do about them.

    >>> sent_at = "2026-01-01T00:00:00Z"
    >>> lost = AmbiguousRequest(
    ...     sample_or_case_id="acme/a/1/1/one", sent_at=sent_at, counted_usd=0.01, reason="timed out"
    ... )
    >>> for line in describe_unresolved_requests([lost]): print(line)
    may have been charged, without a result: acme/a/1/1/one, $0.01: timed out
    the same command with --retry-ambiguous pays for it again
    """
    if is_emulated:  # the emulator charges nothing, so nothing can be paid for again
        ids = [one.sample_or_case_id for one in ambiguous_requests]
        reasons = format_names(sorted({one.reason for one in ambiguous_requests}), MAX_REASONS_SHOWN, separator="; ")
        counted = f"{format_count(len(ids), 'request')}: " if len(ids) > 1 else ""
        named = f"{counted}{format_names(ids, MAX_REQUESTS_SHOWN)}: {reasons}"
        return [
            *([f"sent to the emulator, without a saved result: {named}"] if ids else []),
            *(f"still open at the emulator: {one.sample_id}, job {one.job_id}: {one.reason}" for one in open_jobs),
        ]
    lines = describe_ambiguous_requests(ambiguous_requests)
    count = sum(not one.was_sent_again for one in ambiguous_requests)
    if count:
        lines.append(f"the same command with --retry-ambiguous pays for {'it' if count == 1 else 'them'} again")
    lines += [
        f"still open: {one.sample_id}, job {one.job_id}{_format_price(one.counted_usd)}: {one.reason}"
        for one in open_jobs
    ]
    if open_jobs:
        lines.append(f"the same command polls {'it' if len(open_jobs) == 1 else 'them'} again")
    return lines


def _format_price(price_usd: float | None) -> str:
    return "" if price_usd is None else f", {format_price_usd(price_usd)}"


# Records of deliveries: the job states observed while polling, and the resulting audio, transcript or failure.


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
the received audio cannot be used, `interrupted` if voicegauge or its worker was stopped before the result was saved."""


class Interval(Record, frozen=True, kw_only=True):
    """Lower and upper bound, in milliseconds, of a time that polling cannot determine exactly."""

    low_ms: Number
    """The earliest moment or shortest time that is possible, in milliseconds."""
    high_ms: NonNegativeNumber
    """The latest moment or longest time that is possible, in milliseconds."""


class StateObservation(Record, frozen=True, kw_only=True):
    """A job state that a response reported, with the times of the request and the response."""

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
    """The id that the service gave the job; `None` if the response to the submit has no usable one."""
    status_operation: str
    """Id of the operation that reports the status of the job."""
    observations: tuple[StateObservation, ...]


class Failure(Record, frozen=True, kw_only=True):
    """Why a delivery failed."""

    kind: FailureKind
    message: str
    http_status: Count | None = None
    """The HTTP status that caused the failure; `None` if the failure has another cause."""


class Delivery(Record, frozen=True, kw_only=True):
    """The result of one speech request or one audio input request, with all exchanges.

    Exactly one of `audio`, `transcript` and `failure` is set.
    """

    target: str
    """Id of the target."""
    exchanges: tuple[Exchange, ...]
    submit_count: int
    """Number of submit requests that were sent, including retries."""
    job: Job | None = None
    audio: bytes | None = None
    transcript: str | None = None
    """The transcript, if the request asked for a transcription."""
    media_type: str | None = None
    """The media type that the provider declares for the audio; `None` if it declares none."""
    audio_exchange_index: int | None = None
    """Index in `exchanges` of the exchange with the audio or the transcript."""
    submit_exchange_index: int | None = None
    """Index in `exchanges` of the last submit request."""
    first_submit_sent_ms: float | None = None
    """Time at which the first submit request was sent, on the clock of `Timing.started_ms`; `None` if this delivery
    sent none."""
    charged_usd: float | None = None
    """The reported charge in US dollars; `None` if it is not known."""
    charged_credits: float | None = None
    """The reported charge in the provider's credits; `None` if it is not known."""
    unreadable_charge: str | None = None
    """What is wrong with an implausible charge in a response; `None` if there is none."""
    billing_status: BillingStatus = BillingStatus.ACCEPTED
    """What is known about whether the provider charges for the request."""
    has_open_job: bool = False
    """Whether the job may still succeed because its status or its result could not be fetched."""
    interruption: Interruption | None = None
    """How the service reacted to the interruption of the previous turn; `None` if the previous turn was not
    interrupted."""
    transcript_timing: TranscriptTiming | None = None
    """When the service reported texts and the end of the turn; `None` if no recording was streamed to it."""
    failure: Failure | None = None

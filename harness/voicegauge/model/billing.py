"""Records of whether requests are charged, and of requests that may have been charged without a saved result."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from voicegauge.model.base import NonNegativeNumber, Record


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

    sample_or_case_id: str = msgspec.field(name="id")
    """Id of the sample or test case that the request was sent for."""
    sent_at: str
    """Time at which the request was sent: UTC, in ISO 8601 format."""
    counted_usd: NonNegativeNumber | None = msgspec.field(name="usd")
    """The amount in US dollars that counts as spent: the reported charge, or else the price. `None` if neither is
    known, which happens only with an emulator."""
    reason: str
    """One line that explains why the result is unknown or was not saved."""
    was_sent_again: bool = msgspec.field(default=False, name="bought_again")
    """Whether the user had the request sent again later, with `--retry-ambiguous`."""


class OpenJob(Record, frozen=True, kw_only=True):
    """A job that was paid for and may still succeed; the same command polls it again."""

    sample_id: str = msgspec.field(name="id")
    """Id of the sample that the job was submitted for."""
    job_id: str = msgspec.field(name="job")
    """The provider's id of the job."""
    sent_at: str
    """Time at which the request was sent: UTC, in ISO 8601 format."""
    counted_usd: NonNegativeNumber | None = msgspec.field(name="usd")
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


def describe_unresolved_requests(
    ambiguous_requests: Sequence[AmbiguousRequest], open_jobs: Sequence[OpenJob] = (), *, is_emulated: bool = False
) -> list[str]:
    """Return one line for each request that was paid for without a result, and lines that say what to do about them.

    >>> sent_at = "2026-01-01T00:00:00Z"
    >>> lost = AmbiguousRequest(
    ...     sample_or_case_id="acme/a/1/1/one", sent_at=sent_at, counted_usd=0.01, reason="timed out"
    ... )
    >>> for line in describe_unresolved_requests([lost]): print(line)
    may have been charged, without a result: acme/a/1/1/one, $0.0100: timed out
    the same command with --retry-ambiguous pays for it again
    """
    if is_emulated:  # the emulator charges nothing, so nothing can be paid for again
        return [
            *(
                f"sent to the emulator, without a saved result: {one.sample_or_case_id}: {one.reason}"
                for one in ambiguous_requests
            ),
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
    return "" if price_usd is None else f", ${price_usd:.4f}"

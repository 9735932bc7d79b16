"""What is known about the charge for a request, and requests whose money may have bought nothing."""

from __future__ import annotations

from enum import StrEnum

from voicegauge.model.base import Record


class BillingStatus(StrEnum):
    """Whether the provider charges for a request, as far as is known."""

    NOT_SENT = "not_sent"
    """Nothing has left this machine."""
    REJECTED = "rejected"
    """The provider did not perform the request, or documents that its outcome is free."""
    AMBIGUOUS = "ambiguous"
    """Sent, but the provider failed or its response was lost: it may have been performed and charged."""
    ACCEPTED = "accepted"

    @property
    def may_be_charged(self) -> bool:
        """Whether the price counts as spent."""
        return self in (BillingStatus.AMBIGUOUS, BillingStatus.ACCEPTED)


class AmbiguousRequest(Record, frozen=True, kw_only=True):
    """A request that counts as spent although nothing is known, or saved, of its result."""

    id: str
    """Id of the sample or case that the request was sent for."""
    sent_at: str
    """UTC, ISO 8601."""
    usd: float | None
    """The price that counts as spent; `None` where it is unknown, at an emulator."""
    reason: str
    """Why nothing is known of the result, in one line."""
    bought_again: bool = False
    """Whether the request was sent again later, at the user's demand."""


class OpenJob(Record, frozen=True, kw_only=True):
    """A job that was paid for and may still succeed; the same command polls it again."""

    id: str
    """Id of the sample that the job was submitted for."""
    job: str
    """The provider's id of the job."""
    sent_at: str
    """UTC, ISO 8601."""
    usd: float | None
    """The price that counts as spent; `None` where it is unknown, at an emulator."""
    reason: str
    """Why the job was not followed to its end, in one line."""

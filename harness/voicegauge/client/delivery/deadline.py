"""Limits the time of one delivery, however slowly the service responds."""

from __future__ import annotations

from voicegauge.client.connection import ProviderConnection
from voicegauge.client.delivery.failures import DeliveryFailedError
from voicegauge.model import Failure

MAX_SUBMIT_AND_DOWNLOAD_S = 300.0
"""Maximum time of a submit with its retries and of a download, in seconds. The documented maximum time of the job is
added."""


class Deadline:
    """The time at which a delivery must end, on the clock of its client. No request is sent later."""

    def __init__(self, connection: ProviderConnection, *, max_job_duration_s: float = 0.0) -> None:
        """Start the time limit.

        Args:
            connection: the connection of the delivery, whose `max_wait_s` is respected.
            max_job_duration_s: the documented maximum time of the job in seconds; 0 if there is no job.
        """
        documented_s, set_s = MAX_SUBMIT_AND_DOWNLOAD_S + max_job_duration_s, connection.max_wait_s
        self.limit_s = documented_s if set_s is None else min(documented_s, set_s)
        self._clock = connection.clock
        self._ends_at_s = self._clock.monotonic() + self.limit_s

    @property
    def remaining_s(self) -> float:
        """Number of seconds until the deadline; 0 after it."""
        return max(self._ends_at_s - self._clock.monotonic(), 0.0)

    def extend(self, seconds: float) -> None:
        """Move the deadline later by `seconds`, in which the delivery did not wait for the service."""
        self._ends_at_s += seconds

    def require_time(self, incomplete_reason: str, *, needed_s: float = 0.0) -> None:
        """Check that more than `needed_s` seconds are left.

        Args:
            incomplete_reason: why the delivery is not complete yet, for the message.
            needed_s: time in seconds until the next request can be sent.

        Raises:
            DeliveryFailedError: the delivery would exceed its deadline.
        """
        if self.remaining_s > needed_s:
            return
        wait = f", and the next attempt is due in {needed_s:.3g} s" if needed_s else ""
        message = f"{incomplete_reason}; a delivery may take {self.limit_s:g} s{wait}"
        raise DeliveryFailedError(Failure(kind="timeout", message=message), is_temporary=True)

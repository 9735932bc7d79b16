"""Notification before and after a request that may be charged."""

from __future__ import annotations

from typing import Protocol

from voicegauge.client.spending.settlement import Settlement


class PaymentObserver(Protocol):
    """Is notified of every submit, so that a journal can record a charge that a crash would hide.

    `before_submit` is followed by one of the other two, or by neither if the connection was lost after sending:
    whether that request was charged is unknown.
    """

    def before_submit(self) -> None:
        """Note that a request is about to be sent: from now on it may be charged."""
        ...

    def submit_not_sent(self) -> None:
        """Note that the request never left this machine, so it cannot be charged."""
        ...

    def after_submit(self, http_status: int, settlement: Settlement, job_id: str | None) -> None:
        """Note the response: a job, audio, or a rejection.

        Args:
            http_status: of the response.
            settlement: what the response says about the charge.
            job_id: id of the job by which it can be polled; `None` if the response accepted no job.
        """
        ...

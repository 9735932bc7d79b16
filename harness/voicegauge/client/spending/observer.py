"""Notifies an observer before and after a request that may be charged."""

from __future__ import annotations

from typing import Protocol

from voicegauge.client.spending.settlement import Settlement


class PaymentObserver(Protocol):
    """Is notified of every submit, so that a journal knows of a possible charge even after a crash.

    `before_submit` is followed by `submit_not_sent` or `after_submit`. If the connection was lost after sending,
    neither follows, because it is unknown whether that request was charged.
    """

    def before_submit(self) -> None:
        """Note that a request is about to be sent. From now on it may be charged."""
        ...

    def submit_not_sent(self) -> None:
        """Note that the request never left this machine, so it cannot be charged."""
        ...

    def after_submit(self, http_status: int, settlement: Settlement, job_id: str | None) -> None:
        """Note the response: a job, audio, or a rejection.

        Args:
            http_status: HTTP status of the response.
            settlement: what the response says about the charge.
            job_id: id with which the job can be polled; `None` if the response accepted no job, or the job cannot be
                polled with its id alone.
        """
        ...

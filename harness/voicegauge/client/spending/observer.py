"""Notification before and after a request that may be charged."""

from __future__ import annotations

from typing import Protocol

from voicegauge.contract import BaseTarget
from voicegauge.model import Exchange, Request


class PaymentObserver(Protocol):
    """Is notified of every submit, so that a journal can record a charge that a crash would hide."""

    def before_submit(self, target: BaseTarget, request: Request) -> None:
        """Note that `request` is about to be sent: from now on it may be charged."""
        ...

    def after_submit(self, target: BaseTarget, exchange: Exchange, job_id: str | None) -> None:
        """Note the response: a job, audio, or a rejection.

        Not called if the connection was lost: whether that request was charged is unknown.
        """
        ...

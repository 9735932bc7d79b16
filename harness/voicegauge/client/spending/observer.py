"""Who is told of a paid call before and after it is made."""

from __future__ import annotations

from typing import Protocol

from voicegauge.contract import BaseTarget
from voicegauge.model import Exchange, Request


class PaymentObserver(Protocol):
    """Told of every submit, so that a journal can be written around a paid call."""

    def before_submit(self, target: BaseTarget, request: Request) -> None:
        """`request` is about to be sent; it may be paid for from now on."""
        ...

    def after_submit(self, target: BaseTarget, exchange: Exchange, job_id: str | None) -> None:
        """It was answered: accepted as `job_id`, answered with audio, or refused.

        Never called where the connection broke: whether that was paid for is unknown.
        """
        ...

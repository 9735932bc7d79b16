"""Limits spending: ledger, rule for charges, journals of submits, budget of several processes, rate limits."""

from voicegauge.client.spending.journal import (
    Journal,
    SubmitCompletedEvent,
    SubmitEvent,
    SubmitNotSentEvent,
    SubmitRecorder,
    SubmitStartedEvent,
    read_events,
)
from voicegauge.client.spending.ledger import Ledger, LedgerShare, Reservation
from voicegauge.client.spending.purchases import Purchase, PurchaseAccount, PurchaseHistory
from voicegauge.client.spending.rate_limit import RateLimiter, create_rate_limiter, find_account_plan_limits
from voicegauge.client.spending.settlement import (
    Settlement,
    SubmitObserver,
    UsagePricedRequest,
    send_and_settle,
    settle_when_done,
    should_send_again,
)
from voicegauge.client.spending.shared_budget import SharedBudget

__all__ = [
    "Journal",
    "Ledger",
    "LedgerShare",
    "Purchase",
    "PurchaseAccount",
    "PurchaseHistory",
    "RateLimiter",
    "Reservation",
    "Settlement",
    "SharedBudget",
    "SubmitCompletedEvent",
    "SubmitEvent",
    "SubmitNotSentEvent",
    "SubmitObserver",
    "SubmitRecorder",
    "SubmitStartedEvent",
    "UsagePricedRequest",
    "create_rate_limiter",
    "find_account_plan_limits",
    "read_events",
    "send_and_settle",
    "settle_when_done",
    "should_send_again",
]

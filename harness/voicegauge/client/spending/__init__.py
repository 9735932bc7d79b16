"""Limits spending: ledger, rule for charges, journals of submits, budget of several processes, rate limits."""

from voicegauge.client.spending.journal import (
    Journal,
    SubmitCompleted,
    SubmitEvent,
    SubmitNotSent,
    SubmitRecorder,
    SubmitStarted,
    read_events,
)
from voicegauge.client.spending.ledger import Ledger, Reservation
from voicegauge.client.spending.purchases import Purchase, PurchaseAccount, PurchaseHistory
from voicegauge.client.spending.rate_limit import RateLimiter, account_plans, rate_limiter_for
from voicegauge.client.spending.settlement import (
    PaymentObserver,
    Settlement,
    settle_responses,
    settlement_of,
    should_send_again,
)
from voicegauge.client.spending.shared_budget import SharedBudget

__all__ = [
    "Journal",
    "Ledger",
    "PaymentObserver",
    "Purchase",
    "PurchaseAccount",
    "PurchaseHistory",
    "RateLimiter",
    "Reservation",
    "Settlement",
    "SharedBudget",
    "SubmitCompleted",
    "SubmitEvent",
    "SubmitNotSent",
    "SubmitRecorder",
    "SubmitStarted",
    "account_plans",
    "rate_limiter_for",
    "read_events",
    "settle_responses",
    "settlement_of",
    "should_send_again",
]

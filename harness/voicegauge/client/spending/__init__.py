"""Limits spending: the ledger, the rule for charges, a budget shared between processes, and rate limits."""

from voicegauge.client.spending.ledger import AmbiguousCharge, Ledger, Reservation
from voicegauge.client.spending.observer import PaymentObserver
from voicegauge.client.spending.rate_limit import RateLimiter, account_plans, rate_limiter_for
from voicegauge.client.spending.settlement import Settlement, settle_responses, settlement_of
from voicegauge.client.spending.shared_budget import SharedBudget

__all__ = [
    "AmbiguousCharge",
    "Ledger",
    "PaymentObserver",
    "RateLimiter",
    "Reservation",
    "Settlement",
    "SharedBudget",
    "account_plans",
    "rate_limiter_for",
    "settle_responses",
    "settlement_of",
]

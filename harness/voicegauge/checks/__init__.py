"""Checks: what must hold of a provider's traffic, one rule at a time.

They see exchanges and contracts, never sockets.
"""

import voicegauge.checks.rules  # noqa: F401 - registers the rules
from voicegauge.checks.applicability import rules_of
from voicegauge.checks.judging import Judge, find_dispute
from voicegauge.checks.registry import RULES, Problem, Rule, rule, select_rules
from voicegauge.checks.subjects import (
    Aged,
    Call,
    Callback,
    Delivered,
    Expected,
    Jobs,
    Life,
    Outcome,
    RequestOrigin,
    Subject,
    TakenIn,
    Told,
    Trail,
)

__all__ = [
    "RULES",
    "Aged",
    "Call",
    "Callback",
    "Delivered",
    "Expected",
    "Jobs",
    "Judge",
    "Life",
    "Outcome",
    "Problem",
    "RequestOrigin",
    "Rule",
    "Subject",
    "TakenIn",
    "Told",
    "Trail",
    "find_dispute",
    "rule",
    "rules_of",
    "select_rules",
]

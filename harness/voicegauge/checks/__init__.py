"""Checks: what must hold of a provider's traffic, one rule at a time.

They see exchanges and contracts, never sockets.
"""

# Each module registers its rules when it is imported; the order here is the order of `voicegauge rules`.
from voicegauge.checks.rules import responses, streams, jobs, lists, resources, job_isolation, outcomes  # noqa: F401, I001
from voicegauge.checks.rules import audio, charges, audio_input, webhooks, recording_age  # noqa: F401
from voicegauge.checks.subjects import Call, RequestOrigin
from voicegauge.checks.judging import Judge, find_dispute
from voicegauge.checks.subjects import Life
from voicegauge.checks.registry import RULES, Problem, Rule, rule, select_rules
from voicegauge.checks.subjects import TakenIn
from voicegauge.checks.subjects import Aged, Delivered, Expected, Jobs, Outcome, Subject, Trail
from voicegauge.checks.subjects import Callback, Told

from voicegauge.checks.applicability import rules_of

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

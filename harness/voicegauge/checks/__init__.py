"""Checks: rules over a provider's exchanges, by its contract. They never open a connection."""

import voicegauge.checks.rules  # noqa: F401 - registers the rules
from voicegauge.checks.applicability import applicable_rules
from voicegauge.checks.checker import Checker, find_dispute
from voicegauge.checks.registry import RULES, Rule, Violation, rule, select_rules
from voicegauge.checks.subjects import (
    AudioInputCall,
    Call,
    Callback,
    CaseOutcome,
    CheckSubject,
    ExpectedResponse,
    IncompleteResponse,
    JobHistory,
    JobSet,
    RecordingAge,
    RequestCallbacks,
    RequestOrigin,
    ResourceStep,
    ResourceStepKind,
    SpeechDelivery,
)

__all__ = [
    "RULES",
    "AudioInputCall",
    "Call",
    "Callback",
    "CaseOutcome",
    "CheckSubject",
    "Checker",
    "ExpectedResponse",
    "IncompleteResponse",
    "JobHistory",
    "JobSet",
    "RecordingAge",
    "RequestCallbacks",
    "RequestOrigin",
    "ResourceStep",
    "ResourceStepKind",
    "Rule",
    "SpeechDelivery",
    "Violation",
    "applicable_rules",
    "find_dispute",
    "rule",
    "select_rules",
]

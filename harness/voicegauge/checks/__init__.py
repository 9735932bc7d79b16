"""Checks the exchanges of a provider against its contract, with rules that never open a connection."""

import voicegauge.checks.rules  # noqa: F401 - registers the rules
from voicegauge.checks.applicability import applicable_rules
from voicegauge.checks.checker import Checker, Reproduce, find_dispute
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
    PairRelation,
    RecordingAge,
    RequestCallbacks,
    RequestOrigin,
    ResourceStep,
    ResourceStepKind,
    ResponsePair,
    SpeechDelivery,
    documented_default,
    request_schema,
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
    "PairRelation",
    "RecordingAge",
    "Reproduce",
    "RequestCallbacks",
    "RequestOrigin",
    "ResourceStep",
    "ResourceStepKind",
    "ResponsePair",
    "Rule",
    "SpeechDelivery",
    "Violation",
    "applicable_rules",
    "documented_default",
    "find_dispute",
    "request_schema",
    "rule",
    "select_rules",
]

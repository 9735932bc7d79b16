"""Checks the exchanges of a provider against its contract, with rules that never open a connection."""

from voicegauge.checks.applicability import find_applicable_rules, is_rule_applicable
from voicegauge.checks.checker import Checker, ReproductionCommandBuilder, find_dispute
from voicegauge.checks.explanations import Explanation, load_explanations
from voicegauge.checks.registry import RULE_BY_ID, Rule, Violation, register_rule, select_rules
from voicegauge.checks.rules import parse_timestamp  # and registers the rules
from voicegauge.checks.subjects import (
    AudioInputCall,
    Call,
    Callback,
    CaseOutcome,
    CheckSubject,
    ComparedParameter,
    ConcurrentJobs,
    DeliveryPair,
    ExpectedResponse,
    IncompleteResponse,
    JobHistory,
    RecordingAge,
    RequestCallbacks,
    RequestIntent,
    ResourceStep,
    ResourceStepKind,
    SpeechDelivery,
    find_documented_default,
    find_request_schema,
)

__all__ = [
    "RULE_BY_ID",
    "AudioInputCall",
    "Call",
    "Callback",
    "CaseOutcome",
    "CheckSubject",
    "Checker",
    "ComparedParameter",
    "ConcurrentJobs",
    "DeliveryPair",
    "ExpectedResponse",
    "Explanation",
    "IncompleteResponse",
    "JobHistory",
    "RecordingAge",
    "ReproductionCommandBuilder",
    "RequestCallbacks",
    "RequestIntent",
    "ResourceStep",
    "ResourceStepKind",
    "Rule",
    "SpeechDelivery",
    "Violation",
    "find_applicable_rules",
    "find_dispute",
    "find_documented_default",
    "find_request_schema",
    "is_rule_applicable",
    "load_explanations",
    "parse_timestamp",
    "register_rule",
    "select_rules",
]

"""Checks the exchanges of a provider against its contract, with rules that never open a connection."""

from voicegauge.checks.applicability import find_applicable_rules, is_rule_applicable
from voicegauge.checks.checker import Checker, ReproductionCommandBuilder, find_dispute
from voicegauge.checks.explanations import Explanation, load_explanations
from voicegauge.checks.registry import RULE_BY_ID, Rule, Violation, register_rule, select_rules
from voicegauge.checks.rules import read_timestamp  # and registers the rules
from voicegauge.checks.subjects import (
    AudioInputCall,
    Call,
    Callback,
    CaseOutcome,
    CheckSubject,
    DeliveryPair,
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
    "DeliveryPair",
    "ExpectedResponse",
    "Explanation",
    "IncompleteResponse",
    "JobHistory",
    "JobSet",
    "PairRelation",
    "RecordingAge",
    "ReproductionCommandBuilder",
    "RequestCallbacks",
    "RequestOrigin",
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
    "read_timestamp",
    "register_rule",
    "select_rules",
]

"""Runs conformance checks: applies rules to documented examples, recordings, planned cases and random requests."""

from voicegauge.conformance.case_journal import CaseJournals
from voicegauge.conformance.cases import (
    CasePatterns,
    CasePlan,
    ConformanceCase,
    SkippedCase,
    explain_inconclusive_status,
    matches_case_pattern,
    plan_cases,
    select_cases,
)
from voicegauge.conformance.emulator_setup import (
    EMULATOR_API_KEY,
    build_emulator_check_settings,
    build_emulator_settings,
)
from voicegauge.conformance.needed_operations import find_excluded_operations
from voicegauge.conformance.offline import check_recordings, judge_documented_examples
from voicegauge.conformance.reporting import (
    CaseResult,
    CheckReport,
    CoverageEntry,
    CoverageTotal,
    RemainingResource,
    ResourceSummary,
    Spending,
    SpendingTotal,
    apply_baseline,
    build_check_baseline,
    count_coverage_by_kind,
    export_check_report,
    find_common_failure_cause,
    render_check_badge,
)
from voicegauge.conformance.reproduction import Reproduction, build_live_check_arguments
from voicegauge.conformance.resources import describe_remaining_resource
from voicegauge.conformance.running import (
    PricedPlan,
    ResultCollector,
    compute_total_price_usd,
    price_plan,
    require_prices,
)
from voicegauge.conformance.service_check import (
    CheckSettings,
    check_documented_examples,
    check_job_steps,
    check_service,
    delete_leftover_resources,
    run_check,
)
from voicegauge.conformance.single_request import build_modified_request, build_request_case

__all__ = [
    "EMULATOR_API_KEY",
    "CaseJournals",
    "CasePatterns",
    "CasePlan",
    "CaseResult",
    "CheckReport",
    "CheckSettings",
    "ConformanceCase",
    "CoverageEntry",
    "CoverageTotal",
    "PricedPlan",
    "RemainingResource",
    "Reproduction",
    "ResourceSummary",
    "ResultCollector",
    "SkippedCase",
    "Spending",
    "SpendingTotal",
    "apply_baseline",
    "build_check_baseline",
    "build_emulator_check_settings",
    "build_emulator_settings",
    "build_live_check_arguments",
    "build_modified_request",
    "build_request_case",
    "check_documented_examples",
    "check_job_steps",
    "check_recordings",
    "check_service",
    "compute_total_price_usd",
    "count_coverage_by_kind",
    "delete_leftover_resources",
    "describe_remaining_resource",
    "explain_inconclusive_status",
    "export_check_report",
    "find_common_failure_cause",
    "find_excluded_operations",
    "judge_documented_examples",
    "matches_case_pattern",
    "plan_cases",
    "price_plan",
    "render_check_badge",
    "require_prices",
    "run_check",
    "select_cases",
]

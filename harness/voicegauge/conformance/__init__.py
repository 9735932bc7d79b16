"""Conformance: documented examples, recordings, planned cases and fuzzing, judged by the checks."""

from voicegauge.conformance.cases import Case, Plan, Skipped, plan_cases
from voicegauge.conformance.emulator_setup import EMULATED_KEY, emulator_settings, settings_for
from voicegauge.conformance.engine import Settings, check_documents, check_jobs, check_service, run_keeping
from voicegauge.conformance.fuzzing import changed_request, request_case
from voicegauge.conformance.offline import check_recordings, documented_findings
from voicegauge.conformance.reporting import (
    CaseResult,
    CheckReport,
    Spending,
    Spent,
    apply_baseline,
    make_baseline,
    results_of,
)
from voicegauge.conformance.running import (
    Collector,
    PricedPlan,
    price_of_plan,
    priced,
    refuse_unpriced,
)

__all__ = [
    "EMULATED_KEY",
    "Case",
    "CaseResult",
    "CheckReport",
    "Collector",
    "Plan",
    "PricedPlan",
    "Settings",
    "Skipped",
    "Spending",
    "Spent",
    "apply_baseline",
    "changed_request",
    "check_documents",
    "check_jobs",
    "check_recordings",
    "check_service",
    "documented_findings",
    "emulator_settings",
    "make_baseline",
    "plan_cases",
    "price_of_plan",
    "priced",
    "refuse_unpriced",
    "request_case",
    "results_of",
    "run_keeping",
    "settings_for",
]

"""Conformance: documented examples, recordings, planned cases and fuzzing, judged by the checks."""

from voicegauge.conformance.baseline import apply_baseline, make_baseline
from voicegauge.conformance.cases import Case, Skipped
from voicegauge.conformance.collecting import Collector
from voicegauge.conformance.documented import documented_findings
from voicegauge.conformance.emulated import emulator_settings, settings_for
from voicegauge.conformance.engine import Settings, check_documents, check_jobs, check_service, run_keeping
from voicegauge.conformance.planning import Plan, plan_cases
from voicegauge.conformance.pricing import PricedPlan, price_of_plan, priced, refuse_unpriced
from voicegauge.conformance.recorded import check_recordings
from voicegauge.conformance.reproducing import changed_request, request_case
from voicegauge.conformance.result import CaseResult, CheckReport
from voicegauge.conformance.spending import Spending, Spent
from voicegauge.conformance.told import results_of

__all__ = [
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

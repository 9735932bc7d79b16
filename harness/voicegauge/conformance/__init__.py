"""Conformance: documented examples, recordings, planned cases and fuzzing, judged by the checks."""

from voicegauge.conformance.cases.case import Case, Skipped
from voicegauge.conformance.cases.plan import Plan, plan_cases
from voicegauge.conformance.fuzzing.reproduction import changed_request, request_case
from voicegauge.conformance.offline.examples import documented_findings
from voicegauge.conformance.offline.recordings import check_recordings
from voicegauge.conformance.reporting.baseline import apply_baseline, make_baseline
from voicegauge.conformance.reporting.report import CaseResult, CheckReport
from voicegauge.conformance.reporting.to_results import results_of
from voicegauge.conformance.running.collector import Collector
from voicegauge.conformance.running.emulator_setup import emulator_settings, settings_for
from voicegauge.conformance.running.engine import Settings, check_documents, check_jobs, check_service, run_keeping
from voicegauge.conformance.running.plan_price import PricedPlan, price_of_plan, priced, refuse_unpriced
from voicegauge.conformance.running.spending import Spending, Spent

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

"""The report of a check, its baseline, and its conversion for output formats."""

from voicegauge.conformance.reporting.baseline import apply_baseline, make_baseline
from voicegauge.conformance.reporting.report import CaseResult, CheckReport, merge_findings
from voicegauge.conformance.reporting.spending import Account, Allowance, Spending, Spent, count
from voicegauge.conformance.reporting.to_results import results_of

__all__ = [
    "Account",
    "Allowance",
    "CaseResult",
    "CheckReport",
    "Spending",
    "Spent",
    "apply_baseline",
    "count",
    "make_baseline",
    "merge_findings",
    "results_of",
]

"""The report of a check, its baseline, and its conversion for output formats."""

from voicegauge.conformance.reporting.baseline import apply_baseline, make_baseline
from voicegauge.conformance.reporting.report import CaseResult, CheckReport, merge_findings
from voicegauge.conformance.reporting.spending import Account, BillableLimit, Spending, SpendingTotal, count
from voicegauge.conformance.reporting.to_results import check_results

__all__ = [
    "Account",
    "BillableLimit",
    "CaseResult",
    "CheckReport",
    "Spending",
    "SpendingTotal",
    "apply_baseline",
    "check_results",
    "count",
    "make_baseline",
    "merge_findings",
]

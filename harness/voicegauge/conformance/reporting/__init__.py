"""The report of a check, its baseline, and its conversion for output formats."""

from voicegauge.conformance.reporting.baseline import apply_baseline, make_baseline
from voicegauge.conformance.reporting.report import CaseResult, CheckReport, merge_findings, targets_not_judged
from voicegauge.conformance.reporting.spending import (
    BillableLimit,
    Spending,
    SpendingAccount,
    SpendingTotal,
    count_spending,
)
from voicegauge.conformance.reporting.to_results import check_results

__all__ = [
    "BillableLimit",
    "CaseResult",
    "CheckReport",
    "Spending",
    "SpendingAccount",
    "SpendingTotal",
    "apply_baseline",
    "check_results",
    "count_spending",
    "make_baseline",
    "merge_findings",
    "targets_not_judged",
]

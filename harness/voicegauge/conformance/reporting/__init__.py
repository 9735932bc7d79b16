"""Makes the report of a check, applies a baseline to it, and converts it for output formats."""

from voicegauge.conformance.reporting.baseline import apply_baseline, make_baseline
from voicegauge.conformance.reporting.coverage import (
    CoverageCounter,
    CoverageEntry,
    CoverageTotal,
    coverage_percent,
    coverage_totals,
)
from voicegauge.conformance.reporting.report import (
    CaseResult,
    CheckReport,
    doubtful_statuses,
    merge_findings,
    targets_not_judged,
)
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
    "CoverageCounter",
    "CoverageEntry",
    "CoverageTotal",
    "Spending",
    "SpendingAccount",
    "SpendingTotal",
    "apply_baseline",
    "check_results",
    "count_spending",
    "coverage_percent",
    "coverage_totals",
    "doubtful_statuses",
    "make_baseline",
    "merge_findings",
    "targets_not_judged",
]

"""Makes the report of a check, applies a baseline to it, and converts it for output formats."""

from voicegauge.conformance.reporting.badge import render_check_badge
from voicegauge.conformance.reporting.baseline import apply_baseline, build_check_baseline
from voicegauge.conformance.reporting.coverage import (
    CoverageCounter,
    CoverageEntry,
    CoverageTotal,
    compute_coverage_percent,
    count_coverage_by_kind,
)
from voicegauge.conformance.reporting.export import export_check_report
from voicegauge.conformance.reporting.finding_clips import FindingClips
from voicegauge.conformance.reporting.report import (
    CaseResult,
    CheckReport,
    describe_doubtful_statuses,
    describe_empty_account,
    find_common_failure_cause,
    find_targets_not_judged,
    group_rejections_of_missing_targets,
    merge_findings,
)
from voicegauge.conformance.reporting.resource_summary import RemainingResource, ResourceSummary
from voicegauge.conformance.reporting.spending import (
    BillableRequestLimit,
    Spending,
    SpendingAccount,
    SpendingTotal,
    count_spending,
)

__all__ = [
    "BillableRequestLimit",
    "CaseResult",
    "CheckReport",
    "CoverageCounter",
    "CoverageEntry",
    "CoverageTotal",
    "FindingClips",
    "RemainingResource",
    "ResourceSummary",
    "Spending",
    "SpendingAccount",
    "SpendingTotal",
    "apply_baseline",
    "build_check_baseline",
    "compute_coverage_percent",
    "count_coverage_by_kind",
    "count_spending",
    "describe_doubtful_statuses",
    "describe_empty_account",
    "export_check_report",
    "find_common_failure_cause",
    "find_targets_not_judged",
    "group_rejections_of_missing_targets",
    "merge_findings",
    "render_check_badge",
]

"""Detects drift: how an API changed between two contracts, from a contract to traffic, or between two recordings."""

from voicegauge.drift.baseline import apply_baseline, build_drift_baseline
from voicegauge.drift.comparison import compare_inputs, propose_contract_patch
from voicegauge.drift.markdown import render_markdown
from voicegauge.drift.official import (
    OfficialComparison,
    OfficialDriftReport,
    OfficialSource,
    compare_with_official_document,
    find_official_source,
    render_official_markdown,
)
from voicegauge.drift.patches import ContractPatch
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, FilePosition
from voicegauge.drift.result_export import export_drift_report
from voicegauge.drift.rule_registry import DRIFT_RULE_BY_ID, DriftComparison, DriftLevel, DriftRule

__all__ = [
    "DRIFT_RULE_BY_ID",
    "ComparedInput",
    "ContractPatch",
    "DriftChange",
    "DriftComparison",
    "DriftLevel",
    "DriftReport",
    "DriftRule",
    "FilePosition",
    "OfficialComparison",
    "OfficialDriftReport",
    "OfficialSource",
    "apply_baseline",
    "build_drift_baseline",
    "compare_inputs",
    "compare_with_official_document",
    "export_drift_report",
    "find_official_source",
    "propose_contract_patch",
    "render_markdown",
    "render_official_markdown",
]

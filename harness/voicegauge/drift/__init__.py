"""Detects drift: how an API changed between two contracts, from a contract to traffic, or between two recordings."""

from voicegauge.drift.baseline import apply_baseline, make_baseline
from voicegauge.drift.comparison import compare, propose_contract_patch
from voicegauge.drift.contract_patch import ContractPatch
from voicegauge.drift.markdown import render_markdown
from voicegauge.drift.registry import DRIFT_RULES, DriftComparison, DriftLevel, DriftRule
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, FilePosition
from voicegauge.drift.to_results import drift_results

__all__ = [
    "DRIFT_RULES",
    "ComparedInput",
    "ContractPatch",
    "DriftChange",
    "DriftComparison",
    "DriftLevel",
    "DriftReport",
    "DriftRule",
    "FilePosition",
    "apply_baseline",
    "compare",
    "drift_results",
    "make_baseline",
    "propose_contract_patch",
    "render_markdown",
]

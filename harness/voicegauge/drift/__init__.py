"""Drift: how an API has changed, from two contracts, from traffic and a contract, or from two recordings."""

from voicegauge.drift.baseline import apply_baseline, make_baseline
from voicegauge.drift.comparison import compare, propose_changes
from voicegauge.drift.contract_patch import Proposal
from voicegauge.drift.markdown import render_markdown
from voicegauge.drift.registry import RULES, Comparison, Level, Rule
from voicegauge.drift.report import Change, DriftReport, Side, Spot
from voicegauge.drift.to_results import results_of

__all__ = [
    "RULES",
    "Change",
    "Comparison",
    "DriftReport",
    "Level",
    "Proposal",
    "Rule",
    "Side",
    "Spot",
    "apply_baseline",
    "compare",
    "make_baseline",
    "propose_changes",
    "render_markdown",
    "results_of",
]

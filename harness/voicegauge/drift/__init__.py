"""Drift: how an API has changed, from two contracts, from traffic and a contract, or from two recordings."""

from voicegauge.drift.comparing import compare
from voicegauge.drift.registry import RULES, Comparison, Level, Rule
from voicegauge.drift.report import Change, DriftReport, Side, Spot

__all__ = ["RULES", "Change", "Comparison", "DriftReport", "Level", "Rule", "Side", "Spot", "compare"]

"""Decides, while a benchmark runs, whether its targets are known to differ in speed or to be equally fast."""

from __future__ import annotations

from voicegauge.bench.stopping.confidence_sequence import ConfidenceSequence
from voicegauge.bench.stopping.stop_rule import DEFAULT_EQUIVALENCE_MARGIN, STOP_ALPHA, StopRule

__all__ = ["DEFAULT_EQUIVALENCE_MARGIN", "STOP_ALPHA", "ConfidenceSequence", "StopRule"]

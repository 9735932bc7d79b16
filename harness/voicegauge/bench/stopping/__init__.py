"""Decides, while a benchmark runs, when its targets are known to differ or to be equally fast."""

from __future__ import annotations

from voicegauge.bench.stopping.confidence_sequence import ConfidenceSequence
from voicegauge.bench.stopping.stop_rule import DEFAULT_MARGIN, STOP_ALPHA, StopRule

__all__ = ["DEFAULT_MARGIN", "STOP_ALPHA", "ConfidenceSequence", "StopRule"]

"""Decides, while a benchmark runs, when its targets are known to differ or to be equally fast."""

from __future__ import annotations

from voicegauge.bench.stopping.difference_sequence import DifferenceSequence
from voicegauge.bench.stopping.stop_rule import DEFAULT_MARGIN, STOP_ALPHA, StopRule

__all__ = ["DEFAULT_MARGIN", "STOP_ALPHA", "DifferenceSequence", "StopRule"]

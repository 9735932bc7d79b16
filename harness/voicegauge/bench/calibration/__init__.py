"""Measures the error of voicegauge's own times, with a loopback server that states how long it waited."""

from __future__ import annotations

from voicegauge.bench.calibration.loopback import LOOPBACK_SERVER_FILE, run_loopback_server
from voicegauge.bench.calibration.timing_error import measure_timing_error

__all__ = ["LOOPBACK_SERVER_FILE", "measure_timing_error", "run_loopback_server"]

"""Traffic against a contract, and traffic against older traffic."""

from voicegauge.drift.observed.against import compare_with_contract
from voicegauge.drift.observed.between import compare_recordings
from voicegauge.drift.observed.rules import rules
from voicegauge.drift.observed.traffic import Traffic, read_traffic
from voicegauge.drift.registry import register

__all__ = ["Traffic", "compare_recordings", "compare_with_contract", "read_traffic"]

register(rules())

"""Traffic against a contract, and traffic against older traffic."""

from voicegauge.drift.registry import register
from voicegauge.drift.traffic.reading.traffic import Traffic, read_traffic
from voicegauge.drift.traffic.rules import rules
from voicegauge.drift.traffic.traffic_vs_contract import compare_with_contract
from voicegauge.drift.traffic.traffic_vs_traffic import compare_recordings

__all__ = ["Traffic", "compare_recordings", "compare_with_contract", "read_traffic"]

register(rules())

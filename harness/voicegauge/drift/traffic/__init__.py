"""Compares recorded traffic with a contract or with older traffic."""

from voicegauge.drift.rule_registry import register_rules
from voicegauge.drift.traffic.preparation import RecordedTraffic, interpret_recordings
from voicegauge.drift.traffic.recording_comparison import (
    compare_recording_files,
    compare_recording_with_contract,
    load_traffic,
)
from voicegauge.drift.traffic.traffic_rules import build_traffic_rules
from voicegauge.drift.traffic.traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift.traffic.traffic_vs_traffic import compare_traffic

__all__ = [
    "RecordedTraffic",
    "compare_recording_files",
    "compare_recording_with_contract",
    "compare_traffic",
    "compare_traffic_with_contract",
    "interpret_recordings",
    "load_traffic",
]

register_rules(build_traffic_rules())

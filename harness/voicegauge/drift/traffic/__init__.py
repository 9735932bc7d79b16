"""Traffic against a contract, and traffic against older traffic."""

from voicegauge.drift.registry import register
from voicegauge.drift.traffic.files import recording_against_contract, recording_against_recording, traffic_of
from voicegauge.drift.traffic.reading import Traffic, read_traffic
from voicegauge.drift.traffic.rules import rules
from voicegauge.drift.traffic.traffic_vs_contract import USUAL_HEADERS, compare_with_contract
from voicegauge.drift.traffic.traffic_vs_traffic import compare_recordings

__all__ = [
    "USUAL_HEADERS",
    "Traffic",
    "compare_recordings",
    "compare_with_contract",
    "read_traffic",
    "recording_against_contract",
    "recording_against_recording",
    "traffic_of",
]

register(rules())

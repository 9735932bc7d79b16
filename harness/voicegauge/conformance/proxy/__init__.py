"""Passes a client's traffic to the service and back, judges it with the rules for recordings, and records it."""

from voicegauge.conformance.proxy.captured_bodies import CaptureMemory
from voicegauge.conformance.proxy.judge_process import FindingCallback, TrafficMonitor
from voicegauge.conformance.proxy.relay_app import PROXY_HEADER, RelayApp
from voicegauge.conformance.proxy.relay_server import run_relay
from voicegauge.conformance.proxy.traffic_records import JudgeSettings, ProxyReport
from voicegauge.conformance.proxy.upstream import Upstream

__all__ = [
    "PROXY_HEADER",
    "CaptureMemory",
    "FindingCallback",
    "JudgeSettings",
    "ProxyReport",
    "RelayApp",
    "TrafficMonitor",
    "Upstream",
    "run_relay",
]

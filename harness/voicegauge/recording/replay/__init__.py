"""Replays recorded responses in process, over a socket, or through respx."""

from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.replay_app import ReplayApp
from voicegauge.recording.replay.request_matching import RequestSignature, build_request_signature
from voicegauge.recording.replay.response_schedule import enable_realtime_scheduling

__all__ = [
    "Replay",
    "ReplayApp",
    "RequestSignature",
    "build_request_signature",
    "enable_realtime_scheduling",
]

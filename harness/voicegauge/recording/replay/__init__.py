"""Replays recorded responses in process, over a socket, or through respx."""

from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.replay_app import ReplayApp
from voicegauge.recording.replay.request_matching import ComparableRequest, build_comparable_request
from voicegauge.recording.replay.response_schedule import enable_realtime_scheduling

__all__ = [
    "ComparableRequest",
    "Replay",
    "ReplayApp",
    "build_comparable_request",
    "enable_realtime_scheduling",
]

"""Answering requests with recorded responses: in process, over a socket, or through respx."""

from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.replay_app import ReplayApp
from voicegauge.recording.replay.request_matching import Asked, ask
from voicegauge.recording.replay.timing import be_punctual

__all__ = [
    "Asked",
    "Replay",
    "ReplayApp",
    "ask",
    "be_punctual",
]

"""Records the responses of a service as fixtures."""

from voicegauge.conformance.recording.journal import UNFINISHED_FOLDER, UnfinishedRecording
from voicegauge.conformance.recording.recorder import Recorder
from voicegauge.conformance.recording.updates import (
    RecordingUpdate,
    Refresh,
    RefreshPolicy,
    plan_to_record,
    recording_path,
)

__all__ = [
    "UNFINISHED_FOLDER",
    "Recorder",
    "RecordingUpdate",
    "Refresh",
    "RefreshPolicy",
    "UnfinishedRecording",
    "plan_to_record",
    "recording_path",
]

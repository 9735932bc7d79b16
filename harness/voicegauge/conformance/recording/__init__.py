"""Records the responses of a service as fixtures."""

from voicegauge.conformance.recording.recorder import Recorder
from voicegauge.conformance.recording.unfinished_recording import UNFINISHED_RECORDINGS_FOLDER_NAME, UnfinishedRecording
from voicegauge.conformance.recording.updates import (
    RecordingUpdate,
    RefreshMode,
    RefreshPolicy,
    build_recording_path,
    plan_cases_to_record,
)

__all__ = [
    "UNFINISHED_RECORDINGS_FOLDER_NAME",
    "Recorder",
    "RecordingUpdate",
    "RefreshMode",
    "RefreshPolicy",
    "UnfinishedRecording",
    "build_recording_path",
    "plan_cases_to_record",
]

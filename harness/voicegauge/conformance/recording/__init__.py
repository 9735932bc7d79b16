"""Recording the responses of a service as fixtures."""

from voicegauge.conformance.recording.journal import Unfinished
from voicegauge.conformance.recording.recorder import Recorder, Refreshing, Update, file_of, plan_to_record

__all__ = [
    "Recorder",
    "Refreshing",
    "Unfinished",
    "Update",
    "file_of",
    "plan_to_record",
]

"""Judges documented examples and recordings, without sending anything."""

from voicegauge.conformance.offline.examples import judge_documented_examples
from voicegauge.conformance.offline.recordings import cases_by_id, check_recordings

__all__ = [
    "cases_by_id",
    "check_recordings",
    "judge_documented_examples",
]

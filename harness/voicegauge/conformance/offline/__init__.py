"""Judges documented examples and recordings, without sending anything."""

from voicegauge.conformance.offline.examples import judge_documented_examples
from voicegauge.conformance.offline.recordings import check_recordings, plan_cases_by_id

__all__ = [
    "check_recordings",
    "judge_documented_examples",
    "plan_cases_by_id",
]

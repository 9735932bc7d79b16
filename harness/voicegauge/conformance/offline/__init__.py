"""Judges documented examples and recordings, without sending anything."""

from voicegauge.conformance.offline.examples import judge_documented_examples
from voicegauge.conformance.offline.recorded_calls import explain_unmatched_call
from voicegauge.conformance.offline.recordings import (
    UnmatchedRequestCounter,
    build_repeat_command,
    check_recordings,
    iterate_jobs_and_deliveries,
    parse_call,
    plan_cases_by_id,
)

__all__ = [
    "UnmatchedRequestCounter",
    "build_repeat_command",
    "check_recordings",
    "explain_unmatched_call",
    "iterate_jobs_and_deliveries",
    "judge_documented_examples",
    "parse_call",
    "plan_cases_by_id",
]

"""Tests services with random requests and random sequences of job steps, and shrinks those that break a rule."""

from voicegauge.conformance.fuzzing.job_machine import fuzz_jobs
from voicegauge.conformance.fuzzing.random_requests import fuzz_target
from voicegauge.conformance.fuzzing.stateful_jobs import StatefulJobs
from voicegauge.conformance.fuzzing.violation_search import FuzzSettings

__all__ = [
    "FuzzSettings",
    "StatefulJobs",
    "fuzz_jobs",
    "fuzz_target",
]

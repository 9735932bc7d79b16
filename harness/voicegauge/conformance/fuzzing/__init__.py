"""Randomized testing: random requests, stateful job sequences, shrinking and reproduction."""

from voicegauge.conformance.fuzzing.random_requests import fuzz_target
from voicegauge.conformance.fuzzing.reproduction import modified_request, request_case
from voicegauge.conformance.fuzzing.search import FuzzEffort
from voicegauge.conformance.fuzzing.stateful_jobs import StatefulJobs, fuzz_job_steps

__all__ = [
    "FuzzEffort",
    "StatefulJobs",
    "fuzz_job_steps",
    "fuzz_target",
    "modified_request",
    "request_case",
]

"""Randomized testing: random requests, stateful job sequences, shrinking and reproduction."""

from voicegauge.conformance.fuzzing.random_requests import fuzz_target
from voicegauge.conformance.fuzzing.reproduction import changed_request, request_case
from voicegauge.conformance.fuzzing.search import Effort
from voicegauge.conformance.fuzzing.stateful_jobs import Interleaving, interleave_jobs

__all__ = [
    "Effort",
    "Interleaving",
    "changed_request",
    "fuzz_target",
    "interleave_jobs",
    "request_case",
]

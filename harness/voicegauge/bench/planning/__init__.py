"""Plans the texts, requests, order and expected cost of a benchmark before anything is sent."""

from voicegauge.bench.planning.plan import (
    BenchPlan,
    BenchPlanSettings,
    PlannedSample,
    Round,
    TargetQuote,
    plan_benchmark_requests,
)
from voicegauge.bench.planning.speech_requests import (
    build_speech_request,
    read_voice_sample,
    validate_requests_can_be_built,
)
from voicegauge.bench.planning.spoken_uploads import SpokenUpload, synthesize_texts
from voicegauge.bench.planning.suite import Suite, SuiteText, load_suite

__all__ = [
    "BenchPlan",
    "BenchPlanSettings",
    "PlannedSample",
    "Round",
    "SpokenUpload",
    "Suite",
    "SuiteText",
    "TargetQuote",
    "build_speech_request",
    "load_suite",
    "plan_benchmark_requests",
    "read_voice_sample",
    "synthesize_texts",
    "validate_requests_can_be_built",
]

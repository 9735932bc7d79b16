"""Plans the texts, requests, order and expected cost of a benchmark before anything is sent."""

from voicegauge.bench.planning.plan import (
    BenchPlan,
    BenchPlanSettings,
    PlannedSample,
    Round,
    TargetQuote,
    make_plan,
)
from voicegauge.bench.planning.speech_requests import read_voice_sample, speech_request, validate_requests
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
    "load_suite",
    "make_plan",
    "read_voice_sample",
    "speech_request",
    "synthesize_texts",
    "validate_requests",
]

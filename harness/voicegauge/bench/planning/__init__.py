"""Plans the texts, requests, order and expected cost of a benchmark before anything is sent."""

from voicegauge.bench.planning.own_texts import TextRow, load_own_texts
from voicegauge.bench.planning.plan import (
    BenchPlan,
    BenchPlanSettings,
    PlannedSample,
    PlannedTargetCost,
    SampleRound,
    plan_benchmark_requests,
)
from voicegauge.bench.planning.speech_requests import (
    build_speech_request,
    validate_requests_can_be_built,
)
from voicegauge.bench.planning.spoken_uploads import SpokenUpload, synthesize_texts
from voicegauge.bench.planning.suite import Suite, SuiteFile, SuiteText, load_suite
from voicegauge.bench.planning.voice_samples import (
    find_targets_needing_voice_sample_url,
    needs_voice_sample,
    read_voice_sample,
)

__all__ = [
    "BenchPlan",
    "BenchPlanSettings",
    "PlannedSample",
    "PlannedTargetCost",
    "SampleRound",
    "SpokenUpload",
    "Suite",
    "SuiteFile",
    "SuiteText",
    "TextRow",
    "build_speech_request",
    "find_targets_needing_voice_sample_url",
    "load_own_texts",
    "load_suite",
    "needs_voice_sample",
    "plan_benchmark_requests",
    "read_voice_sample",
    "synthesize_texts",
    "validate_requests_can_be_built",
]

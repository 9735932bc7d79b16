"""Planning a benchmark: texts, requests, order and expected cost, before anything is sent."""

from voicegauge.bench.planning.plan import Plan, Planned, PlanSettings, Quoted, Round, make_plan
from voicegauge.bench.planning.speech_requests import (
    Access,
    check_requests,
    emulated_access,
    gates,
    live_access,
    open_clients,
    read_voice,
    speech_request,
)
from voicegauge.bench.planning.spoken_uploads import Upload, speak_texts
from voicegauge.bench.planning.suite import SuiteText, load_suite

__all__ = [
    "Access",
    "Plan",
    "PlanSettings",
    "Planned",
    "Quoted",
    "Round",
    "SuiteText",
    "Upload",
    "check_requests",
    "emulated_access",
    "gates",
    "live_access",
    "load_suite",
    "make_plan",
    "open_clients",
    "read_voice",
    "speak_texts",
    "speech_request",
]

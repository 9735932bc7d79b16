"""Planning conformance cases: which requests a contract leads to, and what each should be answered with."""

from voicegauge.conformance.cases.audio_input import taken_in
from voicegauge.conformance.cases.batches import ASKED_AGAIN, batch_subjects
from voicegauge.conformance.cases.bodies import is_open
from voicegauge.conformance.cases.boundary_values import Probe, probes
from voicegauge.conformance.cases.case import Case, Kind, Skipped, no_verdict, statuses_for, tells_nothing, told_to_wait
from voicegauge.conformance.cases.plan import Plan, plan_cases
from voicegauge.conformance.cases.resources import Course, Who
from voicegauge.conformance.cases.sample_values import sample
from voicegauge.conformance.cases.uploads import padded
from voicegauge.conformance.cases.valid_requests import base_speech, fits, text_characters, with_value
from voicegauge.conformance.cases.webhooks import Listening, receiver_for

__all__ = [
    "ASKED_AGAIN",
    "Case",
    "Course",
    "Kind",
    "Listening",
    "Plan",
    "Probe",
    "Skipped",
    "Who",
    "base_speech",
    "batch_subjects",
    "fits",
    "is_open",
    "no_verdict",
    "padded",
    "plan_cases",
    "probes",
    "receiver_for",
    "sample",
    "statuses_for",
    "taken_in",
    "tells_nothing",
    "text_characters",
    "told_to_wait",
    "with_value",
]

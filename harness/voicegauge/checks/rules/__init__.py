"""Registers all rules when it is imported. There is one module for each topic."""

# The order here is the order of `voicegauge rules`.
# isort: off
from voicegauge.checks.rules import responses, streams, jobs, resources, job_isolation, outcomes
from voicegauge.checks.rules import audio, timestamps, metamorphic, charges, audio_input, webhooks, recording_age

# isort: on
from voicegauge.checks.rules.jobs import parse_timestamp
from voicegauge.checks.rules.resources import find_resource_item

__all__ = [
    "audio",
    "audio_input",
    "charges",
    "find_resource_item",
    "job_isolation",
    "jobs",
    "metamorphic",
    "outcomes",
    "parse_timestamp",
    "recording_age",
    "resources",
    "responses",
    "streams",
    "timestamps",
    "webhooks",
]

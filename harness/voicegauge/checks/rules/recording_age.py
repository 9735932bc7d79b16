"""Registers the rule that a recording must not be too old."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Violation, register_rule
from voicegauge.checks.subjects import RecordingAge
from voicegauge.model import Severity


@register_rule(
    "recording-stale",
    subject_class=RecordingAge,
    severity=Severity.WARNING,
    description="A recording is not older than its provider's limit; in CI an older one is an error.",
    contract_condition="x-provider.recordings.max_age_days",
)
def _check_recording_stale(recording_age: RecordingAge) -> Iterator[Violation]:
    limit = recording_age.contract.provider.recording_age_limit.max_age_days
    if recording_age.age_days > limit:
        age = f"{recording_age.age_days:.0f} days old"
        yield Violation(f"{recording_age.recording_name} is {age}, more than {limit:g}: record it again", "/x-provider")

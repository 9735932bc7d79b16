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
    contract_keys="x-provider.recordings.max_age_days",
)
def _check_recording_stale(recording: RecordingAge) -> Iterator[Violation]:
    limit = recording.contract.provider.recording_age_limit.max_age_days
    if recording.age_days > limit:
        message = (
            f"{recording.recording_name} is {recording.age_days:.0f} days old, more than {limit:g}: record it again"
        )
        yield Violation(message, "/x-provider")

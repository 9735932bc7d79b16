"""Rules over recordings: is what they show still true?"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.subjects import RecordingAge
from voicegauge.model import Severity


@rule(
    "recording-stale",
    on=RecordingAge,
    severity=Severity.WARNING,
    proves="A recording of a live service is no older than its provider's limit; in CI an older one is an error.",
    basis="x-provider.recordings.max_age_days",
)
def _recording_stale(aged: RecordingAge) -> Iterator[Violation]:
    limit = aged.contract.provider.recordings.max_age_days
    if aged.age_days > limit:
        message = f"{aged.name} was recorded {aged.age_days:.0f} days ago; after {limit:g} it proves nothing"
        yield Violation(message, "/x-provider")

"""Checks that need no service: documented examples and recordings."""

from voicegauge.conformance.offline.examples import documented_findings
from voicegauge.conformance.offline.recordings import cases_by_id, check_recordings

__all__ = [
    "cases_by_id",
    "check_recordings",
    "documented_findings",
]

"""A response that broke off before its end, each time the request was sent."""

from __future__ import annotations

from dataclasses import dataclass

from voicegauge.checks.subjects.call import CallSubject


@dataclass(frozen=True, eq=False)
class IncompleteResponse(CallSubject):
    """A call whose response has a status and headers, but whose body broke off; the body is empty here."""

    reason: str
    """How the connection was lost, on one line."""
    attempts: int
    """How often the request was sent, each time with this result."""

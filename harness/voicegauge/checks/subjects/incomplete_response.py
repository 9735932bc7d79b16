"""A response whose body was incomplete each time the request was sent."""

from __future__ import annotations

from dataclasses import dataclass

from voicegauge.checks.subjects.call import CallSubject


@dataclass(frozen=True, eq=False)
class IncompleteResponse(CallSubject):
    """A call whose response has a status and headers but whose body broke off. No part of the body is kept."""

    reason: str
    """How the connection was lost, on one line."""
    attempt_count: int
    """Number of times the request was sent, each time with this result."""

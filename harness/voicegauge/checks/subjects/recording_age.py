"""Defines the age of a recording as a subject of rules."""

from __future__ import annotations

from dataclasses import dataclass

from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.contract import Operation, Target
from voicegauge.model import Exchange


@dataclass(frozen=True, eq=False)
class RecordingAge(CheckSubject):
    """A recording with the age of its oldest exchange with the live service."""

    operation: Operation
    exchange: Exchange
    """The oldest exchange of the recording with the live service."""
    recording_name: str
    """Name of the file that contains the recording."""
    age_days: float
    target: Target | None = None

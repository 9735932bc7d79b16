"""`x-limits`: what an account, an upload or a caller without a key may ask for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from voicegauge.contract.extension.sources import PositiveInt, SourceReference
from voicegauge.model import Record


class PlanLimits(Record, frozen=True, kw_only=True):
    """Limits of one plan of a provider."""

    requests_per_minute: PositiveInt | None = None
    concurrent: PositiveInt | None = None
    text_characters: PositiveInt | None = None
    source: SourceReference | None = None


class UploadLimits(Record, frozen=True, kw_only=True):
    """Limits of an uploaded recording."""

    max_bytes: int | None = None
    """Where a document says MB, in MiB: only what passes either reading is surely too large."""
    min_s: float | None = None
    max_s: float | None = None
    min_sample_rate_hz: int | None = None
    formats: tuple[str, ...] = ()
    source: SourceReference | None = None


class KeylessLimits(Record, frozen=True, kw_only=True):
    """What can be had without a key."""

    characters_per_day: int
    source: SourceReference | None = None


class LimitsSpec(Record, frozen=True, kw_only=True):
    """`x-limits` at the root, or on an operation: what it says there is laid over the root's."""

    plans: dict[str, PlanLimits] = {}
    """The first one is what a new account has."""
    uploads: dict[str, UploadLimits] = {}
    """By form field."""
    keyless: KeylessLimits | None = None
    headers: dict[Literal["limit", "remaining", "reset", "retry_after"], str] = {}
    """Header names that tell of the rate limit."""
    source: SourceReference | None = None

    def plan(self, names: Collection[str] = ()) -> PlanLimits:
        """The first plan, or the first among `names` if any is; one without limits where no document says."""
        named = [plan for name, plan in self.plans.items() if name in names]
        return next(iter(named or self.plans.values()), PlanLimits())

"""Defines `x-limits`: limits of accounts, uploads and requests without a key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from voicegauge.contract.extension.sources import PositiveInt, SourceReference
from voicegauge.model import Record


class PlanLimits(Record, frozen=True, kw_only=True):
    """Limits of one account plan."""

    requests_per_minute: PositiveInt | None = None
    concurrent: PositiveInt | None = None
    """Maximum number of requests in progress at the same time."""
    text_characters: PositiveInt | None = None
    """Maximum number of characters in the text of one request."""
    source: SourceReference | None = None


class UploadLimits(Record, frozen=True, kw_only=True):
    """Limits of an uploaded audio file."""

    max_bytes: int | None = None
    """Maximum size in bytes. MB in a document is read as MiB, so that only files above both readings are too large."""
    min_s: float | None = None
    max_s: float | None = None
    min_sample_rate_hz: int | None = None
    formats: tuple[str, ...] = ()
    source: SourceReference | None = None


class KeylessLimits(Record, frozen=True, kw_only=True):
    """Limits of requests without a key."""

    characters_per_day: int
    source: SourceReference | None = None


class LimitsSpec(Record, frozen=True, kw_only=True):
    """`x-limits` at the root or on an operation, where it overrides the limits of the root."""

    plans: dict[str, PlanLimits] = {}
    """The account plans by name. The first one is the plan of a new account."""
    uploads: dict[str, UploadLimits] = {}
    """Limits of uploads by the name of the form field."""
    keyless: KeylessLimits | None = None
    headers: dict[Literal["limit", "remaining", "reset", "retry_after"], str] = {}
    """Names of the response headers that report the rate limit."""
    source: SourceReference | None = None

    def find_plan(self, plan_names: Collection[str] = ()) -> PlanLimits:
        """Return the first documented plan that `plan_names` contains, else the first documented plan.

        If no plan is documented, return a plan without limits.
        """
        named = [plan for name, plan in self.plans.items() if name in plan_names]
        return next(iter(named or self.plans.values()), PlanLimits())

"""Defines `x-limits`: limits of accounts, uploads and requests without a key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from voicegauge.contract.extension.sources import PositiveInt, SourceReference
from voicegauge.model import Record


class PlanLimits(Record, frozen=True, kw_only=True):
    """Limits of one account plan."""

    max_requests_per_minute: PositiveInt | None = msgspec.field(default=None, name="requests_per_minute")
    max_concurrent_requests: PositiveInt | None = msgspec.field(default=None, name="concurrent")
    """Maximum number of requests in progress at the same time."""
    max_text_characters: PositiveInt | None = msgspec.field(default=None, name="text_characters")
    """Maximum number of characters in the text of one request."""
    source: SourceReference | None = None


class UploadLimits(Record, frozen=True, kw_only=True):
    """Limits of an uploaded audio file."""

    max_bytes: int | None = None
    """Maximum size in bytes. MB in a document is read as MiB, so that only files above the limit in both units
    are too large."""
    min_duration_s: float | None = msgspec.field(default=None, name="min_s")
    max_duration_s: float | None = msgspec.field(default=None, name="max_s")
    min_sample_rate_hz: int | None = None
    accepted_formats: tuple[str, ...] = msgspec.field(default=(), name="formats")
    """Names of the accepted audio formats; empty if no document lists them."""
    source: SourceReference | None = None


class KeylessLimits(Record, frozen=True, kw_only=True):
    """Limits of requests without a key."""

    max_characters_per_day: int = msgspec.field(name="characters_per_day")
    source: SourceReference | None = None


class LimitsSpec(Record, frozen=True, kw_only=True):
    """`x-limits` at the root or on an operation, where it overrides the limits of the root."""

    plan_limits: dict[str, PlanLimits] = msgspec.field(default={}, name="plans")
    """The account plans by name. The first one is the plan of a new account."""
    upload_limits: dict[str, UploadLimits] = msgspec.field(default={}, name="uploads")
    """Limits of uploads by the name of the form field."""
    keyless_limits: KeylessLimits | None = msgspec.field(default=None, name="keyless")
    rate_limit_header_names: dict[Literal["limit", "remaining", "reset", "retry_after"], str] = msgspec.field(
        default={}, name="headers"
    )
    """Names of the response headers that report the rate limit."""
    source: SourceReference | None = None

    def find_plan(self, plan_names: Collection[str] = ()) -> PlanLimits:
        """Return the first documented plan that `plan_names` contains, else the first documented plan.

        If no plan is documented, return a plan without limits.
        """
        named = [plan for name, plan in self.plan_limits.items() if name in plan_names]
        return next(iter(named or self.plan_limits.values()), PlanLimits())

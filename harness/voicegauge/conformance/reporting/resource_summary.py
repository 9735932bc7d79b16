"""Defines what the report of a check says about the resources that the check created in the account."""

from __future__ import annotations

import msgspec

from voicegauge.model import Record


class RemainingResource(Record, frozen=True, kw_only=True):
    """A resource that stays in the account."""

    operation: str
    """The operation that created it: <provider>/<operation>."""
    resource_type: str = msgspec.field(name="name")
    """What such a resource is called: "saved voice"."""
    id: str | None
    """The id of the resource; `None` if no response contained a usable one."""
    not_deleted_reason: str = msgspec.field(name="reason")
    """Why it was not deleted, in one line."""
    created_at: str
    """Time of the request that created it: UTC, ISO 8601."""


class ResourceSummary(Record, frozen=True, kw_only=True):
    """The resources that a check created, such as saved voices, and what became of them."""

    created_count: int = msgspec.field(name="created", default=0)
    deleted_count: int = msgspec.field(name="deleted", default=0)
    """Number of the created resources that were deleted, by the check itself or at its end."""
    deleted_count_of_earlier_runs: int = msgspec.field(name="deleted_of_earlier_runs", default=0)
    """Number of resources of earlier runs that were deleted first, because those runs had been killed."""
    remaining_resources: tuple[RemainingResource, ...] = msgspec.field(name="left", default=())
    """Resources of this run and of earlier runs that stay in the account."""

    def __add__(self, other: ResourceSummary) -> ResourceSummary:
        """Return the sum of two summaries."""
        return ResourceSummary(
            created_count=self.created_count + other.created_count,
            deleted_count=self.deleted_count + other.deleted_count,
            deleted_count_of_earlier_runs=self.deleted_count_of_earlier_runs + other.deleted_count_of_earlier_runs,
            remaining_resources=(*self.remaining_resources, *other.remaining_resources),
        )

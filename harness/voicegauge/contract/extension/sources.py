"""Where a fact is written down, and what else is said of it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from voicegauge.model import Record

NonNegative = Annotated[float, Meta(ge=0)]
"""Money, a time or a rate: none of them is negative."""
Positive = Annotated[float, Meta(gt=0)]
PositiveInt = Annotated[int, Meta(ge=1)]
"""Of requests or characters that may be sent."""


class Dispute(Record, frozen=True, kw_only=True):
    """Another reading of the same fact."""

    claim: str
    """The reading, in one sentence."""
    document: str
    rules: tuple[str, ...] = ()
    """Rules whose findings on this part of the contract are disputed, not errors."""
    status: int | None = None
    """Only where the answer has this status."""
    media_type: str | None = None
    """Only where the traffic has this media type."""
    schema: dict[str, Any] | None = None
    """Only where the JSON body fits this schema."""


class SourceReference(Record, frozen=True, kw_only=True):
    """Where a fact is written down."""

    document: str
    """A file name among `x-provider.sources`."""
    note: str | None = None
    """What the document says, where the contract's own words are not enough."""
    inferred: bool = False
    """Not stated outright, but read from an example or from how the provider's client behaves."""
    disputed: tuple[Dispute, ...] = ()


class SourceDocument(Record, frozen=True, kw_only=True):
    """A document that the contract was written from."""

    title: str
    date: str
    """When it was read, or its own date: YYYY-MM-DD."""
    url: str | None = None

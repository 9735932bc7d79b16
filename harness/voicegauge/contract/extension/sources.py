"""Source documents of facts, and contradictions between them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from voicegauge.model import Record

NonNegative = Annotated[float, Meta(ge=0)]
"""An amount of money."""
Positive = Annotated[float, Meta(gt=0)]
PositiveInt = Annotated[int, Meta(ge=1)]
"""A limit: allowing nothing at all would make no sense."""


class Dispute(Record, frozen=True, kw_only=True):
    """A contradicting claim about the same fact."""

    claim: str
    """The claim, in one sentence."""
    document: str
    """The document with the claim: a file name among `x-provider.sources`."""
    rules: tuple[str, ...] = ()
    """Rules whose findings about this part of the contract are disputed instead of errors."""
    status: int | None = None
    """Only for responses with this status."""
    media_type: str | None = None
    """Only for bodies with this media type."""
    schema: dict[str, Any] | None = None
    """Only for JSON bodies that fit this schema."""


class SourceReference(Record, frozen=True, kw_only=True):
    """`x-source` on any object: the document that states the fact."""

    document: str
    """A file name among `x-provider.sources`."""
    note: str | None = None
    """A quotation or explanation, where the statement in the contract is not enough."""
    inferred: bool = False
    """Not stated explicitly, but derived from an example or from the behaviour of the provider's client."""
    disputed: tuple[Dispute, ...] = ()


class SourceDocument(Record, frozen=True, kw_only=True):
    """A document from which the contract was written."""

    title: str
    date: str
    """The date of the document, or when it was read: YYYY-MM-DD."""
    url: str | None = None

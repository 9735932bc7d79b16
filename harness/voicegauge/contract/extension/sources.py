"""Defines `x-source`: which document states a fact, and which documents dispute it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from voicegauge.model.base import Record

NonNegativeFloat = Annotated[float, Meta(ge=0)]
"""A number of at least 0, such as a price."""
PositiveFloat = Annotated[float, Meta(gt=0)]
PositiveInt = Annotated[int, Meta(ge=1)]
"""A number of at least 1. Limits have this type, because a limit of 0 would allow nothing."""


class Dispute(Record, frozen=True, kw_only=True):
    """What another document states about a fact, in contradiction to the document that the contract follows."""

    claim: str
    """One sentence that says what the other document states."""
    document_name: str
    """The document that makes the claim: a file name listed in `x-provider.sources`."""
    rule_ids: tuple[str, ...] = ()
    """Ids of the rules whose findings about this part of the contract are reported as disputed instead of as errors."""
    status: int | None = None
    """HTTP status of the responses that the dispute is about; `None` means any status."""
    media_type: str | None = None
    """Media type of the bodies that the dispute is about; `None` means any media type."""
    body_schema: dict[str, Any] | None = None
    """JSON Schema of the JSON bodies that the dispute is about; `None` means any body."""


class SourceReference(Record, frozen=True, kw_only=True):
    """`x-source` on any object: the document that states the fact."""

    document_name: str
    """The document: a file name listed in `x-provider.sources`."""
    note: str | None = None
    """A quotation or explanation; `None` if the contract is clear without it."""
    is_inferred: bool = False
    """Whether the fact is not stated explicitly, but derived from an example or from the behavior of the provider's
    client."""
    disputes: tuple[Dispute, ...] = ()


Publisher = Literal["price_page", "quoted_price_page", "provider", "third_party", "reseller"]
"""Who states the prices of a document: the provider on its price page, or on that page as others quote it because it
was not read itself; the provider in another text; somebody else; or somebody who sells the service at own prices."""


class ExplainedDifference(Record, frozen=True, kw_only=True):
    """Why the contract differs from the official document in some places, on purpose."""

    locations: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Where it differs, as `voicegauge drift --official` names the place; "*" stands for any text."""
    change: str = "*"
    """The message about the difference; "*" stands for any text."""
    reason: str
    """One sentence that says why the contract differs there."""


class LeftOutOperations(Record, frozen=True, kw_only=True):
    """Operations of the official document that the contract does not describe, on purpose."""

    operations: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Method and path, as "POST /v1/dubbing"; "*" stands for any text."""
    reason: str
    """One sentence that says why the contract leaves the operations out."""


class SourceDocument(Record, frozen=True, kw_only=True):
    """A document from which the contract was written."""

    title: str
    publisher: Publisher | None = None
    """Who states the prices of the document; by default the provider if the document is normative, otherwise a third
    party."""
    date: str
    """The date of the document, or the date when it was read: YYYY-MM-DD."""
    is_normative: bool = True
    """Whether the document binds the provider. Client libraries and pages of third parties do not: a request that tests
    what only such a document states may be accepted or rejected."""
    url: str | None = None
    compared_on: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$(?!\n)")] | None = None
    """The day on which the whole contract was last compared with the document: YYYY-MM-DD; `None` if it never was."""
    openapi_url: str | None = None
    """URL of the document's file, if it is an OpenAPI description: `voicegauge drift --official` compares the contract
    with it."""
    explained_differences: tuple[ExplainedDifference, ...] = ()
    """The differences from the OpenAPI description that are known and have a reason."""
    left_out_operations: tuple[LeftOutOperations, ...] = ()
    """The operations of the OpenAPI description that the contract does not describe, and why."""

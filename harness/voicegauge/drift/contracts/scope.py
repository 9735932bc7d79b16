"""Where a comparison is: the operation, the part of it, and how a change there is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalization import SchemaNormalizer
from voicegauge.drift.contracts.normalized_schema import AppliedSchemas, NormalizedSchema
from voicegauge.drift.contracts.schema_rules import SchemaKind
from voicegauge.drift.report import DriftChange, make_change


@dataclass(frozen=True)
class ComparisonScope:
    """A place in both documents at once."""

    operation: str | None = None
    """The operation's id, else its method and path."""
    location: str = ""
    """The part of it: "request body#/text"."""
    callback: bool = False
    """The operation is the client's: it reads the request and sends the answer."""
    old: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    """The schemas of the older document."""
    new: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    unchanged: set[tuple[str, str, str]] = field(default_factory=set, repr=False)
    """What has been compared without finding a change: the kind of place and both pointers."""

    def inside(self, location: str) -> ComparisonScope:
        """A part of this place."""
        return replace(self, location=f"{self.location}{location}")

    def change(self, rule: str, old: DocumentNode | None, new: DocumentNode | None, /, **values: Any) -> DriftChange:
        """A change here.

        Args:
            rule: an id of the catalogue.
            old: the part that changed or went; one that is missing stands for what would hold it.
            new: the part that changed or came.
            values: "old" and "new", where they say more than that a thing came or went.
        """
        return make_change(
            rule,
            location=self.location.strip() or "operation",
            operation=self.operation,
            old=None if old is None else old.position,
            new=None if new is None else new.position,
            values=values,
        )


@dataclass(frozen=True)
class SchemaPair:
    """Two schemas to compare, with what they are schemas of."""

    scope: ComparisonScope
    kind: SchemaKind
    old: AppliedSchemas
    new: AppliedSchemas
    old_place: DocumentNode
    """What stands for the older schema where it says nothing."""
    new_place: DocumentNode

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for pairs that would be compared twice."""
        return (self.kind.stem, tuple(p.pointer for p in self.old), tuple(p.pointer for p in self.new))

    def forms(self) -> tuple[NormalizedSchema, NormalizedSchema]:
        """Both in their normal form."""
        old = self.scope.old.normal(self.old, self.old_place)
        return old, self.scope.new.normal(self.new, self.new_place)

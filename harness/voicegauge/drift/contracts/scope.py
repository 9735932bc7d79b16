"""The current position of a comparison of two documents, from which changes are created."""

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
    """A part of an operation that is compared in both documents."""

    operation: str | None = None
    """The `operationId`, or the method and the path of an operation without one."""
    location: str = ""
    """The part of the operation: "request body#/text"."""
    is_callback: bool = False
    """Whether the provider sends the request and the client responds."""
    old_schemas: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    new_schemas: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    unchanged_pairs: set[tuple[str, str, str]] = field(default_factory=set, repr=False)
    """Schemas without any change, so that a shared component is compared once: id of the kind and both pointers."""

    def nested(self, suffix: str) -> ComparisonScope:
        """Return the scope of a part of this one; `suffix` is appended to the location."""
        return replace(self, location=f"{self.location}{suffix}")

    def change(self, rule: str, old: DocumentNode | None, new: DocumentNode | None, /, **values: Any) -> DriftChange:
        """Create a change at this scope.

        Args:
            rule: the id of the rule.
            old: the node that changed or was removed; `None` if it was added as a whole.
            new: the node that changed or was added; `None` if it was removed as a whole.
            values: the values to show, under "old" and "new".
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
    """Two schemas to compare, and where they are used."""

    scope: ComparisonScope
    kind: SchemaKind
    old: AppliedSchemas
    new: AppliedSchemas
    old_fallback: DocumentNode
    """Node of the older schema if `old` is empty."""
    new_fallback: DocumentNode
    """Node of the newer schema if `new` is empty."""

    @property
    def key(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """The same for pairs whose comparison gives the same changes."""
        old, new = (tuple(node.pointer for node in applied) for applied in (self.old, self.new))
        return (self.kind.id_prefix, old, new)

    def normalized(self) -> tuple[NormalizedSchema, NormalizedSchema]:
        """Return both schemas normalized."""
        old = self.scope.old_schemas.normalize(self.old, self.old_fallback)
        return old, self.scope.new_schemas.normalize(self.new, self.new_fallback)

"""Describes the part of an API that is compared in two documents, and creates changes that name this part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalization import SchemaNormalizer
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema, SchemasForSameValue
from voicegauge.drift.contracts.schema_rules import SchemaRole
from voicegauge.drift.report import DriftChange, build_change


@dataclass(frozen=True)
class ApiPart:
    """The part of an operation, or of the whole API, that is being compared in both documents."""

    operation_name: str | None = None
    """The `operationId`, or the method and the path of an operation without one; `None` for the whole API."""
    location: str = ""
    """Where the part is in the operation: "request body/text". Empty for the operation as a whole."""
    is_callback: bool = False
    """Whether the part belongs to a callback or a webhook, for which the provider sends the request and the client
    responds."""
    is_sent_as_text: bool = False
    """Whether the values of the part are sent as text, as in a header. Any value can then also be read as a string."""
    old_normalizer: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    new_normalizer: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    keys_of_unchanged_schema_pairs: set[tuple[str, bool, str, str]] = field(default_factory=set, repr=False)
    """Keys of the pairs of schemas that were compared without finding a change. They are remembered so that a component
    which several operations share is compared only once. A key consists of the role of the schemas, `is_sent_as_text`
    and both pointers."""

    def create_nested_part(self, location_suffix: str) -> ApiPart:
        """Return a part inside this one. Its location is the location of this part, followed by `location_suffix`."""
        return replace(self, location=f"{self.location}{location_suffix}")

    def build_change(
        self, rule_id: str, old_node: DocumentNode | None, new_node: DocumentNode | None, /, **message_values: Any
    ) -> DriftChange:
        """Create a change of this part.

        Args:
            rule_id: the id of the rule.
            old_node: the older node; `None` if the part was added as a whole.
            new_node: the newer node; `None` if the part was removed as a whole.
            message_values: the values that the report shows, under the names "old" and "new".
        """
        return build_change(
            rule_id,
            location=self.location.strip() or "operation",
            operation_id=self.operation_name,
            old_position=None if old_node is None else old_node.position,
            new_position=None if new_node is None else new_node.position,
            message_values=message_values,
        )


@dataclass(frozen=True)
class SchemaPair:
    """The older and the newer version of a schema, and the part of the API that they describe."""

    api_part: ApiPart
    schema_role: SchemaRole
    old_schemas: SchemasForSameValue
    new_schemas: SchemasForSameValue
    old_node_if_no_schemas: DocumentNode
    """The node whose position is reported for the older schema if `old_schemas` is empty."""
    new_node_if_no_schemas: DocumentNode
    """The node whose position is reported for the newer schema if `new_schemas` is empty."""

    @property
    def cache_key(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """A key that is equal for pairs whose comparison gives the same changes."""
        old, new = (
            tuple(node.pointer for node in applied_schemas) for applied_schemas in (self.old_schemas, self.new_schemas)
        )
        return (self.schema_role.rule_id_prefix, old, new)

    def normalize_both(self) -> tuple[NormalizedSchema, NormalizedSchema]:
        """Return both schemas in normalized form."""
        old = self.api_part.old_normalizer.normalize(self.old_schemas, self.old_node_if_no_schemas)
        return old, self.api_part.new_normalizer.normalize(self.new_schemas, self.new_node_if_no_schemas)

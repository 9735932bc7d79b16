"""Describes the part of an API that is compared in two documents, and creates changes that name this part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from voicegauge.drift._document_node import DocumentNode
from voicegauge.drift._rule_catalogue import SchemaRole
from voicegauge.drift._schema_normalization import NormalizedSchema, SchemaNormalizer, SchemasForSameValue
from voicegauge.drift.drift_report import DriftChange, build_change

SchemaPairKey = tuple[str, bool, tuple[str, ...], tuple[str, ...]]
"""The role of two schemas, whether they are sent as text, and what identifies the older and the newer schema."""
_WHOLE_OPERATION_LOCATION = "operation"


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
    compared_schemas: dict[SchemaPairKey, ComparedSchemas] = field(default_factory=dict, repr=False)
    """The results of comparing pairs of schemas. They are remembered so that a component which several operations or
    schemas share is compared only once."""

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
            location=self.location.strip() or _WHOLE_OPERATION_LOCATION,
            operation_id=self.operation_name,
            old_position=None if old_node is None else old_node.position,
            new_position=None if new_node is None else new_node.position,
            message_values=message_values,
        )

    def locate_change(self, change: DriftChange, location_suffix: str) -> DriftChange:
        """Return `change`, which has no operation and no location of its own, as a change inside this part."""
        suffix = "" if change.location == _WHOLE_OPERATION_LOCATION else change.location
        location = f"{self.location}{location_suffix}{suffix}".strip() or _WHOLE_OPERATION_LOCATION
        return msgspec.structs.replace(change, operation=self.operation_name, location=location)


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
    def identity_key(self) -> SchemaPairKey:
        """A key that is equal for pairs of the same schemas."""
        old, new = (
            tuple(node.pointer for node in applied_schemas) for applied_schemas in (self.old_schemas, self.new_schemas)
        )
        return (self.schema_role.rule_id_prefix, self.api_part.is_sent_as_text, old, new)

    @property
    def comparison_key(self) -> SchemaPairKey:
        """A key that is equal for pairs whose comparison gives the same changes.

        Pairs of references to the same components have equal keys.
        """
        old, new = self.normalize_both()
        return (
            self.schema_role.rule_id_prefix,
            self.api_part.is_sent_as_text,
            _list_pointers_or_references(self.old_schemas, self.old_node_if_no_schemas, old),
            _list_pointers_or_references(self.new_schemas, self.new_node_if_no_schemas, new),
        )

    def normalize_both(self) -> tuple[NormalizedSchema, NormalizedSchema]:
        """Return both schemas in normalized form."""
        old = self.api_part.old_normalizer.normalize(self.old_schemas, self.old_node_if_no_schemas)
        return old, self.api_part.new_normalizer.normalize(self.new_schemas, self.new_node_if_no_schemas)


def _list_pointers_or_references(
    schemas_for_same_value: SchemasForSameValue, node_if_no_schemas: DocumentNode, schema: NormalizedSchema
) -> tuple[str, ...]:
    """Return texts that are equal for schemas that are the same except for their position in the document.

    Args:
        schemas_for_same_value: the schemas, all of which apply to one value.
        node_if_no_schemas: the node whose position is reported if there are none.
        schema: the schemas in normalized form. It has the node of a reference if the reference leads to an empty
            schema, whose changes are reported at the reference.
    """
    if not schemas_for_same_value:
        return ("nothing at", node_if_no_schemas.pointer)
    return tuple(
        node.value["$ref"]
        if len(schemas_for_same_value) == 1 and node.is_plain_reference and schema.node != node
        else node.pointer
        for node in schemas_for_same_value
    )


@dataclass(eq=False)
class ComparedSchemas:
    """The changes in a pair of schemas. They have no operation, so that they apply wherever the schemas are used."""

    changes: tuple[DriftChange, ...]
    """The changes of the two schemas, without those of schemas inside them."""
    changed_inner_pairs: tuple[InnerPair, ...] = ()
    """The pairs of schemas inside them that have a change, or that have such a pair inside them."""

    @property
    def is_changed(self) -> bool:
        """Whether the schemas, or schemas inside them, have a change."""
        return bool(self.changes or self.changed_inner_pairs)


class InnerPair(NamedTuple):
    """A pair of schemas inside another pair."""

    location_suffix: str
    """Where the schemas are in the outer ones, such as "/text"."""
    identity_key: SchemaPairKey
    compared_schemas: ComparedSchemas

"""Compares the properties of two object schemas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voicegauge.drift.contracts.api_part import ApiPart, SchemaPair
from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema, SchemasForSameValue
from voicegauge.drift.contracts.schema_rules import SCHEMA_ROLE_BY_RULE_ID_PREFIX, SchemaRole
from voicegauge.drift.contracts.schemas.keywords import compare_flags
from voicegauge.drift.report import DriftChange
from voicegauge.formats import escape_pointer_token


@dataclass(frozen=True)
class _PropertyVersion:
    """A property in the older or the newer schema."""

    schemas_for_same_value: SchemasForSameValue
    """The schemas of the property, all of which apply. There are several if `allOf` combines objects, and none if
    `properties` does not list the property."""
    node: DocumentNode
    schema: NormalizedSchema
    is_required: bool
    required_keyword_node: DocumentNode
    """The node of the keyword `required` of the object that has the property."""
    is_omitted_from_body: bool
    """Whether messages leave out the property. Requests omit read-only properties, responses omit write-only ones."""

    @property
    def requiredness(self) -> str:
        """The word "required" or "optional", which rule ids contain."""
        return "required" if self.is_required else "optional"


@dataclass(frozen=True)
class _PropertyPair:
    """A property as the older and as the newer schema describe it."""

    api_part: ApiPart
    schema_role: SchemaRole
    old_property: _PropertyVersion
    new_property: _PropertyVersion

    def build_change(self, rule_id: str) -> DriftChange:
        """Create a change that is about the property as a whole."""
        return self.api_part.build_change(rule_id, self.old_property.node, self.new_property.node)


def compare_properties(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema, pending_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield a change for each property that was added or removed, or that became required or optional.

    The schemas of the properties that exist in both versions are appended to `pending_pairs`.
    """
    kind = SCHEMA_ROLE_BY_RULE_ID_PREFIX[schema_pair.schema_role.property_rule_id_prefix]
    for name in dict.fromkeys(
        (*old_schema.properties, *new_schema.properties, *old_schema.required_names, *new_schema.required_names)
    ):
        api_part = schema_pair.api_part.create_nested_part(f"/{escape_pointer_token(name)}")
        before = _read_property_version(api_part, kind, old_schema, name, is_new_version=False)
        after = _read_property_version(api_part, kind, new_schema, name, is_new_version=True)
        yield from _compare_property(_PropertyPair(api_part, kind, before, after), pending_pairs)


def _read_property_version(
    api_part: ApiPart,
    schema_role: SchemaRole,
    parent_schema: NormalizedSchema,
    property_name: str,
    *,
    is_new_version: bool,
) -> _PropertyVersion:
    applied_schemas = parent_schema.properties.get(property_name, ())
    node = (
        applied_schemas[0] if applied_schemas else parent_schema.node.get_child("properties").get_child(property_name)
    )
    schema = (api_part.new_normalizer if is_new_version else api_part.old_normalizer).normalize(applied_schemas, node)
    return _PropertyVersion(
        schemas_for_same_value=applied_schemas,
        node=node,
        schema=schema,
        is_required=parent_schema.is_property_required(property_name),
        required_keyword_node=parent_schema.get_keyword("required"),
        is_omitted_from_body=("readOnly" if schema_role.is_sent_by_client else "writeOnly")
        in schema.non_schema_keywords,
    )


def _compare_property(property_pair: _PropertyPair, pending_pairs: list[SchemaPair]) -> Iterator[DriftChange]:
    old, new, kind = property_pair.old_property, property_pair.new_property, property_pair.schema_role
    # A property that both versions require exists in both, even if only one version describes it.
    if bool(old.schemas_for_same_value) != bool(new.schemas_for_same_value) and not (
        old.is_required and new.is_required
    ):
        if not old.is_omitted_from_body and not new.is_omitted_from_body:
            yield property_pair.build_change(
                _choose_rule_of_addition(kind, new)
                if new.schemas_for_same_value
                else _choose_rule_of_removal(kind, old)
            )
        return
    yield from _compare_read_write_access(property_pair)
    if not old.is_omitted_from_body and not new.is_omitted_from_body:
        yield from _compare_requiredness(property_pair)
        if old.schemas_for_same_value or new.schemas_for_same_value:
            pending_pairs.append(
                SchemaPair(
                    property_pair.api_part,
                    kind,
                    old.schemas_for_same_value,
                    new.schemas_for_same_value,
                    old.node,
                    new.node,
                )
            )
    elif (
        kind.is_sent_by_client and not new.is_omitted_from_body and new.is_required
    ):  # it was read-only, and must now be sent
        yield property_pair.build_change(_choose_rule_of_addition(kind, new))
    elif (
        not kind.is_sent_by_client and not old.is_omitted_from_body
    ):  # it became write-only, so that responses no longer have it
        yield property_pair.build_change(_choose_rule_of_removal(kind, old))


def _choose_rule_of_addition(schema_role: SchemaRole, new_property: _PropertyVersion) -> str:
    if not schema_role.is_sent_by_client:
        return f"{schema_role.message_type}-{new_property.requiredness}-property-added"
    has_default = new_property.is_required and "default" in new_property.schema.non_schema_keywords
    return f"new-{new_property.requiredness}-{schema_role.rule_id_prefix}" + ("-with-default" if has_default else "")


def _choose_rule_of_removal(schema_role: SchemaRole, old_property: _PropertyVersion) -> str:
    return (
        f"{schema_role.rule_id_prefix}-removed"
        if schema_role.is_sent_by_client
        else f"{schema_role.message_type}-{old_property.requiredness}-property-removed"
    )


def _compare_requiredness(property_pair: _PropertyPair) -> Iterator[DriftChange]:
    old, new = property_pair.old_property, property_pair.new_property
    if old.is_required == new.is_required:
        return
    rule = f"{property_pair.schema_role.rule_id_prefix}-became-{new.requiredness}"
    if property_pair.schema_role.is_sent_by_client and new.is_required and "default" in new.schema.non_schema_keywords:
        rule += "-with-default"
    yield property_pair.api_part.build_change(rule, old.required_keyword_node, new.required_keyword_node)


def _compare_read_write_access(property_pair: _PropertyPair) -> Iterator[DriftChange]:
    """Yield a change if the property became, or stopped being, read-only or write-only."""
    for keyword, name in (("readOnly", "read-only"), ("writeOnly", "write-only")):
        old, new = (
            property_pair.old_property.schema.get_keyword(keyword),
            property_pair.new_property.schema.get_keyword(keyword),
        )
        for change in compare_flags(f"became-{name}", f"became-not-{name}", old, new):
            kind = f"{property_pair.schema_role.message_type}-{property_pair.new_property.requiredness}-property"
            yield property_pair.api_part.build_change(f"{kind}-{change.rule_id_suffix}", old, new)

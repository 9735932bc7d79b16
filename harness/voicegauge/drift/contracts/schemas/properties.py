"""Compares the properties of two object schemas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import AppliedSchemas, NormalizedSchema
from voicegauge.drift.contracts.schema_rules import SCHEMA_KINDS, SchemaKind
from voicegauge.drift.contracts.schemas.keywords import compare_flags
from voicegauge.drift.contracts.scope import ComparisonScope, SchemaPair
from voicegauge.drift.report import DriftChange
from voicegauge.formats import escape_pointer_token


@dataclass(frozen=True)
class _PropertyVersion:
    """A property in the older or the newer schema."""

    applied_schemas: AppliedSchemas
    """The schemas of the property; empty if `properties` does not list it."""
    node: DocumentNode
    schema: NormalizedSchema
    is_required: bool
    required_node: DocumentNode
    """The node of the keyword `required` of the object that has the property."""
    is_hidden: bool
    """Whether messages leave out the property. Requests omit read-only properties, responses omit write-only ones."""

    @property
    def need(self) -> str:
        """The word "required" or "optional", which rule ids contain."""
        return "required" if self.is_required else "optional"


@dataclass(frozen=True)
class _PropertyPair:
    """A property as the older and as the newer schema describe it."""

    scope: ComparisonScope
    kind: SchemaKind
    old: _PropertyVersion
    new: _PropertyVersion

    def change(self, rule: str) -> DriftChange:
        """Create a change that is about the property as a whole."""
        return self.scope.change(rule, self.old.node, self.new.node)


def compare_properties(
    pair: SchemaPair, old: NormalizedSchema, new: NormalizedSchema, inner_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield the changes of properties as a whole. Append the schemas of properties in both to `inner_pairs`."""
    kind = SCHEMA_KINDS[pair.kind.property_kind]
    for name in dict.fromkeys((*old.properties, *new.properties, *old.required, *new.required)):
        scope = pair.scope.nested(f"/{escape_pointer_token(name)}")
        before = _property_version(scope, kind, old, name, is_newer=False)
        after = _property_version(scope, kind, new, name, is_newer=True)
        yield from _compare_property(_PropertyPair(scope, kind, before, after), inner_pairs)


def _property_version(
    scope: ComparisonScope, kind: SchemaKind, parent: NormalizedSchema, name: str, *, is_newer: bool
) -> _PropertyVersion:
    applied_schemas = parent.properties.get(name, ())
    node = applied_schemas[0] if applied_schemas else parent.node.child("properties").child(name)
    schema = (scope.new_schemas if is_newer else scope.old_schemas).normalize(applied_schemas, node)
    return _PropertyVersion(
        applied_schemas=applied_schemas,
        node=node,
        schema=schema,
        is_required=parent.requires(name),
        required_node=parent.keyword("required"),
        is_hidden=("readOnly" if kind.is_sent else "writeOnly") in schema.keywords,
    )


def _compare_property(pair: _PropertyPair, inner_pairs: list[SchemaPair]) -> Iterator[DriftChange]:
    old, new, kind = pair.old, pair.new, pair.kind
    # A property that both versions require exists in both, even if only one version describes it.
    if bool(old.applied_schemas) != bool(new.applied_schemas) and not (old.is_required and new.is_required):
        if not old.is_hidden and not new.is_hidden:
            yield pair.change(_added_rule(kind, new) if new.applied_schemas else _removed_rule(kind, old))
        return
    yield from _compare_access(pair)
    if not old.is_hidden and not new.is_hidden:
        yield from _compare_need(pair)
        if old.applied_schemas or new.applied_schemas:
            inner_pairs.append(
                SchemaPair(pair.scope, kind, old.applied_schemas, new.applied_schemas, old.node, new.node)
            )
    elif kind.is_sent and not new.is_hidden and new.is_required:  # it was read-only, and must now be sent
        yield pair.change(_added_rule(kind, new))
    elif not kind.is_sent and not old.is_hidden:  # it became write-only, so that responses no longer have it
        yield pair.change(_removed_rule(kind, old))


def _added_rule(kind: SchemaKind, new: _PropertyVersion) -> str:
    if not kind.is_sent:
        return f"{kind.message}-{new.need}-property-added"
    has_default = new.is_required and "default" in new.schema.keywords
    return f"new-{new.need}-{kind.id_prefix}" + ("-with-default" if has_default else "")


def _removed_rule(kind: SchemaKind, old: _PropertyVersion) -> str:
    return f"{kind.id_prefix}-removed" if kind.is_sent else f"{kind.message}-{old.need}-property-removed"


def _compare_need(pair: _PropertyPair) -> Iterator[DriftChange]:
    old, new = pair.old, pair.new
    if old.is_required == new.is_required:
        return
    rule = f"{pair.kind.id_prefix}-became-{new.need}"
    if pair.kind.is_sent and new.is_required and "default" in new.schema.keywords:
        rule += "-with-default"
    yield pair.scope.change(rule, old.required_node, new.required_node)


def _compare_access(pair: _PropertyPair) -> Iterator[DriftChange]:
    """Compare `readOnly` and `writeOnly`."""
    for keyword, name in (("readOnly", "read-only"), ("writeOnly", "write-only")):
        old, new = pair.old.schema.keyword(keyword), pair.new.schema.keyword(keyword)
        for change in compare_flags(f"became-{name}", f"became-not-{name}", old, new):
            yield pair.scope.change(f"{pair.kind.message}-{pair.new.need}-property-{change.action}", old, new)

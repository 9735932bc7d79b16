"""Compares the types, the formats and the nullability of two schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema
from voicegauge.drift.contracts.schema_rules import SchemaRole


class KeywordChange(NamedTuple):
    """A change of one keyword."""

    rule_id_suffix: str
    """The part of the rule id after the role of the schema, such as "max-increased"."""
    old_node: DocumentNode
    new_node: DocumentNode
    message_values: Mapping[str, Any]
    """The values that the report shows, under the keys "old" and "new"."""


_ValueSetRelation = Literal["same", "wider", "narrower", "other"]
"""Whether the newer schema allows the same values as the older one, more (`wider`), fewer (`narrower`), or some more
and some fewer (`other`)."""
_INCLUDED_FORMATS_BY_FORMAT = {
    "double": {"float"},
    "int64": {"int32"},
    "bigint": {"int32", "int64"},
    "date-time": {"date", "time"},
}
"""For each value of the keyword `format`, the narrower formats that oasdiff considers to be part of it."""


def compare_types(
    schema_role: SchemaRole, old_schema: NormalizedSchema, new_schema: NormalizedSchema, *, is_sent_as_text: bool
) -> Iterator[KeywordChange]:
    """Yield the changes of nullability, types and formats.

    Args:
        schema_role: the role of both schemas.
        old_schema: the older schema.
        new_schema: the newer schema.
        is_sent_as_text: whether the value is sent as text, as in a header, so that any value can also be read as a
            string.
    """
    nodes = _find_type_node(old_schema), _find_type_node(new_schema)
    if (
        old_schema.is_nullable is not None
        and new_schema.is_nullable is not None
        and old_schema.is_nullable != new_schema.is_nullable
    ):
        yield KeywordChange("became-nullable" if new_schema.is_nullable else "became-not-nullable", *nodes, {})
    types = _TypeChange(_find_effective_types(old_schema), _find_effective_types(new_schema))
    values = {"old": _describe_type(old_schema), "new": _describe_type(new_schema)}
    formats = _compare_formats(old_schema.get_keyword("format"), new_schema.get_keyword("format"))
    if types.value_set_relation == "same" and formats == "same":
        return
    changed = (
        nodes
        if types.value_set_relation != "same"
        else (old_schema.get_keyword("format"), new_schema.get_keyword("format"))
    )
    if (
        types.old_types
        and types.new_types
        and types.value_set_relation != "same"
        and any(_is_branch_list(node) for node in nodes)
    ):
        yield KeywordChange(_choose_type_list_rule_suffix(schema_role, types), *changed, values)
    else:
        yield KeywordChange(
            _choose_type_rule_suffix(schema_role, types, formats, is_sent_as_text=is_sent_as_text), *changed, values
        )


def _is_branch_list(node: DocumentNode) -> bool:
    """Whether a list of types comes from a `oneOf` or `anyOf`, which normalization replaced by the types it allows."""
    return node.pointer.endswith(("/anyOf", "/oneOf"))


class _TypeChange(NamedTuple):
    """The types that are allowed before and after a change; `None` if every type is allowed."""

    old_types: frozenset[str] | None
    new_types: frozenset[str] | None

    @property
    def value_set_relation(self) -> _ValueSetRelation:
        return _compare_type_sets(self.old_types, self.new_types)


def _choose_type_list_rule_suffix(schema_role: SchemaRole, type_change: _TypeChange) -> str:
    """Return the end of the rule id for a changed list of types.

    If types were both added and removed, the change that is worse for clients decides.
    """
    old, new = type_change.old_types or frozenset(), type_change.new_types or frozenset()
    is_narrowed = bool(old - new) if schema_role.is_sent_by_client else not new - old
    return "list-of-types-narrowed" if is_narrowed else "list-of-types-widened"


def _choose_type_rule_suffix(
    schema_role: SchemaRole, type_change: _TypeChange, format_relation: _ValueSetRelation, *, is_sent_as_text: bool
) -> str:
    """Return the end of the rule id for a change of types, formats or both, as oasdiff classifies them."""
    is_breaking = _breaks_receiver(schema_role, type_change, format_relation, is_sent_as_text=is_sent_as_text)
    if schema_role.rule_id_prefix == "request-parameter-property":
        # How an object in a parameter is sent is not known, as text or for example as JSON.
        if is_breaking != _breaks_receiver(
            schema_role, type_change, format_relation, is_sent_as_text=not is_sent_as_text
        ):
            return "type-changed"
        return "type-specialized" if is_breaking else "type-generalized"
    if schema_role.is_sent_by_client:
        is_text_only = (
            type_change.value_set_relation in ("narrower", "other")
            and schema_role.rule_id_prefix != "request-parameter"
        )
        return "type-changed" if is_breaking else "type-compatible" if is_text_only else "type-generalized"
    if is_breaking:
        return (
            "type-generalized"
            if type_change.value_set_relation == "wider" and type_change.new_types is not None
            else "type-changed"
        )
    return "type-compatible" if type_change.value_set_relation in ("wider", "other") else "type-specialized"


def _breaks_receiver(
    schema_role: SchemaRole, type_change: _TypeChange, format_relation: _ValueSetRelation, *, is_sent_as_text: bool
) -> bool:
    """Whether the receiver of the value (the provider or the client) may get a value that it does not expect."""
    read_types = type_change.new_types if schema_role.is_sent_by_client else type_change.old_types
    harmless: _ValueSetRelation = "wider" if schema_role.is_sent_by_client else "narrower"
    if type_change.value_set_relation != "same" and read_types is None:
        return False
    is_readable = type_change.value_set_relation in ("same", harmless) or (
        is_sent_as_text and "string" in (read_types or ())
    )
    return not is_readable or format_relation not in ("same", harmless)


def are_type_sets_disjoint(old_schema: NormalizedSchema, new_schema: NormalizedSchema) -> bool:
    """Whether the schemas have no type in common. If so, comparing other keywords would not help a reader."""
    old_types, new_types = _find_effective_types(old_schema), _find_effective_types(new_schema)
    if not old_types or not new_types:
        return False
    return _compare_type_sets(old_types, new_types) == "other" and not old_types & new_types


def _find_type_node(schema: NormalizedSchema) -> DocumentNode:
    for key in ("type", "nullable", "enum", "const"):
        if key in schema.non_schema_keywords:
            return schema.non_schema_keywords[key]
    return schema.node.get_child("type") if schema.explicitly_nullable is None else schema.node


def _find_effective_types(schema: NormalizedSchema) -> frozenset[str] | None:
    """Return the types that `type` lists or that the values of `enum` have; `None` if the schema has neither."""
    if schema.allowed_types is not None or schema.allowed_values is None:
        return schema.allowed_types
    return frozenset(_get_json_type(value) for value in schema.allowed_values if value is not None) or None


def _get_json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if float(value).is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _compare_type_sets(old_types: frozenset[str] | None, new_types: frozenset[str] | None) -> _ValueSetRelation:
    if old_types == new_types:
        return "same"
    if old_types is None or new_types is None:
        return "wider" if new_types is None else "narrower"
    if _are_types_included(old_types, new_types):
        return "wider"
    return "narrower" if _are_types_included(new_types, old_types) else "other"


def _are_types_included(smaller_set: frozenset[str], larger_set: frozenset[str]) -> bool:
    return all(name in larger_set or (name == "integer" and "number" in larger_set) for name in smaller_set)


def _compare_formats(old_node: DocumentNode, new_node: DocumentNode) -> _ValueSetRelation:
    if old_node.value == new_node.value:
        return "same"
    if not isinstance(new_node.value, str):
        return "wider"
    if not isinstance(old_node.value, str):
        return "narrower"
    if old_node.value in _INCLUDED_FORMATS_BY_FORMAT.get(new_node.value, ()):
        return "wider"
    return "narrower" if new_node.value in _INCLUDED_FORMATS_BY_FORMAT.get(old_node.value, ()) else "other"


def _describe_type(schema: NormalizedSchema) -> str:
    types, format_keyword = _find_effective_types(schema), schema.get_keyword("format")
    text = "any" if types is None else " or ".join(sorted(types)) or "null"
    return f"{text} ({format_keyword.value})" if format_keyword.exists else text

"""Compares the types, the formats and the nullability of two schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema


class KeywordChange(NamedTuple):
    """A change of one keyword."""

    action_suffix: str
    """The part of the rule id that follows the kind of the schema."""
    old: DocumentNode
    new: DocumentNode
    values: Mapping[str, Any]
    """The values that the report shows, under the keys "old" and "new"."""


_SetRelation = Literal["same", "wider", "narrower", "other"]
"""How the set of values that the newer schema allows relates to the set that the older schema allows."""
_INCLUDED_FORMATS_BY_FORMAT = {
    "double": {"float"},
    "int64": {"int32"},
    "bigint": {"int32", "int64"},
    "date-time": {"date", "time"},
}
"""For each format, the narrower formats that oasdiff considers to be part of it."""
_ACTION_BY_TYPE_RELATION: Mapping[_SetRelation, str] = {"wider": "type-generalized", "narrower": "type-specialized"}


def compare_types(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """Yield the changes of nullability, types and formats."""
    nodes = _find_type_node(old), _find_type_node(new)
    if old.is_nullable is not None and new.is_nullable is not None and old.is_nullable != new.is_nullable:
        yield KeywordChange("became-nullable" if new.is_nullable else "became-not-nullable", *nodes, {})
    old_types, new_types = _find_effective_types(old), _find_effective_types(new)
    types = _compare_type_sets(old_types, new_types)
    values = {"old": _describe_type(old), "new": _describe_type(new)}
    has_list = old_types and new_types and max(len(old_types), len(new_types)) > 1
    if has_list and types != "same" and (old_types or set()) & (new_types or set()):
        if types in ("wider", "other"):
            yield KeywordChange("list-of-types-widened", *nodes, values)
        if types in ("narrower", "other"):
            yield KeywordChange("list-of-types-narrowed", *nodes, values)
        types = "same"
    relation = _combine_relations(types, _compare_formats(old.get_keyword("format"), new.get_keyword("format")))
    if relation != "same":
        changed = nodes if types != "same" else (old.get_keyword("format"), new.get_keyword("format"))
        yield KeywordChange(_ACTION_BY_TYPE_RELATION.get(relation, "type-changed"), *changed, values)


def _combine_relations(type_relation: _SetRelation, format_relation: _SetRelation) -> _SetRelation:
    """Combine the relations of types and formats. If they contradict each other, the result is "other"."""
    if type_relation == "other" or format_relation == "same":
        return type_relation
    return format_relation if type_relation in ("same", format_relation) else "other"


def are_disjoint(old: NormalizedSchema, new: NormalizedSchema) -> bool:
    """Whether the schemas have no type in common. If so, comparing other keywords would not help a reader."""
    old_types, new_types = _find_effective_types(old), _find_effective_types(new)
    if not old_types or not new_types:
        return False
    return _compare_type_sets(old_types, new_types) == "other" and not old_types & new_types


def _find_type_node(schema: NormalizedSchema) -> DocumentNode:
    for key in ("type", "nullable", "enum", "const"):
        if key in schema.keywords:
            return schema.keywords[key]
    return schema.node.get_child("type") if schema.nullable is None else schema.node


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


def _compare_type_sets(old_types: frozenset[str] | None, new_types: frozenset[str] | None) -> _SetRelation:
    if old_types == new_types:
        return "same"
    if old_types is None or new_types is None:
        return "wider" if new_types is None else "narrower"
    if _are_types_included(old_types, new_types):
        return "wider"
    return "narrower" if _are_types_included(new_types, old_types) else "other"


def _are_types_included(smaller_set: frozenset[str], larger_set: frozenset[str]) -> bool:
    return all(name in larger_set or (name == "integer" and "number" in larger_set) for name in smaller_set)


def _compare_formats(old: DocumentNode, new: DocumentNode) -> _SetRelation:
    if old.value == new.value:
        return "same"
    if not isinstance(new.value, str):
        return "wider"
    if not isinstance(old.value, str):
        return "narrower"
    if old.value in _INCLUDED_FORMATS_BY_FORMAT.get(new.value, ()):
        return "wider"
    return "narrower" if new.value in _INCLUDED_FORMATS_BY_FORMAT.get(old.value, ()) else "other"


def _describe_type(schema: NormalizedSchema) -> str:
    types, format_keyword = _find_effective_types(schema), schema.get_keyword("format")
    text = "any" if types is None else " or ".join(sorted(types)) or "null"
    return f"{text} ({format_keyword.value})" if format_keyword.exists else text

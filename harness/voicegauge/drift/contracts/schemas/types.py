"""Compares the types, the formats and the nullability of two schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema


class KeywordChange(NamedTuple):
    """A change of one keyword."""

    action: str
    """The part of the rule id that follows the kind of the schema."""
    old: DocumentNode
    new: DocumentNode
    values: Mapping[str, Any]
    """The values that the report shows, under the keys "old" and "new"."""


_SetRelation = Literal["same", "wider", "narrower", "other"]
"""How the set of values that the newer schema allows relates to the set that the older schema allows."""
_INCLUDED_FORMATS = {
    "double": {"float"},
    "int64": {"int32"},
    "bigint": {"int32", "int64"},
    "date-time": {"date", "time"},
}
"""For each format, the narrower formats that oasdiff considers to be part of it."""
_TYPE_ACTIONS: Mapping[_SetRelation, str] = {"wider": "type-generalized", "narrower": "type-specialized"}


def compare_types(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """Yield the changes of nullability, types and formats."""
    nodes = _type_node(old), _type_node(new)
    if old.is_nullable is not None and new.is_nullable is not None and old.is_nullable != new.is_nullable:
        yield KeywordChange("became-nullable" if new.is_nullable else "became-not-nullable", *nodes, {})
    old_types, new_types = _effective_types(old), _effective_types(new)
    types = _compare_types(old_types, new_types)
    values = {"old": _describe_type(old), "new": _describe_type(new)}
    has_list = old_types and new_types and max(len(old_types), len(new_types)) > 1
    if has_list and types != "same" and (old_types or set()) & (new_types or set()):
        if types in ("wider", "other"):
            yield KeywordChange("list-of-types-widened", *nodes, values)
        if types in ("narrower", "other"):
            yield KeywordChange("list-of-types-narrowed", *nodes, values)
        types = "same"
    relation = _combine(types, _compare_formats(old.keyword("format"), new.keyword("format")))
    if relation != "same":
        changed = nodes if types != "same" else (old.keyword("format"), new.keyword("format"))
        yield KeywordChange(_TYPE_ACTIONS.get(relation, "type-changed"), *changed, values)


def _combine(types: _SetRelation, formats: _SetRelation) -> _SetRelation:
    """Combine the relations of types and formats. If they contradict each other, the result is "other"."""
    if types == "other" or formats == "same":
        return types
    return formats if types in ("same", formats) else "other"


def are_disjoint(old: NormalizedSchema, new: NormalizedSchema) -> bool:
    """Whether the schemas have no type in common. If so, comparing other keywords would not help a reader."""
    old_types, new_types = _effective_types(old), _effective_types(new)
    if not old_types or not new_types:
        return False
    return _compare_types(old_types, new_types) == "other" and not old_types & new_types


def _type_node(schema: NormalizedSchema) -> DocumentNode:
    for key in ("type", "nullable", "enum", "const"):
        if key in schema.keywords:
            return schema.keywords[key]
    return schema.node.child("type") if schema.nullable is None else schema.node


def _effective_types(schema: NormalizedSchema) -> frozenset[str] | None:
    """Return the types that `type` lists or that the values of `enum` have; `None` if the schema has neither."""
    if schema.types is not None or schema.values is None:
        return schema.types
    return frozenset(_type_of(value) for value in schema.values if value is not None) or None


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if float(value).is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _compare_types(old: frozenset[str] | None, new: frozenset[str] | None) -> _SetRelation:
    if old == new:
        return "same"
    if old is None or new is None:
        return "wider" if new is None else "narrower"
    if _is_included(old, new):
        return "wider"
    return "narrower" if _is_included(new, old) else "other"


def _is_included(small: frozenset[str], large: frozenset[str]) -> bool:
    return all(name in large or (name == "integer" and "number" in large) for name in small)


def _compare_formats(old: DocumentNode, new: DocumentNode) -> _SetRelation:
    if old.value == new.value:
        return "same"
    if not isinstance(new.value, str):
        return "wider"
    if not isinstance(old.value, str):
        return "narrower"
    if old.value in _INCLUDED_FORMATS.get(new.value, ()):
        return "wider"
    return "narrower" if new.value in _INCLUDED_FORMATS.get(old.value, ()) else "other"


def _describe_type(schema: NormalizedSchema) -> str:
    types, format_keyword = _effective_types(schema), schema.keyword("format")
    text = "any" if types is None else " or ".join(sorted(types)) or "null"
    return f"{text} ({format_keyword.value})" if format_keyword.exists else text

"""Types, formats and nullability of two schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema


class KeywordChange(NamedTuple):
    """A change of a keyword."""

    action: str
    """The end of the rule's id."""
    old: DocumentNode
    new: DocumentNode
    values: Mapping[str, Any]
    """"old" and "new", as far as they are worth showing."""


_SetRelation = Literal["same", "wider", "narrower", "other"]
_HOLDS = {
    "double": {"float"},
    "int64": {"int32"},
    "bigint": {"int32", "int64"},
    "date-time": {"date", "time"},
}
"""Formats with those that oasdiff takes to fit them as well."""


def compare_types(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """What became nullable or stopped being so, and types and formats that take more, fewer or other values."""
    places = _place(old), _place(new)
    if old.takes_null is not None and new.takes_null is not None and old.takes_null != new.takes_null:
        yield KeywordChange("became-nullable" if new.takes_null else "became-not-nullable", *places, {})
    was, now = _types(old), _types(new)
    types, formats = _compare_sets(was, now), _compare_formats(old.word("format").value, new.word("format").value)
    formats = formats if old.word("format").exists or new.word("format").exists else "same"
    values = {"old": _shown(old), "new": _shown(new)}
    if was and now and max(len(was), len(now)) > 1 and types != "same" and was & now:
        if types in ("wider", "other"):
            yield KeywordChange("list-of-types-widened", *places, values)
        if types in ("narrower", "other"):
            yield KeywordChange("list-of-types-narrowed", *places, values)
        types = "same"
    together: set[_SetRelation] = {types, formats} - {"same"}
    if types == "other":
        together = {"other"}
    if together:
        verdict = together.pop() if len(together) == 1 else "other"
        action = {"wider": "type-generalized", "narrower": "type-specialized"}.get(verdict, "type-changed")
        yield KeywordChange(action, *(places if types != "same" else (old.word("format"), new.word("format"))), values)


def are_disjoint(old: NormalizedSchema, new: NormalizedSchema) -> bool:
    """Whether no type fits both, so that nothing else is worth comparing."""
    was, now = _types(old), _types(new)
    return bool(was) and bool(now) and _compare_sets(was, now) == "other" and not (was or set()) & (now or set())


def _place(schema: NormalizedSchema) -> DocumentNode:
    for key in ("type", "nullable", "enum", "const"):
        if key in schema.words:
            return schema.words[key]
    return schema.place.child("type") if schema.null is None else schema.place


def _types(schema: NormalizedSchema) -> frozenset[str] | None:
    """The stated types, else those of the listed values."""
    if schema.types is not None or schema.values is None:
        return schema.types
    return frozenset(_type_of(value) for value in schema.values if value is not None) or None


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if float(value).is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _compare_sets(old: frozenset[str] | None, new: frozenset[str] | None) -> _SetRelation:
    if old == new:
        return "same"
    if old is None or new is None:
        return "wider" if new is None else "narrower"
    if _within(old, new):
        return "wider"
    return "narrower" if _within(new, old) else "other"


def _within(small: frozenset[str], large: frozenset[str]) -> bool:
    return all(name in large or (name == "integer" and "number" in large) for name in small)


def _compare_formats(old: Any, new: Any) -> _SetRelation:
    if old == new:
        return "same"
    if not isinstance(new, str):
        return "wider"
    if not isinstance(old, str):
        return "narrower"
    if old in _HOLDS.get(new, ()):
        return "wider"
    return "narrower" if new in _HOLDS.get(old, ()) else "other"


def _shown(schema: NormalizedSchema) -> str:
    types, form = _types(schema), schema.word("format")
    text = "any" if types is None else " or ".join(sorted(types)) or "null"
    return f"{text} ({form.value})" if form.exists else text

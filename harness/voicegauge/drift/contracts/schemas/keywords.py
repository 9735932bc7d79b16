"""Compares those keywords of two schemas whose values are plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json, is_same_json
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema
from voicegauge.drift.contracts.schema_rules import ASSERTIONS, BOUNDS
from voicegauge.drift.contracts.schemas.types import KeywordChange, compare_types

_VALUE_KEYWORDS = {
    **{keyword: ASSERTIONS[keyword] for keyword in ("pattern", "multipleOf", "dependentRequired")},
    "default": "default-value",
}
"""Keywords that can be added, removed or changed, with their names in rule ids."""
_CHANGE_ONLY_KEYWORDS = {
    "contentMediaType": "content-media-type",
    "contentEncoding": "content-encoding",
    "x-advice": "advice",
}
"""Keywords for which one rule reports any difference, with their names in rule ids."""
_FLAG_KEYWORDS = {
    "deprecated": ("deprecated", "reactivated"),
    "uniqueItems": ("unique-items-set", "unique-items-unset"),
}
"""Boolean keywords, each with the ends of the rule ids for becoming true and for becoming false."""


def compare_keywords(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """Yield the changes of types, enums and all other keywords with plain values."""
    yield from compare_types(old, new)
    yield from _compare_enums(old, new)
    for key in dict.fromkeys((*old.keywords, *new.keywords)):
        yield from _compare_keyword(key, old.keyword(key), new.keyword(key))


def _compare_keyword(key: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if key in BOUNDS:
        yield from _compare_bounds(BOUNDS[key], old, new)
    elif key in _VALUE_KEYWORDS:
        yield from _compare_values(_VALUE_KEYWORDS[key], old, new)
    elif key in _CHANGE_ONLY_KEYWORDS:
        action = f"{_CHANGE_ONLY_KEYWORDS[key]}-changed"
        yield from (change._replace(action=action) for change in _compare_values("", old, new))
    elif key in _FLAG_KEYWORDS:
        yield from compare_flags(*_FLAG_KEYWORDS[key], old, new)
    elif key == "discriminator":
        yield from _compare_discriminators(old, new)


def _compare_bounds(name: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if old.exists and new.exists:
        if old.value != new.value:
            direction = "increased" if new.value > old.value else "decreased"
            yield KeywordChange(f"{name}-{direction}", old, new, {"old": old.value, "new": new.value})
    elif new.exists:
        yield KeywordChange(f"{name}-set", old, new, {"new": new.value})
    elif old.exists:
        yield KeywordChange(f"{name}-unset", old, new, {"old": old.value})


def _compare_values(name: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if old.exists and new.exists:
        if not is_same_json(old.value, new.value):
            yield KeywordChange(f"{name}-changed", old, new, {"old": old.value, "new": new.value})
    elif new.exists:
        yield KeywordChange(f"{name}-added", old, new, {"new": new.value})
    elif old.exists:
        yield KeywordChange(f"{name}-removed", old, new, {"old": old.value})


def compare_flags(became_true: str, became_false: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    """Yield a change if the value of a boolean keyword changed. A missing keyword counts as false.

    Args:
        became_true: the end of the rule id if the keyword became true.
        became_false: the end of the rule id if the keyword became false.
        old: the keyword of the older schema.
        new: the keyword of the newer schema.
    """
    if (old.value is True) != (new.value is True):
        yield KeywordChange(became_true if new.value is True else became_false, old, new, {})


def _compare_enums(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """Compare `enum` and `const`, which counts as an enum with one value. Null is left to `compare_types`."""
    old_const, new_const = old.keyword("const"), new.keyword("const")
    if old_const.exists or new_const.exists:
        other_values = (old if new_const.exists else new).values
        if other_values is None or (old_const.exists and new_const.exists):
            yield from _compare_values("const", old_const, new_const)
            return
    nodes = _enum_node(old), _enum_node(new)
    before, after = _enum_values(old), _enum_values(new)
    if before is None and after is not None:
        yield KeywordChange("became-enum", *nodes, {"new": list(after.values())})
    elif before is not None and after is None:
        yield KeywordChange("enum-unset", *nodes, {"old": list(before.values())})
    elif before is not None and after is not None:
        removed = [value for key, value in before.items() if key not in after]
        if removed:
            yield KeywordChange("enum-value-removed", *nodes, {"old": removed})
        added = [value for key, value in after.items() if key not in before]
        if added:
            yield KeywordChange("enum-value-added", *nodes, {"new": added})


def _enum_node(schema: NormalizedSchema) -> DocumentNode:
    return schema.keyword("const" if schema.keyword("const").exists else "enum")


def _enum_values(schema: NormalizedSchema) -> dict[bytes, Any] | None:
    values = schema.values
    return None if values is None else {canonical_json(value): value for value in values if value is not None}


def _compare_discriminators(old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if not (old.exists and new.exists):
        yield from _compare_values("discriminator", old, new)
        return
    for change in _compare_values("", old.child("propertyName"), new.child("propertyName")):
        yield change._replace(action="discriminator-property-name-changed")
    old_mapping, new_mapping = old.child("mapping"), new.child("mapping")
    for key in dict.fromkeys([key for node in (old_mapping, new_mapping) for key, _ in node.children()]):
        for change in _compare_values("discriminator-mapping", old_mapping.child(key), new_mapping.child(key)):
            yield change._replace(action=change.action.replace("-removed", "-deleted"))  # oasdiff's word here

"""Compares those keywords of two schemas whose values are plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.drift.contracts.document_node import DocumentNode, encode_canonical_json, is_same_json
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema
from voicegauge.drift.contracts.schema_rules import (
    RULE_ID_PART_BY_BOUND_KEYWORD,
    RULE_ID_PART_BY_RESTRICTION_KEYWORD,
    SCHEMA_ROLES_WITH_SUNSET_RULE,
    SchemaRole,
)
from voicegauge.drift.contracts.schemas.types import KeywordChange, compare_types

_RULE_ID_PART_BY_VALUE_KEYWORD = {
    **{keyword: RULE_ID_PART_BY_RESTRICTION_KEYWORD[keyword] for keyword in ("multipleOf", "dependentRequired")},
    "default": "default-value",
}
"""Keywords with separate rules for additions, removals and changes, each with the part of rule ids that stands for
it."""
_RULE_ID_PART_BY_CHANGE_ONLY_KEYWORD = {
    "contentMediaType": "content-media-type",
    "contentEncoding": "content-encoding",
    "x-advice": "advice",
}
"""Keywords of which one rule reports every difference, each with the part of rule ids that stands for it."""
_RULE_ID_SUFFIXES_BY_FLAG_KEYWORD = {
    "uniqueItems": ("unique-items-set", "unique-items-unset"),
}
"""Boolean keywords, each with the ends of the rule ids for becoming true and for becoming false."""

_SEPARATELY_COMPARED_KEYWORDS = ("minContains", "maxContains", "pattern", "deprecated")
"""Keywords that separate functions compare, because their values alone do not show what a change means."""
_PATTERNS_MATCHING_EVERY_VALUE = ("", "^", "$", ".*", "^.*", ".*$", "^.*$")
"""Patterns that match any text on one line."""


def compare_keywords(
    schema_role: SchemaRole, old_schema: NormalizedSchema, new_schema: NormalizedSchema, *, is_sent_as_text: bool
) -> Iterator[KeywordChange]:
    """Yield the changes of types, enums and all other keywords with plain values.

    Args:
        schema_role: the role of both schemas.
        old_schema: the older schema.
        new_schema: the newer schema.
        is_sent_as_text: whether the value is sent as text, as in a header.
    """
    yield from compare_types(schema_role, old_schema, new_schema, is_sent_as_text=is_sent_as_text)
    yield from _compare_enums(old_schema, new_schema)
    for key in dict.fromkeys((*old_schema.non_schema_keywords, *new_schema.non_schema_keywords)):
        if key not in _SEPARATELY_COMPARED_KEYWORDS:
            yield from _compare_keyword(key, old_schema.get_keyword(key), new_schema.get_keyword(key))
    has_sunset = (
        schema_role.rule_id_prefix in SCHEMA_ROLES_WITH_SUNSET_RULE and new_schema.get_keyword("x-sunset").exists
    )
    deprecated = "deprecated-with-sunset" if has_sunset else "deprecated"
    yield from compare_flags(
        deprecated, "reactivated", old_schema.get_keyword("deprecated"), new_schema.get_keyword("deprecated")
    )
    yield from _compare_patterns(schema_role, old_schema.get_keyword("pattern"), new_schema.get_keyword("pattern"))
    yield from _compare_contains_bounds(old_schema, new_schema)


def _compare_patterns(
    schema_role: SchemaRole, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[KeywordChange]:
    """Yield the change if two `pattern` keywords differ. A pattern that matches every value counts as missing."""
    is_unrestricted = [not node.exists or node.value in _PATTERNS_MATCHING_EVERY_VALUE for node in (old_node, new_node)]
    if all(is_unrestricted):
        return
    if is_unrestricted[0]:
        yield KeywordChange("pattern-added", old_node, new_node, {"new": new_node.value})
    elif is_unrestricted[1] and new_node.exists and schema_role.is_sent_by_client:
        yield KeywordChange("pattern-generalized", old_node, new_node, {"old": old_node.value, "new": new_node.value})
    else:
        yield from _compare_values("pattern", old_node, new_node)


def _compare_contains_bounds(old_schema: NormalizedSchema, new_schema: NormalizedSchema) -> Iterator[KeywordChange]:
    """Yield the changes of `minContains` and `maxContains`.

    Nothing is yielded unless both schemas have `contains`, because the two keywords have no meaning without it. A
    missing `minContains` counts as 1.
    """
    if "contains" not in old_schema.single_schemas or "contains" not in new_schema.single_schemas:
        return
    least = [
        keyword if keyword.exists else keyword.replace_value(1)
        for keyword in (schema.get_keyword("minContains") for schema in (old_schema, new_schema))
    ]
    yield from _compare_bounds("min-contains", *least)
    yield from _compare_bounds(
        "max-contains", old_schema.get_keyword("maxContains"), new_schema.get_keyword("maxContains")
    )


def _compare_keyword(keyword: str, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[KeywordChange]:
    if keyword in RULE_ID_PART_BY_BOUND_KEYWORD:
        yield from _compare_bounds(RULE_ID_PART_BY_BOUND_KEYWORD[keyword], old_node, new_node)
    elif keyword in _RULE_ID_PART_BY_VALUE_KEYWORD:
        yield from _compare_values(_RULE_ID_PART_BY_VALUE_KEYWORD[keyword], old_node, new_node)
    elif keyword in _RULE_ID_PART_BY_CHANGE_ONLY_KEYWORD:
        action = f"{_RULE_ID_PART_BY_CHANGE_ONLY_KEYWORD[keyword]}-changed"
        yield from (change._replace(rule_id_suffix=action) for change in _compare_values("", old_node, new_node))
    elif keyword in _RULE_ID_SUFFIXES_BY_FLAG_KEYWORD:
        yield from compare_flags(*_RULE_ID_SUFFIXES_BY_FLAG_KEYWORD[keyword], old_node, new_node)
    elif keyword == "discriminator":
        yield from _compare_discriminators(old_node, new_node)


def _compare_bounds(rule_id_part: str, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[KeywordChange]:
    if old_node.exists and new_node.exists:
        if old_node.value != new_node.value:
            direction = "increased" if new_node.value > old_node.value else "decreased"
            yield KeywordChange(
                f"{rule_id_part}-{direction}", old_node, new_node, {"old": old_node.value, "new": new_node.value}
            )
    elif new_node.exists:
        yield KeywordChange(f"{rule_id_part}-set", old_node, new_node, {"new": new_node.value})
    elif old_node.exists:
        yield KeywordChange(f"{rule_id_part}-unset", old_node, new_node, {"old": old_node.value})


def _compare_values(rule_id_part: str, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[KeywordChange]:
    if old_node.exists and new_node.exists:
        if not is_same_json(old_node.value, new_node.value):
            yield KeywordChange(
                f"{rule_id_part}-changed", old_node, new_node, {"old": old_node.value, "new": new_node.value}
            )
    elif new_node.exists:
        yield KeywordChange(f"{rule_id_part}-added", old_node, new_node, {"new": new_node.value})
    elif old_node.exists:
        yield KeywordChange(f"{rule_id_part}-removed", old_node, new_node, {"old": old_node.value})


def compare_flags(
    rule_id_suffix_if_true: str, rule_id_suffix_if_false: str, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[KeywordChange]:
    """Yield a change if the value of a boolean keyword changed. A missing keyword counts as false.

    Args:
        rule_id_suffix_if_true: the end of the rule id if the keyword became true.
        rule_id_suffix_if_false: the end of the rule id if the keyword became false.
        old_node: the keyword of the older schema.
        new_node: the keyword of the newer schema.
    """
    if (old_node.value is True) != (new_node.value is True):
        yield KeywordChange(
            rule_id_suffix_if_true if new_node.value is True else rule_id_suffix_if_false, old_node, new_node, {}
        )


def _compare_enums(old_schema: NormalizedSchema, new_schema: NormalizedSchema) -> Iterator[KeywordChange]:
    """Yield the changes of `enum` and `const`. A `const` counts as an enum with one value.

    The value null is left out here, because `compare_types` compares whether null is valid.
    """
    old_const, new_const = old_schema.get_keyword("const"), new_schema.get_keyword("const")
    if old_const.exists or new_const.exists:
        other_values = (old_schema if new_const.exists else new_schema).allowed_values
        if other_values is None or (old_const.exists and new_const.exists):
            yield from _compare_values("const", old_const, new_const)
            return
    nodes = _find_enum_node(old_schema), _find_enum_node(new_schema)
    before, after = _map_enum_values(old_schema), _map_enum_values(new_schema)
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


def _find_enum_node(schema: NormalizedSchema) -> DocumentNode:
    return schema.get_keyword("const" if schema.get_keyword("const").exists else "enum")


def _map_enum_values(schema: NormalizedSchema) -> dict[bytes, Any] | None:
    values = schema.allowed_values
    return None if values is None else {encode_canonical_json(value): value for value in values if value is not None}


def _compare_discriminators(old_node: DocumentNode, new_node: DocumentNode) -> Iterator[KeywordChange]:
    if not (old_node.exists and new_node.exists):
        yield from _compare_values("discriminator", old_node, new_node)
        return
    for change in _compare_values("", old_node.get_child("propertyName"), new_node.get_child("propertyName")):
        yield change._replace(rule_id_suffix="discriminator-property-name-changed")
    old_mapping, new_mapping = old_node.get_child("mapping"), new_node.get_child("mapping")
    for key in dict.fromkeys([key for node in (old_mapping, new_mapping) for key, _ in node.iterate_children()]):
        for change in _compare_values("discriminator-mapping", old_mapping.get_child(key), new_mapping.get_child(key)):
            yield change._replace(
                rule_id_suffix=change.rule_id_suffix.replace("-removed", "-deleted")
            )  # oasdiff's word here

"""Compares two JSON Schemas and all schemas that they contain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.drift.contracts.api_part import ApiPart, SchemaPair
from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema
from voicegauge.drift.contracts.schema_rules import SCHEMA_ROLE_BY_RULE_ID_PREFIX, build_rule_id
from voicegauge.drift.contracts.schemas.branches import compare_branch_wrapping, compare_branches
from voicegauge.drift.contracts.schemas.keywords import compare_keywords
from voicegauge.drift.contracts.schemas.properties import compare_properties
from voicegauge.drift.contracts.schemas.subschemas import compare_subschemas
from voicegauge.drift.contracts.schemas.types import are_type_sets_disjoint
from voicegauge.drift.report import DriftChange


def compare_schemas(
    api_part: ApiPart, rule_id_prefix: str, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield every change between the schemas at two nodes. A missing schema counts as one that allows any value.

    Args:
        api_part: the part of the operation that contains the schemas.
        rule_id_prefix: the role of the schemas, a key of `SCHEMA_ROLE_BY_RULE_ID_PREFIX`.
        old_node: the node of the older schema.
        new_node: the node of the newer schema.
    """
    cache_key = (
        rule_id_prefix,
        api_part.is_sent_as_text,
        _find_component_pointer(old_node),
        _find_component_pointer(new_node),
    )
    if cache_key in api_part.keys_of_unchanged_schema_pairs:
        return
    first = SchemaPair(
        api_part,
        SCHEMA_ROLE_BY_RULE_ID_PREFIX[rule_id_prefix],
        (old_node,) if old_node.exists else (),
        (new_node,) if new_node.exists else (),
        old_node,
        new_node,
    )
    stack, visited, has_changed = [first], set[tuple[Any, ...]](), False
    while stack:  # no recursion, because a chain of references may be longer than Python's stack
        schema_pair = stack.pop()
        if schema_pair.cache_key in visited:
            continue
        visited.add(schema_pair.cache_key)
        pending_pairs: list[SchemaPair] = []
        for change in _compare_pair(schema_pair, pending_pairs):
            has_changed = True
            yield change
        stack.extend(reversed(pending_pairs))
    if not has_changed:
        api_part.keys_of_unchanged_schema_pairs.add(cache_key)


def _find_component_pointer(node: DocumentNode) -> str:
    """Return the JSON pointer of the component that `node` refers to.

    If `node` has other keys than `$ref`, or does not contain a reference, return the JSON pointer of `node` itself.
    """
    is_plain_reference = isinstance(node.value, dict) and node.value.keys() == {"$ref"}
    return node.resolve_references().pointer if is_plain_reference else node.pointer


def _compare_pair(schema_pair: SchemaPair, pending_pairs: list[SchemaPair]) -> Iterator[DriftChange]:
    """Yield the changes of one pair of schemas, and append the pairs of schemas inside them to `pending_pairs`."""
    old, new = schema_pair.normalize_both()
    wrapping = list(compare_branch_wrapping(schema_pair, old, new, pending_pairs))
    if wrapping or pending_pairs:
        yield from wrapping
        return
    for change in compare_keywords(
        schema_pair.schema_role, old, new, is_sent_as_text=schema_pair.api_part.is_sent_as_text
    ):
        yield schema_pair.api_part.build_change(
            build_rule_id(schema_pair.schema_role, change.rule_id_suffix),
            change.old_node,
            change.new_node,
            **change.message_values,
        )
    accepts_anything = schema_pair.schema_role.is_sent_by_client and not schema_pair.new_schemas
    if accepts_anything or are_type_sets_disjoint(old, new):
        return
    yield from compare_properties(schema_pair, old, new, pending_pairs)
    yield from _compare_additional_properties(schema_pair, old, new)
    pending_pairs.extend(_iterate_item_pairs(schema_pair, old, new))
    yield from compare_subschemas(schema_pair, old, new, pending_pairs)
    yield from compare_branches(schema_pair, old, new, pending_pairs)


def _compare_additional_properties(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema
) -> Iterator[DriftChange]:
    if _forbids_additional_properties(old_schema) != _forbids_additional_properties(new_schema):
        action = (
            "additional-properties-forbidden"
            if _forbids_additional_properties(new_schema)
            else "additional-properties-allowed"
        )
        nodes = (schema.node.get_child("additionalProperties") for schema in (old_schema, new_schema))
        yield schema_pair.api_part.build_change(build_rule_id(schema_pair.schema_role, action), *nodes)


def _iterate_item_pairs(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema
) -> Iterator[SchemaPair]:
    """Yield the pairs of schemas of items and of additional properties, which are compared like properties."""
    kind = SCHEMA_ROLE_BY_RULE_ID_PREFIX[schema_pair.schema_role.property_rule_id_prefix]
    for keyword in ("items", "additionalProperties"):
        before, after = old_schema.single_schemas.get(keyword, ()), new_schema.single_schemas.get(keyword, ())
        is_comparable = keyword == "items" or not (
            _forbids_additional_properties(old_schema) or _forbids_additional_properties(new_schema)
        )
        if (before or after) and is_comparable:
            nodes = (old_schema.node.get_child(keyword), new_schema.node.get_child(keyword))
            yield SchemaPair(schema_pair.api_part.create_nested_part("/*"), kind, before, after, *nodes)


def _forbids_additional_properties(schema: NormalizedSchema) -> bool:
    """Whether `additionalProperties` is false."""
    return any(node.value is False for node in schema.single_schemas.get("additionalProperties", ()))

"""Compares subschemas that restrict a value beside its properties, items and branches, such as `then` and `not`."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.drift.contracts.api_part import SchemaPair
from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema, SchemasForSameValue
from voicegauge.drift.contracts.schema_rules import (
    RULE_ID_PART_BY_RESTRICTION_KEYWORD,
    SCHEMA_ROLE_BY_RULE_ID_PREFIX,
    build_rule_id,
)
from voicegauge.drift.report import DriftChange

_KEYWORDS_FOR_THE_SAME_VALUE = ("then", "else", "dependentSchemas")
"""Keywords whose schemas apply to the value itself."""
_KEYWORDS_FOR_ITEMS = ("contains", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
"""Keywords whose schemas apply to items, or to properties that have no name in the document."""


def compare_subschemas(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema, pending_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield a change for each subschema that was added or removed, and append the others to `pending_pairs`.

    The subschemas of `not` and `if`, and those of `contains` beside `maxContains`, are only compared as a whole. If
    such a subschema allows more values, the schema that contains it does not simply allow more values. The subschema
    `false` is also compared as a whole, because it contains nothing to compare.
    """
    used = {
        *old_schema.schema_mappings,
        *old_schema.single_schemas,
        *new_schema.schema_mappings,
        *new_schema.single_schemas,
    }
    for keyword, name in RULE_ID_PART_BY_RESTRICTION_KEYWORD.items():
        before, after = (
            (_map_subschemas(keyword, schema) for schema in (old_schema, new_schema)) if keyword in used else ({}, {})
        )
        for key in dict.fromkeys((*before, *after)):
            nodes = [schema.node.get_child(keyword) for schema in (old_schema, new_schema)]
            if key:
                nodes = [node.get_child(key) for node in nodes]
            action = "added" if key not in before else "removed" if key not in after else "changed"
            if action == "changed" and _can_compare_recursively(
                keyword, old_schema, new_schema, (*before[key], *after[key])
            ):
                pending_pairs.append(_build_inner_pair(schema_pair, keyword, (before[key], after[key]), nodes))
            elif action != "changed" or _are_schemas_different(schema_pair, before[key], after[key]):
                yield schema_pair.api_part.build_change(
                    build_rule_id(schema_pair.schema_role, f"{name}-{action}"), *nodes
                )


def _map_subschemas(keyword: str, schema: NormalizedSchema) -> dict[str, SchemasForSameValue]:
    """Return the subschemas of a keyword by name. The name is empty if the value of the keyword is a single schema."""
    schemas = dict(schema.schema_mappings.get(keyword, {}))
    if keyword in schema.single_schemas:
        schemas[""] = schema.single_schemas[keyword]
    return schemas


def _can_compare_recursively(
    keyword: str, old_schema: NormalizedSchema, new_schema: NormalizedSchema, subschemas: SchemasForSameValue
) -> bool:
    """Whether the subschemas of `keyword` can be compared like the schema itself.

    This is so if the schema allows more values when the subschema does. With `not`, for example, the schema then allows
    fewer.
    """
    is_limited = keyword == "contains" and any(
        "maxContains" in schema.non_schema_keywords for schema in (old_schema, new_schema)
    )
    forbids_every_value = any(node.value is False for node in subschemas)
    return keyword not in ("not", "if") and not is_limited and not forbids_every_value


def _build_inner_pair(
    schema_pair: SchemaPair,
    keyword: str,
    old_and_new_schemas: tuple[SchemasForSameValue, SchemasForSameValue],
    old_and_new_nodes: list[DocumentNode],
) -> SchemaPair:
    """Return the older and the newer subschema of `keyword` as a pair, with their role and their part of the API.

    Subschemas for items or for unnamed properties have the role of properties.

    Args:
        schema_pair: the pair of schemas that have the keyword.
        keyword: the keyword, such as "then" or "contains".
        old_and_new_schemas: the older and the newer subschema.
        old_and_new_nodes: the nodes that are reported for an older or a newer subschema that is empty.
    """
    api_part, kind = schema_pair.api_part, schema_pair.schema_role
    if keyword not in _KEYWORDS_FOR_THE_SAME_VALUE:
        kind = SCHEMA_ROLE_BY_RULE_ID_PREFIX[kind.property_rule_id_prefix]
    if keyword in _KEYWORDS_FOR_ITEMS:
        api_part = api_part.create_nested_part("/*")
    return SchemaPair(api_part, kind, *old_and_new_schemas, *old_and_new_nodes)


def _are_schemas_different(
    schema_pair: SchemaPair, old_schemas: SchemasForSameValue, new_schemas: SchemasForSameValue
) -> bool:
    api_part = schema_pair.api_part
    return api_part.old_normalizer.compute_fingerprint(old_schemas) != api_part.new_normalizer.compute_fingerprint(
        new_schemas
    )

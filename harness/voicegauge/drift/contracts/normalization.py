"""Normalizes JSON Schemas, so that different ways to write the same schema compare as equal.

References are followed. The parts of an `allOf` are merged if a single schema can express them. An `anyOf` of a schema
and null becomes a nullable schema. `nullable` and a boolean `exclusiveMinimum`, which OpenAPI 3.0 has, are converted to
OpenAPI 3.1. Keywords without effect (`minItems: 0`) are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode, encode_canonical_json
from voicegauge.drift.contracts.normalized_schema import (
    ANNOTATION_KEYWORDS,
    SIBLING_DEPENDENT_KEYWORDS,
    NormalizedSchema,
    SchemasForSameValue,
    convert_to_string_list,
    has_single_branch,
    merge_schemas,
    read_schema,
)

MAX_BRANCH_NESTING = 60
"""Largest number of nested levels of `anyOf` and `oneOf` that are simplified, to limit the recursion in untrusted
schemas."""
MAX_FINGERPRINT_DEPTH = 12
"""Number of levels of subschemas in a fingerprint. Deeper differences are found by comparing single properties."""


class SchemaFingerprint(NamedTuple):
    """A hash of a normalized schema. Different ways to write the same schema have the same hash."""

    digest: bytes
    covers_all_levels: bool
    """Whether the digest covers the whole schema, because no part of it is deeper than `MAX_FINGERPRINT_DEPTH`."""


_SchemaCacheKey = tuple[str, ...]
"""The JSON pointers of schemas that all apply to the same value. Results are cached under this key."""


class SchemaNormalizer:
    """Normalizes and fingerprints the schemas of one document. Each schema is processed only once."""

    def __init__(self) -> None:
        """Create a normalizer with empty caches."""
        self._normalized: dict[_SchemaCacheKey, NormalizedSchema] = {}
        self._in_progress: set[_SchemaCacheKey] = set()
        self._fingerprints: dict[tuple[_SchemaCacheKey, int], SchemaFingerprint] = {}
        """Fingerprints by schema and depth. The depth is 0 if a fingerprint covers the whole schema at any depth."""

    def normalize(
        self, schemas_for_same_value: SchemasForSameValue, node_if_no_schemas: DocumentNode
    ) -> NormalizedSchema:
        """Combine schemas that all apply to the same value into one normalized schema.

        Args:
            schemas_for_same_value: the schema objects.
            node_if_no_schemas: the node of the returned schema if `schemas_for_same_value` is empty.

        Raises:
            ContractError: a reference points to nothing, or references form a circle.
        """
        key = _build_cache_key(schemas_for_same_value)
        if not key:
            return NormalizedSchema(node_if_no_schemas)
        if key not in self._normalized:
            self._in_progress.add(key)
            self._normalized[key] = self._build_normalized_schema(schemas_for_same_value)
            self._in_progress.discard(key)
        return self._normalized[key]

    def _build_normalized_schema(self, schemas_for_same_value: SchemasForSameValue) -> NormalizedSchema:
        schema = NormalizedSchema(schemas_for_same_value[0])
        unmerged: list[SchemasForSameValue] = []
        for fragment in _iterate_schema_objects(schemas_for_same_value):
            merged = merge_schemas(schema, fragment)
            if merged is None:
                unmerged.append((fragment.node,))
            else:
                schema = merged
        # If a single fragment is left, its keywords such as `not` cannot be mixed up with those of another fragment.
        if len(unmerged) == 1:
            merged = merge_schemas(schema, read_schema(unmerged[0][0]), unmergeable_keywords=SIBLING_DEPENDENT_KEYWORDS)
            schema, unmerged = (merged, []) if merged else (schema, unmerged)
        if unmerged:
            schema = replace(schema, schema_lists={**schema.schema_lists, "allOf": tuple(unmerged)})
        for key in ("anyOf", "oneOf"):
            if key in schema.schema_lists:
                schema = self._simplify_branches(schema, key)
        return _convert_nullable(schema)

    def _simplify_branches(self, schema: NormalizedSchema, branch_keyword: str) -> NormalizedSchema:
        """Replace branches by keywords that mean the same.

        A branch that allows only null becomes `nullable`, a single branch becomes its keywords, and branches that only
        have a type become one list of types.
        """
        branches = schema.schema_lists[branch_keyword]
        is_recursive = any(_build_cache_key(branch) in self._in_progress for branch in branches)
        if len(self._in_progress) > MAX_BRANCH_NESTING or is_recursive:
            return schema
        normalized = {branch: self.normalize(branch, branch[0]) for branch in branches}
        non_null = tuple(branch for branch in branches if not _allows_only_null(normalized[branch]))
        remaining_schema_lists = {name: value for name, value in schema.schema_lists.items() if name != branch_keyword}
        has_null = len(non_null) < len(branches)
        if has_null and not schema.has_only_branches:
            return schema
        nullable = True if has_null else _is_any_nullable(list(normalized.values()))
        if len(non_null) == 1:
            merged = _merge_single_branch(schema, remaining_schema_lists, normalized[non_null[0]])
            if merged is not None:
                return replace(merged, explicitly_nullable=nullable if schema.has_only_branches else None)
        types = _list_plain_types([normalized[branch] for branch in non_null], branch_keyword)
        if types and "type" not in schema.non_schema_keywords:
            keyword = schema.node.get_child(branch_keyword).replace_value(types)
            keywords = {**schema.non_schema_keywords, "type": keyword}
            return replace(
                schema, non_schema_keywords=keywords, schema_lists=remaining_schema_lists, explicitly_nullable=nullable
            )
        return replace(
            schema, schema_lists={**remaining_schema_lists, branch_keyword: non_null}, explicitly_nullable=nullable
        )

    def compute_fingerprint(self, schemas_for_same_value: SchemasForSameValue) -> SchemaFingerprint:
        """Return a fingerprint that is equal for equivalent schemas. It covers a limited depth of subschemas."""
        return self._get_cached_fingerprint(schemas_for_same_value, MAX_FINGERPRINT_DEPTH)

    def _get_cached_fingerprint(
        self, schemas_for_same_value: SchemasForSameValue, remaining_depth: int
    ) -> SchemaFingerprint:
        key = _build_cache_key(schemas_for_same_value)
        if not key or remaining_depth == 0:
            return SchemaFingerprint(b"", covers_all_levels=not key)
        known = self._fingerprints.get((key, 0)) or self._fingerprints.get((key, remaining_depth))
        if known is None:
            known = self._compute_fingerprint(schemas_for_same_value, remaining_depth)
            self._fingerprints[key, 0 if known.covers_all_levels else remaining_depth] = known
        return known

    def _compute_fingerprint(
        self, schemas_for_same_value: SchemasForSameValue, remaining_depth: int
    ) -> SchemaFingerprint:
        used: list[SchemaFingerprint] = []

        def compute_digest(inner_schemas: SchemasForSameValue) -> str:
            used.append(self._get_cached_fingerprint(inner_schemas, remaining_depth - 1))
            return used[-1].digest.hex()

        schema = self.normalize(schemas_for_same_value, schemas_for_same_value[0])
        content = [
            dict(_normalize_keyword(name, keyword) for name, keyword in schema.non_schema_keywords.items()),
            schema.is_nullable,
            {
                name: _order_branch_digests(name, [compute_digest(branch) for branch in branches])
                for name, branches in schema.schema_lists.items()
            },
            {
                name: {child: compute_digest(inner) for child, inner in mapping.items()}
                for name, mapping in schema.schema_mappings.items()
            },
            {name: compute_digest(inner) for name, inner in schema.single_schemas.items()},
        ]
        is_whole = all(fingerprint.covers_all_levels for fingerprint in used)
        return SchemaFingerprint(hashlib.sha256(encode_canonical_json(content)).digest(), covers_all_levels=is_whole)


def _build_cache_key(schemas_for_same_value: SchemasForSameValue) -> _SchemaCacheKey:
    return tuple(node.pointer for node in schemas_for_same_value)


def _iterate_schema_objects(schemas_for_same_value: SchemasForSameValue) -> Iterator[NormalizedSchema]:
    """Yield `schemas_for_same_value`, the schemas that their references point to, and the parts of their `allOf`.

    Raises:
        ContractError: a schema applies to itself, so that it can never be resolved.
    """
    visited = set[str]()
    stack = [(node, frozenset[str]()) for node in reversed(schemas_for_same_value)]
    while stack:
        node, ancestors = stack.pop()
        if node.pointer in ancestors:
            raise node.document.build_error(node.pointer, "the schema leads back to itself without an end")
        if node.pointer in visited:
            continue
        visited.add(node.pointer)
        schema = read_schema(node)
        if not schema.is_empty:
            yield schema
        always_applied = ["allOf", *(key for key in ("anyOf", "oneOf") if has_single_branch(node, key))]
        following = [branch for key in always_applied for _, branch in node.get_child(key).iterate_children()]
        reference = node.get_child("$ref")
        if isinstance(reference.value, str):
            following.insert(0, reference.find_reference_target())
        path = ancestors | {node.pointer}
        stack.extend((one, path) for one in reversed(following))


def _merge_single_branch(
    schema: NormalizedSchema,
    remaining_schema_lists: dict[str, tuple[SchemasForSameValue, ...]],
    branch: NormalizedSchema,
) -> NormalizedSchema | None:
    """Return one schema that means the same as `schema` with its only branch; `None` if no single schema can.

    The annotations of `schema` are kept.

    Args:
        schema: the schema that has the branch.
        remaining_schema_lists: the `schema_lists` of `schema` without the keyword of the branch.
        branch: the branch.
    """
    merged = merge_schemas(replace(schema, schema_lists=remaining_schema_lists), branch)
    if merged is None:
        return None
    annotations = {name: keyword for name, keyword in schema.non_schema_keywords.items() if name in ANNOTATION_KEYWORDS}
    node = branch.node if schema.has_only_branches else schema.node
    return replace(merged, node=node, non_schema_keywords={**merged.non_schema_keywords, **annotations})


def _convert_nullable(schema: NormalizedSchema) -> NormalizedSchema:
    """Convert the keyword `nullable` of OpenAPI 3.0 to the field `explicitly_nullable`."""
    if "nullable" not in schema.non_schema_keywords:
        return schema
    keywords = {key: keyword for key, keyword in schema.non_schema_keywords.items() if key != "nullable"}
    return replace(schema, non_schema_keywords=keywords, explicitly_nullable=True)


def _is_any_nullable(branches: list[NormalizedSchema]) -> bool | None:
    """Return whether any branch allows null.

    Return `None` if no branch certainly allows null, and some branches restrict neither types nor values.
    """
    nullability = {branch.is_nullable for branch in branches}
    return True if True in nullability else None if None in nullability else False


def _list_plain_types(branches: list[NormalizedSchema], branch_keyword: str) -> list[str]:
    """Return the types of all branches, or an empty list if any branch has another keyword than `type`.

    A `oneOf` of integer and number also gives an empty list, because it rejects integers, which match both branches.
    """
    if not all(branch.has_no_subschemas and branch.non_schema_keywords.keys() == {"type"} for branch in branches):
        return []
    types = list(
        dict.fromkeys(
            name for branch in branches for name in convert_to_string_list(branch.non_schema_keywords["type"].value)
        )
    )
    return [] if branch_keyword == "oneOf" and {"integer", "number"} <= set(types) else types


def _allows_only_null(schema: NormalizedSchema) -> bool:
    return (
        schema.has_no_subschemas
        and schema.non_schema_keywords.keys() == {"type"}
        and schema.allowed_types == frozenset()
    )


def _normalize_keyword(keyword_name: str, keyword_node: DocumentNode) -> tuple[str, object]:
    """Return a keyword and its value for a fingerprint. `const` becomes an enum, and unordered lists are sorted."""
    if keyword_name == "type":
        return keyword_name, sorted(set(convert_to_string_list(keyword_node.value)) - {"null"})
    if keyword_name in ("enum", "required", "const"):
        values = [keyword_node.value] if keyword_name == "const" else keyword_node.value
        return keyword_name.replace("const", "enum"), sorted(
            {encode_canonical_json(value).decode() for value in values}
        )
    return keyword_name, keyword_node.value


def _order_branch_digests(branch_keyword: str, digests: list[str]) -> list[str]:
    """Return the digests of branches in sorted order, because the order of branches has no meaning.

    For `prefixItems`, the order has a meaning and is kept.
    """
    return digests if branch_keyword == "prefixItems" else sorted(digests)

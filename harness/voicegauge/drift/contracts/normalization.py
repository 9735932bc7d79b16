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

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json
from voicegauge.drift.contracts.normalized_schema import (
    ANNOTATION_KEYWORDS,
    SIBLING_DEPENDENT_KEYWORDS,
    AppliedSchemas,
    NormalizedSchema,
    as_strings,
    has_single_branch,
    merge_schemas,
    read_schema,
)

MAX_NESTING = 60
"""Largest number of levels of nested branches that are simplified, to limit the recursion in untrusted schemas."""
MAX_DEPTH = 12
"""Number of levels of subschemas in a fingerprint. Deeper differences are found by comparing single properties."""


class SchemaFingerprint(NamedTuple):
    """A hash of a normalized schema."""

    digest: bytes
    is_whole: bool
    """Whether the digest covers the whole schema. It does not if a part of the schema is deeper than `MAX_DEPTH`."""


_Pointers = tuple[str, ...]
"""The pointers of schema objects that all apply to the same value. They are used as a cache key."""


class SchemaNormalizer:
    """Normalizes and fingerprints the schemas of one document. Each schema is processed only once."""

    def __init__(self) -> None:
        """Create a normalizer with empty caches."""
        self._normalized: dict[_Pointers, NormalizedSchema] = {}
        self._in_progress: set[_Pointers] = set()
        self._fingerprints: dict[tuple[_Pointers, int], SchemaFingerprint] = {}
        """Fingerprints by schema and depth. The depth is 0 if a fingerprint covers the whole schema at any depth."""

    def normalize(self, applied_schemas: AppliedSchemas, fallback: DocumentNode) -> NormalizedSchema:
        """Combine schemas that all apply to the same value into one normalized schema.

        Args:
            applied_schemas: the schema objects.
            fallback: the node of the returned schema if `applied_schemas` is empty.

        Raises:
            ContractError: a reference points to nothing, or references form a circle.
        """
        key = _pointers(applied_schemas)
        if not key:
            return NormalizedSchema(fallback)
        if key not in self._normalized:
            self._in_progress.add(key)
            self._normalized[key] = self._build(applied_schemas)
            self._in_progress.discard(key)
        return self._normalized[key]

    def _build(self, applied_schemas: AppliedSchemas) -> NormalizedSchema:
        schema = NormalizedSchema(applied_schemas[0])
        unmerged: list[AppliedSchemas] = []
        for fragment in _fragments(applied_schemas):
            merged = merge_schemas(schema, fragment)
            if merged is None:
                unmerged.append((fragment.node,))
            else:
                schema = merged
        # If a single fragment is left, its keywords such as `not` cannot be mixed up with those of another fragment.
        if len(unmerged) == 1:
            merged = merge_schemas(schema, read_schema(unmerged[0][0]), unmergeable=SIBLING_DEPENDENT_KEYWORDS)
            schema, unmerged = (merged, []) if merged else (schema, unmerged)
        if unmerged:
            schema = replace(schema, schema_lists={**schema.schema_lists, "allOf": tuple(unmerged)})
        for key in ("anyOf", "oneOf"):
            if key in schema.schema_lists:
                schema = self._simplify_branches(schema, key)
        return _convert_nullable(schema)

    def _simplify_branches(self, schema: NormalizedSchema, key: str) -> NormalizedSchema:
        """Replace a null branch of `key` with nullability, and a single branch or plain types with their keywords."""
        branches = schema.schema_lists[key]
        is_recursive = any(_pointers(branch) in self._in_progress for branch in branches)
        if len(self._in_progress) > MAX_NESTING or is_recursive:
            return schema
        normalized = {branch: self.normalize(branch, branch[0]) for branch in branches}
        non_null = tuple(branch for branch in branches if not _is_null(normalized[branch]))
        other_lists = {name: value for name, value in schema.schema_lists.items() if name != key}
        has_null = len(non_null) < len(branches)
        if has_null and not schema.has_only_branches:
            return schema
        nullable = True if has_null else _any_nullable(list(normalized.values()))
        if len(non_null) == 1:
            merged = _merge_single_branch(schema, other_lists, normalized[non_null[0]])
            if merged is not None:
                return replace(merged, nullable=nullable if schema.has_only_branches else None)
        types = _plain_types([normalized[branch] for branch in non_null], key)
        if types and "type" not in schema.keywords:
            keyword = replace(schema.node.child(key), value=types)
            keywords = {**schema.keywords, "type": keyword}
            return replace(schema, keywords=keywords, schema_lists=other_lists, nullable=nullable)
        return replace(schema, schema_lists={**other_lists, key: non_null}, nullable=nullable)

    def fingerprint(self, applied_schemas: AppliedSchemas) -> SchemaFingerprint:
        """Return a fingerprint that is equal for equivalent schemas. It covers `MAX_DEPTH` levels of subschemas."""
        return self._cached_fingerprint(applied_schemas, MAX_DEPTH)

    def _cached_fingerprint(self, applied_schemas: AppliedSchemas, depth: int) -> SchemaFingerprint:
        key = _pointers(applied_schemas)
        if not key or depth == 0:
            return SchemaFingerprint(b"", is_whole=not key)
        known = self._fingerprints.get((key, 0)) or self._fingerprints.get((key, depth))
        if known is None:
            known = self._compute_fingerprint(applied_schemas, depth)
            self._fingerprints[key, 0 if known.is_whole else depth] = known
        return known

    def _compute_fingerprint(self, applied_schemas: AppliedSchemas, depth: int) -> SchemaFingerprint:
        used: list[SchemaFingerprint] = []

        def digest(inner: AppliedSchemas) -> str:
            used.append(self._cached_fingerprint(inner, depth - 1))
            return used[-1].digest.hex()

        schema = self.normalize(applied_schemas, applied_schemas[0])
        content = [
            dict(_comparable(name, keyword) for name, keyword in schema.keywords.items()),
            schema.is_nullable,
            {
                name: _order_branches(name, [digest(branch) for branch in branches])
                for name, branches in schema.schema_lists.items()
            },
            {
                name: {child: digest(inner) for child, inner in mapping.items()}
                for name, mapping in schema.schema_mappings.items()
            },
            {name: digest(inner) for name, inner in schema.single_schemas.items()},
        ]
        is_whole = all(fingerprint.is_whole for fingerprint in used)
        return SchemaFingerprint(hashlib.sha256(canonical_json(content)).digest(), is_whole=is_whole)


def _pointers(applied_schemas: AppliedSchemas) -> _Pointers:
    return tuple(node.pointer for node in applied_schemas)


def _fragments(applied_schemas: AppliedSchemas) -> Iterator[NormalizedSchema]:
    """Yield all schema objects that apply: those given, what their references point to, and the parts of `allOf`."""
    stack, visited = list(reversed(applied_schemas)), set[str]()
    while stack:
        node = stack.pop()
        if node.pointer in visited:
            continue
        visited.add(node.pointer)
        schema = read_schema(node)
        if not schema.is_empty:
            yield schema
        always_applied = ["allOf", *(key for key in ("anyOf", "oneOf") if has_single_branch(node, key))]
        following = [branch for key in always_applied for _, branch in node.child(key).children()]
        reference = node.child("$ref")
        if isinstance(reference.value, str):
            following.insert(0, reference.reference_target())
        stack.extend(reversed(following))


def _merge_single_branch(
    schema: NormalizedSchema, other_lists: dict[str, tuple[AppliedSchemas, ...]], branch: NormalizedSchema
) -> NormalizedSchema | None:
    """Merge `schema` with its only branch, or return `None` if they cannot be merged. Annotations of `schema` win."""
    merged = merge_schemas(replace(schema, schema_lists=other_lists), branch)
    if merged is None:
        return None
    annotations = {name: keyword for name, keyword in schema.keywords.items() if name in ANNOTATION_KEYWORDS}
    node = branch.node if schema.has_only_branches else schema.node
    return replace(merged, node=node, keywords={**merged.keywords, **annotations})


def _convert_nullable(schema: NormalizedSchema) -> NormalizedSchema:
    """Convert the keyword `nullable` of OpenAPI 3.0 to the field `nullable`."""
    if "nullable" not in schema.keywords:
        return schema
    keywords = {key: keyword for key, keyword in schema.keywords.items() if key != "nullable"}
    return replace(schema, keywords=keywords, nullable=True)


def _any_nullable(branches: list[NormalizedSchema]) -> bool | None:
    """Whether null is valid in any branch; `None` if no branch is known to allow null but some may allow it."""
    nullability = {branch.is_nullable for branch in branches}
    return True if True in nullability else None if None in nullability else False


def _plain_types(branches: list[NormalizedSchema], key: str) -> list[str]:
    """Return the types of all branches, or an empty list if any branch has another keyword than `type`.

    A `oneOf` of integer and number also gives an empty list, because it rejects integers, which match both branches.
    """
    if not all(branch.has_no_subschemas and branch.keywords.keys() == {"type"} for branch in branches):
        return []
    types = list(dict.fromkeys(name for branch in branches for name in as_strings(branch.keywords["type"].value)))
    return [] if key == "oneOf" and {"integer", "number"} <= set(types) else types


def _is_null(schema: NormalizedSchema) -> bool:
    return schema.has_no_subschemas and schema.keywords.keys() == {"type"} and schema.types == frozenset()


def _comparable(key: str, keyword: DocumentNode) -> tuple[str, object]:
    """Return a keyword and its value for a fingerprint. `const` becomes an enum, and unordered lists are sorted."""
    if key == "type":
        return key, sorted(set(as_strings(keyword.value)) - {"null"})
    if key in ("enum", "required", "const"):
        values = [keyword.value] if key == "const" else keyword.value
        return key.replace("const", "enum"), sorted({canonical_json(value).decode() for value in values})
    return key, keyword.value


def _order_branches(key: str, digests: list[str]) -> list[str]:
    """Sort the digests of branches, because their order has no meaning. Keep the order for `prefixItems`."""
    return digests if key == "prefixItems" else sorted(digests)

"""Reads and normalizes JSON Schemas, so that different ways to write the same schema compare as equal.

References are followed. The parts of an `allOf` are merged if a single schema can express them. An `anyOf` of a schema
and null becomes a nullable schema. `nullable` and a boolean `exclusiveMinimum`, which OpenAPI 3.0 has, are converted to
OpenAPI 3.1. Keywords without effect (`minItems: 0`) are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from voicegauge.drift._document_node import DocumentNode, encode_canonical_json
from voicegauge.formats.bodies import is_number
from voicegauge.formats.locations import MISSING

# Reads JSON Schemas as keywords with positions, and merges two schemas that apply to the same value.


_ValueT = TypeVar("_ValueT")

SchemasForSameValue = tuple[DocumentNode, ...]
"""Schema objects that all apply to the same value. An empty tuple allows any value."""

UPPER_BOUND_KEYWORDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
"""Keywords that limit a value from above."""
LOWER_BOUND_KEYWORDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
"""Keywords that limit a value from below."""
SCHEMA_LIST_KEYWORDS = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose value is a list of schemas. These schemas are called branches."""
SCHEMA_MAPPING_KEYWORDS = ("properties", "patternProperties", "dependentSchemas")
"""Keywords whose value is a mapping from names to schemas."""
SINGLE_SCHEMA_KEYWORDS = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)
"""Keywords whose value is a schema."""
PLAIN_DATA_KEYWORDS = (
    *UPPER_BOUND_KEYWORDS,
    *LOWER_BOUND_KEYWORDS,
    *("type", "format", "enum", "const", "pattern", "multipleOf", "uniqueItems", "default", "required"),
    *("readOnly", "writeOnly", "deprecated", "discriminator", "dependentRequired", "contentMediaType"),
    *("contentEncoding", "nullable", "x-advice", "x-sunset"),
)
"""Keywords whose value is plain data rather than schemas, such as `type` and `maxLength`."""
ANNOTATION_KEYWORDS = ("readOnly", "writeOnly", "deprecated", "default", "x-advice", "x-sunset")
"""Keywords that describe a property but do not restrict its values. In a merge, the outer schema's value is kept."""
SIBLING_DEPENDENT_KEYWORDS = ("additionalProperties", "unevaluatedProperties", "unevaluatedItems")
"""Keywords whose effect depends on other keywords of the same schema object, such as `additionalProperties` on
`properties`, so that merging two schema objects would change what they mean."""
INTERDEPENDENT_KEYWORDS = ("if", "then", "else", "not", "contains", "minContains", "maxContains")
"""Keywords that change the effect of each other, so that the keywords of two schema objects cannot be combined in
one."""

_VALUE_WITHOUT_EFFECT_BY_KEYWORD: Mapping[str, Any] = {
    **dict.fromkeys(("minLength", "minItems", "minProperties"), 0),
    "minContains": 1,
    **dict.fromkeys(("uniqueItems", "readOnly", "writeOnly", "deprecated", "nullable"), False),
    "required": [],
    "enum": [],
    "x-advice": {},
}
"""The value that has the same meaning as leaving out the keyword, by keyword."""
_NUMERIC_KEYWORDS = (*UPPER_BOUND_KEYWORDS, *LOWER_BOUND_KEYWORDS, "multipleOf")
"""Keywords that limit numbers only."""
_JSON_TYPES_BY_KEYWORD: Mapping[str, Any] = {
    **dict.fromkeys(("enum", "required"), list),
    "type": str | list,
    "discriminator": dict,
    "pattern": str,
}
"""The types that values must have, by keyword. Keywords with a value of another type are ignored as undefined."""


@dataclass(frozen=True)
class NormalizedSchema:
    """The keywords of a schema, grouped by the kind of their value. Keywords without effect are left out."""

    node: DocumentNode
    """The node whose line is reported for the whole schema."""
    non_schema_keywords: Mapping[str, DocumentNode] = field(default_factory=dict)
    """The keywords whose value contains no schema, such as `type`: the node of the value, by keyword."""
    schema_lists_by_keyword: Mapping[str, tuple[SchemasForSameValue, ...]] = field(default_factory=dict)
    """The keywords whose value is a list of schemas, such as `anyOf`: the schemas, by keyword."""
    schema_mappings_by_keyword: Mapping[str, Mapping[str, SchemasForSameValue]] = field(default_factory=dict)
    """The keywords whose value is a mapping from names to schemas, such as `properties`: the mapping, by keyword."""
    single_schemas_by_keyword: Mapping[str, SchemasForSameValue] = field(default_factory=dict)
    """The keywords whose value is a single schema, such as `items`: the schema, by keyword."""
    is_explicitly_nullable: bool | None = None
    """Whether null is valid according to the keyword `nullable` or the branches of the schema; `None` if neither says
    so."""

    def get_keyword(self, name: str) -> DocumentNode:
        """Return the node of a keyword with a plain value. Its value is `MISSING` if the schema has no such keyword."""
        return self.non_schema_keywords.get(name) or DocumentNode(
            self.node.document, f"{self.node.pointer}/{name}", MISSING
        )

    @property
    def properties(self) -> Mapping[str, SchemasForSameValue]:
        """The schemas under `properties`, by name."""
        return self.schema_mappings_by_keyword.get("properties", {})

    @property
    def allowed_types(self) -> frozenset[str] | None:
        """The allowed types except null; `None` if the schema has no `type`."""
        keyword = self.non_schema_keywords.get("type")
        return None if keyword is None else frozenset(convert_to_string_list(keyword.value)) - {"null"}

    @property
    def allowed_values(self) -> list[Any] | None:
        """The values that `enum` or `const` allows; `None` if the schema has neither keyword."""
        if "const" in self.non_schema_keywords:
            return [self.non_schema_keywords["const"].value]
        enum = self.non_schema_keywords.get("enum")
        return None if enum is None else list(enum.value)

    @property
    def is_nullable(self) -> bool | None:
        """Whether null is valid; `None` if the schema restricts neither types nor values."""
        types, values = self.allowed_types, self.allowed_values
        if self.is_explicitly_nullable is not None:
            return self.is_explicitly_nullable
        if types is None and values is None:
            return None
        return (types is None or "null" in convert_to_string_list(self.non_schema_keywords["type"].value)) and (
            values is None or None in values
        )

    @property
    def required_names(self) -> list[str]:
        """The names of the required properties, including those that `properties` does not list."""
        keyword = self.non_schema_keywords.get("required")
        return [] if keyword is None else convert_to_string_list(keyword.value)

    @property
    def has_no_subschemas(self) -> bool:
        """Whether all keywords have plain values."""
        return not (self.schema_lists_by_keyword or self.schema_mappings_by_keyword or self.single_schemas_by_keyword)

    @property
    def has_only_branches(self) -> bool:
        """Whether all keywords are annotations, a discriminator, or keywords whose value is a list of schemas."""
        return (
            not (self.non_schema_keywords.keys() - {*ANNOTATION_KEYWORDS, "discriminator"})
            and not self.schema_mappings_by_keyword
            and not self.single_schemas_by_keyword
        )

    @property
    def is_empty(self) -> bool:
        """Whether the schema has no keyword with an effect."""
        return self.has_no_subschemas and not self.non_schema_keywords


def convert_to_string_list(value: Any) -> list[str]:
    """Return a string or a list of strings as a list. `type` may be either, and `required` is a list."""
    return [value] if isinstance(value, str) else [item for item in value if isinstance(item, str)]


def read_schema(node: DocumentNode) -> NormalizedSchema:
    """Read the keywords of one schema object except `$ref`, `allOf` and single branches, which the normalizer handles.

    A schema that is `false` is read as `{"not": {}}`, which no value satisfies either.
    """
    if node.value is False:
        return NormalizedSchema(node, single_schemas_by_keyword={"not": ()})
    keys = node.value.keys() if isinstance(node.value, dict) else ()
    keywords = {
        key: keyword for key in PLAIN_DATA_KEYWORDS if key in keys and (keyword := _read_keyword(node, key)) is not None
    }
    lists = {
        key: tuple((branch,) for _, branch in node.get_child(key).iterate_children())
        for key in SCHEMA_LIST_KEYWORDS
        if key in keys and key != "allOf" and isinstance(node.value[key], list) and not has_single_branch(node, key)
    }
    mappings = {
        key: {name: (child,) for name, child in node.get_child(key).iterate_children()}
        for key in SCHEMA_MAPPING_KEYWORDS
        if key in keys and isinstance(node.value[key], dict)
    }
    single_schemas_by_keyword = {
        key: (node.get_child(key),)
        for key in SINGLE_SCHEMA_KEYWORDS
        if key in keys and node.value[key] not in (True, {})
    }
    return NormalizedSchema(
        node, keywords, _remove_empty_entries(lists), _remove_empty_entries(mappings), single_schemas_by_keyword
    )


def _remove_empty_entries(mapping: Mapping[str, _ValueT]) -> dict[str, _ValueT]:
    return {key: value for key, value in mapping.items() if value}


def has_single_branch(node: DocumentNode, branch_keyword: str) -> bool:
    """Whether a schema has a single branch under `branch_keyword` ("anyOf" or "oneOf"), which always applies."""
    value = node.get_value(branch_keyword)
    return branch_keyword in ("anyOf", "oneOf") and isinstance(value, list) and len(value) == 1


def _read_keyword(node: DocumentNode, keyword_name: str) -> DocumentNode | None:
    """Return the node of a keyword's value, converted to OpenAPI 3.1.

    Return `None` if the keyword is missing, has no effect or has a value of the wrong type.
    """
    keyword = node.get_child(keyword_name)
    value = keyword.value
    # OpenAPI 3.0: exclusiveMaximum and exclusiveMinimum are flags next to maximum and minimum.
    if keyword_name in ("exclusiveMaximum", "exclusiveMinimum") and isinstance(value, bool):
        bound = node.get_value("maximum" if keyword_name == "exclusiveMaximum" else "minimum")
        return keyword.replace_value(bound) if value and is_number(bound) else None
    if keyword_name in ("maximum", "minimum") and node.get_value(f"exclusive{keyword_name.capitalize()}") is True:
        return None
    if not keyword.exists or (
        keyword_name in _VALUE_WITHOUT_EFFECT_BY_KEYWORD and value == _VALUE_WITHOUT_EFFECT_BY_KEYWORD[keyword_name]
    ):
        return None
    is_usable = (
        is_number(value)
        if keyword_name in _NUMERIC_KEYWORDS
        else isinstance(value, _JSON_TYPES_BY_KEYWORD.get(keyword_name, object))
    )
    return keyword if is_usable else None


def merge_schemas(
    outer_schema: NormalizedSchema,
    inner_schema: NormalizedSchema,
    *,
    unmergeable_keywords: tuple[str, ...] = (*SIBLING_DEPENDENT_KEYWORDS, *INTERDEPENDENT_KEYWORDS),
) -> NormalizedSchema | None:
    """Merge two schemas that apply to the same value; `None` if no single schema object can express both.

    Args:
        outer_schema: the schema whose node and annotations are kept.
        inner_schema: the other schema.
        unmergeable_keywords: keywords that prevent merging if either schema has them.
    """
    if outer_schema.is_empty:
        return inner_schema
    keys = [{*schema.non_schema_keywords, *schema.single_schemas_by_keyword} for schema in (outer_schema, inner_schema)]
    if any(key in keys[0] | keys[1] for key in unmergeable_keywords) or all(
        key & set(INTERDEPENDENT_KEYWORDS) for key in keys
    ):
        return None
    in_both = {
        *(outer_schema.schema_lists_by_keyword.keys() & inner_schema.schema_lists_by_keyword.keys()),
        *(outer_schema.single_schemas_by_keyword.keys() & inner_schema.single_schemas_by_keyword.keys()),
        *(outer_schema.schema_mappings_by_keyword.keys() & inner_schema.schema_mappings_by_keyword.keys()),
    }
    # A schema object has each keyword once: two lists of branches, or two schemas of items, do not fit into one.
    # Properties are merged name by name.
    if in_both - {"properties"}:
        return None
    keywords = _merge_keywords(outer_schema, inner_schema)
    if keywords is None:
        return None
    properties = dict(outer_schema.properties)
    for name, applied_schemas in inner_schema.properties.items():
        properties[name] = (*properties.get(name, ()), *applied_schemas)
    mappings = {
        **outer_schema.schema_mappings_by_keyword,
        **inner_schema.schema_mappings_by_keyword,
        "properties": properties,
    }
    return NormalizedSchema(
        outer_schema.node,
        keywords,
        {**outer_schema.schema_lists_by_keyword, **inner_schema.schema_lists_by_keyword},
        _remove_empty_entries(mappings),
        {**outer_schema.single_schemas_by_keyword, **inner_schema.single_schemas_by_keyword},
    )


def _merge_keywords(outer_schema: NormalizedSchema, inner_schema: NormalizedSchema) -> dict[str, DocumentNode] | None:
    keywords = dict(outer_schema.non_schema_keywords)
    for key, keyword in inner_schema.non_schema_keywords.items():
        merged = _merge_keyword(key, keywords[key], keyword) if key in keywords else keyword
        if merged is None:
            return None
        keywords[key] = merged
    return keywords


def _merge_keyword(keyword_name: str, outer_node: DocumentNode, inner_node: DocumentNode) -> DocumentNode | None:
    """Return a value that restricts as much as both values of a keyword together; `None` if there is none."""
    first, second = outer_node.value, inner_node.value
    if keyword_name in ANNOTATION_KEYWORDS or encode_canonical_json(first) == encode_canonical_json(second):
        return outer_node
    if keyword_name in UPPER_BOUND_KEYWORDS or keyword_name in LOWER_BOUND_KEYWORDS:
        tighter_bound = min(first, second) if keyword_name in UPPER_BOUND_KEYWORDS else max(first, second)
        return outer_node.replace_value(tighter_bound)
    merged: list[Any] = []
    if keyword_name == "required":
        merged = [*first, *(name for name in second if name not in first)]
    elif keyword_name == "type":
        merged = [name for name in convert_to_string_list(first) if name in convert_to_string_list(second)]
    elif keyword_name == "enum":
        in_second = {encode_canonical_json(value) for value in second}
        merged = [value for value in first if encode_canonical_json(value) in in_second]
    # Nothing is merged of two patterns, formats or multiples: no single value means both.
    return outer_node.replace_value(merged) if merged else None


# Normalizes JSON Schemas, so that different ways to write the same schema compare as equal.


MAX_BRANCH_NESTING = 60
"""Largest number of nested levels of `anyOf` and `oneOf` that are simplified, to limit the recursion in untrusted
schemas."""
MAX_FINGERPRINT_DEPTH = 5
"""Number of levels of subschemas in a fingerprint. Deeper differences are found by comparing single properties. In a
document whose schemas all contain each other, each level takes as much time as the whole document."""


class SchemaFingerprint(NamedTuple):
    """A hash of a normalized schema. Different ways to write the same schema have the same hash."""

    digest: bytes
    covers_all_levels: bool
    """Whether the digest covers the whole schema, because no part of it is deeper than `MAX_FINGERPRINT_DEPTH`."""


_SchemaCacheKey = tuple[str, ...]
"""The JSON pointers of schemas that all apply to the same value. Results are cached under this key."""


class SchemaNormalizer:
    """Normalizes and fingerprints the schemas of one document. Each schema is normalized only once."""

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
            schema = replace(
                schema, schema_lists_by_keyword={**schema.schema_lists_by_keyword, "allOf": tuple(unmerged)}
            )
        for key in ("anyOf", "oneOf"):
            if key in schema.schema_lists_by_keyword:
                schema = self._simplify_branches(schema, key)
        return _convert_nullable_keyword(schema)

    def _simplify_branches(self, schema: NormalizedSchema, branch_keyword: str) -> NormalizedSchema:
        """Replace branches by keywords that mean the same.

        A branch that allows only null becomes `nullable`, a single branch becomes its keywords, branches that only
        have a type become one list of types, and branches that list values of one type become one list of values.
        """
        branches = schema.schema_lists_by_keyword[branch_keyword]
        # A branch that leads back to its schema has no normal form before the schema has one.
        is_recursive = any(_build_cache_key(branch) in self._in_progress for branch in branches)
        if len(self._in_progress) > MAX_BRANCH_NESTING or is_recursive:
            return schema
        normalized = {branch: self.normalize(branch, branch[0]) for branch in branches}
        non_null = tuple(branch for branch in branches if not _allows_only_null(normalized[branch]))
        has_null = len(non_null) < len(branches)
        # Beside other keywords, such as `type`, a branch for null does not make null valid.
        if has_null and not schema.has_only_branches:
            return schema
        other_lists = {name: value for name, value in schema.schema_lists_by_keyword.items() if name != branch_keyword}
        schema_without_branches = replace(
            schema,
            schema_lists_by_keyword=other_lists,
            is_explicitly_nullable=True if has_null else _is_any_branch_nullable(list(normalized.values())),
        )
        if len(non_null) == 1:
            merged = _merge_single_branch(schema, schema_without_branches, normalized[non_null[0]])
            if merged is not None:
                return merged
        keywords = _unite_branches([normalized[branch] for branch in non_null], branch_keyword)
        if keywords is not None and not keywords.keys() & schema.non_schema_keywords.keys():
            node = schema.node.get_child(branch_keyword)
            nodes = {name: node.replace_value(value) for name, value in keywords.items()}
            return replace(schema_without_branches, non_schema_keywords={**schema.non_schema_keywords, **nodes})
        return replace(schema_without_branches, schema_lists_by_keyword={**other_lists, branch_keyword: non_null})

    def compute_fingerprint(self, schemas_for_same_value: SchemasForSameValue) -> SchemaFingerprint:
        """Return a fingerprint that is equal for equivalent schemas. It covers a limited depth of subschemas."""
        return self._get_cached_fingerprint(schemas_for_same_value, MAX_FINGERPRINT_DEPTH)

    def _get_cached_fingerprint(
        self, schemas_for_same_value: SchemasForSameValue, remaining_depth: int
    ) -> SchemaFingerprint:
        if len(schemas_for_same_value) == 1 and schemas_for_same_value[0].is_plain_reference:
            # Most schemas of large documents are references, and many lead to the same component.
            schemas_for_same_value = (schemas_for_same_value[0].resolve_references(),)
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
                # The order of branches has no meaning, except in `prefixItems`.
                name: (list if name == "prefixItems" else sorted)(compute_digest(branch) for branch in branches)
                for name, branches in schema.schema_lists_by_keyword.items()
            },
            {
                name: {child: compute_digest(inner) for child, inner in mapping.items()}
                for name, mapping in schema.schema_mappings_by_keyword.items()
            },
            {name: compute_digest(inner) for name, inner in schema.single_schemas_by_keyword.items()},
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
        # A node may be reached in several ways; only one that is its own ancestor never comes to an end.
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
    schema: NormalizedSchema, schema_without_branches: NormalizedSchema, branch: NormalizedSchema
) -> NormalizedSchema | None:
    """Return one schema that means the same as `schema` with its only branch; `None` if no single schema can.

    The annotations of `schema` are kept. `schema_without_branches` is `schema` without the keyword that has the branch.
    """
    merged = merge_schemas(schema_without_branches, branch)
    if merged is None:
        return None
    annotations = {name: keyword for name, keyword in schema.non_schema_keywords.items() if name in ANNOTATION_KEYWORDS}
    return replace(
        merged,
        node=branch.node if schema.has_only_branches else schema.node,
        non_schema_keywords={**merged.non_schema_keywords, **annotations},
        is_explicitly_nullable=schema_without_branches.is_explicitly_nullable if schema.has_only_branches else None,
    )


def _convert_nullable_keyword(schema: NormalizedSchema) -> NormalizedSchema:
    """Convert the keyword `nullable` of OpenAPI 3.0 to the field `is_explicitly_nullable`."""
    if "nullable" not in schema.non_schema_keywords:
        return schema
    keywords = {key: keyword for key, keyword in schema.non_schema_keywords.items() if key != "nullable"}
    return replace(schema, non_schema_keywords=keywords, is_explicitly_nullable=True)


def _is_any_branch_nullable(branches: list[NormalizedSchema]) -> bool | None:
    """Return whether any branch allows null.

    Return `None` if no branch certainly allows null, and some branches restrict neither types nor values.
    """
    nullability = {branch.is_nullable for branch in branches}
    return True if True in nullability else None if None in nullability else False


def _unite_branches(branches: list[NormalizedSchema], branch_keyword: str) -> dict[str, Any] | None:
    """Return the keywords that mean the same as branches which only have types, or list values of one type.

    A branch of an `anyOf` without a list allows every value of its type. Return `None` if a branch has other keywords,
    or if branches of a `oneOf` overlap, because a value of both is not valid then: integers are also numbers.
    """
    if not all(branch.has_no_subschemas for branch in branches):
        return None
    names = {name for branch in branches for name in branch.non_schema_keywords}
    types = [branch.get_keyword("type").value for branch in branches]
    if names == {"type"} and MISSING not in types:
        united = list(dict.fromkeys(name for value in types for name in convert_to_string_list(value)))
        is_overlap = branch_keyword == "oneOf" and {"integer", "number"} <= set(united)
        if united and not is_overlap:
            return {"type": united}
    lists = [branch.allowed_values for branch in branches]
    has_one_type = types[:1] != [MISSING] and all(one == types[0] for one in types)
    if len(branches) < 2 or not names <= {"type", "enum", "const"} or not has_one_type:
        return None
    if None in lists:
        return {"type": types[0]} if branch_keyword == "anyOf" else None
    values = {encode_canonical_json(value): value for one in lists for value in one or ()}
    if branch_keyword == "oneOf" and len(values) < sum(len(one or ()) for one in lists):
        return None
    return {"type": types[0], "enum": list(values.values())}


def _allows_only_null(schema: NormalizedSchema) -> bool:
    return (
        schema.has_no_subschemas
        and schema.non_schema_keywords.keys() == {"type"}
        and schema.allowed_types == frozenset()
    )


def _normalize_keyword(keyword_name: str, keyword_node: DocumentNode) -> tuple[str, object]:
    """Return a keyword and its value for a fingerprint. `const` becomes an enum, and unordered lists are sorted."""
    if keyword_name == "type":
        # Null is a member of the fingerprint by itself, however it is written.
        return keyword_name, sorted(set(convert_to_string_list(keyword_node.value)) - {"null"})
    if keyword_name in ("enum", "required", "const"):
        values = [keyword_node.value] if keyword_name == "const" else keyword_node.value
        return keyword_name.replace("const", "enum"), sorted(
            {encode_canonical_json(value).decode() for value in values}
        )
    return keyword_name, keyword_node.value

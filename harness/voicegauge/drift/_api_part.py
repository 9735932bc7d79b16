"""Describes the part of an API that is compared in two documents, and compares the plain keywords of its schemas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.drift._document_node import DocumentNode, NodePair, encode_canonical_json, is_same_json
from voicegauge.drift._rule_catalogue import (
    RULE_ID_PART_BY_BOUND_KEYWORD,
    RULE_ID_PART_BY_RESTRICTION_KEYWORD,
    SCHEMA_ROLE_BY_RULE_ID_PREFIX,
    SCHEMA_ROLES_WITH_SUNSET_RULE,
    SchemaRole,
    build_rule_id,
)
from voicegauge.drift._schema_normalization import NormalizedSchema, SchemaNormalizer, SchemasForSameValue
from voicegauge.drift.drift_report import DriftChange, build_change
from voicegauge.formats.bodies import get_json_type

SchemaPairKey = tuple[str, bool, tuple[str, ...], tuple[str, ...]]
"""The role of two schemas, whether they are sent as text, and what identifies the older and the newer schema."""
_WHOLE_OPERATION_LOCATION = "operation"
"""The location that reports show for a change of the operation itself."""


@dataclass(frozen=True)
class ApiPart:
    """The part of an operation, or of the whole API, that is being compared in both documents."""

    operation_name: str | None = None
    """The `operationId`, or the method and the path of an operation without one; `None` for the whole API."""
    location: str = ""
    """Where the part is in the operation: "request body/text". Empty for the operation as a whole."""
    is_callback: bool = False
    """Whether the part belongs to a callback or a webhook, for which the provider sends the request and the client
    responds."""
    is_sent_as_text: bool = False
    """Whether the values of the part are sent as text, as in a header. Any value can then also be read as a string."""
    old_normalizer: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    new_normalizer: SchemaNormalizer = field(default_factory=SchemaNormalizer, repr=False)
    """The normalizers of the older and the newer document. Each resolves the references of its own document."""
    compared_schemas: dict[SchemaPairKey, ComparedSchemas] = field(default_factory=dict, repr=False)
    """The results of comparing pairs of schemas. They are remembered so that a component which several operations or
    schemas share is compared only once."""

    def create_nested_part(self, location_suffix: str) -> ApiPart:
        """Return a part inside this one. Its location is the location of this part, followed by `location_suffix`."""
        return replace(self, location=f"{self.location}{location_suffix}")

    def build_change(
        self, rule_id: str, old_node: DocumentNode | None, new_node: DocumentNode | None, /, **message_values: Any
    ) -> DriftChange:
        """Create a change of this part.

        Args:
            rule_id: the id of the rule.
            old_node: the older node; `None` if the part was added as a whole.
            new_node: the newer node; `None` if the part was removed as a whole.
            message_values: the values that the report shows, under the names "old" and "new".
        """
        return build_change(
            rule_id,
            location=self.location.strip() or _WHOLE_OPERATION_LOCATION,
            operation_id=self.operation_name,
            old_position=None if old_node is None else old_node.position,
            new_position=None if new_node is None else new_node.position,
            message_values=message_values,
        )

    def build_presence_change(
        self, rule_id_prefix: str, old_node: DocumentNode | None, new_node: DocumentNode | None, value: Any = None
    ) -> DriftChange:
        """Create the change for what only one document has: under the rule "...-removed" or "...-added".

        Args:
            rule_id_prefix: the start of the rule's id.
            old_node: the node in the older document; `None` if it was added.
            new_node: the node in the newer document; `None` if it was removed.
            value: the value that the report shows; `None` for none.
        """
        side, action = ("old", "removed") if new_node is None else ("new", "added")
        values = {} if value is None else {side: value}
        return self.build_change(f"{rule_id_prefix}-{action}", old_node, new_node, **values)

    def compare_lists(
        self, rule_id_prefix: str, nodes: NodePair, old_values: Iterable[Any], new_values: Iterable[Any]
    ) -> Iterator[DriftChange]:
        """Yield a change for each value that only one of two lists has, under the rule "...-removed" or "...-added"."""
        before, after = ({encode_canonical_json(value): value for value in side} for side in (old_values, new_values))
        for key in dict.fromkeys((*before, *after)):
            if key not in after:
                yield self.build_change(f"{rule_id_prefix}-removed", *nodes, old=before[key])
            elif key not in before:
                yield self.build_change(f"{rule_id_prefix}-added", *nodes, new=after[key])

    def locate_change(self, change: DriftChange, location_suffix: str) -> DriftChange:
        """Return `change` with the operation of this part and a location inside this part.

        The location begins with `location_suffix`, followed by the location of `change` inside its schemas, if any.
        """
        suffix = "" if change.location == _WHOLE_OPERATION_LOCATION else change.location
        location = f"{self.location}{location_suffix}{suffix}".strip() or _WHOLE_OPERATION_LOCATION
        return msgspec.structs.replace(change, operation=self.operation_name, location=location)


@dataclass(frozen=True)
class SchemaPair:
    """The older and the newer version of a schema, and the part of the API that they describe."""

    api_part: ApiPart
    schema_role: SchemaRole
    old_schemas: SchemasForSameValue
    new_schemas: SchemasForSameValue
    old_node_if_no_schemas: DocumentNode
    """The node whose position is reported for the older schema if `old_schemas` is empty."""
    new_node_if_no_schemas: DocumentNode
    """The node whose position is reported for the newer schema if `new_schemas` is empty."""

    @property
    def identity_key(self) -> SchemaPairKey:
        """A key that is equal for pairs of schemas with the same role at the same positions in both documents."""
        old, new = (
            tuple(node.pointer for node in applied_schemas) for applied_schemas in (self.old_schemas, self.new_schemas)
        )
        return (self.schema_role.rule_id_prefix, self.api_part.is_sent_as_text, old, new)

    @property
    def comparison_key(self) -> SchemaPairKey:
        """A key that is equal for pairs whose comparison gives the same changes.

        Pairs of references to the same components have equal keys.
        """
        old, new = self.normalize_both()
        return (
            self.schema_role.rule_id_prefix,
            self.api_part.is_sent_as_text,
            _list_pointers_or_references(self.old_schemas, self.old_node_if_no_schemas, old),
            _list_pointers_or_references(self.new_schemas, self.new_node_if_no_schemas, new),
        )

    def build_change(
        self, rule_id_suffix: str, old_node: DocumentNode, new_node: DocumentNode, **message_values: Any
    ) -> DriftChange:
        """Create a change of the schemas; `rule_id_suffix` is the end of its rule id, such as "max-increased"."""
        rule_id = build_rule_id(self.schema_role, rule_id_suffix)
        return self.api_part.build_change(rule_id, old_node, new_node, **message_values)

    @property
    def property_role(self) -> SchemaRole:
        """The role of the properties and items of both schemas."""
        return SCHEMA_ROLE_BY_RULE_ID_PREFIX[self.schema_role.property_rule_id_prefix]

    def normalize_both(self) -> tuple[NormalizedSchema, NormalizedSchema]:
        """Return both schemas in normalized form."""
        old = self.api_part.old_normalizer.normalize(self.old_schemas, self.old_node_if_no_schemas)
        return old, self.api_part.new_normalizer.normalize(self.new_schemas, self.new_node_if_no_schemas)


def _list_pointers_or_references(
    schemas_for_same_value: SchemasForSameValue, node_if_no_schemas: DocumentNode, schema: NormalizedSchema
) -> tuple[str, ...]:
    """Return the JSON pointer of each schema, or the target of a schema that is a single reference.

    References to the same component therefore give equal texts, wherever they are in the document.

    Args:
        schemas_for_same_value: the schemas, all of which apply to one value.
        node_if_no_schemas: the node whose position is reported if there are none.
        schema: the schemas in normalized form. It has the node of a reference if the reference leads to an empty
            schema, whose changes are reported at the reference.
    """
    if not schemas_for_same_value:
        return ("nothing at", node_if_no_schemas.pointer)
    return tuple(
        node.value["$ref"]
        if len(schemas_for_same_value) == 1 and node.is_plain_reference and schema.node != node
        else node.pointer
        for node in schemas_for_same_value
    )


@dataclass(eq=False)
class ComparedSchemas:
    """The changes in a pair of schemas. They have no operation, so that they apply wherever the schemas are used."""

    changes: tuple[DriftChange, ...]
    """The changes of the two schemas, without those of schemas inside them."""
    changed_inner_pairs: tuple[InnerPair, ...] = ()
    """The pairs of schemas inside them that have a change, or that have such a pair inside them."""

    @property
    def is_changed(self) -> bool:
        """Whether the schemas, or schemas inside them, have a change."""
        return bool(self.changes or self.changed_inner_pairs)


class InnerPair(NamedTuple):
    """A pair of schemas inside another pair."""

    location_suffix: str
    """Where the schemas are in the outer ones, such as "/text"."""
    identity_key: SchemaPairKey
    compared_schemas: ComparedSchemas


# Compares the types and formats of two JSON Schemas.


class KeywordChange(NamedTuple):
    """A change of one keyword."""

    rule_id_suffix: str
    """The part of the rule id after the role of the schema, such as "max-increased"."""
    old_node: DocumentNode
    new_node: DocumentNode
    message_values: Mapping[str, Any]
    """The values that the report shows, under the keys "old" and "new"."""


_ValueSetRelation = Literal["same", "wider", "narrower", "other"]
"""Whether the newer schema allows the same values as the older one, more (`wider`), fewer (`narrower`), or some more
and some fewer (`other`)."""
_INCLUDED_FORMATS_BY_FORMAT = {
    "double": {"float"},
    "int64": {"int32"},
    "bigint": {"int32", "int64"},
    "date-time": {"date", "time"},
}
"""For each value of the keyword `format`, the narrower formats that oasdiff considers to be part of it."""


def compare_types(
    schema_role: SchemaRole, old_schema: NormalizedSchema, new_schema: NormalizedSchema, *, is_sent_as_text: bool
) -> Iterator[KeywordChange]:
    """Yield the changes of nullability, types and formats.

    Args:
        schema_role: the role of both schemas.
        old_schema: the older schema.
        new_schema: the newer schema.
        is_sent_as_text: whether the value is sent as text, as in a header, so that any value can also be read as a
            string.
    """
    nodes = _find_type_node(old_schema), _find_type_node(new_schema)
    if (
        old_schema.is_nullable is not None
        and new_schema.is_nullable is not None
        and old_schema.is_nullable != new_schema.is_nullable
    ):
        yield KeywordChange("became-nullable" if new_schema.is_nullable else "became-not-nullable", *nodes, {})
    types = _TypeChange(_find_types_of_type_or_enum(old_schema), _find_types_of_type_or_enum(new_schema))
    values = {"old": _describe_type(old_schema), "new": _describe_type(new_schema)}
    formats = _compare_formats(old_schema.get_keyword("format"), new_schema.get_keyword("format"))
    if types.value_set_relation == "same" and formats == "same":
        return
    changed = (
        nodes
        if types.value_set_relation != "same"
        else (old_schema.get_keyword("format"), new_schema.get_keyword("format"))
    )
    if (
        types.old_types
        and types.new_types
        and types.value_set_relation != "same"
        # A list of types from a `oneOf` or `anyOf`, which normalization replaced by the types that it allows.
        and any(node.pointer.endswith(("/anyOf", "/oneOf")) for node in nodes)
    ):
        yield KeywordChange(_choose_type_list_rule_id_suffix(schema_role, types), *changed, values)
    else:
        yield KeywordChange(
            _choose_type_rule_id_suffix(schema_role, types, formats, is_sent_as_text=is_sent_as_text), *changed, values
        )


class _TypeChange(NamedTuple):
    """The types that are allowed before and after a change; `None` if every type is allowed."""

    old_types: frozenset[str] | None
    new_types: frozenset[str] | None

    @property
    def value_set_relation(self) -> _ValueSetRelation:
        """How the set of valid types changed."""
        return _compare_type_sets(self.old_types, self.new_types)


def _choose_type_list_rule_id_suffix(schema_role: SchemaRole, type_change: _TypeChange) -> str:
    """Return the end of the rule id for a changed list of types.

    If types were both added and removed, the change that is worse for clients decides.
    """
    old, new = type_change.old_types or frozenset(), type_change.new_types or frozenset()
    is_narrowed = bool(old - new) if schema_role.is_sent_by_client else not new - old
    return "list-of-types-narrowed" if is_narrowed else "list-of-types-widened"


def _choose_type_rule_id_suffix(
    schema_role: SchemaRole, type_change: _TypeChange, format_relation: _ValueSetRelation, *, is_sent_as_text: bool
) -> str:
    """Return the end of the rule id for a change of types, formats or both, as oasdiff classifies them."""
    is_breaking = _breaks_receiver(schema_role, type_change, format_relation, is_sent_as_text=is_sent_as_text)
    if schema_role.rule_id_prefix == "request-parameter-property":
        # How an object in a parameter is sent is not known, as text or for example as JSON.
        if is_breaking != _breaks_receiver(
            schema_role, type_change, format_relation, is_sent_as_text=not is_sent_as_text
        ):
            return "type-changed"
        return "type-specialized" if is_breaking else "type-generalized"
    if schema_role.is_sent_by_client:
        is_text_only = (
            type_change.value_set_relation in ("narrower", "other")
            and schema_role.rule_id_prefix != "request-parameter"
        )
        return "type-changed" if is_breaking else "type-compatible" if is_text_only else "type-generalized"
    if is_breaking:
        return (
            "type-generalized"
            if type_change.value_set_relation == "wider" and type_change.new_types is not None
            else "type-changed"
        )
    return "type-compatible" if type_change.value_set_relation in ("wider", "other") else "type-specialized"


def _breaks_receiver(
    schema_role: SchemaRole, type_change: _TypeChange, format_relation: _ValueSetRelation, *, is_sent_as_text: bool
) -> bool:
    """Whether the receiver of the value (the provider or the client) may receive a value that it does not expect."""
    read_types = type_change.new_types if schema_role.is_sent_by_client else type_change.old_types
    harmless: _ValueSetRelation = "wider" if schema_role.is_sent_by_client else "narrower"
    if type_change.value_set_relation != "same" and read_types is None:
        return False
    is_readable = type_change.value_set_relation in ("same", harmless) or (
        is_sent_as_text and "string" in (read_types or ())
    )
    return not is_readable or format_relation not in ("same", harmless)


def are_type_sets_disjoint(old_schema: NormalizedSchema, new_schema: NormalizedSchema) -> bool:
    """Whether both schemas restrict types and have no type in common.

    If so, the values of other keywords are not comparable. An integer is a number.
    """
    old_types, new_types = _find_types_of_type_or_enum(old_schema), _find_types_of_type_or_enum(new_schema)
    if not old_types or not new_types:
        return False
    return _compare_type_sets(old_types, new_types) == "other" and not old_types & new_types


def _find_type_node(schema: NormalizedSchema) -> DocumentNode:
    for key in ("type", "nullable", "enum", "const"):
        if key in schema.non_schema_keywords:
            return schema.non_schema_keywords[key]
    return schema.node.get_child("type") if schema.is_explicitly_nullable is None else schema.node


def _find_types_of_type_or_enum(schema: NormalizedSchema) -> frozenset[str] | None:
    """Return the types that `type` lists or that the values of `enum` have.

    `None` if the schema has neither, or if `enum` lists nothing but null.
    """
    if schema.allowed_types is not None or schema.allowed_values is None:
        return schema.allowed_types
    # 1.0 is an integer, as JSON Schema defines it. A list of nothing but null says nothing about types.
    types = (
        "integer" if isinstance(value, float) and value.is_integer() else get_json_type(value)
        for value in schema.allowed_values
        if value is not None
    )
    return frozenset(types) or None


def _compare_type_sets(old_types: frozenset[str] | None, new_types: frozenset[str] | None) -> _ValueSetRelation:
    if old_types == new_types:
        return "same"
    if old_types is None or new_types is None:
        return "wider" if new_types is None else "narrower"
    if _are_types_included(old_types, new_types):
        return "wider"
    return "narrower" if _are_types_included(new_types, old_types) else "other"


def _are_types_included(smaller_set: frozenset[str], larger_set: frozenset[str]) -> bool:
    return all(name in larger_set or (name == "integer" and "number" in larger_set) for name in smaller_set)


def _compare_formats(old_node: DocumentNode, new_node: DocumentNode) -> _ValueSetRelation:
    if old_node.value == new_node.value:
        return "same"
    if not isinstance(new_node.value, str):
        return "wider"
    if not isinstance(old_node.value, str):
        return "narrower"
    if old_node.value in _INCLUDED_FORMATS_BY_FORMAT.get(new_node.value, ()):
        return "wider"
    return "narrower" if new_node.value in _INCLUDED_FORMATS_BY_FORMAT.get(old_node.value, ()) else "other"


def _describe_type(schema: NormalizedSchema) -> str:
    types, format_keyword = _find_types_of_type_or_enum(schema), schema.get_keyword("format")
    text = "any" if types is None else " or ".join(sorted(types)) or "null"
    return f"{text} ({format_keyword.value})" if format_keyword.exists else text


# Compares those keywords of two schemas whose values are plain data.


_RULE_ID_PART_BY_VALUE_KEYWORD = {
    **{keyword: RULE_ID_PART_BY_RESTRICTION_KEYWORD[keyword] for keyword in ("multipleOf", "dependentRequired")},
    "default": "default-value",
}
"""Keywords with separate rules for additions, removals and changes, each with the part of rule ids that stands for
it."""
_RULE_ID_PART_BY_SINGLE_RULE_KEYWORD = {
    "contentMediaType": "content-media-type",
    "contentEncoding": "content-encoding",
    "x-advice": "advice",
}
"""Keywords for which a single rule reports every difference, each with the part of rule ids that stands for it."""
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
    """Yield the change if two `pattern` keywords differ, unless neither restricts values.

    An older pattern that matches every value counts as missing. A newer one counts as generalized in requests, and as
    changed in responses.
    """
    is_unrestricted = [not node.exists or node.value in _PATTERNS_MATCHING_EVERY_VALUE for node in (old_node, new_node)]
    if all(is_unrestricted):
        return
    if is_unrestricted[0]:
        yield KeywordChange("pattern-added", old_node, new_node, {"new": new_node.value})
    elif is_unrestricted[1] and new_node.exists and schema_role.is_sent_by_client:
        yield KeywordChange("pattern-generalized", old_node, new_node, {"old": old_node.value, "new": new_node.value})
    else:
        yield from _compare_keyword_values("pattern", old_node, new_node)


def _compare_contains_bounds(old_schema: NormalizedSchema, new_schema: NormalizedSchema) -> Iterator[KeywordChange]:
    """Yield the changes of `minContains` and `maxContains`.

    Nothing is yielded unless both schemas have `contains`, because the two keywords have no meaning without it. A
    missing `minContains` counts as 1.
    """
    if "contains" not in old_schema.single_schemas_by_keyword or "contains" not in new_schema.single_schemas_by_keyword:
        return
    least = [
        keyword if keyword.exists else keyword.replace_value(1)
        for keyword in (schema.get_keyword("minContains") for schema in (old_schema, new_schema))
    ]
    most = (schema.get_keyword("maxContains") for schema in (old_schema, new_schema))
    yield from _compare_keyword_values("min-contains", *least, is_bound=True)
    yield from _compare_keyword_values("max-contains", *most, is_bound=True)


def _compare_keyword(keyword: str, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[KeywordChange]:
    if keyword in RULE_ID_PART_BY_BOUND_KEYWORD:
        part = RULE_ID_PART_BY_BOUND_KEYWORD[keyword]
        yield from _compare_keyword_values(part, old_node, new_node, is_bound=True)
    elif keyword in _RULE_ID_PART_BY_VALUE_KEYWORD:
        yield from _compare_keyword_values(_RULE_ID_PART_BY_VALUE_KEYWORD[keyword], old_node, new_node)
    elif keyword in _RULE_ID_PART_BY_SINGLE_RULE_KEYWORD:
        action = f"{_RULE_ID_PART_BY_SINGLE_RULE_KEYWORD[keyword]}-changed"
        yield from (
            change._replace(rule_id_suffix=action) for change in _compare_keyword_values("", old_node, new_node)
        )
    elif keyword == "uniqueItems":
        yield from compare_flags("unique-items-set", "unique-items-unset", old_node, new_node)
    elif keyword == "discriminator":
        yield from _compare_discriminators(old_node, new_node)


def _compare_keyword_values(
    rule_id_part: str, old_node: DocumentNode, new_node: DocumentNode, *, is_bound: bool = False
) -> Iterator[KeywordChange]:
    """Yield the change if a keyword was added, removed or changed.

    If it is a bound, the rule id of a changed value says whether the bound was increased or decreased.
    """
    if old_node.exists and new_node.exists:
        if is_same_json(old_node.value, new_node.value):
            return
        action = "changed" if not is_bound else "increased" if new_node.value > old_node.value else "decreased"
    elif old_node.exists or new_node.exists:
        added, removed = ("set", "unset") if is_bound else ("added", "removed")
        action = added if new_node.exists else removed
    else:
        return
    values = {side: node.value for side, node in (("old", old_node), ("new", new_node)) if node.exists}
    yield KeywordChange(f"{rule_id_part}-{action}", old_node, new_node, values)


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
    """Yield the changes of `enum` and `const`. Beside an `enum` in the other schema, a `const` counts as one value.

    The value null is left out here, because `compare_types` compares whether null is valid.
    """
    # Two constants, or one beside no list at all, are a change of `const`; beside an enum, it is one of one value.
    old_const, new_const = old_schema.get_keyword("const"), new_schema.get_keyword("const")
    if old_const.exists or new_const.exists:
        other_values = (old_schema if new_const.exists else new_schema).allowed_values
        if other_values is None or (old_const.exists and new_const.exists):
            yield from _compare_keyword_values("const", old_const, new_const)
            return
    nodes = _find_enum_node(old_schema), _find_enum_node(new_schema)
    before, after = _map_enum_values_by_canonical_json(old_schema), _map_enum_values_by_canonical_json(new_schema)
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


def _map_enum_values_by_canonical_json(schema: NormalizedSchema) -> dict[bytes, Any] | None:
    values = schema.allowed_values
    return None if values is None else {encode_canonical_json(value): value for value in values if value is not None}


def _compare_discriminators(old_node: DocumentNode, new_node: DocumentNode) -> Iterator[KeywordChange]:
    if not (old_node.exists and new_node.exists):
        yield from _compare_keyword_values("discriminator", old_node, new_node)
        return
    for change in _compare_keyword_values("", old_node.get_child("propertyName"), new_node.get_child("propertyName")):
        yield change._replace(rule_id_suffix="discriminator-property-name-changed")
    old_mapping, new_mapping = old_node.get_child("mapping"), new_node.get_child("mapping")
    for key in dict.fromkeys([key for node in (old_mapping, new_mapping) for key, _ in node.iterate_children()]):
        for change in _compare_keyword_values(
            "discriminator-mapping", old_mapping.get_child(key), new_mapping.get_child(key)
        ):
            oasdiff_suffix = change.rule_id_suffix.replace("-removed", "-deleted")
            yield change._replace(rule_id_suffix=oasdiff_suffix)

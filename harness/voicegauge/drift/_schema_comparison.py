"""Compares two JSON Schemas and all schemas that they contain."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from voicegauge.drift._api_part import (
    ApiPart,
    ComparedSchemas,
    InnerPair,
    SchemaPair,
    SchemaPairKey,
    are_type_sets_disjoint,
    compare_flags,
    compare_keywords,
)
from voicegauge.drift._document_node import DocumentNode
from voicegauge.drift._rule_catalogue import (
    RULE_ID_PART_BY_BRANCH_KEYWORD,
    RULE_ID_PART_BY_RESTRICTION_KEYWORD,
    SCHEMA_ROLE_BY_RULE_ID_PREFIX,
    SchemaRole,
)
from voicegauge.drift._schema_normalization import (
    NormalizedSchema,
    SchemaFingerprint,
    SchemasForSameValue,
    has_single_branch,
)
from voicegauge.drift.drift_report import DriftChange
from voicegauge.formats.located_yaml import escape_pointer_token

# Compares the schemas in `oneOf`, `anyOf`, `allOf` and `prefixItems`, which have no names.


_Branches = tuple[SchemasForSameValue, ...]
"""For each branch of a schema: the schemas that all apply to a value in this branch."""


class BranchDifferences(NamedTuple):
    """The differences between two lists of branches. Equal branches are left out."""

    changed_branches: list[tuple[SchemasForSameValue, SchemasForSameValue]]
    """The older and the newer version of each branch that is in both lists but may have changed."""
    removed_branches: list[SchemasForSameValue]
    added_branches: list[SchemasForSameValue]


_GetBranchKey = Callable[[SchemasForSameValue], Hashable]
"""A function that returns a key of a branch. Branches of both documents with equal keys match; an empty key matches
none."""


def match_branches(schema_pair: SchemaPair, old_branches: _Branches, new_branches: _Branches) -> BranchDifferences:
    """Match the branches of two lists, and return what differs.

    Equal branches are matched first, so that a branch that was only renamed is not reported. Then branches with the
    same reference or title are matched. If each list then has one branch left, these two are matched with each other.
    """
    changed: list[tuple[SchemasForSameValue, SchemasForSameValue]] = []
    old_left, new_left = list(old_branches), list(new_branches)
    part = schema_pair.api_part
    keys_by_content = (part.old_normalizer.compute_fingerprint, part.new_normalizer.compute_fingerprint)
    key_functions: tuple[tuple[_GetBranchKey, _GetBranchKey], ...] = (
        keys_by_content,
        (_get_branch_name, _get_branch_name),
    )
    for get_old_key, get_new_key in key_functions:
        candidates: dict[Hashable, list[SchemasForSameValue]] = {}
        for branch in new_left:
            candidates.setdefault(get_new_key(branch), []).append(branch)
        for branch in tuple(old_left):
            key = get_old_key(branch)
            if key and candidates.get(key):
                match = candidates[key].pop(0)
                old_left.remove(branch)
                new_left.remove(match)
                # A fingerprint that is not whole does not show deeper differences, so the branches must be compared.
                if not (isinstance(key, SchemaFingerprint) and key.covers_all_levels):
                    changed.append((branch, match))
    if len(old_left) == len(new_left) == 1:
        changed.append((old_left.pop(), new_left.pop()))
    return BranchDifferences(changed, old_left, new_left)


def _get_branch_name(branch: SchemasForSameValue) -> str:
    """Return the reference or the title of a branch; empty if the branch has neither."""
    node = branch[0]
    reference, title = node.get_value("$ref"), node.get_value("title")
    return reference if isinstance(reference, str) else title if isinstance(title, str) else ""


def compare_branch_wrapping(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema, pending_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield the changes if a schema became a branch of a `oneOf` or `anyOf`, or if a branch became the whole schema.

    The branches to compare next are appended to `pending_pairs`. In all other cases, nothing is yielded or appended.
    """
    for key in ("oneOf", "anyOf"):
        for wrapped, single in ((new_schema, old_schema), (old_schema, new_schema)):
            if key not in wrapped.schema_lists_by_keyword or not wrapped.has_only_branches or single.has_only_branches:
                continue
            is_wrapped_now = wrapped is new_schema
            listed = schema_pair.old_schemas if is_wrapped_now else schema_pair.new_schemas
            if key == "oneOf" and not any(has_single_branch(node.resolve_references(), key) for node in listed):
                action = "wrapped-in-one-of" if is_wrapped_now else "unwrapped-from-one-of"
                yield schema_pair.build_change(action, old_schema.get_keyword(key), new_schema.get_keyword(key))
                continue
            old_branches = (schema_pair.old_schemas,) if is_wrapped_now else old_schema.schema_lists_by_keyword[key]
            new_branches = new_schema.schema_lists_by_keyword[key] if is_wrapped_now else (schema_pair.new_schemas,)
            matched_branches = match_branches(schema_pair, old_branches, new_branches)
            yield from _report_branch_changes(
                schema_pair, key, matched_branches, (old_schema, new_schema), pending_pairs
            )


def compare_branches(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema, pending_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield a change for each branch that was added or removed, and append changed branches to `pending_pairs`."""
    for key in RULE_ID_PART_BY_BRANCH_KEYWORD:
        old_branches, new_branches = (one.schema_lists_by_keyword.get(key, ()) for one in (old_schema, new_schema))
        if key == "prefixItems":
            matched_branches = _match_by_index(old_branches, new_branches)
        elif bool(old_branches) != bool(new_branches) and key != "allOf":
            action = f"{RULE_ID_PART_BY_BRANCH_KEYWORD[key]}-{'set' if new_branches else 'unset'}"
            yield schema_pair.build_change(action, old_schema.get_keyword(key), new_schema.get_keyword(key))
            continue
        else:
            matched_branches = match_branches(schema_pair, old_branches, new_branches)
        yield from _report_branch_changes(schema_pair, key, matched_branches, (old_schema, new_schema), pending_pairs)


def _match_by_index(old_branches: _Branches, new_branches: _Branches) -> BranchDifferences:
    """Return the differences between the schemas of two `prefixItems`, which are matched by their index."""
    return BranchDifferences(
        list(zip(old_branches, new_branches, strict=False)),  # the longer list has the removed or the added ones
        list(old_branches[len(new_branches) :]),
        list(new_branches[len(old_branches) :]),
    )


def _report_branch_changes(
    schema_pair: SchemaPair,
    branch_keyword: str,
    branch_differences: BranchDifferences,
    old_and_new_schema: tuple[NormalizedSchema, NormalizedSchema],
    pending_pairs: list[SchemaPair],
) -> Iterator[DriftChange]:
    old, new = (schema.get_keyword(branch_keyword) for schema in old_and_new_schema)
    name = RULE_ID_PART_BY_BRANCH_KEYWORD[branch_keyword]
    for branch in branch_differences.removed_branches:
        yield schema_pair.build_change(f"{name}-removed", branch[0], new)
    for branch in branch_differences.added_branches:
        yield schema_pair.build_change(f"{name}-added", old, branch[0])
    is_item = branch_keyword == "prefixItems"
    role = schema_pair.property_role if is_item else schema_pair.schema_role
    api_part = schema_pair.api_part.create_nested_part("/*") if is_item else schema_pair.api_part
    pending_pairs.extend(
        SchemaPair(api_part, role, before, after, before[0], after[0])
        for before, after in branch_differences.changed_branches
    )


# Compares the properties of two object schemas.


@dataclass(frozen=True)
class _PropertyVersion:
    """A property in the older or the newer schema."""

    schemas_for_same_value: SchemasForSameValue
    """The schemas of the property, all of which apply. There are several if `allOf` combines objects, and none if
    `properties` does not list the property."""
    node: DocumentNode
    schema: NormalizedSchema
    is_required: bool
    required_keyword_node: DocumentNode
    """The node of the keyword `required` of the object that has the property."""
    is_omitted_from_body: bool
    """Whether messages leave out the property. Requests omit read-only properties, responses omit write-only ones."""

    @property
    def requiredness(self) -> str:
        """The word "required" or "optional", which rule ids contain."""
        return "required" if self.is_required else "optional"


@dataclass(frozen=True)
class _PropertyPair:
    """A property as the older and as the newer schema describe it."""

    api_part: ApiPart
    schema_role: SchemaRole
    old_property: _PropertyVersion
    new_property: _PropertyVersion

    def build_change(self, rule_id: str) -> DriftChange:
        """Create the change of the rule `rule_id` that is about the property as a whole."""
        return self.api_part.build_change(rule_id, self.old_property.node, self.new_property.node)


def compare_properties(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema, pending_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield a change for each property that was added or removed, or that became required or optional.

    The schemas of the properties that exist in both versions are appended to `pending_pairs`.
    """
    role = schema_pair.property_role
    for name in dict.fromkeys(
        (*old_schema.properties, *new_schema.properties, *old_schema.required_names, *new_schema.required_names)
    ):
        api_part = schema_pair.api_part.create_nested_part(f"/{escape_pointer_token(name)}")
        before = _read_property_version(api_part, role, old_schema, name, is_new_version=False)
        after = _read_property_version(api_part, role, new_schema, name, is_new_version=True)
        yield from _compare_property(_PropertyPair(api_part, role, before, after), pending_pairs)


def _read_property_version(
    api_part: ApiPart,
    schema_role: SchemaRole,
    parent_schema: NormalizedSchema,
    property_name: str,
    *,
    is_new_version: bool,
) -> _PropertyVersion:
    applied_schemas = parent_schema.properties.get(property_name, ())
    node = (
        applied_schemas[0] if applied_schemas else parent_schema.node.get_child("properties").get_child(property_name)
    )
    schema = (api_part.new_normalizer if is_new_version else api_part.old_normalizer).normalize(applied_schemas, node)
    return _PropertyVersion(
        schemas_for_same_value=applied_schemas,
        node=node,
        schema=schema,
        is_required=property_name in parent_schema.required_names,
        required_keyword_node=parent_schema.get_keyword("required"),
        is_omitted_from_body=("readOnly" if schema_role.is_sent_by_client else "writeOnly")
        in schema.non_schema_keywords,
    )


def _compare_property(property_pair: _PropertyPair, pending_pairs: list[SchemaPair]) -> Iterator[DriftChange]:
    old, new, role = property_pair.old_property, property_pair.new_property, property_pair.schema_role
    # A property that both versions require exists in both, even if only one version describes it.
    if bool(old.schemas_for_same_value) != bool(new.schemas_for_same_value) and not (
        old.is_required and new.is_required
    ):
        if not old.is_omitted_from_body and not new.is_omitted_from_body:
            yield property_pair.build_change(
                _choose_rule_id_of_addition(role, new)
                if new.schemas_for_same_value
                else _choose_rule_id_of_removal(role, old)
            )
        return
    yield from _compare_read_write_access(property_pair)
    if not old.is_omitted_from_body and not new.is_omitted_from_body:
        yield from _compare_requiredness(property_pair)
        if old.schemas_for_same_value or new.schemas_for_same_value:
            pending_pairs.append(
                SchemaPair(
                    property_pair.api_part,
                    role,
                    old.schemas_for_same_value,
                    new.schemas_for_same_value,
                    old.node,
                    new.node,
                )
            )
    elif role.is_sent_by_client and not new.is_omitted_from_body and new.is_required:
        # The property was read-only, and must now be sent.
        yield property_pair.build_change(_choose_rule_id_of_addition(role, new))
    elif not role.is_sent_by_client and not old.is_omitted_from_body:
        # The property became write-only, so that responses no longer have it.
        yield property_pair.build_change(_choose_rule_id_of_removal(role, old))


def _choose_rule_id_of_addition(schema_role: SchemaRole, new_property: _PropertyVersion) -> str:
    if not schema_role.is_sent_by_client:
        return f"{schema_role.message_type}-{new_property.requiredness}-property-added"
    has_default = new_property.is_required and "default" in new_property.schema.non_schema_keywords
    return f"new-{new_property.requiredness}-{schema_role.rule_id_prefix}" + ("-with-default" if has_default else "")


def _choose_rule_id_of_removal(schema_role: SchemaRole, old_property: _PropertyVersion) -> str:
    return (
        f"{schema_role.rule_id_prefix}-removed"
        if schema_role.is_sent_by_client
        else f"{schema_role.message_type}-{old_property.requiredness}-property-removed"
    )


def _compare_requiredness(property_pair: _PropertyPair) -> Iterator[DriftChange]:
    old, new = property_pair.old_property, property_pair.new_property
    if old.is_required == new.is_required:
        return
    rule = f"{property_pair.schema_role.rule_id_prefix}-became-{new.requiredness}"
    if property_pair.schema_role.is_sent_by_client and new.is_required and "default" in new.schema.non_schema_keywords:
        rule += "-with-default"
    yield property_pair.api_part.build_change(rule, old.required_keyword_node, new.required_keyword_node)


def _compare_read_write_access(property_pair: _PropertyPair) -> Iterator[DriftChange]:
    """Yield a change if the property became, or stopped being, read-only or write-only."""
    for keyword, name in (("readOnly", "read-only"), ("writeOnly", "write-only")):
        old, new = (
            property_pair.old_property.schema.get_keyword(keyword),
            property_pair.new_property.schema.get_keyword(keyword),
        )
        for change in compare_flags(f"became-{name}", f"became-not-{name}", old, new):
            prefix = f"{property_pair.schema_role.message_type}-{property_pair.new_property.requiredness}-property"
            yield property_pair.api_part.build_change(f"{prefix}-{change.rule_id_suffix}", old, new)


# Compares subschemas that restrict a value beside its properties, items and branches, such as `then` and `not`.


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
        *old_schema.schema_mappings_by_keyword,
        *old_schema.single_schemas_by_keyword,
        *new_schema.schema_mappings_by_keyword,
        *new_schema.single_schemas_by_keyword,
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
                yield schema_pair.build_change(f"{name}-{action}", *nodes)


def _map_subschemas(keyword: str, schema: NormalizedSchema) -> dict[str, SchemasForSameValue]:
    """Return the subschemas of a keyword by name. The name is empty if the value of the keyword is a single schema."""
    schemas = dict(schema.schema_mappings_by_keyword.get(keyword, {}))
    if keyword in schema.single_schemas_by_keyword:
        schemas[""] = schema.single_schemas_by_keyword[keyword]
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
    api_part, role = schema_pair.api_part, schema_pair.schema_role
    if keyword not in _KEYWORDS_FOR_THE_SAME_VALUE:
        role = schema_pair.property_role
    if keyword in _KEYWORDS_FOR_ITEMS:
        api_part = api_part.create_nested_part("/*")
    return SchemaPair(api_part, role, *old_and_new_schemas, *old_and_new_nodes)


def _are_schemas_different(
    schema_pair: SchemaPair, old_schemas: SchemasForSameValue, new_schemas: SchemasForSameValue
) -> bool:
    api_part = schema_pair.api_part
    return api_part.old_normalizer.compute_fingerprint(old_schemas) != api_part.new_normalizer.compute_fingerprint(
        new_schemas
    )


# Compares two JSON Schemas and all schemas that they contain.


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
    first = SchemaPair(
        replace(api_part, operation_name=None, location=""),
        SCHEMA_ROLE_BY_RULE_ID_PREFIX[rule_id_prefix],
        (old_node,) if old_node.exists else (),
        (new_node,) if new_node.exists else (),
        old_node,
        new_node,
    )
    result = _compare_pairs_inside(first, api_part.compared_schemas)
    queue: deque[_InnerPairPath] = deque([(None, InnerPair("", first.identity_key, result))])
    reported, expanded = set[SchemaPairKey](), set[ComparedSchemas]()
    while queue:  # the first ones first, so that a schema that contains itself is reported with its shortest location
        path = queue.popleft()
        _, identity_key, result = path[1]
        if result.changes and identity_key not in reported:
            reported.add(identity_key)
            location = _join_location_suffixes(path)
            yield from (api_part.locate_change(change, location) for change in result.changes)
        if result not in expanded:
            expanded.add(result)
            queue += [
                (path, inner)
                for inner in result.changed_inner_pairs
                if inner.compared_schemas.changes or inner.compared_schemas not in expanded
            ]


_InnerPairPath = tuple[Any, InnerPair]
"""The path to a pair of schemas: the path to the pair that contains it, and the pair. The outer path is `None` for the
first pair."""


def _join_location_suffixes(path: _InnerPairPath | None) -> str:
    suffixes: list[str] = []
    while path is not None:
        path, inner = path
        suffixes.append(inner.location_suffix)
    return "".join(reversed(suffixes))


def _compare_pairs_inside(
    schema_pair: SchemaPair, compared_schemas: dict[SchemaPairKey, ComparedSchemas]
) -> ComparedSchemas:
    """Compare a pair of schemas and all pairs inside it that were not compared yet, and add them to `compared_schemas`.

    Each pair is compared once. Large documents have hundreds of operations from which nearly all schemas can be
    reached, so that comparing the schemas for each operation would take minutes.
    """
    first_key = schema_pair.comparison_key
    new_keys: list[SchemaPairKey] = []
    inner_pairs_by_key: dict[SchemaPairKey, list[tuple[SchemaPairKey, SchemaPair]]] = {}
    stack = [(first_key, schema_pair)]
    while stack:  # no recursion, because a chain of references may be longer than Python's stack
        key, pair = stack.pop()
        if key in compared_schemas:
            continue
        # The result is used wherever the pair is found, so locations in it are relative to the pair.
        pair = replace(pair, api_part=replace(pair.api_part, location=""))
        pending_pairs: list[SchemaPair] = []
        compared_schemas[key] = ComparedSchemas(tuple(_compare_pair(pair, pending_pairs)))
        new_keys.append(key)
        inner_pairs_by_key[key] = [(inner.comparison_key, inner) for inner in pending_pairs]
        stack += reversed(inner_pairs_by_key[key])
    changed = _find_keys_of_changed_pairs(compared_schemas, inner_pairs_by_key)
    for key in new_keys:
        compared_schemas[key].changed_inner_pairs = tuple(
            InnerPair(inner.api_part.location, inner.identity_key, compared_schemas[inner_key])
            for inner_key, inner in inner_pairs_by_key[key]
            if inner_key in changed
        )
    return compared_schemas[first_key]


def _find_keys_of_changed_pairs(
    compared_schemas: Mapping[SchemaPairKey, ComparedSchemas],
    inner_pairs_by_key: Mapping[SchemaPairKey, Sequence[tuple[SchemaPairKey, SchemaPair]]],
) -> set[SchemaPairKey]:
    """Return the keys of all pairs that have a change, or that have such a pair inside them."""
    outer_keys: dict[SchemaPairKey, list[SchemaPairKey]] = defaultdict(list)
    for key, inner_pairs in inner_pairs_by_key.items():
        for inner_key, _ in inner_pairs:
            outer_keys[inner_key].append(key)
    # From the changes outwards: schemas may contain themselves, so that a search inwards would not end.
    changed = {key for key in (*inner_pairs_by_key, *outer_keys) if compared_schemas[key].is_changed}
    pending = list(changed)
    while pending:
        for outer in outer_keys.get(pending.pop(), ()):
            if outer not in changed:
                changed.add(outer)
                pending.append(outer)
    return changed


def _compare_pair(schema_pair: SchemaPair, pending_pairs: list[SchemaPair]) -> Iterator[DriftChange]:
    """Yield the changes of one pair of schemas, and append the pairs of schemas inside them to `pending_pairs`."""
    old, new = schema_pair.normalize_both()
    # If one schema is a branch of the other, comparing their keywords would report all of them.
    wrapping = list(compare_branch_wrapping(schema_pair, old, new, pending_pairs))
    if wrapping or pending_pairs:
        yield from wrapping
        return
    for suffix, old_node, new_node, values in compare_keywords(
        schema_pair.schema_role, old, new, is_sent_as_text=schema_pair.api_part.is_sent_as_text
    ):
        yield schema_pair.build_change(suffix, old_node, new_node, **values)
    # A service that accepts any value now still accepts every property that it accepted before.
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
        action = "forbidden" if _forbids_additional_properties(new_schema) else "allowed"
        nodes = (schema.node.get_child("additionalProperties") for schema in (old_schema, new_schema))
        yield schema_pair.build_change(f"additional-properties-{action}", *nodes)


def _iterate_item_pairs(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema
) -> Iterator[SchemaPair]:
    """Yield the pairs of schemas of items and of additional properties, which are compared like properties."""
    for keyword in ("items", "additionalProperties"):
        before, after = (one.single_schemas_by_keyword.get(keyword, ()) for one in (old_schema, new_schema))
        is_comparable = keyword == "items" or not (
            _forbids_additional_properties(old_schema) or _forbids_additional_properties(new_schema)
        )
        if (before or after) and is_comparable:
            nodes = (old_schema.node.get_child(keyword), new_schema.node.get_child(keyword))
            part = schema_pair.api_part.create_nested_part("/*")
            yield SchemaPair(part, schema_pair.property_role, before, after, *nodes)


def _forbids_additional_properties(schema: NormalizedSchema) -> bool:
    """Whether `additionalProperties` is false."""
    return any(node.value is False for node in schema.single_schemas_by_keyword.get("additionalProperties", ()))

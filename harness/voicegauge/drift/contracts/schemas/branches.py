"""Compares the schemas in `oneOf`, `anyOf`, `allOf` and `prefixItems`, which have no names."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.api_part import SchemaPair
from voicegauge.drift.contracts.normalization import SchemaFingerprint
from voicegauge.drift.contracts.normalized_schema import NormalizedSchema, SchemasForSameValue, has_single_branch
from voicegauge.drift.contracts.schema_rules import (
    RULE_ID_PART_BY_BRANCH_KEYWORD,
    SCHEMA_ROLE_BY_RULE_ID_PREFIX,
    build_rule_id,
)
from voicegauge.drift.report import DriftChange

_Branches = tuple[SchemasForSameValue, ...]
"""For each branch of a schema: the schemas that all apply to a value in this branch."""


class BranchDifferences(NamedTuple):
    """The differences between two lists of branches. Equal branches are left out."""

    changed_branches: list[tuple[SchemasForSameValue, SchemasForSameValue]]
    """The older and the newer version of each branch that is in both lists but may have changed."""
    removed_branches: list[SchemasForSameValue]
    added_branches: list[SchemasForSameValue]


class _BranchKeyFunctions(NamedTuple):
    """Two functions that return a key for a branch, one for the older and one for the newer document.

    Branches of both documents with equal keys match. A branch with an empty key matches no other.
    """

    get_old_key: Callable[[SchemasForSameValue], Hashable]
    get_new_key: Callable[[SchemasForSameValue], Hashable]


def match_branches(schema_pair: SchemaPair, old_branches: _Branches, new_branches: _Branches) -> BranchDifferences:
    """Match the branches of two lists, and return what differs.

    Equal branches are matched first, so that a branch that was only renamed is not reported. Then branches with the
    same reference or title are matched. If each list then has one branch left, these two are matched with each other.
    """
    changed: list[tuple[SchemasForSameValue, SchemasForSameValue]] = []
    old_left, new_left = list(old_branches), list(new_branches)
    by_content = _BranchKeyFunctions(
        schema_pair.api_part.old_normalizer.compute_fingerprint,
        schema_pair.api_part.new_normalizer.compute_fingerprint,
    )
    for identity in (by_content, _BranchKeyFunctions(_get_branch_name, _get_branch_name)):
        candidates: dict[Hashable, list[SchemasForSameValue]] = {}
        for branch in new_left:
            candidates.setdefault(identity.get_new_key(branch), []).append(branch)
        for branch in tuple(old_left):
            key = identity.get_old_key(branch)
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
            if key not in wrapped.schema_lists or not wrapped.has_only_branches or single.has_only_branches:
                continue
            is_wrapped_now = wrapped is new_schema
            listed = schema_pair.old_schemas if is_wrapped_now else schema_pair.new_schemas
            if key == "oneOf" and not any(has_single_branch(node.resolve_references(), key) for node in listed):
                action = "wrapped-in-one-of" if is_wrapped_now else "unwrapped-from-one-of"
                yield schema_pair.api_part.build_change(
                    build_rule_id(schema_pair.schema_role, action),
                    old_schema.get_keyword(key),
                    new_schema.get_keyword(key),
                )
                continue
            old_branches = (schema_pair.old_schemas,) if is_wrapped_now else old_schema.schema_lists[key]
            new_branches = new_schema.schema_lists[key] if is_wrapped_now else (schema_pair.new_schemas,)
            matched_branches = match_branches(schema_pair, old_branches, new_branches)
            yield from _report_branch_changes(
                schema_pair, key, matched_branches, (old_schema, new_schema), pending_pairs
            )


def compare_branches(
    schema_pair: SchemaPair, old_schema: NormalizedSchema, new_schema: NormalizedSchema, pending_pairs: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Yield a change for each branch that was added or removed, and append changed branches to `pending_pairs`."""
    for key in RULE_ID_PART_BY_BRANCH_KEYWORD:
        old_branches, new_branches = old_schema.schema_lists.get(key, ()), new_schema.schema_lists.get(key, ())
        if key == "prefixItems":
            matched_branches = _match_by_index(old_branches, new_branches)
        elif bool(old_branches) != bool(new_branches) and key != "allOf":
            action = f"{RULE_ID_PART_BY_BRANCH_KEYWORD[key]}-{'set' if new_branches else 'unset'}"
            yield schema_pair.api_part.build_change(
                build_rule_id(schema_pair.schema_role, action), old_schema.get_keyword(key), new_schema.get_keyword(key)
            )
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
    old, new = old_and_new_schema
    for branch in branch_differences.removed_branches:
        yield schema_pair.api_part.build_change(
            build_rule_id(schema_pair.schema_role, f"{RULE_ID_PART_BY_BRANCH_KEYWORD[branch_keyword]}-removed"),
            branch[0],
            new.get_keyword(branch_keyword),
        )
    for branch in branch_differences.added_branches:
        yield schema_pair.api_part.build_change(
            build_rule_id(schema_pair.schema_role, f"{RULE_ID_PART_BY_BRANCH_KEYWORD[branch_keyword]}-added"),
            old.get_keyword(branch_keyword),
            branch[0],
        )
    is_item = branch_keyword == "prefixItems"
    kind = (
        SCHEMA_ROLE_BY_RULE_ID_PREFIX[schema_pair.schema_role.property_rule_id_prefix]
        if is_item
        else schema_pair.schema_role
    )
    api_part = schema_pair.api_part.create_nested_part("/*") if is_item else schema_pair.api_part
    pending_pairs.extend(
        SchemaPair(api_part, kind, before, after, before[0], after[0])
        for before, after in branch_differences.changed_branches
    )

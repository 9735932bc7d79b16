"""Branches of `oneOf`, `anyOf`, `allOf` and `prefixItems`: which of them belong together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.normalization import SchemaFingerprint
from voicegauge.drift.contracts.normalized_schema import AppliedSchemas, NormalizedSchema
from voicegauge.drift.contracts.schema_rules import BRANCHES, SCHEMA_KINDS, rule_id
from voicegauge.drift.contracts.scope import SchemaPair
from voicegauge.drift.report import DriftChange


class MatchedBranches(NamedTuple):
    """The branches of two lists."""

    changed: list[tuple[AppliedSchemas, AppliedSchemas]]
    """Taken for the same branch."""
    removed: list[AppliedSchemas]
    added: list[AppliedSchemas]


class _BranchIdentity(NamedTuple):
    """What branches are told apart by, in each document; an empty sign tells nothing."""

    old: Callable[[AppliedSchemas], Hashable]
    new: Callable[[AppliedSchemas], Hashable]


def match(pair: SchemaPair, old: tuple[AppliedSchemas, ...], new: tuple[AppliedSchemas, ...]) -> MatchedBranches:
    """Pair off equal branches, then those of one name, then the last two."""
    changed: list[tuple[AppliedSchemas, AppliedSchemas]] = []
    left, right = list(old), list(new)
    for sign in (
        _BranchIdentity(pair.scope.old.fingerprint, pair.scope.new.fingerprint),
        _BranchIdentity(_name, _name),
    ):
        waiting: dict[Hashable, list[AppliedSchemas]] = {}
        for branch in right:
            waiting.setdefault(sign.new(branch), []).append(branch)
        for branch in tuple(left):
            known = sign.old(branch)
            if known and waiting.get(known):
                same = waiting[known].pop(0)
                left.remove(branch)
                right.remove(same)
                if not (isinstance(known, SchemaFingerprint) and known.is_whole):
                    changed.append((branch, same))
    if len(left) == len(right) == 1:
        changed.append((left.pop(), right.pop()))
    return MatchedBranches(changed, left, right)


def _name(branch: AppliedSchemas) -> str:
    """What it refers to, else its title."""
    part = branch[0]
    reference, title = part.get("$ref"), part.get("title")
    return reference if isinstance(reference, str) else title if isinstance(title, str) else ""


def compare_wrapping(
    pair: SchemaPair, old: NormalizedSchema, new: NormalizedSchema, following: list[SchemaPair]
) -> Iterator[DriftChange]:
    """A schema that became a branch of a `oneOf` or `anyOf`, or was one; nothing where neither is so."""
    for key in ("oneOf", "anyOf"):
        for bare, other in ((new, old), (old, new)):
            if key not in bare.lists or not bare.is_bare or other.is_bare:
                continue
            if key == "oneOf":
                action = "wrapped-in-one-of" if bare is new else "unwrapped-from-one-of"
                yield pair.scope.change(rule_id(pair.kind, action), old.word(key), new.word(key))
                continue
            lists = (pair.old,) if bare is new else old.lists[key], new.lists[key] if bare is new else (pair.new,)
            yield from _changes(pair, key, match(pair, *lists), (old, new), following)


def compare_branches(
    pair: SchemaPair, old: NormalizedSchema, new: NormalizedSchema, following: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Branches that came or went; those that changed are put into `following`."""
    for key in BRANCHES:
        was, now = old.lists.get(key, ()), new.lists.get(key, ())
        if key == "prefixItems":
            paired = list(zip(was, now, strict=False))
            found = MatchedBranches(paired, list(was[len(now) :]), list(now[len(was) :]))
        elif bool(was) != bool(now) and key != "allOf":
            action = f"{BRANCHES[key]}-{'set' if now else 'unset'}"
            yield pair.scope.change(rule_id(pair.kind, action), old.word(key), new.word(key))
            continue
        else:
            found = match(pair, was, now)
        yield from _changes(pair, key, found, (old, new), following)


def _changes(
    pair: SchemaPair,
    key: str,
    found: MatchedBranches,
    both: tuple[NormalizedSchema, NormalizedSchema],
    following: list[SchemaPair],
) -> Iterator[DriftChange]:
    old, new = both
    for branch in found.removed:
        yield pair.scope.change(rule_id(pair.kind, f"{BRANCHES[key]}-removed"), branch[0], new.word(key))
    for branch in found.added:
        yield pair.scope.change(rule_id(pair.kind, f"{BRANCHES[key]}-added"), old.word(key), branch[0])
    inside = key == "prefixItems"
    kind = SCHEMA_KINDS[pair.kind.inner] if inside else pair.kind
    scope = pair.scope.inside("/*") if inside else pair.scope
    following.extend(SchemaPair(scope, kind, was, now, was[0], now[0]) for was, now in found.changed)

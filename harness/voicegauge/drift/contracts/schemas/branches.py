"""Branches of `oneOf`, `anyOf`, `allOf` and `prefixItems`: which of them belong together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.normal_form import Print
from voicegauge.drift.contracts.schema import Applied, Schema
from voicegauge.drift.contracts.schema_rules import BRANCHES, KINDS, rule_id
from voicegauge.drift.contracts.scope import Pair
from voicegauge.drift.report import Change


class Matched(NamedTuple):
    """The branches of two lists."""

    changed: list[tuple[Applied, Applied]]
    """Taken for the same branch."""
    removed: list[Applied]
    added: list[Applied]


class _Signs(NamedTuple):
    """What branches are told apart by, in each document; an empty sign tells nothing."""

    old: Callable[[Applied], Hashable]
    new: Callable[[Applied], Hashable]


def match(pair: Pair, old: tuple[Applied, ...], new: tuple[Applied, ...]) -> Matched:
    """Pair off equal branches, then those of one name, then the last two."""
    changed: list[tuple[Applied, Applied]] = []
    left, right = list(old), list(new)
    for sign in (_Signs(pair.scope.old.fingerprint, pair.scope.new.fingerprint), _Signs(_name, _name)):
        waiting: dict[Hashable, list[Applied]] = {}
        for branch in right:
            waiting.setdefault(sign.new(branch), []).append(branch)
        for branch in tuple(left):
            known = sign.old(branch)
            if known and waiting.get(known):
                same = waiting[known].pop(0)
                left.remove(branch)
                right.remove(same)
                if not (isinstance(known, Print) and known.is_whole):
                    changed.append((branch, same))
    if len(left) == len(right) == 1:
        changed.append((left.pop(), right.pop()))
    return Matched(changed, left, right)


def _name(branch: Applied) -> str:
    """What it refers to, else its title."""
    part = branch[0]
    reference, title = part.get("$ref"), part.get("title")
    return reference if isinstance(reference, str) else title if isinstance(title, str) else ""


def compare_wrapping(pair: Pair, old: Schema, new: Schema, following: list[Pair]) -> Iterator[Change]:
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


def compare_branches(pair: Pair, old: Schema, new: Schema, following: list[Pair]) -> Iterator[Change]:
    """Branches that came or went; those that changed are put into `following`."""
    for key in BRANCHES:
        was, now = old.lists.get(key, ()), new.lists.get(key, ())
        if key == "prefixItems":
            paired = list(zip(was, now, strict=False))
            found = Matched(paired, list(was[len(now) :]), list(now[len(was) :]))
        elif bool(was) != bool(now) and key != "allOf":
            action = f"{BRANCHES[key]}-{'set' if now else 'unset'}"
            yield pair.scope.change(rule_id(pair.kind, action), old.word(key), new.word(key))
            continue
        else:
            found = match(pair, was, now)
        yield from _changes(pair, key, found, (old, new), following)


def _changes(
    pair: Pair, key: str, found: Matched, both: tuple[Schema, Schema], following: list[Pair]
) -> Iterator[Change]:
    old, new = both
    for branch in found.removed:
        yield pair.scope.change(rule_id(pair.kind, f"{BRANCHES[key]}-removed"), branch[0], new.word(key))
    for branch in found.added:
        yield pair.scope.change(rule_id(pair.kind, f"{BRANCHES[key]}-added"), old.word(key), branch[0])
    inside = key == "prefixItems"
    kind = KINDS[pair.kind.inner] if inside else pair.kind
    scope = pair.scope.inside("/*") if inside else pair.scope
    following.extend(Pair(scope, kind, was, now, was[0], now[0]) for was, now in found.changed)

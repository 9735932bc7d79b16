"""Which conversation of the newer recording repeats which one of the older."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from voicegauge.drift.observed.traffic import Seen, Traffic

MIN_LIKENESS = 0.3
"""Share of equal values from which two requests are taken for the same case with another text or id."""


class Pair(NamedTuple):
    """A conversation and its repetition."""

    old: tuple[Seen, ...]
    new: tuple[Seen, ...]
    same: bool
    """The requests ask for the very same."""


class Pairing(NamedTuple):
    """All conversations of both sides."""

    pairs: list[Pair]
    not_repeated: list[tuple[Seen, ...]]
    """Of the older side."""


def pair_off(old: Traffic, new: Traffic) -> Pairing:
    """Pair conversations that begin with the same request, in their order, then those that begin alike."""
    before, after = _by_operation(old), _by_operation(new)
    pairs: list[Pair] = []
    left_over: list[tuple[Seen, ...]] = []
    for operation, asked in before.items():
        rest = after.get(operation, [])
        unmatched = []
        for content, conversation in asked:
            twin = next((entry for entry in rest if entry[0] == content), None)
            if twin is None:
                unmatched.append((content, conversation))
                continue
            rest.remove(twin)
            pairs.append(Pair(conversation, twin[1], same=True))
        for content, conversation in unmatched:
            best = max(rest, key=lambda entry: _likeness(content, entry[0]), default=None)
            if best is None or _likeness(content, best[0]) < MIN_LIKENESS:
                left_over.append(conversation)
                continue
            rest.remove(best)
            pairs.append(Pair(conversation, best[1], same=False))
    return Pairing(pairs, left_over)


_Content = dict[str, str]


def _by_operation(traffic: Traffic) -> dict[str, list[tuple[_Content, tuple[Seen, ...]]]]:
    found: dict[str, list[tuple[_Content, tuple[Seen, ...]]]] = defaultdict(list)
    for conversation in traffic.conversations:
        first = conversation[0]
        found[first.name].append((first.asked.content, conversation))
    return found


def _likeness(one: _Content, other: _Content) -> float:
    ours, theirs = set(one.items()), set(other.items())
    return len(ours & theirs) / max(1, len(ours | theirs))

"""Which conversation of the newer recording repeats which one of the older."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from voicegauge.drift.traffic.reading.traffic import Seen, Traffic

MIN_LIKENESS = 0.5
"""From which two requests are taken for the same case with another text or id; another value in a place counts half."""
_DECISIVE = ("key", "header x-voicegauge-")
"""Places whose values make another case of a request."""


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
        unmatched, repeated = [], []
        for content, conversation in asked:
            twin = next((entry for entry in rest if entry[0] == content), None)
            if twin is None:
                unmatched.append((content, conversation))
                continue
            rest.remove(twin)
            repeated.append(content)
            pairs.append(Pair(conversation, twin[1], same=True))
        for content, conversation in unmatched:
            best = max(rest, key=lambda entry: _likeness(content, entry[0]), default=None)
            if best is not None and _likeness(content, best[0]) >= MIN_LIKENESS:
                rest.remove(best)
                repeated.append(content)
                pairs.append(Pair(conversation, best[1], same=False))
            elif content not in repeated:  # how often a request is made is the client's affair
                left_over.append(conversation)
    return Pairing(pairs, left_over)


_Content = dict[str, str]


def _by_operation(traffic: Traffic) -> dict[str, list[tuple[_Content, tuple[Seen, ...]]]]:
    found: dict[str, list[tuple[_Content, tuple[Seen, ...]]]] = defaultdict(list)
    for conversation in traffic.conversations:
        first = conversation[0]
        found[first.name].append((first.asked.content, conversation))
    return found


def _likeness(one: _Content, other: _Content) -> float:
    places = one.keys() | other.keys()
    if any(one.get(place) != other.get(place) for place in places if place.startswith(_DECISIVE)):
        return 0.0
    equal = sum(one.get(place) == other.get(place) for place in places)
    return (equal + (len(one.keys() & other.keys()) - equal) / 2) / max(1, len(places))

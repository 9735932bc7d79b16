"""Which conversation of the newer recording repeats which one of the older."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from voicegauge.drift.traffic.reading.recorded_traffic import ObservedExchange, RecordedTraffic

MIN_LIKENESS = 0.5
"""From which two requests are taken for the same case with another text or id; another value in a place counts half."""
_DECISIVE = ("key", "header x-voicegauge-")
"""Places whose values make another case of a request."""


class ConversationPair(NamedTuple):
    """A conversation and its repetition."""

    old: tuple[ObservedExchange, ...]
    new: tuple[ObservedExchange, ...]
    same: bool
    """The requests ask for the very same."""


class ConversationPairing(NamedTuple):
    """All conversations of both sides."""

    pairs: list[ConversationPair]
    not_repeated: list[tuple[ObservedExchange, ...]]
    """Of the older side."""


def pair_conversations(old: RecordedTraffic, new: RecordedTraffic) -> ConversationPairing:
    """Pair conversations that begin with the same request, in their order, then those that begin alike."""
    before, after = _by_operation(old), _by_operation(new)
    pairs: list[ConversationPair] = []
    left_over: list[tuple[ObservedExchange, ...]] = []
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
            pairs.append(ConversationPair(conversation, twin[1], same=True))
        for content, conversation in unmatched:
            best = max(rest, key=lambda entry: _likeness(content, entry[0]), default=None)
            if best is not None and _likeness(content, best[0]) >= MIN_LIKENESS:
                rest.remove(best)
                repeated.append(content)
                pairs.append(ConversationPair(conversation, best[1], same=False))
            elif content not in repeated:  # how often a request is made is the client's affair
                left_over.append(conversation)
    return ConversationPairing(pairs, left_over)


_Content = dict[str, str]


def _by_operation(traffic: RecordedTraffic) -> dict[str, list[tuple[_Content, tuple[ObservedExchange, ...]]]]:
    found: dict[str, list[tuple[_Content, tuple[ObservedExchange, ...]]]] = defaultdict(list)
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

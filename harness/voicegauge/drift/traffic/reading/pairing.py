"""Matches the conversations of two recordings by their requests."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from voicegauge.drift.traffic.reading.recorded_traffic import RecordedExchange, RecordedTraffic

MIN_SIMILARITY = 0.5
"""Smallest similarity of two requests that count as the same case, with another text or id."""
_DECISIVE_VALUES = ("key", "header x-voicegauge-")
"""Names of values that distinguish cases on purpose, such as a wrong key. Requests with other values never match."""

Conversation = tuple[RecordedExchange, ...]


class ConversationPair(NamedTuple):
    """A conversation of the older recording, and the matching conversation of the newer recording."""

    old: Conversation
    new: Conversation
    is_identical_request: bool
    """Whether the first requests of both conversations have equal values."""


class ConversationPairing(NamedTuple):
    """The matched conversations of two recordings."""

    pairs: list[ConversationPair]
    not_repeated: list[Conversation]
    """Conversations of the older recording whose first request is not in the newer recording."""


_RequestValues = dict[str, str]
"""The values of a request, by their location in the request."""


def pair_conversations(old: RecordedTraffic, new: RecordedTraffic) -> ConversationPairing:
    """Match conversations that begin with equal requests, in their order, and then those with similar requests."""
    pairing = ConversationPairing([], [])
    new_conversations = _by_operation(new)
    for operation, conversations in _by_operation(old).items():
        _pair_operation(conversations, new_conversations.get(operation, []), pairing)
    return pairing


def _pair_operation(
    old: list[tuple[_RequestValues, Conversation]],
    new: list[tuple[_RequestValues, Conversation]],
    pairing: ConversationPairing,
) -> None:
    """Add the matches of one operation to `pairing`, and remove matched conversations from `new`."""
    unmatched, repeated = [], []
    for values, conversation in old:
        match = next((candidate for candidate in new if candidate[0] == values), None)
        if match is None:
            unmatched.append((values, conversation))
            continue
        new.remove(match)
        repeated.append(values)
        pairing.pairs.append(ConversationPair(conversation, match[1], is_identical_request=True))
    for values, conversation in unmatched:
        best = max(new, key=lambda candidate: _similarity(values, candidate[0]), default=None)
        if best is not None and _similarity(values, best[0]) >= MIN_SIMILARITY:
            new.remove(best)
            repeated.append(values)
            pairing.pairs.append(ConversationPair(conversation, best[1], is_identical_request=False))
        elif values not in repeated:  # fewer repetitions of a request are not a change of the API
            pairing.not_repeated.append(conversation)


def _by_operation(traffic: RecordedTraffic) -> dict[str, list[tuple[_RequestValues, Conversation]]]:
    conversations: dict[str, list[tuple[_RequestValues, Conversation]]] = defaultdict(list)
    for conversation in traffic.conversations:
        first = conversation[0]
        conversations[first.operation_id].append((first.build_request_signature.content, conversation))
    return conversations


def _similarity(one: _RequestValues, other: _RequestValues) -> float:
    """Return the similarity of two requests, from 0 to 1. A different value counts half as much as an equal value."""
    names = one.keys() | other.keys()
    if any(one.get(name) != other.get(name) for name in names if name.startswith(_DECISIVE_VALUES)):
        return 0.0
    equal = sum(one.get(name) == other.get(name) for name in names)
    return (equal + (len(one.keys() & other.keys()) - equal) / 2) / max(1, len(names))

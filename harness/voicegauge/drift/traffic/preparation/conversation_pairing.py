"""Matches the conversations of two recordings by their requests."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from voicegauge.drift.traffic.preparation.recorded_traffic import RecordedExchange, RecordedTraffic

MIN_REQUEST_SIMILARITY = 0.5
"""Smallest similarity, from 0 to 1, with which two requests match although some of their values differ, such as a
text."""
_DECISIVE_VALUE_NAME_PREFIXES = ("key", "header x-voicegauge-")
"""Starts of the locations of decisive values, such as the API key. If requests differ in such a value, they differ on
purpose, as with a wrong key, and therefore never match."""

Conversation = tuple[RecordedExchange, ...]
"""The exchanges of one conversation, in their order."""


class ConversationPair(NamedTuple):
    """A conversation of the older recording, and the matching conversation of the newer recording."""

    old_conversation: Conversation
    new_conversation: Conversation
    has_identical_requests: bool
    """Whether the first requests of both conversations have equal values."""


class ConversationPairing(NamedTuple):
    """The matched conversations of two recordings."""

    matched_pairs: list[ConversationPair]
    unmatched_conversations: list[Conversation]
    """Conversations of the older recording that match no conversation of the newer one. Repetitions of a conversation
    that has a match are left out."""


_RequestValueByLocation = dict[str, str]
"""The values of a request, by their location in the request."""


def pair_conversations(old_traffic: RecordedTraffic, new_traffic: RecordedTraffic) -> ConversationPairing:
    """Return the conversations of two recordings as pairs of an older and a newer conversation.

    Conversations whose first requests are equal are matched first, in their order. Each older conversation that is left
    is then matched with the newer one that has the most similar first request, if this is similar enough. Both requests
    of a pair call the same operation.
    """
    pairing = ConversationPairing([], [])
    new_conversations = _group_conversations_by_operation(new_traffic)
    for operation, conversations in _group_conversations_by_operation(old_traffic).items():
        _pair_conversations_of_operation(conversations, new_conversations.get(operation, []), pairing)
    return pairing


def _pair_conversations_of_operation(
    old_requests: list[tuple[_RequestValueByLocation, Conversation]],
    new_requests: list[tuple[_RequestValueByLocation, Conversation]],
    pairing: ConversationPairing,
) -> None:
    """Match the conversations that begin with one operation, add the result to `pairing`, and remove matched ones.

    Args:
        old_requests: the older conversations, each with the values of its first request.
        new_requests: the newer conversations, each with the values of its first request. Those that find a match are
            removed from this list.
        pairing: receives the pairs and the older conversations without a match.
    """
    unmatched, repeated = [], []
    for values, conversation in old_requests:
        match = next((candidate for candidate in new_requests if candidate[0] == values), None)
        if match is None:
            unmatched.append((values, conversation))
            continue
        new_requests.remove(match)
        repeated.append(values)
        pairing.matched_pairs.append(ConversationPair(conversation, match[1], has_identical_requests=True))
    for values, conversation in unmatched:
        best = max(new_requests, key=lambda candidate: _compute_request_similarity(values, candidate[0]), default=None)
        if best is not None and _compute_request_similarity(values, best[0]) >= MIN_REQUEST_SIMILARITY:
            new_requests.remove(best)
            repeated.append(values)
            pairing.matched_pairs.append(ConversationPair(conversation, best[1], has_identical_requests=False))
        elif values not in repeated:  # fewer repetitions of a request are not a change of the API
            pairing.unmatched_conversations.append(conversation)


def _group_conversations_by_operation(
    traffic: RecordedTraffic,
) -> dict[str, list[tuple[_RequestValueByLocation, Conversation]]]:
    conversations: dict[str, list[tuple[_RequestValueByLocation, Conversation]]] = defaultdict(list)
    for conversation in traffic.conversations:
        first = conversation[0]
        conversations[first.operation_id].append((first.comparable_request.compared_values, conversation))
    return conversations


def _compute_request_similarity(old_values: _RequestValueByLocation, new_values: _RequestValueByLocation) -> float:
    """Return the similarity of two requests, from 0 to 1.

    It is the share of equal values among the values of both requests. A location where both requests have a value, but
    not the same one, counts as half an equal value. The similarity is 0 if a decisive value differs.
    """
    names = old_values.keys() | new_values.keys()
    if any(
        old_values.get(name) != new_values.get(name) for name in names if name.startswith(_DECISIVE_VALUE_NAME_PREFIXES)
    ):
        return 0.0
    equal = sum(old_values.get(name) == new_values.get(name) for name in names)
    return (equal + (len(old_values.keys() & new_values.keys()) - equal) / 2) / max(1, len(names))

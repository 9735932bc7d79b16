"""Finds the recorded requests that equal a request, without comparing it with every recorded request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from voicegauge.model import Exchange
from voicegauge.recording.redaction import MASK
from voicegauge.recording.replay.request_matching import ComparableRequest

_RequestKey = tuple[str, frozenset[str], frozenset[tuple[str, str]]]
"""The id of the operation, the names of values that are ignored, and the names and texts of all other values."""


@dataclass
class RecordedRequest:
    """A request that was recorded once or several times, and its exchanges, which are replayed in their order."""

    comparable_request: ComparableRequest
    conversation_id: str | None
    """Id of the conversation in which the request was first recorded; `None` if it was alone in its conversation."""
    is_poll: bool
    exchanges: list[Exchange] = field(default_factory=list)
    replay_count: int = 0
    """Number of times that the request was replayed since its job was last submitted."""
    was_replayed: bool = False
    """Whether the request was ever replayed."""

    def replay_next_exchange(self) -> Exchange:
        """Return the next exchange; once all were replayed, return the last one again."""
        self.was_replayed = True
        self.replay_count += 1
        return self.exchanges[min(self.replay_count, len(self.exchanges)) - 1]

    @property
    def name(self) -> str:
        """Provider, operation and conversation of the request, for messages."""
        request = self.comparable_request
        return (
            f"{request.provider} {request.operation_id}{f' ({self.conversation_id})' if self.conversation_id else ''}"
        )


class RequestIndex:
    """The recorded requests of one provider."""

    def __init__(self) -> None:
        self._requests: list[RecordedRequest] = []
        self._by_key: dict[_RequestKey, list[int]] = defaultdict(list)
        self._masked_names: dict[str, set[frozenset[str]]] = defaultdict(set)
        """By operation, the sets of values that are masked together: few, however many requests there are."""
        self._polls: dict[str | None, list[RecordedRequest]] = defaultdict(list)

    def __iter__(self) -> Iterator[RecordedRequest]:
        """Iterate over the requests in the order of the recordings."""
        return iter(self._requests)

    def add_exchange(self, comparable_request: ComparableRequest, exchange: Exchange, *, is_poll: bool) -> None:
        """Add an exchange to the recorded request with the same compared values, or to a new one.

        Polls of different conversations are kept apart, because job ids may repeat.
        """
        masked = frozenset(name for name, value in comparable_request.compared_values.items() if MASK in value)
        key = _build_request_key(comparable_request, masked)
        for number in self._by_key.get(key, ()):
            recorded = self._requests[number]
            if recorded.comparable_request == comparable_request and (
                not is_poll or recorded.conversation_id == exchange.conversation_id
            ):
                recorded.exchanges.append(exchange)
                return
        self._masked_names[comparable_request.operation_id].add(masked)
        self._by_key[key].append(len(self._requests))
        self._requests.append(RecordedRequest(comparable_request, exchange.conversation_id, is_poll, [exchange]))
        if is_poll:
            self._polls[exchange.conversation_id].append(self._requests[-1])

    def find_requests(self, comparable_request: ComparableRequest) -> list[RecordedRequest]:
        """Return the recorded requests that `comparable_request` matches, in the order of the recordings."""
        keys = {
            _build_request_key(comparable_request, masked)
            for masked in self._masked_names.get(comparable_request.operation_id, ())
        }
        numbers = sorted(number for key in keys for number in self._by_key.get(key, ()))
        return [self._requests[n] for n in numbers if comparable_request.matches(self._requests[n].comparable_request)]

    def list_polls(self, conversation_id: str) -> list[RecordedRequest]:
        """Return the polls in the conversation `conversation_id`."""
        return self._polls.get(conversation_id, [])


def _build_request_key(comparable_request: ComparableRequest, names_of_masked_values: frozenset[str]) -> _RequestKey:
    """Return a key by which requests are looked up. It ignores the values that `names_of_masked_values` names.

    Requests to the same operation have equal keys if they differ in no other value.
    """
    values = frozenset(
        item for item in comparable_request.compared_values.items() if item[0] not in names_of_masked_values
    )
    return (
        comparable_request.operation_id,
        names_of_masked_values.intersection(comparable_request.compared_values),
        values,
    )

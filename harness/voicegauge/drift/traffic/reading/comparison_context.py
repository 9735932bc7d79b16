"""Groups responses that can be compared because they have the same operation, status and job state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voicegauge.contract import MISSING
from voicegauge.drift.traffic.reading.flatten import (
    EntryKeys,
    FlattenedObject,
    FlattenedValue,
    flatten_json,
    learn_entry_keys,
)
from voicegauge.drift.traffic.reading.pairing import ConversationPair
from voicegauge.drift.traffic.reading.recorded_traffic import RecordedExchange


class ResponseContext(NamedTuple):
    """What two responses must have in common to be compared."""

    operation: str
    status: int
    state: str | None
    """The job state that the responses report; `None` if they report no job state."""

    @property
    def body_location(self) -> str:
        """The text with which the locations of changes in the bodies of these responses start."""
        return f"{self.status} body#"


class PairedResponses(NamedTuple):
    """The responses of one pair of conversations in one context. `old` and `new` have at least one response each."""

    case: str
    """Id of the pair of conversations."""
    old: tuple[RecordedExchange, ...]
    new: tuple[RecordedExchange, ...]


def group_by_context(pairs: Sequence[ConversationPair]) -> dict[ResponseContext, list[PairedResponses]]:
    """Group the responses of all pairs by context. A context that only one conversation of a pair has is left out."""
    groups: dict[ResponseContext, list[PairedResponses]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        old, new = _by_context(pair.old), _by_context(pair.new)
        for context in old.keys() & new.keys():
            groups[context].append(PairedResponses(str(number), tuple(old[context]), tuple(new[context])))
    return dict(sorted(groups.items(), key=lambda group: (group[0].operation, group[0].status, group[0].state or "")))


def _by_context(conversation: Sequence[RecordedExchange]) -> dict[ResponseContext, list[RecordedExchange]]:
    groups: dict[ResponseContext, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in conversation:
        groups[
            ResponseContext(recorded_exchange.operation_id, recorded_exchange.status, recorded_exchange.state)
        ].append(recorded_exchange)
    return groups


class FlattenedBody(NamedTuple):
    """The flattened JSON body of one response."""

    recorded_exchange: RecordedExchange
    values: list[FlattenedValue]
    objects: list[FlattenedObject]


class FlattenedCase(NamedTuple):
    """The flattened bodies of one pair of conversations. `old` and `new` have at least one body each."""

    case: str
    """Id of the pair of conversations."""
    old: list[FlattenedBody]
    new: list[FlattenedBody]


def flatten_bodies(pairs: Sequence[PairedResponses]) -> list[FlattenedCase]:
    """Flatten the JSON bodies of the responses in one context. Responses without JSON are left out."""
    entry_keys = learn_entry_keys(_bodies(pair.old for pair in pairs), _bodies(pair.new for pair in pairs))
    cases = (
        FlattenedCase(pair.case, _flatten_all(pair.old, entry_keys), _flatten_all(pair.new, entry_keys))
        for pair in pairs
    )
    return [case for case in cases if case.old and case.new]


def _bodies(groups: Iterator[tuple[RecordedExchange, ...]]) -> list[object]:
    return [
        recorded_exchange.body
        for group in groups
        for recorded_exchange in group
        if recorded_exchange.body is not MISSING
    ]


def _flatten_all(exchanges: Sequence[RecordedExchange], entry_keys: EntryKeys) -> list[FlattenedBody]:
    return [
        _flatten_body(recorded_exchange, entry_keys)
        for recorded_exchange in exchanges
        if recorded_exchange.body is not MISSING
    ]


def _flatten_body(recorded_exchange: RecordedExchange, entry_keys: EntryKeys) -> FlattenedBody:
    flattened = list(flatten_json(recorded_exchange.body, entry_keys))
    return FlattenedBody(
        recorded_exchange,
        [part for part in flattened if isinstance(part, FlattenedValue)],
        [part for part in flattened if isinstance(part, FlattenedObject)],
    )

"""Groups responses that can be compared because they have the same operation, status and job state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voicegauge.contract import MISSING
from voicegauge.drift.traffic.preparation.conversation_pairing import ConversationPair
from voicegauge.drift.traffic.preparation.json_flattening import (
    EntryKeyFieldsByPath,
    FlattenedObject,
    FlattenedValue,
    find_entry_key_fields,
    flatten_json,
)
from voicegauge.drift.traffic.preparation.recorded_traffic import RecordedExchange


class ResponseGroupKey(NamedTuple):
    """Identifies a group of responses that can be compared: they have the same operation, status and job state."""

    operation_id: str
    status: int
    job_state: str | None
    """The job state that the responses report; `None` if they report no job state."""

    @property
    def body_location(self) -> str:
        """Start of the locations of all changes in the bodies of these responses: "200 body#"."""
        return f"{self.status} body#"


class PairedResponses(NamedTuple):
    """The older and the newer responses that can be compared, from a conversation of each recording.

    There is at least one older and one newer response.
    """

    conversation_pair_id: str
    """Id of the pair: a conversation of the older recording and the matching one of the newer recording."""
    old_exchanges: tuple[RecordedExchange, ...]
    new_exchanges: tuple[RecordedExchange, ...]


def group_responses(
    conversation_pairs: Sequence[ConversationPair],
) -> dict[ResponseGroupKey, list[PairedResponses]]:
    """Group the responses of all pairs of conversations by operation, status and job state.

    If only one of the two conversations of a pair has responses in a group, the pair is left out of the group.
    """
    groups: dict[ResponseGroupKey, list[PairedResponses]] = defaultdict(list)
    for number, pair in enumerate(conversation_pairs):
        old, new = (
            _group_exchanges_by_key(pair.old_conversation),
            _group_exchanges_by_key(pair.new_conversation),
        )
        for group_key in old.keys() & new.keys():
            groups[group_key].append(PairedResponses(str(number), tuple(old[group_key]), tuple(new[group_key])))
    return dict(
        sorted(groups.items(), key=lambda group: (group[0].operation_id, group[0].status, group[0].job_state or ""))
    )


def _group_exchanges_by_key(
    conversation: Sequence[RecordedExchange],
) -> dict[ResponseGroupKey, list[RecordedExchange]]:
    groups: dict[ResponseGroupKey, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in conversation:
        groups[
            ResponseGroupKey(recorded_exchange.operation_id, recorded_exchange.status, recorded_exchange.job_state)
        ].append(recorded_exchange)
    return groups


class FlattenedBody(NamedTuple):
    """The flattened JSON body of one response."""

    recorded_exchange: RecordedExchange
    values: list[FlattenedValue]
    objects: list[FlattenedObject]


class PairedBodies(NamedTuple):
    """The flattened bodies of one pair of conversations. `old_bodies` and `new_bodies` have at least one body each."""

    conversation_pair_id: str
    """Id of the pair: a conversation of the older recording and the matching one of the newer recording."""
    old_bodies: list[FlattenedBody]
    new_bodies: list[FlattenedBody]


def flatten_bodies(response_pairs: Sequence[PairedResponses]) -> list[PairedBodies]:
    """Flatten the JSON bodies of the responses in one group. Responses without JSON are left out."""
    entry_key_fields = find_entry_key_fields(
        _list_json_bodies(pair.old_exchanges for pair in response_pairs),
        _list_json_bodies(pair.new_exchanges for pair in response_pairs),
    )
    body_pairs = (
        PairedBodies(
            pair.conversation_pair_id,
            _flatten_bodies_of_exchanges(pair.old_exchanges, entry_key_fields),
            _flatten_bodies_of_exchanges(pair.new_exchanges, entry_key_fields),
        )
        for pair in response_pairs
    )
    return [pair for pair in body_pairs if pair.old_bodies and pair.new_bodies]


def _list_json_bodies(exchange_groups: Iterator[tuple[RecordedExchange, ...]]) -> list[object]:
    return [
        recorded_exchange.json_body
        for group in exchange_groups
        for recorded_exchange in group
        if recorded_exchange.json_body is not MISSING
    ]


def _flatten_bodies_of_exchanges(
    exchanges: Sequence[RecordedExchange], entry_key_fields: EntryKeyFieldsByPath
) -> list[FlattenedBody]:
    return [
        _flatten_body(recorded_exchange, entry_key_fields)
        for recorded_exchange in exchanges
        if recorded_exchange.json_body is not MISSING
    ]


def _flatten_body(recorded_exchange: RecordedExchange, entry_key_fields: EntryKeyFieldsByPath) -> FlattenedBody:
    flattened = list(flatten_json(recorded_exchange.json_body, entry_key_fields))
    return FlattenedBody(
        recorded_exchange,
        [part for part in flattened if isinstance(part, FlattenedValue)],
        [part for part in flattened if isinstance(part, FlattenedObject)],
    )

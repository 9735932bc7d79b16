"""Compares the bodies of recorded responses with older ones, field by field, and the messages of WebSockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from voicegauge.contract.extension.sockets import ClientAction, ServerEventKind
from voicegauge.contract.socket_messages import read_message
from voicegauge.drift._json_values import (
    ANY_INDEX,
    FlattenedValue,
    JsonScalar,
    MatchKey,
    ValueDifference,
    compare_scalar_lists,
    compare_values,
    split_url_into_parts,
)
from voicegauge.drift._recorded_traffic import (
    ConversationPair,
    FlattenedBody,
    MessageGroupKey,
    PairedBodies,
    PairedResponses,
    RecordedExchange,
    ResponseGroupKey,
    build_recorded_change,
    flatten_bodies,
)
from voicegauge.drift.drift_report import DriftChange, FilePosition, build_change
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING

# Compares which fields the bodies of two recordings have: removed, sometimes missing and added fields.


class _FieldCounts(NamedTuple):
    """How often one field occurs in the older and the newer responses of one pair of conversations."""

    old_field_count: int
    """Number of objects in the older responses that have the field."""
    old_object_count: int
    """Number of objects in the older responses that could have the field."""
    new_field_count: int
    """Number of objects in the newer responses that have the field."""
    new_object_count: int
    """Number of objects in the newer responses that could have the field."""


def compare_field_presence(
    response_group_key: ResponseGroupKey | MessageGroupKey, body_pairs: Sequence[PairedBodies]
) -> Iterator[DriftChange]:
    """Yield a change for each field that was removed, is sometimes missing, or was added, but not for fields in it."""
    counts = _count_fields(body_pairs)
    rules = {path: rule for path, found in counts.items() if (rule := _choose_presence_rule_id(found)) is not None}
    for path, rule in rules.items():
        if any(path.startswith(f"{parent}/") for parent in rules):
            continue  # the change of the parent includes this one
        side = "new" if rule == "recorded-field-new" else "old"
        bodies = [body for pair in body_pairs for body in (pair.new_bodies if side == "new" else pair.old_bodies)]
        first_value = next((one.value for body in bodies for one in body.values if one.path == path), None)
        values = {side: first_value}
        yield build_field_change(response_group_key, rule, path, _find_examples_of_presence(body_pairs, path), values)


def build_field_change(
    response_group_key: ResponseGroupKey | MessageGroupKey,
    rule_id: str,
    field_path: str,
    example_exchanges: tuple[RecordedExchange, RecordedExchange],
    message_values: Mapping[str, Any],
    *,
    url_part: str = "",
) -> DriftChange:
    """Create a change of a field in a body.

    Args:
        response_group_key: the operation, status and job state of the compared responses, or the compared message.
        rule_id: the id of the rule.
        field_path: the path of the field in the body.
        example_exchanges: an older and a newer exchange that show the change.
        message_values: the values that the report shows, under the keys "old" and "new". The value `None` is left out.
        url_part: the part of a URL that changed; empty if the value is not a URL.
    """
    old, new = example_exchanges
    return build_change(
        rule_id,
        location=f"{response_group_key.body_location}{field_path}{url_part}",
        operation_id=response_group_key.operation_id,
        old_position=old.find_body_position(field_path),
        new_position=new.find_body_position(field_path),
        message_values={side: value for side, value in message_values.items() if value is not None},
    )


def _choose_presence_rule_id(field_counts: Sequence[_FieldCounts]) -> str | None:
    """Return the id of the rule for how the presence of a field changed; `None` if there is nothing to report."""
    comparable = [one for one in field_counts if one.old_object_count and one.new_object_count]
    removed = sum(one.old_field_count == one.old_object_count and one.new_field_count == 0 for one in comparable)
    in_both = sum(bool(one.old_field_count and one.new_field_count) for one in comparable)
    was_always_present = all(one.old_field_count == one.old_object_count for one in comparable)
    # A field that some conversations still have was not removed: it depends on the request.
    if removed and not in_both:
        return "recorded-field-gone"
    # A single case is not enough to call a field sometimes missing.
    if (
        len(comparable) > 1
        and was_always_present
        and any(one.new_field_count < one.new_object_count for one in comparable)
    ):
        return "recorded-field-sometimes-gone"
    if any(one.new_field_count for one in comparable) and not any(one.old_field_count for one in comparable):
        return "recorded-field-new"
    return None


def _count_fields(body_pairs: Sequence[PairedBodies]) -> dict[str, list[_FieldCounts]]:
    """Return the counts of each field in each pair of conversations, by the path of the field."""
    found: dict[str, list[_FieldCounts]] = defaultdict(list)
    for pair in body_pairs:
        old_fields, old_objects = _count_fields_and_objects(pair.old_bodies)
        new_fields, new_objects = _count_fields_and_objects(pair.new_bodies)
        for path in sorted(old_fields.keys() | new_fields.keys()):
            parent = path.rpartition("/")[0]
            found[path].append(
                _FieldCounts(old_fields[path], old_objects[parent], new_fields[path], new_objects[parent])
            )
    return dict(sorted(found.items()))


def _count_fields_and_objects(bodies: Sequence[FlattenedBody]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of fields by their path, and the number of objects by their path, in all bodies together."""
    fields: dict[str, int] = defaultdict(int)
    objects: dict[str, int] = defaultdict(int)
    for body in bodies:
        for one in body.objects:
            objects[one.path] += 1
            for name in one.field_names:
                fields[f"{one.path}/{escape_pointer_token(name)}"] += 1
    return fields, objects


def _find_examples_of_presence(
    body_pairs: Sequence[PairedBodies], field_path: str
) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an older and a newer exchange that show how the presence of a field changed.

    The older exchange has the field in its body. If no older body has the field, the newer exchange has it if possible.
    """
    for pair in body_pairs:
        for body in pair.old_bodies:
            if _has_field(body, field_path):
                return body.recorded_exchange, pair.new_bodies[-1].recorded_exchange
    first = body_pairs[0]
    return first.old_bodies[-1].recorded_exchange, next(
        (body.recorded_exchange for body in first.new_bodies if _has_field(body, field_path)),
        first.new_bodies[-1].recorded_exchange,
    )


def _has_field(body: FlattenedBody, field_path: str) -> bool:
    return any(value.path == field_path for value in body.values)


# Compares the types and the values that the fields of bodies have in two recordings.


_MIN_NON_NULL_VALUES = 4
"""Smallest number of older values, none of them null, after which null counts as a new type rather than as chance."""
_SCALAR_TYPES = ("string", "number", "boolean")
"""Types of values that are compared one by one."""

FindDocumentedValues = Callable[[str], frozenset[JsonScalar]]
"""A function that takes the path of a field and returns the values that the contract lists for it, perhaps none."""

_ValuesWithExchangesByMatchKey = dict[MatchKey, list[tuple[FlattenedValue, RecordedExchange]]]
"""The values of a field with the exchanges that have them, by what must be equal for a comparison."""


class _FieldValues(NamedTuple):
    """The older and the newer values of one field, each with the exchange in which it was found."""

    old_values_by_match_key: _ValuesWithExchangesByMatchKey
    new_values_by_match_key: _ValuesWithExchangesByMatchKey


def _group_values_by_field(body_pairs: Sequence[PairedBodies]) -> dict[str, _FieldValues]:
    found: dict[str, _FieldValues] = defaultdict(lambda: _FieldValues(defaultdict(list), defaultdict(list)))
    for pair in body_pairs:
        for is_newer, bodies in ((False, pair.old_bodies), (True, pair.new_bodies)):
            for body in bodies:
                for value in body.values:
                    field = found[value.path]
                    values = field.new_values_by_match_key if is_newer else field.old_values_by_match_key
                    values[pair.conversation_pair_id, value.entry_identity].append((value, body.recorded_exchange))
    return dict(sorted(found.items()))


def compare_field_types(
    response_group_key: ResponseGroupKey | MessageGroupKey, body_pairs: Sequence[PairedBodies]
) -> Iterator[DriftChange]:
    """Yield a change for each field that has a JSON type that it did not have before.

    A field whose older values are all null is left out. If null is the new type, so is a field with few older values.
    """
    for path, field in _group_values_by_field(body_pairs).items():
        shared = field.old_values_by_match_key.keys() & field.new_values_by_match_key.keys()
        before = {value.json_type for match_key in shared for value, _ in field.old_values_by_match_key[match_key]}
        after = {value.json_type for match_key in shared for value, _ in field.new_values_by_match_key[match_key]}
        added = after - before
        if not added or before == {"null"}:
            continue
        is_sometimes_null = added == {"null"} and after != {"null"}
        old_value_count = sum(len(field.old_values_by_match_key[match_key]) for match_key in shared)
        # A field that may be null was perhaps never null in a few older responses.
        if is_sometimes_null and old_value_count < _MIN_NON_NULL_VALUES:
            continue
        examples = next(
            (field.old_values_by_match_key[match_key][0][1], recorded_exchange)
            for match_key in sorted(shared)
            for value, recorded_exchange in field.new_values_by_match_key[match_key]
            if value.json_type in added
        )
        types = {"old": ", ".join(sorted(before)), "new": ", ".join(sorted(after))}
        yield build_field_change(response_group_key, "recorded-type-changed", path, examples, types)


def compare_field_values(
    response_group_key: ResponseGroupKey | MessageGroupKey,
    body_pairs: Sequence[PairedBodies],
    *,
    paths_to_skip: Collection[str],
    find_documented_values: FindDocumentedValues,
) -> Iterator[DriftChange]:
    """Yield a change for each field that has new values or lost values, and for each list whose entries changed.

    Args:
        response_group_key: the operation, status and job state of the compared responses, or the compared message.
        body_pairs: the flattened bodies of the responses.
        paths_to_skip: the paths of the job state and the charge, which other rules compare.
        find_documented_values: a function that returns the values that the contract lists for the field at a path.
    """
    for path, field in _group_values_by_field(body_pairs).items():
        if path in paths_to_skip:
            continue
        is_list = path.endswith(f"/{ANY_INDEX}")
        if is_list:
            yield from _compare_list_entries(response_group_key, path, field)
        for part, (old, new) in _split_urls_into_parts(field).items():
            if is_list and not part:
                continue  # compared as entries above; only parts of URLs in lists are compared here
            difference = compare_values(
                old, new, documented_values=find_documented_values(path) if not part else frozenset()
            )
            if difference is not None:
                rule = "recorded-value-new" if difference.added_values else "recorded-value-gone"
                values = {
                    "old": _unwrap_single_value(difference.removed_values),
                    "new": _unwrap_single_value(difference.added_values),
                }
                yield build_field_change(
                    response_group_key, rule, path, _find_examples_of_values(field, difference), values, url_part=part
                )


_ScalarsByMatchKey = dict[MatchKey, frozenset[JsonScalar]]


def _split_urls_into_parts(field_values: _FieldValues) -> dict[str, tuple[_ScalarsByMatchKey, _ScalarsByMatchKey]]:
    """Return the older and the newer values of a field, separately for each part that `split_url_into_parts` yields.

    The key of the result is the name of the part; it is empty for values that are not URLs.
    """
    found: dict[str, tuple[_ScalarsByMatchKey, _ScalarsByMatchKey]] = {}
    for index, side in enumerate((field_values.old_values_by_match_key, field_values.new_values_by_match_key)):
        for match_key, values in side.items():
            for flattened, _ in values:
                if flattened.json_type in _SCALAR_TYPES:
                    for part, value in split_url_into_parts(flattened.value):
                        by_match_key = found.setdefault(part, ({}, {}))[index]
                        by_match_key[match_key] = by_match_key.get(match_key, frozenset()) | {value}
    return found


def _unwrap_single_value(values: tuple[JsonScalar, ...]) -> JsonScalar | list[JsonScalar]:
    return None if not values else values[0] if len(values) == 1 else list(values)


def _find_examples_of_values(
    field_values: _FieldValues, difference: ValueDifference
) -> tuple[RecordedExchange, RecordedExchange]:
    """Return an older exchange with a value that was removed, and a newer exchange with a value that was added.

    If no value was removed, or none was added, return the first older or the first newer exchange instead.
    """
    examples = []
    for side, changed_values in (
        (field_values.old_values_by_match_key, difference.removed_values),
        (field_values.new_values_by_match_key, difference.added_values),
    ):
        found = [pair for values in side.values() for pair in values]
        examples.append(next((exchange for value, exchange in found if value.value in changed_values), found[0][1]))
    return examples[0], examples[1]


def _compare_list_entries(
    response_group_key: ResponseGroupKey | MessageGroupKey, field_path: str, field_values: _FieldValues
) -> Iterator[DriftChange]:
    difference = compare_scalar_lists(
        _collect_list_entries_by_conversation(field_values.old_values_by_match_key),
        _collect_list_entries_by_conversation(field_values.new_values_by_match_key),
    )
    if difference is None:
        return
    examples = _find_examples_of_values(field_values, difference)
    for rule, side, values in (
        ("recorded-value-new", "new", difference.added_values),
        ("recorded-value-gone", "old", difference.removed_values),
    ):
        if values:
            shown = {side: _unwrap_single_value(values)}
            yield build_field_change(response_group_key, rule, field_path, examples, shown)


def _collect_list_entries_by_conversation(
    values_by_match_key: Mapping[MatchKey, list[tuple[FlattenedValue, RecordedExchange]]],
) -> _ScalarsByMatchKey:
    """Return the entries of a list by conversation.

    A list inside another list occurs several times in one conversation. The entries of all its occurrences are
    combined.
    """
    found: _ScalarsByMatchKey = {}
    for match_key, values in values_by_match_key.items():
        conversation = match_key[:1]
        entries = {value.value for value, _ in values if value.json_type in _SCALAR_TYPES}
        found[conversation] = found.get(conversation, frozenset()) | entries
    return found


# Compares the messages of recorded connections with those of older ones.


_UNDOCUMENTED_MESSAGE_NAME = "(undocumented)"
"""Stands for the name of a message that the channel does not document."""
_ACTION_BY_ANSWER: Mapping[ServerEventKind, ClientAction] = {"flush-end": "flush", "cancel-end": "cancel"}
"""What a client must have asked for, by the event that answers it."""


@dataclass(frozen=True, eq=False)
class _RecordedMessage(RecordedExchange):
    """A message that the service sent over a recorded WebSocket; `json_body` is the message."""

    name: str = ""
    """The documented name of the message; `_UNDOCUMENTED_MESSAGE_NAME` if the channel documents no such message."""
    message_index: int = 0
    """The index of the message among all messages of the connection in the HAR file."""

    def find_body_position(self, field_path: str) -> FilePosition:
        """Return the position in the HAR file of a value in the message."""
        return self.find_position(f"/_webSocketMessages/{self.message_index}/data#{field_path}")

    @property
    def message_position(self) -> FilePosition:
        """The position of the message in the HAR file."""
        return self.find_position(f"/_webSocketMessages/{self.message_index}")


class _ConnectionPair(NamedTuple):
    """An older recorded connection and the newer one that matches it, each with the messages of the service."""

    conversation_pair_id: str
    """Number of the pair among all pairs of conversations, as text."""
    old_connection: RecordedExchange
    new_connection: RecordedExchange
    old_messages: list[_RecordedMessage]
    new_messages: list[_RecordedMessage]

    @property
    def is_comparable(self) -> bool:
        """Whether a difference between the messages shows a change of the service.

        If one side has no messages, it does only if both connections have the same status and client actions.
        """
        if self.old_messages and self.new_messages:
            return True
        old, new = self.old_connection, self.new_connection
        return old.status == new.status and _list_client_actions([old]) == _list_client_actions([new])


def compare_recorded_messages(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield every change of the messages that a service sends over WebSockets, and of how it closes them."""
    by_channel: dict[str, list[_ConnectionPair]] = {}
    for number, pair in enumerate(conversation_pairs):
        before, after = pair.old_conversation[0], pair.new_conversation[0]
        if before.channel is None or after.channel is None:
            continue
        yield from _compare_close_codes(before, after)
        connections = _ConnectionPair(str(number), before, after, _list_messages(before), _list_messages(after))
        if connections.is_comparable:
            by_channel.setdefault(before.channel.id, []).append(connections)
    for channel_id, pairs in by_channel.items():
        yield from _compare_message_names(channel_id, pairs)
        yield from _compare_message_order(channel_id, pairs)
        yield from _compare_message_fields(channel_id, pairs)


def _list_messages(recorded_exchange: RecordedExchange) -> list[_RecordedMessage]:
    channel, log = recorded_exchange.channel, recorded_exchange.exchange.socket
    assert channel is not None, "only connections to channels are compared"
    assert channel.socket is not None, "a channel has messages"
    found = []
    for index, message in enumerate(log.messages if log is not None else ()):
        if message.sender != "server":
            continue
        name = channel.socket.find_server_message_name(message.data, is_binary=message.is_binary)
        found.append(
            _RecordedMessage(
                contract=recorded_exchange.contract,
                file=recorded_exchange.file,
                entry_index=recorded_exchange.entry_index,
                exchange=recorded_exchange.exchange,
                operation=recorded_exchange.operation,
                json_body=MISSING if message.is_binary else read_message(message.data),
                name=name or _UNDOCUMENTED_MESSAGE_NAME,
                message_index=index,
            )
        )
    return found


def _compare_close_codes(old_connection: RecordedExchange, new_connection: RecordedExchange) -> Iterator[DriftChange]:
    """Yield a change if the newer connection was closed with another code, where both closes were observed."""
    old, new = (
        one.exchange.socket.close if one.exchange.socket is not None else None
        for one in (old_connection, new_connection)
    )
    if old is not None and new is not None and old.code != new.code:
        values = {"old": old.code, "new": new.code}
        yield build_recorded_change(
            "recorded-close-changed", (old_connection, new_connection), "close", "/_webSocket", values
        )


def _compare_message_names(channel_id: str, pairs: Sequence[_ConnectionPair]) -> Iterator[DriftChange]:
    """Yield a change for each message that only the older or only the newer connections have.

    The answer to a flush or a cancellation is left out if only the clients on one side asked for it.
    """
    old = {message.name: message for pair in reversed(pairs) for message in reversed(pair.old_messages)}
    new = {message.name: message for pair in reversed(pairs) for message in reversed(pair.new_messages)}
    old_actions = _list_client_actions(pair.old_connection for pair in pairs)
    new_actions = _list_client_actions(pair.new_connection for pair in pairs)
    for name in sorted(old.keys() ^ new.keys()):
        before, after = old.get(name), new.get(name)
        # Otherwise the clients have changed, not the service.
        wanted = _find_client_actions_answered_by(before or after)
        if wanted and not (wanted & old_actions and wanted & new_actions):
            continue
        yield build_change(
            "recorded-message-new" if before is None else "recorded-message-gone",
            location=f"server message {name}",
            operation_id=channel_id,
            old_position=before.message_position if before is not None else None,
            new_position=after.message_position if after is not None else None,
        )


def _list_client_actions(connections: Iterable[RecordedExchange]) -> set[ClientAction]:
    """Return the actions that the clients of recorded connections asked for."""
    found: set[ClientAction] = set()
    for one in connections:
        log, channel = one.exchange.socket, one.channel
        if log is None or channel is None or channel.socket is None:
            continue
        for message in log.messages:
            if message.sender == "client":
                found |= channel.socket.read_client_message(message.data, is_binary=message.is_binary).actions
    return found


def _find_client_actions_answered_by(message: _RecordedMessage | None) -> set[ClientAction]:
    """Return the actions of a client that a message answers; an empty set if it is `None` or was not asked for."""
    if message is None or message.channel is None or message.channel.socket is None:
        return set()
    events = [one.event for one in message.channel.socket.spec.server_messages if one.message == message.name]
    answered = {_ACTION_BY_ANSWER.get(event) for event in events}
    return set() if None in answered else {action for action in answered if action is not None}


def _compare_message_order(channel_id: str, pairs: Sequence[_ConnectionPair]) -> Iterator[DriftChange]:
    """Yield a change for two messages of which the other one comes first now, in every connection that has both."""
    old = _collect_message_orders(pair.old_messages for pair in pairs)
    new = _collect_message_orders(pair.new_messages for pair in pairs)
    for (first, second), example in old.items():
        reverse = (second, first)
        if first in (second, _UNDOCUMENTED_MESSAGE_NAME) or reverse in old or (first, second) in new:
            continue
        if reverse in new:
            yield build_change(
                "recorded-message-order-changed",
                location=f"server message {second}",
                operation_id=channel_id,
                old_position=example.message_position,
                new_position=new[reverse].message_position,
                message_values={"old": f"{first}, {second}", "new": f"{second}, {first}"},
            )


def _collect_message_orders(connections: Iterable[list[_RecordedMessage]]) -> dict[tuple[str, str], _RecordedMessage]:
    """Return pairs of messages of which the first one begins before the second one, with an example of the second."""
    orders: dict[tuple[str, str], _RecordedMessage] = {}
    for messages in connections:
        # Reversed, so that the first message of each name is the one that is kept.
        firsts = {message.name: message for message in reversed(messages)}
        in_order = sorted(firsts.values(), key=lambda message: message.message_index)
        for before, after in combinations(in_order, 2):
            orders.setdefault((before.name, after.name), after)
    return orders


def _compare_message_fields(channel_id: str, pairs: Sequence[_ConnectionPair]) -> Iterator[DriftChange]:
    """Yield every change of the fields of messages that both recordings have: their presence, types and values."""
    names = dict.fromkeys(message.name for pair in pairs for message in pair.old_messages)
    for name in names:
        group_key = MessageGroupKey(channel_id, name)
        sides = [
            [tuple(one for one in messages if one.name == name) for messages in (pair.old_messages, pair.new_messages)]
            for pair in pairs
        ]
        responses = [
            PairedResponses(pair.conversation_pair_id, old, new)
            for pair, (old, new) in zip(pairs, sides, strict=True)
            if old and new
        ]
        body_pairs = flatten_bodies(responses)
        if not body_pairs:
            continue
        yield from compare_field_presence(group_key, body_pairs)
        yield from compare_field_types(group_key, body_pairs)
        yield from compare_field_values(
            group_key, body_pairs, paths_to_skip=(), find_documented_values=lambda _: frozenset()
        )

"""Compares recordings with older recordings: their whole responses, headers, fields, jobs and messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import msgspec

from voicegauge.contract.document_parts import MediaType
from voicegauge.drift._body_comparison import (
    compare_field_presence,
    compare_field_types,
    compare_field_values,
    compare_recorded_messages,
)
from voicegauge.drift._json_values import (
    ANY_INDEX,
    JsonScalar,
    MatchKey,
    compare_values,
    find_documented_values,
    get_recorded_json_type,
)
from voicegauge.drift._recorded_traffic import (
    ConversationPair,
    ConversationPairing,
    PairedResponses,
    RecordedExchange,
    RecordedTraffic,
    ResponseGroupKey,
    build_recorded_change,
    flatten_bodies,
    group_responses_by_key,
    is_infrastructure_header,
    iterate_job_states,
    pair_conversations,
)
from voicegauge.drift.drift_report import DriftChange, DriftReport, build_change, build_report
from voicegauge.formats.bodies import is_json
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.containers import sniff_container

CONNECTION_HEADER_NAMES = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
"""Names of headers about a single connection or response, which are not part of an API."""


def compare_headers(
    response_group_key: ResponseGroupKey, response_pairs: Sequence[PairedResponses]
) -> Iterator[DriftChange]:
    """Yield a change for each header that was added or removed, or whose values changed."""
    responses = [one for pair in response_pairs for one in (*pair.old_exchanges, *pair.new_exchanges)]
    names = {name for one in responses for name in _list_header_names(one)}
    for name in sorted(names - CONNECTION_HEADER_NAMES):
        if is_infrastructure_header(name):
            continue
        yield from _compare_header_presence(response_group_key, response_pairs, name)
        yield from _compare_header_values(response_group_key, response_pairs, name)


def _list_header_names(recorded_exchange: RecordedExchange) -> set[str]:
    return {name.lower() for name, _ in recorded_exchange.response.headers}


def _compare_header_presence(
    response_group_key: ResponseGroupKey, response_pairs: Sequence[PairedResponses], header_name: str
) -> Iterator[DriftChange]:
    old = [header_name in _list_header_names(one) for pair in response_pairs for one in pair.old_exchanges]
    new = [header_name in _list_header_names(one) for pair in response_pairs for one in pair.new_exchanges]
    if all(old) and not any(new):
        yield _build_header_change("recorded-header-gone", response_group_key, response_pairs, header_name)
    elif any(new) and not any(old):
        yield _build_header_change("recorded-header-new", response_group_key, response_pairs, header_name)


def _compare_header_values(
    response_group_key: ResponseGroupKey, response_pairs: Sequence[PairedResponses], header_name: str
) -> Iterator[DriftChange]:
    if header_name == "content-type" and any(
        _list_media_types(pair.old_exchanges) != _list_media_types(pair.new_exchanges) for pair in response_pairs
    ):
        return  # recorded-media-type-changed reports it
    old, new = (
        {MatchKey((pair_id,)): values for pair_id, side in sides if (values := _list_header_values(side, header_name))}
        for sides in (
            [(pair.conversation_pair_id, pair.old_exchanges) for pair in response_pairs],
            [(pair.conversation_pair_id, pair.new_exchanges) for pair in response_pairs],
        )
    )
    difference = compare_values(old, new)
    if difference is not None and difference.added_values:
        shown = {"old": list(difference.removed_values), "new": list(difference.added_values)}
        yield _build_header_change("recorded-header-value-new", response_group_key, response_pairs, header_name, shown)


def _list_media_types(exchanges: Sequence[RecordedExchange]) -> set[str]:
    return {recorded_exchange.response.media_type for recorded_exchange in exchanges}


def _list_header_values(exchanges: Sequence[RecordedExchange], header_name: str) -> frozenset[JsonScalar]:
    return frozenset(
        _parse_number_or_text(value)
        for recorded_exchange in exchanges
        for key, value in recorded_exchange.response.headers
        if key.lower() == header_name
    )


def _parse_number_or_text(text: str) -> JsonScalar:
    """Return the number that `text` contains, or else `text`. Only numbers can be recognized as values of a counter."""
    try:
        return float(text)
    except ValueError:
        return text


def _build_header_change(
    rule_id: str,
    response_group_key: ResponseGroupKey,
    response_pairs: Sequence[PairedResponses],
    header_name: str,
    message_values: dict[str, list[JsonScalar]] | None = None,
) -> DriftChange:
    shown = {side: found[0] if len(found) == 1 else found for side, found in (message_values or {}).items() if found}
    return build_recorded_change(
        rule_id,
        (response_pairs[0].old_exchanges[0], response_pairs[0].new_exchanges[0]),
        f"{response_group_key.status} header.{header_name}",
        f"/response/headers#{header_name}",
        shown,
    )


# Compares the jobs of two recordings: their states, the order of the states, their outcome and their charge.


_ExchangeByStatePair = dict[tuple[str, str], RecordedExchange]
"""For each pair of states that a job had one after the other, an exchange whose response reports the second state."""


def compare_job_states(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each new job state, changed order of states, and job that ends in another state."""
    old_states = {one.job_state for pair in conversation_pairs for one in pair.old_conversation if one.job_state}
    reported: set[str] = set()
    for pair in conversation_pairs:
        for recorded_exchange, state in iterate_job_states(pair.new_conversation):
            is_documented = recorded_exchange.job_spec is not None and state in recorded_exchange.job_spec.states
            if state not in old_states and not is_documented and state not in reported:
                reported.add(state)
                yield _build_job_change(
                    "recorded-state-new", pair.old_conversation[-1], recorded_exchange, {"new": state}
                )
        yield from _compare_final_states(pair, reported)
    yield from _compare_state_orders(conversation_pairs)


def _compare_final_states(
    conversation_pair: ConversationPair, states_already_reported: set[str]
) -> Iterator[DriftChange]:
    old = _find_exchange_with_final_state(conversation_pair.old_conversation)
    new = _find_exchange_with_final_state(conversation_pair.new_conversation)
    if old is None or new is None or old.job_state == new.job_state:
        return
    # That the state is new has been reported, and says more than that the job ends in it.
    if new.job_state not in states_already_reported:
        yield _build_job_change("recorded-outcome-changed", old, new, {"old": old.job_state, "new": new.job_state})


def _find_exchange_with_final_state(conversation: Sequence[RecordedExchange]) -> RecordedExchange | None:
    """Return the exchange that reports the terminal state of a job; `None` if the recording ends before the job.

    An undocumented state counts as terminal, because nothing is known about it.
    """
    recorded_exchange = next((one for one in reversed(conversation) if one.job_state is not None), None)
    if recorded_exchange is None or recorded_exchange.job_spec is None or recorded_exchange.job_state is None:
        return None
    state = recorded_exchange.job_spec.states.get(recorded_exchange.job_state)
    return recorded_exchange if state is None or state.terminal_outcome is not None else None


def _compare_state_orders(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    old = _collect_state_orders(pair.old_conversation for pair in conversation_pairs)
    new = _collect_state_orders(pair.new_conversation for pair in conversation_pairs)
    for (first, second), recorded_exchange in new.items():
        # States that come in both orders, such as those of a job that is retried, have no order that could change.
        if (second, first) in old and (first, second) not in old and (second, first) not in new:
            values = {"old": [second, first], "new": [first, second]}
            yield _build_job_change("recorded-state-order-changed", old[second, first], recorded_exchange, values)


def _collect_state_orders(conversations: Iterator[Sequence[RecordedExchange]]) -> _ExchangeByStatePair:
    found: _ExchangeByStatePair = {}
    for conversation in conversations:
        for (_, first), (recorded_exchange, second) in combinations(iterate_job_states(conversation), 2):
            if first != second:
                found.setdefault((first, second), recorded_exchange)
    return found


def _build_job_change(
    rule_id: str, old_exchange: RecordedExchange, new_exchange: RecordedExchange, message_values: Mapping[str, object]
) -> DriftChange:
    exchanges, location = (old_exchange, new_exchange), f"{new_exchange.status} {new_exchange.state_location}"
    return build_recorded_change(rule_id, exchanges, location, "/response/content/text", message_values)


def find_charge_locations(recorded_exchange: RecordedExchange) -> Iterator[Location]:
    """Yield the locations of charges in a response of a synthesis, audio input, job or chat operation."""
    operation = recorded_exchange.operation
    if operation is None or recorded_exchange.status >= 300:
        return
    uses = [use.response.charge_location for use in (operation.speech, operation.audio_input) if use is not None]
    whole = [spec.charge_location for spec in (operation.job, operation.chat) if spec is not None]
    yield from (location for location in (*uses, *whole) if location is not None)


def compare_charges(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each response to an identical request that reports another charge."""
    for pair in conversation_pairs:
        if not pair.has_identical_requests:
            continue
        old_charges = {
            (recorded_exchange.operation_id, location, recorded_exchange.job_state): recorded_exchange
            for recorded_exchange in pair.old_conversation
            for location in find_charge_locations(recorded_exchange)
        }
        for new in pair.new_conversation:
            for location in find_charge_locations(new):
                old = old_charges.get((new.operation_id, location, new.job_state))
                if old is None:
                    continue
                before, after = old.read_response_value(location), new.read_response_value(location)
                if MISSING not in (before, after) and before != after:
                    yield build_recorded_change(
                        "recorded-charge-changed",
                        (old, new),
                        f"{new.status} {location}",
                        "/response/content/text",
                        {"old": before, "new": after},
                    )


# Compares whole responses of two recordings: status, media type, whether the body is readable, and audio.


TEMPORARY_ERROR_STATUSES = (429, 502, 503, 504)
"""Statuses of an overloaded service. They do not count as changes of the API, because the same request works later."""


def compare_whole_responses(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield the changes of whole responses for each operation in each conversation."""
    for pair in conversation_pairs:
        old, new = map(_group_exchanges_by_operation, (pair.old_conversation, pair.new_conversation))
        for operation in old:  # not a set, so that changes come in the order of the conversation
            if operation in new:
                yield from _compare_exchanges_of_operation(old[operation], new[operation])


def _group_exchanges_by_operation(conversation: Sequence[RecordedExchange]) -> dict[str, list[RecordedExchange]]:
    found: dict[str, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in conversation:
        found[recorded_exchange.operation_id].append(recorded_exchange)
    return found


def _compare_exchanges_of_operation(
    old_exchanges: Sequence[RecordedExchange], new_exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    # The order is reversed, so that the first of several responses with the same status is compared.
    before, after = (
        {recorded_exchange.status: recorded_exchange for recorded_exchange in reversed(side)}
        for side in (old_exchanges, new_exchanges)
    )
    shared = before.keys() & after.keys()
    if not shared:
        is_overload = all(status in TEMPORARY_ERROR_STATUSES for status in after)
        was_overload = any(status in TEMPORARY_ERROR_STATUSES for status in before)
        rule = "recorded-temporary-rejection" if is_overload and not was_overload else "recorded-status-changed"
        values = {"old": next(iter(before)), "new": next(iter(after))}
        yield build_recorded_change(rule, (old_exchanges[0], new_exchanges[0]), "status", "/response", values)
    for status in sorted(shared):
        yield from _compare_bodies(before[status], after[status])


def _compare_bodies(old_exchange: RecordedExchange, new_exchange: RecordedExchange) -> Iterator[DriftChange]:
    exchanges, status = (old_exchange, new_exchange), new_exchange.status
    before, after = old_exchange.response, new_exchange.response
    if before.media_type != after.media_type:
        values = {"old": before.media_type, "new": after.media_type}
        location = f"{status} content-type"
        yield build_recorded_change("recorded-media-type-changed", exchanges, location, "/response", values)
    elif is_json(after.media_type) and old_exchange.json_body is not MISSING and new_exchange.json_body is MISSING:
        yield build_recorded_change("recorded-body-unreadable", exchanges, f"{status} body", "/response")
    for rule, values in _compare_audio(before.body, after.body):
        yield build_recorded_change(rule, exchanges, f"{status} body", "/response", values)


def _compare_audio(old_body: bytes, new_body: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the id of a rule and the values that the report shows if a body is other audio than it was."""
    old_container, new_container = sniff_container(old_body), sniff_container(new_body)
    if old_body == new_body or old_container is None:
        return
    if old_container != new_container:
        yield "recorded-audio-container-changed", {"old": old_container, "new": new_container or "unknown"}
        return
    old_format, new_format = _describe_audio_format(old_body), _describe_audio_format(new_body)
    if old_format is not None and new_format is not None and old_format != new_format:
        yield "recorded-audio-format-changed", {"old": old_format, "new": new_format}


def _describe_audio_format(body: bytes) -> str | None:
    """Return the sample rate and the number of channels as text; `None` if the audio cannot be decoded."""
    decoded = EncodedAudio(body).decoded_audio
    return None if decoded is None else f"{decoded.sample_rate_hz} Hz, {decoded.source_channels} channels"


# Compares recordings with older recordings to find what the API does differently now.


def compare_traffic(old_traffic: RecordedTraffic, new_traffic: RecordedTraffic) -> DriftReport:
    """Compare the newer traffic of one provider with older traffic, both interpreted with the same contract.

    Requests are matched by operation and by their values. Values of responses are compared only if the provider defines
    them. Ids, times, signed URLs and counters are left out; they are recognized because they change with every request.
    """
    pairing = pair_conversations(old_traffic, new_traffic)
    changes = _remove_repeated_changes(_iterate_changes(pairing))
    return build_report("recordings", old_traffic.compared_input, new_traffic.compared_input, changes)


def _iterate_changes(pairing: ConversationPairing) -> Iterator[DriftChange]:
    yield from compare_whole_responses(pairing.matched_pairs)
    yield from compare_job_states(pairing.matched_pairs)
    yield from compare_charges(pairing.matched_pairs)
    for group_key, responses in group_responses_by_key(pairing.matched_pairs).items():
        yield from compare_headers(group_key, responses)
        yield from _compare_body_fields(group_key, responses)
    yield from compare_recorded_messages(pairing.matched_pairs)
    for conversation in pairing.unmatched_old_conversations:
        first = conversation[0]
        yield build_change(
            "recorded-request-not-repeated",
            location="request",
            operation_id=first.operation_id,
            old_position=first.find_position("/request"),
        )


def _compare_body_fields(
    response_group_key: ResponseGroupKey, response_pairs: list[PairedResponses]
) -> Iterator[DriftChange]:
    body_pairs = flatten_bodies(response_pairs)
    if not body_pairs:
        return
    yield from compare_field_presence(response_group_key, body_pairs)
    yield from compare_field_types(response_group_key, body_pairs)
    yield from compare_field_values(
        response_group_key,
        body_pairs,
        paths_to_skip=_list_paths_compared_elsewhere(response_pairs),
        find_documented_values=partial(_find_documented_scalars, response_pairs[0].new_exchanges[0].media_type),
    )


def _list_paths_compared_elsewhere(response_pairs: Iterable[PairedResponses]) -> set[str]:
    """Return the paths of the job state and the charge, which `compare_job_states` and `compare_charges` compare."""
    exchanges = [one for pair in response_pairs for one in pair.new_exchanges]
    locations = [location for one in exchanges for location in (one.state_location, *find_charge_locations(one))]
    return {location.json_pointer for location in locations if location is not None and location.is_in_body}


def _find_documented_scalars(media_type: MediaType | None, field_path: str) -> frozenset[JsonScalar]:
    """Return the scalar values that schemas and examples document for a field; none if `media_type` is `None`."""
    if media_type is None:
        return frozenset()
    pointer_tokens = split_json_pointer(field_path)
    found = find_documented_values(media_type, pointer_tokens)
    for example in media_type.examples:
        # Items of a documented list are alike: the first one stands for all.
        value = read_pointer(example.value, ["0" if token == ANY_INDEX else token for token in pointer_tokens])
        if value is not MISSING and get_recorded_json_type(value) in ("string", "number", "boolean"):
            found.add(value)
    return frozenset(found)


def _remove_repeated_changes(changes: Iterable[DriftChange]) -> Iterator[DriftChange]:
    """Yield each change only once, even if several responses show it. Merge equal header changes of all operations."""
    unique: dict[tuple[Any, ...], DriftChange] = {}
    for change in changes:
        key = (change.rule, change.operation, change.location, change.old_value, change.new_value)
        unique.setdefault(key, change)
    headers: dict[tuple[Any, ...], DriftChange] = {}
    for change in unique.values():
        if not change.rule.startswith("recorded-header"):
            yield change
            continue
        # A gateway adds a header to every response, so the status at the start of the location is ignored.
        header_key = (change.rule, change.location.partition(" ")[2], change.old_value, change.new_value)
        first = headers.get(header_key)
        headers[header_key] = change if first is None else _add_other_operation(first, change)
    yield from headers.values()


def _add_other_operation(merged_change: DriftChange, repeated_change: DriftChange) -> DriftChange:
    if repeated_change.operation in (None, merged_change.operation, *merged_change.other_operations):
        return merged_change
    return msgspec.structs.replace(
        merged_change, other_operations=(*merged_change.other_operations, str(repeated_change.operation))
    )

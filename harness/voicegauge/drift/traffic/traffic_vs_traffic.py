"""Compares recordings with older recordings to find what the API does differently now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from voicegauge.contract import MISSING, MediaType
from voicegauge.drift.report import DriftChange, DriftReport, build_change, build_report
from voicegauge.drift.traffic.field_presence import compare_field_presence
from voicegauge.drift.traffic.field_values import compare_field_types, compare_field_values
from voicegauge.drift.traffic.header_comparison import compare_headers
from voicegauge.drift.traffic.job_comparison import compare_charges, compare_job_states, find_charge_locations
from voicegauge.drift.traffic.preparation import (
    ANY_INDEX,
    ConversationPairing,
    JsonScalar,
    PairedResponses,
    RecordedTraffic,
    ResponseGroupKey,
    find_documented_values,
    flatten_bodies,
    get_json_type,
    group_responses,
    pair_conversations,
)
from voicegauge.drift.traffic.whole_responses import compare_whole_responses
from voicegauge.formats import read_pointer, unescape_pointer_token


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
    for group_key, responses in group_responses(pairing.matched_pairs).items():
        yield from compare_headers(group_key, responses)
        yield from _compare_bodies(group_key, responses)
    for conversation in pairing.unmatched_conversations:
        first = conversation[0]
        yield build_change(
            "recorded-request-not-repeated",
            location="request",
            operation_id=first.operation_id,
            old_position=first.find_position("/request"),
        )


def _compare_bodies(
    response_group_key: ResponseGroupKey, response_pairs: list[PairedResponses]
) -> Iterator[DriftChange]:
    body_pairs = flatten_bodies(response_pairs)
    if not body_pairs:
        return
    yield from compare_field_presence(response_group_key, body_pairs)
    yield from compare_field_types(response_group_key, body_pairs)
    media_type = response_pairs[0].new_exchanges[0].media_type

    def find_documented_values_at(field_path: str) -> frozenset[JsonScalar]:
        return frozenset() if media_type is None else _find_documented_scalars(media_type, field_path)

    skip = _list_paths_compared_elsewhere(response_pairs)
    yield from compare_field_values(
        response_group_key, body_pairs, paths_to_skip=skip, find_documented_values=find_documented_values_at
    )


def _list_paths_compared_elsewhere(response_pairs: Iterable[PairedResponses]) -> set[str]:
    """Return the paths of the job state and the charge, which `job_comparison` compares."""
    paths = set()
    for pair in response_pairs:
        for recorded_exchange in pair.new_exchanges:
            for location in (recorded_exchange.state_location, *find_charge_locations(recorded_exchange)):
                if location is not None and location.is_in_body:
                    paths.add(location.json_pointer)
    return paths


def _find_documented_scalars(media_type: MediaType, field_path: str) -> frozenset[JsonScalar]:
    """Return the scalar values that schemas and examples document for the field at `field_path`."""
    pointer_tokens = [unescape_pointer_token(token) for token in field_path.split("/")[1:]]
    found = find_documented_values(media_type, pointer_tokens)
    for example in media_type.examples:
        value = read_pointer(example.value, ["0" if token == ANY_INDEX else token for token in pointer_tokens])
        if value is not MISSING and get_json_type(value) in ("string", "number", "boolean"):
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

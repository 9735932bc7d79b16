"""Compares recordings with older recordings to find what the API does differently now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from voicegauge.contract import MISSING, MediaType
from voicegauge.drift.report import DriftChange, DriftReport, make_change, make_report
from voicegauge.drift.traffic.field_presence import field_changes
from voicegauge.drift.traffic.field_values import type_changes, value_changes
from voicegauge.drift.traffic.headers import header_changes
from voicegauge.drift.traffic.jobs import charge_changes, charge_locations, state_changes
from voicegauge.drift.traffic.reading import (
    ANY_INDEX,
    ConversationPairing,
    JsonScalar,
    PairedResponses,
    RecordedTraffic,
    ResponseContext,
    documented_values,
    flatten_bodies,
    group_by_context,
    json_type_of,
    pair_conversations,
)
from voicegauge.drift.traffic.responses import response_changes
from voicegauge.formats import read_pointer, unescape_pointer_token


def compare_traffic(old: RecordedTraffic, new: RecordedTraffic) -> DriftReport:
    """Compare the traffic of one provider with older traffic. Both are interpreted with the same contract.

    Requests are matched by operation and by their values. Values of responses are compared only if the provider defines
    them. Ids, times, signed URLs and counters are left out; they are recognized because they change with every request.
    """
    pairing = pair_conversations(old, new)
    changes = _without_repetitions(_changes(pairing))
    return make_report("recordings", old.compared_input, new.compared_input, changes)


def _changes(pairing: ConversationPairing) -> Iterator[DriftChange]:
    yield from response_changes(pairing.pairs)
    yield from state_changes(pairing.pairs)
    yield from charge_changes(pairing.pairs)
    for context, responses in group_by_context(pairing.pairs).items():
        yield from header_changes(context, responses)
        yield from _body_changes(context, responses)
    for conversation in pairing.not_repeated:
        first = conversation[0]
        yield make_change(
            "recorded-request-not-repeated",
            location="request",
            operation=first.operation_id,
            old=first.position("/request"),
        )


def _body_changes(context: ResponseContext, responses: list[PairedResponses]) -> Iterator[DriftChange]:
    cases = flatten_bodies(responses)
    if not cases:
        return
    yield from field_changes(context, cases)
    yield from type_changes(context, cases)
    media_type = responses[0].new[0].media_type

    def documented_values_at(path: str) -> frozenset[JsonScalar]:
        return frozenset() if media_type is None else _documented_scalars(media_type, path)

    skip = _separately_compared(responses)
    yield from value_changes(context, cases, skip=skip, documented_values=documented_values_at)


def _separately_compared(responses: Iterable[PairedResponses]) -> set[str]:
    """Return the paths of the job state and the charge, which the module `jobs` compares."""
    paths = set()
    for pair in responses:
        for recorded_exchange in pair.new:
            for location in (recorded_exchange.state_location, *charge_locations(recorded_exchange)):
                if location is not None and location.is_in_body:
                    paths.add(location.pointer)
    return paths


def _documented_scalars(media_type: MediaType, path: str) -> frozenset[JsonScalar]:
    """Return the scalar values that schemas and examples document for the field at `path`."""
    tokens = [unescape_pointer_token(token) for token in path.split("/")[1:]]
    found = documented_values(media_type, tokens)
    for example in media_type.examples:
        value = read_pointer(example.value, ["0" if token == ANY_INDEX else token for token in tokens])
        if value is not MISSING and json_type_of(value) in ("string", "number", "boolean"):
            found.add(value)
    return frozenset(found)


def _without_repetitions(changes: Iterable[DriftChange]) -> Iterator[DriftChange]:
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
        headers[header_key] = change if first is None else _add_operation(first, change)
    yield from headers.values()


def _add_operation(first: DriftChange, other: DriftChange) -> DriftChange:
    if other.operation in (None, first.operation, *first.other_operations):
        return first
    return msgspec.structs.replace(first, other_operations=(*first.other_operations, str(other.operation)))

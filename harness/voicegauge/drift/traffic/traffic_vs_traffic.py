"""Recording against recording: what an API does now that it did otherwise before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from voicegauge.contract import MISSING, MediaType
from voicegauge.drift.report import DriftChange, DriftReport, make_change, make_report
from voicegauge.drift.traffic.fields import field_changes, type_changes, value_changes
from voicegauge.drift.traffic.headers import header_changes
from voicegauge.drift.traffic.jobs import charge_changes, charge_locations, state_changes
from voicegauge.drift.traffic.reading import (
    ANY,
    ConversationPairing,
    JsonScalar,
    PairedResponses,
    RecordedTraffic,
    documented_values,
    flatten_bodies,
    group_by_context,
    json_type_of,
    pair_conversations,
)
from voicegauge.drift.traffic.responses import response_changes
from voicegauge.formats import read_pointer, unescape


def compare_traffic(old: RecordedTraffic, new: RecordedTraffic) -> DriftReport:
    """What changed from `old` to `new`: traffic with one provider, read by one contract.

    Requests are paired by operation and by what they ask for. In the answers of pairs a
    value counts only if it is the provider's: ids, times, signed URLs and counters show
    by changing from call to call, and are left out.
    """
    pairing = pair_conversations(old, new)
    return make_report("recordings", old.side, new.side, _once(_changes(pairing)))


def _changes(pairing: ConversationPairing) -> Iterator[DriftChange]:
    yield from response_changes(pairing.pairs)
    yield from state_changes(pairing.pairs)
    yield from charge_changes(pairing.pairs)
    for context, cases in group_by_context(pairing.pairs).items():
        yield from header_changes(context, cases)
        bodies = flatten_bodies(cases)
        if bodies.cases:
            yield from field_changes(context, bodies)
            yield from type_changes(context, bodies)
            known = _PrintedValues(cases)
            yield from value_changes(context, bodies, skip=_told_elsewhere(cases), known=known)
    for conversation in pairing.not_repeated:
        first = conversation[0]
        yield make_change(
            "recorded-request-not-repeated", location="request", operation=first.name, old=first.position("/request")
        )


def _told_elsewhere(cases: Iterable[PairedResponses]) -> set[str]:
    """Paths of the job's state and of the charge."""
    found = set()
    for both in cases:
        for seen in both.new:
            for written in (seen.state_place, *charge_locations(seen)):
                if written is not None and written.in_body:
                    found.add(written.pointer)
    return found


class _PrintedValues:
    """The values that the document lists or prints for the fields of one context's answers."""

    def __init__(self, cases: list[PairedResponses]) -> None:
        self._media = cases[0].new[0].media

    def __call__(self, path: str) -> frozenset[JsonScalar]:
        return frozenset() if self._media is None else _printed(self._media, path)


def _printed(media: MediaType, path: str) -> frozenset[JsonScalar]:
    tokens = [unescape(token) for token in path.split("/")[1:]]
    values = [example.value for example in media.examples]
    found = documented_values(media, tokens)
    for value in values:
        held = read_pointer(value, ["0" if token == ANY else token for token in tokens])
        if held is not MISSING and json_type_of(held) in ("string", "number", "boolean"):
            found.add(held)
    return frozenset(found)


def _once(changes: Iterable[DriftChange]) -> Iterator[DriftChange]:
    """The same change in the same place is told once, in whichever answers it shows."""
    told: dict[tuple[Any, ...], DriftChange] = {}
    for found in changes:
        told.setdefault((found.rule, found.operation, found.location, found.old_value, found.new_value), found)
    by_content: dict[tuple[Any, ...], DriftChange] = {}
    for found in told.values():
        if not found.rule.startswith("recorded-header"):
            yield found
            continue
        key = (found.rule, found.location.partition(" ")[2], found.old_value, found.new_value)
        first = by_content.get(key)
        by_content[key] = found if first is None else _with(first, found)
    yield from by_content.values()


def _with(first: DriftChange, other: DriftChange) -> DriftChange:
    if other.operation in (None, first.operation, *first.other_operations):
        return first
    return msgspec.structs.replace(first, other_operations=(*first.other_operations, str(other.operation)))

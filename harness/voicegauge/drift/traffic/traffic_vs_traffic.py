"""Recording against recording: what an API does now that it did otherwise before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from voicegauge.contract import MISSING, MediaType
from voicegauge.drift.report import Change, DriftReport, change, make_report
from voicegauge.drift.traffic.fields import field_changes, type_changes, value_changes
from voicegauge.drift.traffic.headers import header_changes
from voicegauge.drift.traffic.jobs import charge_changes, charge_places, state_changes
from voicegauge.drift.traffic.reading import (
    ANY,
    Both,
    Pairing,
    Scalar,
    Traffic,
    contexts,
    documented_values,
    kind_of,
    pair_off,
    take_bodies,
)
from voicegauge.drift.traffic.responses import answer_changes
from voicegauge.formats import parse_location, read_pointer, unescape


def compare_recordings(old: Traffic, new: Traffic) -> DriftReport:
    """What changed from `old` to `new`: traffic with one provider, read by one contract.

    Requests are paired by operation and by what they ask for. In the answers of pairs a
    value counts only if it is the provider's: ids, times, signed URLs and counters show
    by changing from call to call, and are left out.
    """
    pairing = pair_off(old, new)
    return make_report("recordings", old.side, new.side, _once(_changes(pairing)))


def _changes(pairing: Pairing) -> Iterator[Change]:
    yield from answer_changes(pairing.pairs)
    yield from state_changes(pairing.pairs)
    yield from charge_changes(pairing.pairs)
    for context, cases in contexts(pairing.pairs).items():
        yield from header_changes(context, cases)
        bodies = take_bodies(cases)
        if bodies.cases:
            yield from field_changes(context, bodies)
            yield from type_changes(context, bodies)
            known = _Known(cases)
            yield from value_changes(context, bodies, skip=_told_elsewhere(cases), known=known)
    for conversation in pairing.not_repeated:
        first = conversation[0]
        yield change("recorded-request-not-repeated", at="request", operation=first.name, old=first.spot("/request"))


def _told_elsewhere(cases: Iterable[Both]) -> set[str]:
    """Paths of the job's state and of the charge."""
    found = set()
    for both in cases:
        for seen in both.new:
            for written in (seen.state_place, *charge_places(seen)):
                place = parse_location(written) if written else None
                if place is not None and place.kind == "body":
                    found.add(place.key)
    return found


class _Known:
    """The values that the document lists or prints for the fields of one context's answers."""

    def __init__(self, cases: list[Both]) -> None:
        self._media = cases[0].new[0].media

    def __call__(self, path: str) -> frozenset[Scalar]:
        return frozenset() if self._media is None else _printed(self._media, path)


def _printed(media: MediaType, path: str) -> frozenset[Scalar]:
    tokens = [unescape(token) for token in path.split("/")[1:]]
    values = [example.value for example in media.examples]
    found = documented_values(media, tokens)
    for value in values:
        held = read_pointer(value, ["0" if token == ANY else token for token in tokens])
        if held is not MISSING and kind_of(held) in ("string", "number", "boolean"):
            found.add(held)
    return frozenset(found)


def _once(changes: Iterable[Change]) -> Iterator[Change]:
    """The same change in the same place is told once, in whichever answers it shows."""
    told: dict[tuple[Any, ...], Change] = {}
    for found in changes:
        told.setdefault((found.rule, found.operation, found.at, found.old_value, found.new_value), found)
    by_content: dict[tuple[Any, ...], Change] = {}
    for found in told.values():
        if not found.rule.startswith("recorded-header"):
            yield found
            continue
        key = (found.rule, found.at.partition(" ")[2], found.old_value, found.new_value)
        first = by_content.get(key)
        by_content[key] = found if first is None else _with(first, found)
    yield from by_content.values()


def _with(first: Change, other: Change) -> Change:
    if other.operation in (None, first.operation, *first.also):
        return first
    return msgspec.structs.replace(first, also=(*first.also, str(other.operation)))

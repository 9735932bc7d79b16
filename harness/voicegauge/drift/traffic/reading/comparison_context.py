"""Answers that can be compared: the same operation, status and state of the job, call by call."""

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
from voicegauge.drift.traffic.reading.recorded_traffic import ObservedExchange


class ResponseContext(NamedTuple):
    """What two answers must have in common."""

    operation: str
    status: int
    state: str | None

    @property
    def body(self) -> str:
        """Its answers' body, as reports name places."""
        return f"{self.status} body#"


class PairedResponses(NamedTuple):
    """The answers of one pair in one context; none of the two is empty."""

    case: str
    old: tuple[ObservedExchange, ...]
    new: tuple[ObservedExchange, ...]


def group_by_context(pairs: Sequence[ConversationPair]) -> dict[ResponseContext, list[PairedResponses]]:
    """The answers of all pairs by what they have in common."""
    found: dict[ResponseContext, list[PairedResponses]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        old, new = _split(pair.old), _split(pair.new)
        for context in old.keys() & new.keys():
            found[context].append(PairedResponses(str(number), tuple(old[context]), tuple(new[context])))
    return dict(sorted(found.items(), key=lambda entry: (entry[0].operation, entry[0].status, entry[0].state or "")))


def _split(conversation: Sequence[ObservedExchange]) -> dict[ResponseContext, list[ObservedExchange]]:
    found: dict[ResponseContext, list[ObservedExchange]] = defaultdict(list)
    for seen in conversation:
        found[ResponseContext(seen.name, seen.status, seen.state)].append(seen)
    return found


class FlattenedBody(NamedTuple):
    """The JSON of one side's answers in one case, taken apart."""

    seen: ObservedExchange
    leaves: list[FlattenedValue]
    fields: list[FlattenedObject]


class FlattenedBodies(NamedTuple):
    """All JSON of one context, taken apart."""

    cases: list[tuple[str, list[FlattenedBody], list[FlattenedBody]]]
    """(case, older, newer); answers without JSON are left out, cases without any on one side too."""


def flatten_bodies(cases: Sequence[PairedResponses]) -> FlattenedBodies:
    """The JSON of `cases`, taken apart, the entries of lists by the field that names them."""
    names = learn_entry_keys(_values(both.old for both in cases), _values(both.new for both in cases))
    taken = [(both.case, _take(both.old, names), _take(both.new, names)) for both in cases]
    return FlattenedBodies([(case, old, new) for case, old, new in taken if old and new])


def _values(sides: Iterator[tuple[ObservedExchange, ...]]) -> list[object]:
    return [seen.value for side in sides for seen in side if seen.value is not MISSING]


def _take(side: Sequence[ObservedExchange], names: EntryKeys) -> list[FlattenedBody]:
    found = []
    for seen in side:
        if seen.value is not MISSING:
            parts = list(flatten_json(seen.value, names))
            leaves = [part for part in parts if isinstance(part, FlattenedValue)]
            found.append(FlattenedBody(seen, leaves, [part for part in parts if isinstance(part, FlattenedObject)]))
    return found

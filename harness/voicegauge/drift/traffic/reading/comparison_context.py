"""Answers that can be compared: the same operation, status and state of the job, call by call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voicegauge.contract import MISSING
from voicegauge.drift.traffic.reading.flatten import Fields, Leaf, Names, learn_names, take_apart
from voicegauge.drift.traffic.reading.pairing import Pair
from voicegauge.drift.traffic.reading.traffic import Seen


class Context(NamedTuple):
    """What two answers must have in common."""

    operation: str
    status: int
    state: str | None

    @property
    def body(self) -> str:
        """Its answers' body, as reports name places."""
        return f"{self.status} body#"


class Both(NamedTuple):
    """The answers of one pair in one context; none of the two is empty."""

    case: str
    old: tuple[Seen, ...]
    new: tuple[Seen, ...]


def contexts(pairs: Sequence[Pair]) -> dict[Context, list[Both]]:
    """The answers of all pairs by what they have in common."""
    found: dict[Context, list[Both]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        old, new = _split(pair.old), _split(pair.new)
        for context in old.keys() & new.keys():
            found[context].append(Both(str(number), tuple(old[context]), tuple(new[context])))
    return dict(sorted(found.items(), key=lambda entry: (entry[0].operation, entry[0].status, entry[0].state or "")))


def _split(conversation: Sequence[Seen]) -> dict[Context, list[Seen]]:
    found: dict[Context, list[Seen]] = defaultdict(list)
    for seen in conversation:
        found[Context(seen.name, seen.status, seen.state)].append(seen)
    return found


class Taken(NamedTuple):
    """The JSON of one side's answers in one case, taken apart."""

    seen: Seen
    leaves: list[Leaf]
    fields: list[Fields]


class Bodies(NamedTuple):
    """All JSON of one context, taken apart."""

    cases: list[tuple[str, list[Taken], list[Taken]]]
    """(case, older, newer); answers without JSON are left out, cases without any on one side too."""


def take_bodies(cases: Sequence[Both]) -> Bodies:
    """The JSON of `cases`, taken apart, the entries of lists by the field that names them."""
    names = learn_names(_values(both.old for both in cases), _values(both.new for both in cases))
    taken = [(both.case, _take(both.old, names), _take(both.new, names)) for both in cases]
    return Bodies([(case, old, new) for case, old, new in taken if old and new])


def _values(sides: Iterator[tuple[Seen, ...]]) -> list[object]:
    return [seen.value for side in sides for seen in side if seen.value is not MISSING]


def _take(side: Sequence[Seen], names: Names) -> list[Taken]:
    found = []
    for seen in side:
        if seen.value is not MISSING:
            parts = list(take_apart(seen.value, names))
            leaves = [part for part in parts if isinstance(part, Leaf)]
            found.append(Taken(seen, leaves, [part for part in parts if isinstance(part, Fields)]))
    return found

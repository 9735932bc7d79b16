"""What drift finds: changes with their places on both sides, and the report of one comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.drift.registry import RULES, Comparison, Level
from voicegauge.model import Record

MAX_VALUE_CHARACTERS = 120
"""Of a value that a change shows."""


class Spot(Record, frozen=True, kw_only=True):
    """A place in one of the two things that are compared."""

    file: str
    line: int | None = None
    """Counted from 1; `None` where the file has no lines of its own."""
    pointer: str
    """JSON pointer into the file."""

    def __str__(self) -> str:
        """As compilers write it: file:line."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file}#{self.pointer}"


class Side(Record, frozen=True, kw_only=True):
    """One of the two things that are compared."""

    file: str
    title: str
    version: str
    """The document's own version, or when the traffic was recorded."""


class Change(Record, frozen=True, kw_only=True):
    """One difference, under one rule."""

    rule: str
    level: Level
    message: str
    """One sentence: what is different in the newer one."""
    operation: str | None
    """The operation it was first seen in; `None` for the whole API."""
    at: str
    """The part of the operation: "request body#/text", "200 header.Retry-After", "x-job/poll/min_s"."""
    old: Spot | None
    """Where it stands in the older one, or what would hold it; `None` for a part that is new as a whole."""
    new: Spot | None
    """The same of the newer one; `None` for a part that is gone."""
    old_value: str | None = None
    """As JSON, shortened; `None` where there is none."""
    new_value: str | None = None
    also: tuple[str, ...] = ()
    """Further operations that the same difference reaches, through a part they share."""

    @property
    def fingerprint(self) -> str:
        """Names the change across comparisons, whatever lines it stands on: 16 hexadecimal digits."""
        parts = (self.rule, self.operation, self.at, self.old_value, self.new_value)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def where(self) -> str:
        """The operations and the part: "speak and 2 more: request body/text"."""
        more = f" and {len(self.also)} more" if self.also else ""
        return f"{self.operation}{more}: {self.at}" if self.operation else self.at

    @property
    def spots(self) -> str:
        """Both places: "old.yaml:3 -> new.yaml:4"."""
        return f"{self.old or ''} -> {self.new or ''}".strip()


class DriftReport(Record, frozen=True, kw_only=True):
    """All that `voicegauge drift --json` writes."""

    schema: str = "voicegauge/drift/1"
    comparison: Comparison
    old: Side
    new: Side
    counts: dict[Level, int]
    """Changes by level; every level is there."""
    changes: tuple[Change, ...]
    """The worst first; of one level, in the order of the documents."""
    accepted: tuple[Change, ...] = ()
    """Those that the baseline accepts; they are neither counted nor among `changes`."""
    unused_baseline: tuple[str, ...] = ()
    """What the baseline accepts and has not changed any more, a line each."""

    @property
    def name(self) -> str:
        """The API's: its title, else the older file's name."""
        return self.old.title or self.new.title or Path(self.old.file).name

    def reaches(self, level: Level) -> bool:
        """Whether a change is as bad as `level` or worse."""
        return any(change.level.at_least(level) for change in self.changes)


def shorten(value: Any) -> str:
    """`value` as JSON on one line, cut in the middle to `MAX_VALUE_CHARACTERS`."""
    text = msgspec.json.encode(value, order="deterministic").decode()
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    half = MAX_VALUE_CHARACTERS // 2 - 2
    return f"{text[:half]} ... {text[-half:]}"


def change(
    rule: str,
    *,
    at: str,
    operation: str | None = None,
    old: Spot | None = None,
    new: Spot | None = None,
    values: Mapping[str, Any] | None = None,
    message: str | None = None,
) -> Change:
    """A change under `rule`, at the level that the catalogue gives it.

    Args:
        rule: an id of `RULES`.
        at: the part of the operation.
        operation: its id.
        old: where it stands in the older one.
        new: where it stands in the newer one.
        values: "old" and "new", where there are any to show; they must not hold secrets.
        message: one sentence, without the place; what the rule means, with the values, if left out.
    """
    shown = {side: shorten(value) for side, value in (values or {}).items()}
    return Change(
        rule=rule,
        level=RULES[rule].level,
        message=message or _sentence(RULES[rule].means, shown),
        operation=operation,
        at=at,
        old=old,
        new=new,
        old_value=shown.get("old"),
        new_value=shown.get("new"),
    )


def _sentence(means: str, shown: Mapping[str, str]) -> str:
    if len(shown) == 2:
        return f"{means}: {shown['old']}, now {shown['new']}"
    return ": ".join((means, *shown.values()))


def make_report(comparison: Comparison, old: Side, new: Side, changes: Iterable[Change]) -> DriftReport:
    """The report of `changes`: the worst first, and one for a difference in a part that operations share."""
    shared: dict[tuple[Any, ...], list[Change]] = {}
    for found in changes:
        if found.old is None and found.new is None:
            key: tuple[Any, ...] = (found.rule, found.operation, found.at, found.old_value, found.new_value)
        else:
            key = (found.rule, found.old, found.new, found.old_value, found.new_value)
        shared.setdefault(key, []).append(found)
    merged = [_merge(same) for same in shared.values()]
    order = list(Level)
    merged.sort(key=lambda found: order.index(found.level))
    return DriftReport(comparison=comparison, old=old, new=new, counts=count_levels(merged), changes=tuple(merged))


def count_levels(changes: Iterable[Change]) -> dict[Level, int]:
    """How many changes are of each level; every level is there."""
    levels = [found.level for found in changes]
    return {level: levels.count(level) for level in Level}


def _merge(same: list[Change]) -> Change:
    first = same[0]
    reached = (name for found in same for name in (found.operation, *found.also))
    others = dict.fromkeys(name for name in reached if name not in (None, first.operation))
    return msgspec.structs.replace(first, also=tuple(name for name in others if name is not None))

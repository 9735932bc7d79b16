"""Drift reports: the changes of one comparison, each with its position in both inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.drift.registry import DRIFT_RULES, DriftComparison, DriftLevel
from voicegauge.model import Record

MAX_VALUE_CHARACTERS = 120
"""Longer values are shortened in reports, so that each change stays readable on one or two terminal lines."""


class FilePosition(Record, frozen=True, kw_only=True):
    """A position in one of the two compared files."""

    file: str
    line: int | None = None
    """Counted from 1; `None` in recordings, where line numbers do not help a reader."""
    pointer: str
    """JSON pointer into the file."""

    def __str__(self) -> str:
        """Format as compilers do, so that editors make it a link: "file:line"."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file}#{self.pointer}"


class ComparedInput(Record, frozen=True, kw_only=True):
    """One of the two inputs of a comparison: a contract, a recording or a folder of recordings."""

    file: str
    title: str
    version: str
    """The version of the document, or the dates on which the traffic was recorded."""


class DriftChange(Record, frozen=True, kw_only=True):
    """A difference between the two inputs, reported by one rule."""

    rule: str
    level: DriftLevel
    message: str
    """One sentence that describes the newer input."""
    operation: str | None
    """Id of the operation in which the change was found first; `None` for the whole API."""
    location: str
    """The changed part of the operation: "request body#/text", "200 header.Retry-After", "x-job/poll/min_s"."""
    old_position: FilePosition | None
    """Where the older input has the changed part, or its parent; `None` for a part that is new as a whole."""
    new_position: FilePosition | None
    """Where the newer input has the changed part, or its parent; `None` for a part that was removed as a whole."""
    old_value: str | None = None
    """The older value as JSON, shortened; `None` if the change has none to show."""
    new_value: str | None = None
    """The newer value as JSON, shortened; `None` if the change has none to show."""
    other_operations: tuple[str, ...] = ()
    """Ids of other operations with the same change, because they share the changed component."""

    @property
    def fingerprint(self) -> str:
        """Identifies the change across comparisons, independent of line numbers: 16 hexadecimal digits."""
        parts = (self.rule, self.operation, self.location, self.old_value, self.new_value)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def qualified_location(self) -> str:
        """The operations and the changed part: "speak and 2 more: request body/text"."""
        more = f" and {len(self.other_operations)} more" if self.other_operations else ""
        return f"{self.operation}{more}: {self.location}" if self.operation else self.location

    @property
    def positions(self) -> str:
        """Both positions: "old.yaml:3 -> new.yaml:4"."""
        return f"{self.old_position or ''} -> {self.new_position or ''}".strip()


class DriftReport(Record, frozen=True, kw_only=True):
    """The result of one comparison, as `voicegauge drift --json` writes it."""

    schema: str = "voicegauge/drift/2"
    comparison: DriftComparison
    old: ComparedInput
    new: ComparedInput
    counts: dict[DriftLevel, int]
    """Number of changes per level; every level is listed."""
    changes: tuple[DriftChange, ...]
    """Worst level first; within a level, in the order of the documents."""
    accepted: tuple[DriftChange, ...] = ()
    """Changes that the baseline accepts; not counted and not among `changes`."""
    unused_baseline: tuple[str, ...] = ()
    """Baseline entries that match no change any more, one line each."""

    @property
    def name(self) -> str:
        """Name of the API: its title, or the file name of the older input if it has no title."""
        return self.old.title or self.new.title or Path(self.old.file).name

    def has_change_at_least(self, level: DriftLevel) -> bool:
        """Whether any change is as bad as `level` or worse."""
        return any(change.level.is_at_least(level) for change in self.changes)


def shorten(value: Any) -> str:
    """Format `value` as JSON on one line, shortened in the middle to `MAX_VALUE_CHARACTERS`."""
    text = msgspec.json.encode(value, order="deterministic").decode()
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    half = MAX_VALUE_CHARACTERS // 2 - 2
    return f"{text[:half]} ... {text[-half:]}"


def make_change(
    rule: str,
    *,
    location: str,
    operation: str | None = None,
    old: FilePosition | None = None,
    new: FilePosition | None = None,
    values: Mapping[str, Any] | None = None,
) -> DriftChange:
    """Create a change with the level and the description of `rule`.

    Args:
        rule: an id of `DRIFT_RULES`.
        location: the changed part of the operation.
        operation: the id of the operation.
        old: the position in the older input.
        new: the position in the newer input.
        values: the values to show, under "old" and "new"; they must not contain secrets.
    """
    shown = {side: shorten(value) for side, value in (values or {}).items()}
    return DriftChange(
        rule=rule,
        level=DRIFT_RULES[rule].level,
        message=_message(DRIFT_RULES[rule].description, shown),
        operation=operation,
        location=location,
        old_position=old,
        new_position=new,
        old_value=shown.get("old"),
        new_value=shown.get("new"),
    )


def _message(description: str, shown: Mapping[str, str]) -> str:
    if len(shown) == 2:
        return f"{description}: {shown['old']}, now {shown['new']}"
    return ": ".join((description, *shown.values()))


def make_report(
    comparison: DriftComparison, old: ComparedInput, new: ComparedInput, changes: Iterable[DriftChange]
) -> DriftReport:
    """Create a report: worst level first, and one entry for a change in a component that operations share."""
    groups: dict[tuple[Any, ...], list[DriftChange]] = {}
    for change in changes:
        groups.setdefault(_identity(change), []).append(change)
    merged = [_merge(group) for group in groups.values()]
    levels = list(DriftLevel)
    merged.sort(key=lambda change: levels.index(change.level))
    return DriftReport(comparison=comparison, old=old, new=new, counts=count_levels(merged), changes=tuple(merged))


def _identity(change: DriftChange) -> tuple[Any, ...]:
    """The same for changes that are one change, found in several operations."""
    if change.old_position is None and change.new_position is None:
        return (change.rule, change.operation, change.location, change.old_value, change.new_value)
    return (change.rule, change.old_position, change.new_position, change.old_value, change.new_value)


def count_levels(changes: Iterable[DriftChange]) -> dict[DriftLevel, int]:
    """Return the number of changes of each level, including levels without any."""
    levels = [change.level for change in changes]
    return {level: levels.count(level) for level in DriftLevel}


def _merge(group: list[DriftChange]) -> DriftChange:
    first = group[0]
    operations = (name for change in group for name in (change.operation, *change.other_operations))
    others = dict.fromkeys(name for name in operations if name is not None and name != first.operation)
    return msgspec.structs.replace(first, other_operations=tuple(others))

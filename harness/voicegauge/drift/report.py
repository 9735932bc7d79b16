"""Defines drift rules and reports: the changes that one comparison found, each with its position in both inputs.

A rule that is equivalent to a check of oasdiff (https://github.com/oasdiff/oasdiff) has the same id and an equivalent
level: ERR in oasdiff is breaking here, WARN is possibly breaking, and INFO is compatible.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, final

import msgspec

from voicegauge.model.base import Record
from voicegauge.outputs.result_summary import SummarizedResult

# Holds the catalog of drift rules.


_RULE_ID_PATTERN = re.compile(r"[a-z]+(-[a-z]+)*")

DriftComparison = Literal["contracts", "recording-contract", "recordings"]
"""The kind of comparison: two contracts, recorded traffic with a contract, or two sets of recordings."""


class DriftLevel(StrEnum):
    """The effect of a change on clients that were written before the change, from worst to best."""

    BREAKING = "breaking"
    """A request that worked may be rejected, or a client may no longer understand a response."""
    POSSIBLY_BREAKING = "possibly-breaking"
    """Some clients break, or their requests become more expensive or slower."""
    COMPATIBLE = "compatible"
    """Every client that worked still works."""

    def is_at_least_as_bad_as(self, other_level: DriftLevel) -> bool:
        """Whether this level is as bad for clients as `other_level`, or worse."""
        levels = list(DriftLevel)
        return levels.index(self) <= levels.index(other_level)


class DriftRule(Record, frozen=True):
    """One kind of change that drift detection reports."""

    id: str
    level: DriftLevel
    description: str
    """One sentence about what the newer input has or lacks, without a period at the end: "A field was removed"."""
    comparison: DriftComparison


DRIFT_RULE_BY_ID: dict[str, DriftRule] = {}
"""All rules by id. When `voicegauge.drift` is imported, its sub-packages register their rules here."""


def register_rules(rules: Iterable[DriftRule]) -> None:
    """Add `rules` to `DRIFT_RULE_BY_ID`."""
    for rule in rules:
        assert _RULE_ID_PATTERN.fullmatch(rule.id), f"{rule.id!r} is not kebab-case"
        assert rule.id not in DRIFT_RULE_BY_ID, f"rule {rule.id!r} is registered twice"
        DRIFT_RULE_BY_ID[rule.id] = rule


# Defines drift reports: the changes that one comparison found, each with its position in both inputs.


MAX_VALUE_CHARACTERS = 120
"""Largest number of characters of a value in a report. Longer values are shortened, so that changes stay readable."""


class FilePosition(Record, frozen=True, kw_only=True):
    """A position in one of the compared files."""

    file: str
    line: int | None = None
    """Line number, counted from 1; `None` for a recording, because line numbers do not help its reader."""
    pointer: str
    """JSON pointer to the value in the file."""

    def __str__(self) -> str:
        """Format the position as "file:line", which editors make a link, or as "file#pointer" if there is no line."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file}#{self.pointer}"


class ComparedInput(Record, frozen=True, kw_only=True):
    """One of the two inputs of a comparison: a contract, a recording or a folder of recordings."""

    file: str
    title: str
    version: str
    """The version that the document states, or the dates on which the traffic was recorded."""
    provider: str | None = None
    """Id of the provider; `None` if the document names none."""


class DriftChange(Record, frozen=True, kw_only=True):
    """A difference between the two inputs, reported by one rule."""

    rule: str
    level: DriftLevel
    message: str
    """A sentence that says what is different in the newer input, with the older and the newer value."""
    operation: str | None
    """Id of the first operation in which the change was found; `None` if the change is about the whole API."""
    location: str
    """The changed part of the operation: "request body#/text", "200 header.Retry-After", "x-job/audio/location"."""
    old_position: FilePosition | None
    """The position of the changed part, or of its parent, in the older input; `None` if the part was added."""
    new_position: FilePosition | None
    """The position of the changed part, or of its parent, in the newer input; `None` if the part was removed."""
    old_value: str | None = None
    """The older value as JSON, shortened if necessary; `None` if the change has no older value to show."""
    new_value: str | None = None
    """The newer value as JSON, shortened if necessary; `None` if the change has no newer value to show."""
    other_operations: tuple[str, ...] = ()
    """Ids of other operations with the same change, for example because they share the changed component."""
    client_use: str | None = None
    """A phrase that says whether and how one client uses the changed part; `None` if that is unknown or does not
    matter."""

    @property
    def fingerprint(self) -> str:
        """An id of 16 hexadecimal digits that is the same in later comparisons, even if line numbers change."""
        parts = (self.rule, self.operation, self.location, self.old_value, self.new_value)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def qualified_location(self) -> str:
        """The operations and the changed part in one text: "speak and 2 more: request body/text"."""
        more = f" and {len(self.other_operations)} more" if self.other_operations else ""
        location = self.location.replace("~1", "/").replace("~0", "~")  # as in a JSON pointer
        return f"{self.operation}{more}: {location}" if self.operation else location

    @property
    def formatted_positions(self) -> str:
        """The older and the newer position: "old.yaml:3 -> new.yaml:4"."""
        return f"{self.old_position or ''} -> {self.new_position or ''}".strip()


@final
class DriftReport(SummarizedResult, frozen=True, kw_only=True):
    """The result of one comparison, as `voicegauge drift --json` writes it."""

    schema: str = "voicegauge/drift/2"
    comparison: DriftComparison
    old_input: ComparedInput
    new_input: ComparedInput
    count_by_level: dict[DriftLevel, int]
    """Number of `changes` of each level. Levels without changes are included."""
    changes: tuple[DriftChange, ...]
    """The changes that no baseline accepts, worst level first, and within a level in the order of the documents."""
    accepted_changes: tuple[DriftChange, ...] = ()
    """The changes that the baseline accepts. They are neither in `changes` nor counted in `count_by_level`."""
    unused_baseline_entries: tuple[str, ...] = ()
    """One line for each baseline entry that no longer matches any change."""
    unreadable_client_file_messages: tuple[str, ...] = ()
    """One line, with the reason, for each file below a folder of `--uses` that could not be read as a recording."""

    @property
    def name(self) -> str:
        """The title of the API, or the file name of the older input if neither input has a title."""
        return self.old_input.title or self.new_input.title or Path(self.old_input.file).name

    def has_change_at_least(self, level: DriftLevel) -> bool:
        """Whether any change is as bad as `level` or worse."""
        return any(change.level.is_at_least_as_bad_as(level) for change in self.changes)


def format_shortened_json(value: Any) -> str:
    """Format `value` as JSON on one line. A text longer than `MAX_QUOTED_VALUE_CHARACTERS` loses its middle."""
    text = msgspec.json.encode(value, order="deterministic").decode()
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    half = MAX_VALUE_CHARACTERS // 2 - 2
    return f"{text[:half]} ... {text[-half:]}"


def build_change(
    rule_id: str,
    *,
    location: str,
    operation_id: str | None = None,
    old_position: FilePosition | None = None,
    new_position: FilePosition | None = None,
    message_values: Mapping[str, Any] | None = None,
) -> DriftChange:
    """Create a change with the level and the description of `rule_id`.

    Args:
        rule_id: the id of a rule in `DRIFT_RULE_BY_ID`.
        location: the changed part of the operation.
        operation_id: the id of the operation; `None` if the change is about the whole API.
        old_position: the position in the older input.
        new_position: the position in the newer input.
        message_values: the values that the report shows, under the keys "old" and "new". They must not contain secrets.
    """
    shown = {side: format_shortened_json(value) for side, value in (message_values or {}).items()}
    return DriftChange(
        rule=rule_id,
        level=DRIFT_RULE_BY_ID[rule_id].level,
        message=_format_message(DRIFT_RULE_BY_ID[rule_id].description, shown),
        operation=operation_id,
        location=location,
        old_position=old_position,
        new_position=new_position,
        old_value=shown.get("old"),
        new_value=shown.get("new"),
    )


def _format_message(description: str, value_by_placeholder: Mapping[str, str]) -> str:
    if len(value_by_placeholder) == 2:
        return f"{description}: {value_by_placeholder['old']}, now {value_by_placeholder['new']}"
    return ": ".join((description, *value_by_placeholder.values()))


def build_report(
    comparison: DriftComparison, old_input: ComparedInput, new_input: ComparedInput, changes: Iterable[DriftChange]
) -> DriftReport:
    """Create a report with the worst changes first. A change of a component that operations share is listed once."""
    groups: dict[tuple[Any, ...], list[DriftChange]] = {}
    for change in changes:
        groups.setdefault(_build_identity_key(change), []).append(change)
    merged = [_merge_equal_changes(group) for group in groups.values()]
    levels = list(DriftLevel)
    merged.sort(key=lambda change: levels.index(change.level))
    return DriftReport(
        comparison=comparison,
        old_input=old_input,
        new_input=new_input,
        count_by_level=count_changes_by_level(merged),
        changes=tuple(merged),
    )


def _build_identity_key(change: DriftChange) -> tuple[Any, ...]:
    """Return a key that is equal for the same change found in several operations."""
    if change.old_position is None and change.new_position is None:
        return (change.rule, change.operation, change.location, change.old_value, change.new_value)
    return (
        *(change.rule, change.old_position, change.new_position, change.old_value, change.new_value),
        *(change.level, change.client_use),
    )


def count_changes_by_level(changes: Iterable[DriftChange]) -> dict[DriftLevel, int]:
    """Return the number of changes of each level, including levels without changes."""
    levels = [change.level for change in changes]
    return {level: levels.count(level) for level in DriftLevel}


def _merge_equal_changes(equal_changes: list[DriftChange]) -> DriftChange:
    first = equal_changes[0]
    operations = (name for change in equal_changes for name in (change.operation, *change.other_operations))
    others = dict.fromkeys(name for name in operations if name is not None and name != first.operation)
    return msgspec.structs.replace(first, other_operations=tuple(others))

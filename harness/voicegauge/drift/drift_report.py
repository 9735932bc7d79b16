"""Defines drift rules and reports: the changes that a comparison found, also those of official documents.

A rule that is equivalent to a check of oasdiff (https://github.com/oasdiff/oasdiff) has the same id and an equivalent
level: ERR in oasdiff is breaking here, WARN is possibly breaking, and INFO is compatible.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, final

import msgspec

from voicegauge.formats.located_yaml import Document, unescape_pointer_token
from voicegauge.model.base import Record
from voicegauge.outputs.finding_exports import (
    AcceptedFinding,
    ExportedReport,
    FileLocation,
    FindingsBaseline,
    JUnitCase,
    ReportedFinding,
    RuleDescription,
    SarifLevel,
    build_baseline,
    escape_markdown,
)
from voicegauge.outputs.result_summary import SummarizedResult
from voicegauge.printable_text import format_names

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
    """The kind of comparison in which the rule reports."""


DRIFT_RULE_BY_ID: dict[str, DriftRule] = {}
"""All rules by id. `_rule_catalogue` registers them here when `voicegauge.drift` is imported."""


def register_rules(rules: Iterable[DriftRule]) -> None:
    """Add `rules` to `DRIFT_RULE_BY_ID`."""
    for rule in rules:
        assert _RULE_ID_PATTERN.fullmatch(rule.id), f"{rule.id!r} is not kebab-case"
        assert rule.id not in DRIFT_RULE_BY_ID, f"rule {rule.id!r} is registered twice"
        DRIFT_RULE_BY_ID[rule.id] = rule


# Defines drift reports: the changes that one comparison found, each with its position in both inputs.


MAX_CHARACTERS_OF_SHOWN_VALUE = 120
"""Largest number of characters of a value in a report. Longer values are shortened, so that changes stay readable."""


class FilePosition(Record, frozen=True, kw_only=True):
    """A position in one of the compared files."""

    file: str
    """Path of the file; URL of an official document."""
    line: int | None = None
    """Line number, counted from 1; `None` for a recording, because line numbers do not help its reader."""
    pointer: str
    """JSON pointer to the value in the file."""

    def __str__(self) -> str:
        """Format the position as "file:line", which editors make a link, or as "file#pointer" if there is no line."""
        return f"{self.file}:{self.line}" if self.line else f"{self.file}#{self.pointer}"


def find_file_position(document: Document, pointer: str) -> FilePosition:
    """Return the file and line of the value at a JSON pointer; if it is missing, the line of its nearest parent."""
    position = document.find_position(pointer)
    return FilePosition(file=str(position.path), line=position.line, pointer=pointer)


class ComparedInput(Record, frozen=True, kw_only=True):
    """One of the two inputs of a comparison: a contract, a recording or a folder of recordings."""

    file: str
    """Path of the document or recording; URL of an official document."""
    title: str
    """Title of the API, as the document or the contract of the recordings states it."""
    version: str
    """The version that the document states, or the dates on which the traffic was recorded."""
    provider: str | None = None
    """Id of the provider; `None` if the document names none."""


class DriftChange(Record, frozen=True, kw_only=True):
    """A difference between the two inputs, reported by one rule."""

    rule: str
    """Id of the rule, a key of `DRIFT_RULE_BY_ID`."""
    level: DriftLevel
    """How bad the change is for clients; with `--uses`, for the one client."""
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
        # Without positions and message: lines move and sentences are reworded while a baseline is kept for months.
        parts = (self.rule, self.operation, self.location, self.old_value, self.new_value)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]

    @property
    def qualified_location(self) -> str:
        """The operations and the changed part in one text: "speak and 2 more: request body/text"."""
        location = unescape_pointer_token(self.location)
        if self.operation is None:
            return location
        return f"{format_names((self.operation, *self.other_operations), 1)}: {location}"

    @property
    def formatted_positions(self) -> str:
        """The older and the newer position, "old.yaml:3 -> new.yaml:4"; of an added or removed part, its only one."""
        return " -> ".join(str(one) for one in (self.old_position, self.new_position) if one is not None)


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
    """Format `value` as JSON on one line. The middle is left out above `MAX_CHARACTERS_OF_SHOWN_VALUE` characters."""
    text = msgspec.json.encode(value, order="deterministic").decode()
    if len(text) <= MAX_CHARACTERS_OF_SHOWN_VALUE:
        return text
    # Both ends are kept, because two values may differ at either.
    half = MAX_CHARACTERS_OF_SHOWN_VALUE // 2 - 2
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
        old_position: the position in the older input; `None` if the part is not there.
        new_position: the position in the newer input; `None` if the part is not there.
        message_values: the values that the report shows, under the keys "old" and "new". They must not contain secrets.
    """
    rule = DRIFT_RULE_BY_ID[rule_id]
    shown = {side: format_shortened_json(value) for side, value in (message_values or {}).items()}
    values = f"{shown['old']}, now {shown['new']}" if len(shown) == 2 else "".join(shown.values())
    return DriftChange(
        rule=rule_id,
        level=rule.level,
        message=f"{rule.description}: {values}" if values else rule.description,
        operation=operation_id,
        location=location,
        old_position=old_position,
        new_position=new_position,
        old_value=shown.get("old"),
        new_value=shown.get("new"),
    )


def build_report(
    comparison: DriftComparison, old_input: ComparedInput, new_input: ComparedInput, changes: Iterable[DriftChange]
) -> DriftReport:
    """Create a report with the worst changes first. A change of a component that operations share is listed once."""
    groups: dict[tuple[Any, ...], list[DriftChange]] = {}
    for change in changes:
        groups.setdefault(_build_identity_key(change), []).append(change)
    merged = [_merge_equal_changes(group) for group in groups.values()]
    levels = list(DriftLevel)
    # The sort is stable: within a level, changes stay in the order of the documents.
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
    # Without a position, nothing but operation and location tells whether two changes are about the same part.
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


# Creates and applies baselines of changes that a team has accepted, so that only new changes are reported.


def build_drift_baseline(report: DriftReport) -> FindingsBaseline:
    """Create a baseline that accepts every change of `report`, including those that a baseline already accepts."""
    return build_baseline(
        AcceptedFinding(
            fingerprint=change.fingerprint,
            rule=change.rule,
            provider=report.name,
            operation=change.operation,
            contract_pointer=change.location,
            message=change.message,
        )
        for change in (*report.changes, *report.accepted_changes)
    )


def apply_baseline(report: DriftReport, baseline: FindingsBaseline) -> DriftReport:
    """Return a copy of `report` in which the changes that `baseline` accepts are listed as accepted changes.

    `baseline` replaces a baseline that was applied to the report before.
    """
    every_change = (*report.changes, *report.accepted_changes)
    accepted, found = baseline.fingerprints, {change.fingerprint for change in every_change}
    remaining = tuple(change for change in every_change if change.fingerprint not in accepted)
    return msgspec.structs.replace(
        report,
        count_by_level=count_changes_by_level(remaining),
        changes=remaining,
        accepted_changes=tuple(change for change in every_change if change.fingerprint in accepted),
        unused_baseline_entries=tuple(
            str(entry) for entry in baseline.accepted_findings if entry.fingerprint not in found
        ),
    )


# Defines the result of comparing contracts with the official documents from which they were written.


class KnownDifference(Record, frozen=True, kw_only=True):
    """A difference for which the contract states the reason."""

    change: DriftChange
    reason: str


class LeftOutOperation(Record, frozen=True, kw_only=True):
    """An operation of the official document that the contract leaves out for a reason that it states."""

    operation: str
    """Method and path, as "POST /v1/dubbing"."""
    reason: str


class OfficialComparison(Record, frozen=True, kw_only=True):
    """The differences between one contract and the official document of its provider."""

    provider: str
    """Id of the provider."""
    source_name: str
    """Name of the official document in `x-provider.sources`."""
    url: str
    """URL or path that the document was read from."""
    contract: ComparedInput
    compared_on: str | None = None
    """The day on which the contract was last compared with the document, as the contract states it: YYYY-MM-DD."""
    official_document: ComparedInput | None = None
    """The official document; `None` if it could not be read."""
    unreadable_reason: str | None = None
    """Why the document could not be read; `None` if it was read."""
    undescribed_operations: tuple[str, ...] = ()
    """Operations of the official document that may produce speech, and that the contract neither describes nor leaves
    out for a stated reason."""
    left_out_operations: tuple[LeftOutOperation, ...] = ()
    """Operations of the official document that the contract leaves out for a stated reason."""
    described_operation_count: int = 0
    """Number of operations that the official document and the contract describe."""
    additions: tuple[DriftChange, ...] = ()
    """Facts about the operations of the contract that the official document states and the contract does not."""
    removals: tuple[DriftChange, ...] = ()
    """Facts that the contract takes from the official document, and that the document no longer states."""
    changed_values: tuple[DriftChange, ...] = ()
    """Facts that the contract takes from the official document, and that the document now states differently."""
    differences_from_other_sources: tuple[DriftChange, ...] = ()
    """Facts that the contract infers or takes from other sources, and that the official document lacks or
    contradicts."""
    known_differences: tuple[KnownDifference, ...] = ()
    """Differences that the contract explains. They are in no other list."""
    unused_explanations: tuple[str, ...] = ()
    """Reasons that the contract states for differences or operations that do not exist."""

    @property
    def differences(self) -> tuple[DriftChange, ...]:
        """All removals, changed values and additions, without `differences_from_other_sources`."""
        return (*self.removals, *self.changed_values, *self.additions)


class OfficialDriftReport(Record, frozen=True, kw_only=True):
    """Differences between contracts and official documents: what `voicegauge drift --official --json FILE` writes."""

    schema: str = "voicegauge/official-drift/2"
    comparisons: tuple[OfficialComparison, ...]

    def has_difference_at_least(self, level: DriftLevel) -> bool:
        """Whether any difference is as bad as `level` or worse for clients."""
        return any(change.level.is_at_least_as_bad_as(level) for one in self.comparisons for change in one.differences)

    @property
    def has_unread_document(self) -> bool:
        """Whether an official document could not be read."""
        return any(one.unreadable_reason is not None for one in self.comparisons)


# Renders drift reports as Markdown for a pull request or an issue.


MAX_ROWS_PER_LEVEL = 200
"""Largest number of rows per level, because GitHub rejects comments above 65,536 characters. JSON has all changes."""


def render_markdown(report: DriftReport) -> str:
    """Render one table for each level that has changes. The table of compatible changes is collapsed."""
    counts = ", ".join(f"{report.count_by_level[level]} {level.value}" for level in DriftLevel)
    lines = [
        "# API drift",
        "",
        f"{_describe_input(report.old_input)} → {_describe_input(report.new_input)}: {counts}.",
        "",
    ]
    for level, changes in groupby(report.changes, key=lambda change: change.level):
        lines += _render_section(level, list(changes))
    if report.accepted_changes:
        lines += [f"{len(report.accepted_changes)} more are accepted by the baseline.", ""]
    if not report.changes:
        lines += ["Nothing else has changed." if report.accepted_changes else "Nothing has changed.", ""]
    return "\n".join(lines)


def _describe_input(compared_input: ComparedInput) -> str:
    title, version = escape_markdown(compared_input.title), escape_markdown(compared_input.version)
    return f"{title} {version} (`{compared_input.file}`)".strip()


def _render_section(level: DriftLevel, changes: list[DriftChange]) -> list[str]:
    heading = f"{level.value.replace('-', ' ').capitalize()} ({len(changes)})"
    rows = [
        (
            escape_markdown(change.qualified_location),
            f"`{change.rule}`",
            escape_markdown(change.message),
            escape_markdown(change.formatted_positions),
        )
        for change in changes
    ]
    table = _render_table(("Location", "Rule", "Change", "File"), rows, MAX_ROWS_PER_LEVEL)
    if level is DriftLevel.COMPATIBLE:
        return ["<details>", f"<summary>{heading}</summary>", "", *table, "</details>", ""]
    return [f"## {heading}", "", *table]


def _render_table(headings: Sequence[str], rows: Sequence[tuple[str, ...]], max_rows: int) -> list[str]:
    """Return a Markdown table and an empty line; the last row counts the rows after the first `max_rows`."""
    shown = list(rows[:max_rows])
    if len(rows) > max_rows:
        more = f"and {len(rows) - max_rows} more"
        shown.append(tuple(more if heading == "Change" else "" for heading in headings))
    first_line, *lines = (f"| {' | '.join(cells)} |" for cells in (headings, *shown))
    return [first_line, f"|{'---|' * len(headings)}", *lines, ""]


# Renders the comparison with official documents as Markdown for an issue.


MAX_ROWS_PER_OFFICIAL_TABLE = 40
"""Largest number of differences per table, so that the summary of all contracts fits into an issue. JSON has all of
them."""


def render_official_markdown(report: OfficialDriftReport) -> str:
    """Render one section for each contract. Differences from other sources are in a collapsed part.

    The text has no dates and no line numbers of the official documents, so that it changes only if the differences do.
    """
    lines = ["# Contracts and official documents", ""]
    for comparison in report.comparisons:
        lines += _render_official_comparison(comparison)
    if not report.comparisons:
        lines += ["No contract names an official document.", ""]
    return "\n".join(lines)


def _render_official_comparison(comparison: OfficialComparison) -> Iterator[str]:
    yield from (f"## {escape_markdown(comparison.provider)}", "")
    if comparison.official_document is None:
        yield from (f"Not compared: {escape_markdown(comparison.unreadable_reason or '')}", "")
        return
    document = comparison.official_document
    title, version = (escape_markdown(text) for text in (document.title, document.version))
    counts = (
        f"{len(comparison.removals)} removed, {len(comparison.changed_values)} changed, "
        f"{len(comparison.additions)} added, {len(comparison.known_differences)} explained, "
        f"{len(comparison.differences_from_other_sources)} from other sources"
    )
    yield from (f"{title} {version} ({escape_markdown(comparison.url)}): {counts}.", "")
    yield from _render_official_table("Removed: the official document no longer has it", comparison.removals)
    yield from _render_official_table("Changed: the official document states something else", comparison.changed_values)
    yield from _render_official_table("Added: the contract does not have it", comparison.additions)
    if comparison.undescribed_operations:
        operations = ", ".join(escape_markdown(name) for name in comparison.undescribed_operations)
        yield from (f"Operations that may produce speech and are not in the contract: {operations}.", "")
    for reason, count in Counter(one.reason for one in comparison.left_out_operations).items():
        yield from (f"Left out of the contract ({count}): {escape_markdown(reason)}", "")
    for reason in comparison.unused_explanations:
        yield from (f"The contract explains a difference that does not exist: {escape_markdown(reason)}", "")
    if comparison.differences_from_other_sources:
        yield from ("<details>", "<summary>Stated by the contract from other sources</summary>", "")
        yield from _render_official_table("", comparison.differences_from_other_sources)
        yield from ("</details>", "")


def _render_official_table(heading: str, changes: Sequence[DriftChange]) -> Iterator[str]:
    if not changes:
        return
    if heading:
        yield from (f"### {heading}", "")
    rows = []
    for change in changes:
        position = change.old_position
        # The folder and the file, which are the same on every machine.
        line = "" if position is None else f"{'/'.join(Path(position.file).parts[-2:])}:{position.line}"
        rows.append(tuple(map(escape_markdown, (change.qualified_location, change.message, line))))
    yield from _render_table(("Location", "Change", "Contract"), list(dict.fromkeys(rows)), MAX_ROWS_PER_OFFICIAL_TABLE)


# Converts drift reports to the model from which JUnit XML, SARIF and GitHub annotations are written.


SARIF_LEVEL_BY_DRIFT_LEVEL = {
    DriftLevel.BREAKING: SarifLevel.ERROR,
    DriftLevel.POSSIBLY_BREAKING: SarifLevel.WARNING,
    DriftLevel.COMPATIBLE: SarifLevel.NOTE,
}


def export_drift_report(report: DriftReport, fail_on: DriftLevel = DriftLevel.BREAKING) -> ExportedReport:
    """Convert `report`. The title of the API becomes the name of the test suite.

    A report without changes becomes one passed case, because CI servers treat a test suite without cases as an error.

    Args:
        report: the drift report.
        fail_on: the level from which changes count as failures. Worse levels count too.
    """
    suite_name = report.name
    unchanged = JUnitCase(api_name=suite_name, subject=suite_name, case_name="nothing has changed")
    return ExportedReport(
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        findings=tuple(
            _build_reported_finding(change, suite_name, fails_command=change.level.is_at_least_as_bad_as(fail_on))
            for change in report.changes
        ),
        accepted_findings=tuple(
            _build_reported_finding(change, suite_name, fails_command=False) for change in report.accepted_changes
        ),
        cases=() if report.changes else (unchanged,),
        rules=tuple(
            RuleDescription(
                id=rule.id,
                default_level=SARIF_LEVEL_BY_DRIFT_LEVEL[rule.level],
                summary=rule.description,
                explanation=rule.description,
            )
            for rule in DRIFT_RULE_BY_ID.values()
        ),
    )


def _build_reported_finding(change: DriftChange, test_suite_name: str, *, fails_command: bool) -> ReportedFinding:
    # A position with a line comes first, because annotations need a line. Contracts have lines, recordings do not.
    positions = [position for position in (change.new_position, change.old_position) if position is not None]
    positions.sort(key=lambda position: position.line is None)
    first, second = (*positions, None, None)[:2]
    return ReportedFinding(
        rule=change.rule,
        level=SARIF_LEVEL_BY_DRIFT_LEVEL[change.level],
        severity=change.level.value,
        message=f"{change.qualified_location}: {change.message}",
        api_name=test_suite_name,
        operation=change.operation,
        location=_build_file_location(first),
        related_location=_build_file_location(second),
        extra_lines=(change.formatted_positions,) if change.formatted_positions else (),
        fingerprint=change.fingerprint,
        fails_command=fails_command,
        sarif_properties={
            "location": change.location,
            "old_value": change.old_value,
            "new_value": change.new_value,
            "old_pointer": change.old_position.pointer if change.old_position else None,
            "new_pointer": change.new_position.pointer if change.new_position else None,
            "other_operations": list(change.other_operations) or None,
        },
    )


def _build_file_location(position: FilePosition | None) -> FileLocation | None:
    return None if position is None else FileLocation(file=position.file, line=position.line)

"""Renders the findings of `check` or the changes of `drift` as one HTML page, and finds those about one target."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from voicegauge.conformance.check_report import CheckReport, export_check_report
from voicegauge.conformance.coverage import CoverageEntry
from voicegauge.drift.drift_report import ComparedInput, DriftChange, DriftLevel, DriftReport, export_drift_report
from voicegauge.errors import DataError, UsageError
from voicegauge.files import read_file
from voicegauge.model.base import Finding, Provenance, Severity
from voicegauge.outputs.finding_exports import FileLocation, ReportedFinding, RuleDescription, SarifLevel
from voicegauge.printable_text import describe_repetitions, format_count, format_names
from voicegauge.report.scored_clips import ClipPlayer
from voicegauge.report.text_format import render_template, shorten_to_one_line

# Renders the page of findings: what to do first, each finding with its evidence, and what was tried.


STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "findings.css", "media.css")
"""Files of the style sheet of the page, in order."""
SCRIPT_FILES = ("start.js", "fragment.js", "players.js", "findings.js")
"""Files of the script of the page, in order; they share one scope."""
MAX_SHOWN_TEXT_CHARACTERS = 700
"""Number of characters shown of each text of a finding, so that 500 findings are less than a megabyte."""
CONTEXT_LINE_COUNT = 1
"""Number of lines shown before and after the violated line of a contract."""


class SourceLine(NamedTuple):
    """One line of a contract, and whether it is the violated one."""

    line_number: int
    text: str
    is_violated: bool


class PageFinding(NamedTuple):
    """One finding as the page shows it."""

    anchor: str
    """HTML id of the part of the page about the finding."""
    finding: ReportedFinding
    group_title: str
    """Title of the group in which the page shows the finding, such as "Fix first"."""
    requirement: str
    """The sentence that states what the rule requires."""
    rule_basis: str
    """The document or standard on which the rule is based; empty if the requirement says it."""
    facts: tuple[tuple[str, str], ...]
    """Pairs of a label and a text, such as expected and received, or the older and the newer value."""
    location: str
    """File and line of the violated part of the contract; empty if the finding names none."""
    source_lines: tuple[SourceLine, ...]
    """The violated line of the contract with its neighbours; empty if the file cannot be read."""
    reproduction_command: str
    """Shell command that shows the finding again; empty if there is none."""
    player: ClipPlayer | None = None
    """The audio that the finding is about; `None` if there is none."""


class CoverageRow(NamedTuple):
    """How much of what the contract documents about one operation was tested. One row counts the rules instead."""

    operation: str
    """Id of the operation; "rules" for the row about the rules."""
    tried_count: int
    """Number of documented statements that were tried."""
    total_count: int
    """Number of documented statements."""
    untried_statements: tuple[str, ...]
    """The documented statuses, job states and constraints, or the rules, that were not tested, at most
    `_MAX_UNTRIED_STATEMENTS_SHOWN`, each with the reason: "status 429: the service never sent it"."""


class FindingsPage(NamedTuple):
    """The content of the page."""

    title: str
    headline: str
    """The result in a sentence."""
    subtitle: str
    """What was exchanged and when, or what was compared."""
    is_emulated: bool
    """Whether the emulator sent all responses."""
    findings: tuple[PageFinding, ...]
    accepted_finding_count: int
    """Number of findings that are left out because a baseline accepts them."""
    cautions: tuple[str, ...] = ()
    """Sentences that say why the result may not hold."""
    coverage: tuple[CoverageRow, ...] = ()
    unjudged_cases_and_inputs: tuple[tuple[str, str], ...] = ()
    """Cases and inputs that were not judged, each with its reason."""


def render_findings_page(page: FindingsPage) -> str:
    """Render `page` as HTML that needs no other file and no network."""
    groups: dict[str, list[PageFinding]] = {}
    for finding in page.findings:
        groups.setdefault(finding.group_title, []).append(finding)
    return render_template(
        "findings.html.j2", STYLE_SHEET_FILES, SCRIPT_FILES, page=page, groups=groups, cut=_shorten_text
    )


def _shorten_text(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_TEXT_CHARACTERS else f"{text[:MAX_SHOWN_TEXT_CHARACTERS].rstrip()} …"


def format_location(location: FileLocation | None) -> str:
    """Return a location as "file:line"; the path is relative if the file is below the working folder.

    Empty for `None`.
    """
    if location is None:
        return ""
    return str(FileLocation(file=location.make_path_relative_to(Path.cwd()) or location.file, line=location.line))


def read_source_lines(location: FileLocation | None) -> tuple[SourceLine, ...]:
    """Return the violated line of a file and its neighbours; empty if the file cannot be read, or there is no location.

    The location, or its line, is `None` if the finding is not about a line of a file.
    """
    if location is None or location.line is None:
        return ()
    lines = _read_lines(location.file)
    first = max(location.line - 1 - CONTEXT_LINE_COUNT, 0)
    return tuple(
        SourceLine(number, shorten_line(lines[number - 1]), number == location.line)
        for number in range(first + 1, min(location.line + CONTEXT_LINE_COUNT, len(lines)) + 1)
    )


def shorten_line(text: str) -> str:
    """Shorten a line of a file, but keep its indentation."""
    indentation = text[: len(text) - len(text.lstrip())].expandtabs(2)
    return indentation + shorten_to_one_line(text, 160)


@cache  # hundreds of findings may be about one file
def _read_lines(file: str) -> Sequence[str]:
    try:
        return read_file(Path(file)).decode("utf-8", errors="replace").splitlines()
    # The contract may be gone: the finding is shown without its lines.
    except (OSError, UsageError):
        return ()


# Builds the page of findings of a check.


_GROUP_TITLE_BY_SEVERITY = {
    "error": "Fix first: the API breaks its contract",
    "warning": "Then look at: probably wrong",
    "disputed": "Decide: the documents contradict each other",
    "info": "Good to know",
}
"""Titles of the groups of findings by severity; the most urgent group comes first."""
_MAX_UNTRIED_STATEMENTS_SHOWN = 12
"""Largest number of untested properties (such as a status or state) that are listed for each operation."""


def build_check_page(report: CheckReport, *, fail_on_warnings: bool = False) -> FindingsPage:
    """Return the content of the page about a check.

    Args:
        report: the report of the check.
        fail_on_warnings: whether warnings are failures.
    """
    exported = export_check_report(report, fail_on_warnings=fail_on_warnings)
    rules = {rule.id: rule for rule in exported.rules}
    players = {
        (one.fingerprint, one.severity.value): ClipPlayer(
            data_uri=f"data:audio/mpeg;base64,{base64.b64encode(clip.data).decode()}",
            note=f"Re-encoded as MP3, at most 5 s from {clip.start_s:g} s on; "
            f"the audio has {clip.audio_duration_s:g} s.",
        )
        for one in report.findings
        if (clip := one.clip)
    }
    missing_judgements = report.no_verdict_reason or report.partly_judged_reason or ""
    cautions = (
        report.stop_message,
        report.doubt_reason,
        report.todo_notice,
        # The page has the list to which the sentence refers.
        missing_judgements.replace("see --json", "listed below"),
        describe_repetitions(report.repetition_count_by_status),
        report.emulator_notice,
    )
    order = list(_GROUP_TITLE_BY_SEVERITY)
    findings = sorted(exported.findings, key=lambda one: (order.index(one.severity), -one.occurrence_count))
    return FindingsPage(
        title=f"Check of {format_names(report.targets, 3)}",
        headline=_describe_check_result(report, findings),
        subtitle=f"{sum(report.exchange_count_by_provenance.values()):,} exchanges · {report.created_at[:10]}",
        is_emulated=Provenance.EMULATED in report.exchange_count_by_provenance
        and Provenance.LIVE not in report.exchange_count_by_provenance,
        cautions=tuple(caution for caution in cautions if caution),
        findings=tuple(
            _build_page_finding(
                one, rules[one.rule], number, _GROUP_TITLE_BY_SEVERITY[one.severity], _list_check_facts(one)
            )._replace(player=players.get((one.fingerprint, one.severity)))
            for number, one in enumerate(findings)
        ),
        accepted_finding_count=len(report.accepted_findings),
        coverage=_summarize_coverage(report.coverage),
        unjudged_cases_and_inputs=(
            *report.not_judged_reason_by_name.items(),
            *report.left_out_reason_by_target.items(),
            *report.unmatched_request_reason_by_name.items(),
            *(
                (case.id, case.not_judged_reason or "no verdict")
                for case in report.case_results
                if case.verdict == "skipped"
            ),
        ),
    )


def _describe_check_result(report: CheckReport, findings: list[ReportedFinding]) -> str:
    counts = {level: sum(one.level is level for one in findings) for level in SarifLevel}
    operations = format_count(len(report.contract_operations), "operation")
    tried = _describe_coverage(report.coverage)
    if not findings:
        return f"No finding in {operations}.{tried}"
    levels = (SarifLevel.ERROR, SarifLevel.WARNING, SarifLevel.NOTE)
    parts = [format_count(counts[level], level.value) for level in levels if counts[level]]
    return f"{', '.join(parts)} in {operations}.{tried}"


def _describe_coverage(entries: tuple[CoverageEntry, ...]) -> str:
    applied = [entry for entry in entries if entry.is_applicable]
    total = sum(entry.goal_count for entry in applied)
    if not total:
        return ""
    tried = sum(entry.reached_goal_count for entry in applied)
    return f" {tried:,} of {format_count(total, 'statement')} of the contracts and rules were tried."


def _list_check_facts(finding: ReportedFinding) -> Iterator[tuple[str, Any]]:
    seen = finding.sarif_properties
    yield "Expected and received", finding.message
    for rule, text in (seen.get("same_cause_messages") or {}).items():
        yield "Violated too", f"{rule}: {text}"
    yield "Also in", seen.get("other_operations")
    yield "Evidence", seen.get("evidence")
    yield "Where in the traffic", seen.get("traffic_pointer")
    yield "The other reading", seen.get("satisfied_claim")
    yield "Case", seen.get("case_id")


def _build_page_finding(
    finding: ReportedFinding,
    rule: RuleDescription,
    finding_number: int,
    group_title: str,
    facts: Iterable[tuple[str, Any]],
) -> PageFinding:
    """Return a finding as the page shows it; of `facts`, pairs of a label and a value, those with a value are shown."""
    requirement, _, basis = rule.explanation.partition("\n\nBased on: ")
    return PageFinding(
        # The same in every check, so that links stay valid, unless nothing identifies the finding.
        anchor=f"finding-{finding.fingerprint or finding_number}",
        finding=finding,
        group_title=group_title,
        requirement=requirement,
        rule_basis=basis,
        facts=tuple((label, str(value)) for label, value in facts if value),
        location=format_location(finding.location),
        source_lines=read_source_lines(finding.location),
        reproduction_command=str(finding.sarif_properties.get("reproduction_command") or ""),
    )


def _summarize_coverage(entries: tuple[CoverageEntry, ...]) -> tuple[CoverageRow, ...]:
    by_operation: dict[str, list[CoverageEntry]] = defaultdict(list)
    for entry in entries:
        if entry.is_applicable:
            # Rules concern all operations, so that they have a row of their own.
            by_operation["" if entry.kind == "rule" else entry.operation_or_provider].append(entry)
    rules = by_operation.pop("", [])
    rows = [_build_coverage_row(operation, group) for operation, group in sorted(by_operation.items())]
    if rules:
        rows.append(_build_coverage_row("rules", rules))
    return tuple(rows)


def _build_coverage_row(operation: str, entries: list[CoverageEntry]) -> CoverageRow:
    missing = [f"{entry.kind} {entry.name}: {entry.untried_reason}" for entry in entries if entry.untried_reason]
    return CoverageRow(
        operation=operation,
        tried_count=sum(entry.reached_goal_count for entry in entries),
        total_count=sum(entry.goal_count for entry in entries),
        untried_statements=tuple(missing[:_MAX_UNTRIED_STATEMENTS_SHOWN]),
    )


# Builds the page of changes of a comparison with `drift`.


_GROUP_TITLE_BY_DRIFT_LEVEL = {
    DriftLevel.BREAKING.value: "Adapt first: breaks clients",
    DriftLevel.POSSIBLY_BREAKING.value: "Then look at: may break clients",
    DriftLevel.COMPATIBLE.value: "Good to know: clients keep working",
}
"""Titles of the groups of changes by level; the most urgent group comes first."""


def build_drift_page(report: DriftReport, *, fail_on: DriftLevel = DriftLevel.BREAKING) -> FindingsPage:
    """Return the content of the page about a comparison by `drift`.

    Args:
        report: the report of the comparison.
        fail_on: the mildest level that is a failure.
    """
    exported = export_drift_report(report, fail_on)
    rules = {rule.id: rule for rule in exported.rules}
    return FindingsPage(
        title=f"Changes of {report.name}",
        headline=_describe_drift_result(report),
        subtitle=f"{_describe_input(report.old_input)} → {_describe_input(report.new_input)}",
        is_emulated=False,
        findings=tuple(
            _build_page_finding(
                one, rules[one.rule], number, _GROUP_TITLE_BY_DRIFT_LEVEL[one.severity], _list_change_facts(one)
            )
            for number, one in enumerate(exported.findings)
        ),
        accepted_finding_count=len(report.accepted_changes),
    )


def _describe_input(compared_input: ComparedInput) -> str:
    return f"{compared_input.file} ({compared_input.version})"


def _describe_drift_result(report: DriftReport) -> str:
    counts_by_level = [(level, count) for level, count in report.count_by_level.items() if count]
    if not counts_by_level:
        return "Nothing has changed."
    counts = [f"{count} {level.value.replace('-', ' ').replace('_', ' ')}" for level, count in counts_by_level]
    return f"{', '.join(counts)} change{'' if counts_by_level[-1][1] == 1 else 's'}."


def _list_change_facts(finding: ReportedFinding) -> Iterator[tuple[str, Any]]:
    yield "Change", finding.message
    yield "Before", finding.sarif_properties.get("old_value")
    yield "Now", finding.sarif_properties.get("new_value")
    yield "Before, in", finding.related_location
    for line in finding.extra_lines:
        if line != finding.message and "->" not in line:
            yield "Note", line


# Finds the findings of `check` and the changes of `drift` that concern one target of a benchmark.


ResultT = TypeVar("ResultT", CheckReport, DriftReport)

MAX_LISTED_FINDINGS_OR_CHANGES = 20
"""Largest number of findings, and of changes, that are listed for each target."""


class CheckAndDriftReports(NamedTuple):
    """Saved results of `check --json` and `drift --json`, which a report shows with the targets that they concern."""

    check_reports: tuple[CheckReport, ...] = ()
    drift_reports: tuple[DriftReport, ...] = ()


NO_CHECK_AND_DRIFT_REPORTS = CheckAndDriftReports()
"""No saved results, for a report that shows none."""


class TargetCheck(NamedTuple):
    """The findings of one check that concern one target."""

    date: str
    """Day of the check: UTC, ISO 8601."""
    is_emulated: bool
    """Whether the emulator sent any of the responses."""
    findings: tuple[Finding, ...]
    """Findings about the target or its whole provider, most severe first."""
    unlisted_finding_count: int
    """Number of findings that are not listed."""


class TargetDrift(NamedTuple):
    """The changes of one comparison that concern the provider of a target."""

    old_document: str
    """Version of the older document or recording, or the name of its file if it has no version."""
    new_document: str
    """Version of the newer document or recording, or the name of its file if it has no version."""
    changes: tuple[DriftChange, ...]
    """The changes, worst first."""
    unlisted_change_count: int
    """Number of changes that are not listed."""


def load_check_and_drift_reports(check_files: Sequence[Path], drift_files: Sequence[Path]) -> CheckAndDriftReports:
    """Load what `check --json` and `drift --json` have written.

    Raises:
        DataError: a file cannot be read, or is not such a result.
    """
    return CheckAndDriftReports(
        tuple(_load_report(file, CheckReport, "voicegauge check --json") for file in check_files),
        tuple(_load_report(file, DriftReport, "voicegauge drift --json") for file in drift_files),
    )


class _ResultSchemaHeader(msgspec.Struct):
    """The `schema` of a JSON file, which names the command and version that wrote it."""

    schema: str = ""


def _load_report(file: Path, result_type: type[ResultT], command: str) -> ResultT:
    try:
        content = read_file(file)
        # Before the rest, which would fail at some field of a result of another command.
        schema = msgspec.json.decode(content, type=_ResultSchemaHeader).schema
        expected = str(next(field.default for field in msgspec.structs.fields(result_type) if field.name == "schema"))
        if schema != expected:
            raise DataError(f"{file}: is not a result of `{command}`: its schema is {schema!r}, not {expected!r}")
        return msgspec.json.decode(content, type=result_type)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{file}: is not a result of `{command}`: {error}") from error


def find_target_checks(check_and_drift_reports: CheckAndDriftReports, target_id: str) -> tuple[TargetCheck, ...]:
    """Return the findings about a target, for each check that sent something to the target's provider."""
    provider = target_id.partition("/")[0]
    target_checks = []
    for report in check_and_drift_reports.check_reports:
        if not any(name.startswith(f"{provider}/") for name in (*report.operations, *report.targets)):
            continue
        findings = sorted(
            (
                one
                for one in report.findings
                if one.where.provider == provider and one.where.target in (None, target_id)
            ),
            key=lambda one: (_DISPLAY_ORDER_OF_SEVERITIES.index(one.severity), one.where.target != target_id),
        )
        target_checks.append(
            TargetCheck(
                date=report.created_at[:10],
                is_emulated=Provenance.EMULATED in report.exchange_count_by_provenance,
                findings=tuple(findings[:MAX_LISTED_FINDINGS_OR_CHANGES]),
                unlisted_finding_count=max(len(findings) - MAX_LISTED_FINDINGS_OR_CHANGES, 0),
            )
        )
    return tuple(target_checks)


_DISPLAY_ORDER_OF_SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)
"""The severities in the order in which findings are shown."""


def find_target_drifts(check_and_drift_reports: CheckAndDriftReports, target_id: str) -> tuple[TargetDrift, ...]:
    """Return the changes of a target's provider, for each comparison of its documents or traffic."""
    provider = target_id.partition("/")[0]
    return tuple(
        TargetDrift(
            old_document=report.old_input.version or report.old_input.file,
            new_document=report.new_input.version or report.new_input.file,
            changes=report.changes[:MAX_LISTED_FINDINGS_OR_CHANGES],
            unlisted_change_count=max(len(report.changes) - MAX_LISTED_FINDINGS_OR_CHANGES, 0),
        )
        for report in check_and_drift_reports.drift_reports
        if provider in (report.old_input.provider, report.new_input.provider)
    )

"""Findings as JUnit XML, SARIF, annotations and badges, without those that a baseline accepts.

In JUnit XML, each provider or API becomes a test suite. Its test cases come in this order: first the passed cases, then
one case per operation and rule with findings, then the skipped cases.

Annotations are workflow commands of GitHub Actions (`::error file=...::message`): %, CR and LF are escaped in the
message, ":" and "," in the properties too. GitHub shows only the first ten annotations of each level in a step.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import msgspec

from voicegauge.errors import DataError
from voicegauge.files import find_bundled_folder, read_file
from voicegauge.model.base import Record
from voicegauge.printable_text import escape_unprintable
from voicegauge.version import __version__

# Writes a result in a few words as an SVG badge, for a README or a dashboard.


BadgeVerdict = Literal["passed", "failed", "not-judged"]

_COLOR_BY_VERDICT: dict[BadgeVerdict, str] = {"passed": "#256f3a", "failed": "#9a1b1b", "not-judged": "#55606b"}
"""Background colors; white text has a contrast of at least 5:1 on each of them."""
_BADGE_CHARACTER_WIDTH_PX = 6.6
"""Average width in pixels of a character of Verdana with a size of 11 pixels."""
_BADGE_PADDING_PX = 12
"""Space beside a text, in pixels, on both sides together."""


def format_badge_svg(label: str, result_text: str, verdict: BadgeVerdict) -> str:
    """Return an SVG image with a label and a result.

    Args:
        label: what was judged.
        result_text: the result in a few words.
        verdict: determines the color.
    """
    label, result_text = escape_unprintable(label), escape_unprintable(result_text)
    widths = [round(len(text) * _BADGE_CHARACTER_WIDTH_PX) + _BADGE_PADDING_PX for text in (label, result_text)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths)}" height="20" role="img" '
        f"aria-label={quoteattr(f'{label}: {result_text}')}>\n"
        f"<title>{escape(f'{label}: {result_text}')}</title>\n"
        f'<rect width="{sum(widths)}" height="20" rx="3" fill="{_COLOR_BY_VERDICT[verdict]}"/>\n'
        f'<path d="M3 0h{widths[0] - 3}v20h-{widths[0] - 3}a3 3 0 0 1-3-3v-14a3 3 0 0 1 3-3z" fill="#30363d"/>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\n'
        f'<text x="{widths[0] / 2:g}" y="14">{escape(label)}</text>\n'
        f'<text x="{widths[0] + widths[1] / 2:g}" y="14">{escape(result_text)}</text>\n'
        "</g>\n</svg>\n"
    )


# Reads and writes baselines: findings that a team knows and accepts, so that a command reports only new ones.


class AcceptedFinding(Record, frozen=True, kw_only=True):
    """One accepted finding. Only the fingerprint is compared; the other fields are for readers of the file."""

    fingerprint: str
    rule: str
    """Id of the rule."""
    provider: str
    operation: str | None = None
    """Id of the operation; `None` if the finding is about no single operation."""
    contract_pointer: str | None = None
    """JSON pointer to the statement of the contract that was violated; for drift, to the changed part of the contract.
    `None` if no statement is known."""
    body_pointer: str | None = None
    """JSON pointer to the part of the body that the finding is about; `None` if it is not about a part of a body."""
    message: str
    """One sentence that states the violation, from the time at which the baseline was written."""

    def __str__(self) -> str:
        """Format the finding as one line, for the note about an accepted finding that no longer occurs.

        The fingerprint finds the entry in the file: entries of one operation may differ in nothing else.
        """
        return f"{self.rule} {self.provider}/{self.operation or ''}: {self.message} ({self.fingerprint})"


class FindingsBaseline(Record, frozen=True, kw_only=True):
    """The content of a baseline file: the findings that a user has accepted."""

    schema: Literal["voicegauge/baseline/1"] = "voicegauge/baseline/1"
    accepted_findings: tuple[AcceptedFinding, ...] = ()

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all accepted findings."""
        return frozenset(entry.fingerprint for entry in self.accepted_findings)


def build_baseline(accepted_findings: Iterable[AcceptedFinding]) -> FindingsBaseline:
    """Build a baseline with one accepted finding per fingerprint, sorted so that a rewritten file has a small diff."""
    # Findings of different severities may have one fingerprint.
    by_fingerprint = {entry.fingerprint: entry for entry in accepted_findings}
    ordered = sorted(by_fingerprint.values(), key=lambda e: (e.provider, e.operation or "", e.rule, e.fingerprint))
    return FindingsBaseline(accepted_findings=tuple(ordered))


def load_baseline(path: Path) -> FindingsBaseline:
    """Read a baseline file.

    Raises:
        DataError: the file cannot be read, or is not a baseline of this version.
    """
    try:
        return msgspec.json.decode(read_file(path), type=FindingsBaseline)
    except FileNotFoundError as error:
        raise DataError(f"the baseline {path} does not exist: write it with --write-baseline {path}") from error
    except OSError as error:
        raise DataError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = _describe_other_kind_of_result(path) or f"is not a valid baseline: {error}"
        raise DataError(f"{path} {what}; write one with `--write-baseline FILE` instead of `--baseline`") from error


class _ResultSchemaHeader(msgspec.Struct):
    """The field that every JSON result of voicegauge has."""

    schema: str
    """Name and version of the format of the file, such as "voicegauge/check/2"."""


def _describe_other_kind_of_result(path: Path) -> str:
    """Return which other JSON of voicegauge a file contains, in words; empty if it contains none."""
    try:
        schema = msgspec.json.decode(read_file(path), type=_ResultSchemaHeader).schema
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    kind = re.fullmatch(r"voicegauge/([a-z-]+)/\d+", schema)
    if kind is None or kind[1] == "baseline":
        return ""
    return f"is a result of another kind ({schema}, as --json writes it), not a baseline"


# Defines the report from which JUnit XML, SARIF and GitHub annotations are written.


class SarifLevel(StrEnum):
    """Severity of a finding, as the property `level` of SARIF names it. The most severe level comes first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    """GitHub calls this level "notice"."""


class FileLocation(Record, frozen=True, kw_only=True):
    """A file, or one line of a file."""

    file: str
    line: int | None = None
    """Line number, counted from 1; `None` if the location is the file as a whole."""

    def __str__(self) -> str:
        """Format the location as compilers do: "file:line", or only the file if there is no line."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def make_path_relative_to(self, folder: Path) -> str | None:
        """Return the path of the file relative to `folder`, with slashes; `None` if the file is outside of `folder`."""
        path, folder = Path(self.file).resolve(), folder.resolve()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


class ReportedFinding(Record, frozen=True, kw_only=True):
    """One finding of any command, in the form that all output formats read."""

    rule: str
    """Id of the rule."""
    level: SarifLevel
    """Severity in the terms of SARIF, which all formats derive their own from."""
    severity: str
    """Severity as the command's own report names it, such as "disputed" or "breaking"."""
    message: str
    """One sentence that states the violation."""
    further_occurrence_messages: tuple[str, ...] = ()
    """Messages of further occurrences that differ from `message`, each with its number of occurrences."""
    api_name: str
    """Name of the provider, or of the API, that the finding is about."""
    operation: str | None = None
    """Id of the operation that the finding is about; `None` if the finding is about no single operation."""
    location: FileLocation | None = None
    """The file and line at which the finding is shown; `None` if it is not about a place in a file."""
    related_location: FileLocation | None = None
    """The corresponding file and line in the other of two compared inputs; `None` if there was no comparison."""
    extra_lines: tuple[str, ...] = ()
    """Lines that the detailed output shows after the message and the location."""
    command: str | None = None
    """Shell command that shows the finding again; `None` if there is none. `extra_lines` contain it too."""
    occurrence_count: int = 1
    """Number of times that the finding occurred."""
    fingerprint: str
    """Id of the finding that stays the same from run to run."""
    fails_command: bool
    """Whether the finding makes the command fail."""
    sarif_properties: Mapping[str, Any] = {}
    """Additional properties of the finding in SARIF. Properties with the value `None` are left out."""

    @property
    def operation_path(self) -> str:
        """Name of the provider or API and, if the finding is about one operation, its id: "acme/speak"."""
        return f"{self.api_name}/{self.operation}" if self.operation else self.api_name

    @property
    def detailed_text(self) -> str:
        """The message, the location and the additional lines, each on its own line."""
        occurrences = f" ({self.occurrence_count} times)" if self.occurrence_count > 1 else ""
        location = [] if self.location is None else [f"at {self.location}"]
        return "\n".join(
            (f"{self.message}{occurrences}", *self.further_occurrence_messages, *location, *self.extra_lines)
        )


class JUnitCase(Record, frozen=True, kw_only=True):
    """A JUnit test case that has no finding because it passed or was skipped."""

    api_name: str
    subject: str
    """What the case is about, usually a provider and an operation: "acme/speak"."""
    case_name: str
    skip_reason: str | None = None
    """The reason why the case has no verdict; `None` if the case passed."""


class RuleDescription(Record, frozen=True, kw_only=True):
    """The description of a rule in SARIF."""

    id: str
    default_level: SarifLevel
    """Default level of the rule's findings."""
    summary: str
    """One sentence that states what the rule requires."""
    explanation: str
    """A longer explanation of the rule."""


class ExportedReport(Record, frozen=True, kw_only=True):
    """Findings, cases and rules of one report, in a form that is the same for all commands."""

    created_at: str
    """The time at which the report was created: UTC in ISO 8601."""
    is_finished: bool = True
    """Whether the run ended by itself and was not interrupted."""
    stop_message: str | None = None
    """Why the run ended early, such as "interrupted"; `None` if it did not."""
    findings: tuple[ReportedFinding, ...]
    """Findings that no baseline accepts, most severe first."""
    accepted_findings: tuple[ReportedFinding, ...] = ()
    """Findings that a baseline accepts; `findings` does not contain them."""
    cases: tuple[JUnitCase, ...] = ()
    rules: tuple[RuleDescription, ...]
    """All rules that `findings` and `accepted_findings` refer to. Other rules may be listed too."""
    unmet_limits: Mapping[str, str] = {}
    """What else makes the command fail: a sentence for each option, such as `--fail-under`, by its name."""


# Writes findings as JUnit XML, which Jenkins, GitLab and other CI servers read.


_INVALID_XML_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain, not even escaped (section 2.2)."""


def format_junit_xml(report: ExportedReport) -> str:
    """Return `report` as JUnit XML. Findings that do not make the command fail are written as `system-out`."""
    root = ET.Element("testsuites", name="voicegauge")
    names = [*(case.api_name for case in report.cases), *(finding.api_name for finding in report.findings)]
    for name in dict.fromkeys(names):
        _add_junit_suite(root, report, name, list(_build_case_elements(report, name)))
    if report.unmet_limits:
        _add_junit_suite(root, report, "voicegauge", list(_build_unmet_limit_elements(report)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add_junit_suite(root: ET.Element, report: ExportedReport, name: str, cases: list[ET.Element]) -> None:
    failures = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    counts = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": skipped}
    suite = ET.SubElement(
        root, "testsuite", {"name": _replace_invalid_characters(name), **{k: str(v) for k, v in counts.items()}}
    )
    suite.set("timestamp", report.created_at.partition("+")[0])  # the JUnit schema allows no UTC offset
    # Required by the schema. Cases have no times of their own: several rules judge the same request.
    suite.set("time", "0")
    suite.extend(cases)


def _build_unmet_limit_elements(report: ExportedReport) -> Iterator[ET.Element]:
    for option, message in report.unmet_limits.items():
        element = _build_case_element("voicegauge", option)
        ET.SubElement(element, "failure", message=_replace_invalid_characters(message), type="error")
        yield element


def _build_case_elements(report: ExportedReport, api_name: str) -> Iterator[ET.Element]:
    cases = [case for case in report.cases if case.api_name == api_name]
    for case in cases:
        if case.skip_reason is None:
            yield _build_case_element(case.subject, case.case_name)
    findings = (finding for finding in report.findings if finding.api_name == api_name)
    ordered = sorted(findings, key=lambda finding: (finding.operation_path, finding.rule))
    for (subject, rule), group in groupby(ordered, key=lambda finding: (finding.operation_path, finding.rule)):
        yield _add_findings_to_case(_build_case_element(subject, rule), list(group))
    for case in cases:
        if case.skip_reason is not None:
            element = _build_case_element(case.subject, case.case_name)
            ET.SubElement(element, "skipped", message=_replace_invalid_characters(case.skip_reason))
            yield element


def _build_case_element(case_subject: str, case_name: str) -> ET.Element:
    # CI servers group test cases by the dots of the class name.
    return ET.Element(
        "testcase",
        classname=_replace_invalid_characters(case_subject.replace("/", ".")),
        name=_replace_invalid_characters(case_name),
        time="0",
    )


def _add_findings_to_case(case_element: ET.Element, findings: list[ReportedFinding]) -> ET.Element:
    failing = [finding for finding in findings if finding.fails_command]
    if failing:
        failure = ET.SubElement(
            case_element, "failure", message=_replace_invalid_characters(failing[0].message), type=failing[0].severity
        )
        failure.text = _join_detailed_texts(failing)
    others = [finding for finding in findings if not finding.fails_command]
    if others:
        ET.SubElement(case_element, "system-out").text = _join_detailed_texts(others)
    return case_element


def _join_detailed_texts(findings: Iterable[ReportedFinding]) -> str:
    return _replace_invalid_characters(
        "\n\n".join(f"{finding.severity}: {finding.detailed_text}" for finding in findings)
    )


def _replace_invalid_characters(text: str) -> str:
    return _INVALID_XML_CHARACTERS.sub("\ufffd", text)


# Escapes untrusted text for GitHub's Markdown.


def escape_markdown(text: str) -> str:
    """Escape untrusted text so that it stays in one table cell, without markup, mentions or line breaks."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|#!~$":
        plain = plain.replace(mark, f"\\{mark}")
    # A backslash does not stop an @mention from notifying a user; a zero-width space does.
    return plain.replace("@", "@\u200b")


# Writes findings for GitHub Actions: as annotations, which workflow commands create, and as a job summary.


_WORKFLOW_COMMAND_BY_SARIF_LEVEL = {SarifLevel.ERROR: "error", SarifLevel.WARNING: "warning", SarifLevel.NOTE: "notice"}
"""Names of the workflow commands that create annotations, by the level of the finding."""


def format_workflow_commands(report: ExportedReport, repository_folder: Path) -> str:
    """Return one workflow command per finding, each on its own line, most severe first.

    Args:
        report: the report with the findings.
        repository_folder: the folder of the checkout. GitHub cannot show files outside of it, so only the message
            names them.
    """
    lines = []
    for finding in report.findings:
        properties = {"title": f"{finding.rule} {finding.operation_path}"}
        location = finding.location
        file = location.make_path_relative_to(repository_folder) if location else None
        if file is not None:
            line = {} if location is None or location.line is None else {"line": str(location.line)}
            properties = {"file": file, **line, **properties}
        encoded = ",".join(f"{name}={escape_workflow_command_property(value)}" for name, value in properties.items())
        command = _WORKFLOW_COMMAND_BY_SARIF_LEVEL[finding.level]
        lines.append(f"::{command} {encoded}::{escape_workflow_command_message(finding.detailed_text)}\n")
    return "".join(lines)


def escape_workflow_command_message(text: str) -> str:
    """Escape untrusted text for the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_workflow_command_property(text: str) -> str:
    """Escape untrusted text for a property of a workflow command of GitHub Actions, such as its title."""
    return escape_workflow_command_message(text).replace(":", "%3A").replace(",", "%2C")


# Writes findings as SARIF 2.1.0 (an OASIS standard), which GitHub code scanning and editors read.


SARIF_SCHEMA_URL = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def format_sarif_json(report: ExportedReport, repository_folder: Path) -> str:
    """Return `report` as SARIF. Accepted findings are included, marked as suppressed.

    Args:
        report: the report with the findings and rules.
        repository_folder: the folder to which file paths are made relative, normally the checkout.
    """
    used = {finding.rule for finding in (*report.findings, *report.accepted_findings)}
    rules = [rule for rule in report.rules if rule.id in used]
    index_by_rule = {rule.id: number for number, rule in enumerate(rules)}
    results = [_build_sarif_result(finding, index_by_rule, repository_folder) for finding in report.findings]
    for finding in report.accepted_findings:
        suppression = {"kind": "external", "justification": "accepted in the baseline"}
        results.append(
            {**_build_sarif_result(finding, index_by_rule, repository_folder), "suppressions": [suppression]}
        )
    descriptors = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.summary},
            "fullDescription": {"text": rule.summary},
            "help": {"text": rule.explanation},
            "defaultConfiguration": {"level": rule.default_level.value},
        }
        for rule in rules
    ]
    driver = {"name": "voicegauge", "version": __version__, "rules": descriptors}
    # SARIF's date-time has the suffix Z, not +00:00 (section 3.9).
    started_at = report.created_at.replace("+00:00", "Z")
    invocation: dict[str, Any] = {"executionSuccessful": report.is_finished, "startTimeUtc": started_at}
    stopped = [] if report.stop_message is None else [f"{report.stop_message}: not everything was judged"]
    if messages := [*stopped, *report.unmet_limits.values()]:
        invocation["toolExecutionNotifications"] = [
            {"level": SarifLevel.ERROR.value, "message": {"text": message}} for message in messages
        ]
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": SARIF_SCHEMA_URL, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _build_sarif_result(
    finding: ReportedFinding, index_by_rule: dict[str, int], repository_folder: Path
) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": finding.operation_path, "kind": "function"}],
    }
    related = [finding.related_location] if finding.related_location is not None else []
    if finding.location is not None:
        shown = finding.location
        if shown.make_path_relative_to(repository_folder) is None and (
            file := find_file_that_runs_voicegauge(repository_folder)
        ):
            related.append(shown)
            shown = FileLocation(file=str(file), line=1)
        location["physicalLocation"] = _build_physical_location(shown, repository_folder)
    result = {
        "ruleId": finding.rule,
        "ruleIndex": index_by_rule[finding.rule],
        "level": finding.level.value,
        "message": {"text": finding.message},
        "locations": [location],
        # GitHub matches results of different runs by `primaryLocationLineHash`. Left to itself, it hashes the line of
        # the file, so that a moved line of the contract would reopen an alert.
        "partialFingerprints": {
            "primaryLocationLineHash": f"{finding.fingerprint}:1",
            "voicegauge/v1": finding.fingerprint,
        },
        "occurrenceCount": finding.occurrence_count,
        "properties": {name: value for name, value in finding.sarif_properties.items() if value is not None},
    }
    if related:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _build_physical_location(one, repository_folder)}
            for number, one in enumerate(related)
        ]
    return result


def find_file_that_runs_voicegauge(repository_folder: Path) -> Path | None:
    """Return the file of a repository at which findings are shown that have no file there; `None` if there is none.

    GitHub shows no alert whose file is outside of the repository, as that of a bundled contract is. Such a finding is
    shown at the workflow that runs the check, else at the settings or the README.
    """
    # "owner/name/.github/workflows/speech.yml@refs/heads/main"
    workflow = os.environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0].split("/", 2)[-1]
    for name in (workflow, "voicegauge.toml", "pyproject.toml", "README.md"):
        file = repository_folder / name
        if name and file.is_file() and file.resolve().is_relative_to(repository_folder.resolve()):
            return file
    return None


def _build_physical_location(location: FileLocation, repository_folder: Path) -> dict[str, Any]:
    path = location.make_path_relative_to(repository_folder)
    if path is None and (bundled := location.make_path_relative_to(find_bundled_folder("contracts"))) is not None:
        path = f"voicegauge/contracts/{bundled}"  # the same on every machine, and without its folders
    # Another file outside the checkout can only be found by an absolute URI.
    uri = Path(location.file).resolve().as_uri() if path is None else quote(path)
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if location.line is not None:
        physical["region"] = {"startLine": location.line}
    return physical

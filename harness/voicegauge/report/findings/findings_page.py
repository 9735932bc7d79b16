"""Renders the page of findings: what to do first, each finding with its evidence, and what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from voicegauge.errors import UsageError
from voicegauge.files import read_file
from voicegauge.outputs import FileLocation, ReportedFinding
from voicegauge.report.page_assets import create_template_environment, load_assets
from voicegauge.report.text_format import shorten_to_one_line

STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "findings.css", "media.css")
SCRIPT_FILES = ("start.js", "fragment.js", "players.js", "findings.js")
MAX_TEXT_CHARACTERS = 700
"""Number of characters shown of each text of a finding, so that 500 findings are less than a megabyte."""
CONTEXT_LINE_COUNT = 1
"""Number of lines shown before and after the violated line of a contract."""


class SourceLine(NamedTuple):
    """One line of a contract, and whether it is the violated one."""

    line_number: int
    text: str
    is_violated: bool


class FindingPlayer(NamedTuple):
    """Audio that the page can play, with a note on what was changed in it."""

    data_uri: str
    """The audio as a `data:` URI."""
    note: str
    """What was changed in the audio."""


class PageFinding(NamedTuple):
    """One finding as the page shows it."""

    anchor: str
    finding: ReportedFinding
    urgency: str
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
    player: FindingPlayer | None = None
    """The audio that the finding is about; `None` if there is none."""


class CoverageRow(NamedTuple):
    """How much of what the contract documents about one operation was tested. One row counts the rules instead."""

    operation: str
    """Id of the operation; "rules" for the row about the rules."""
    tried_count: int
    total_count: int
    untried_statements: tuple[str, ...]
    """The documented statuses, job states and constraints, or the rules, that were not tested, each with the reason:
    "status 429: the service never sent it"."""


class FindingsPage(NamedTuple):
    """The content of the page."""

    title: str
    headline: str
    """The result in a sentence."""
    subtitle: str
    is_emulated: bool
    cautions: tuple[str, ...]
    findings: tuple[PageFinding, ...]
    accepted_finding_count: int
    """Number of findings that are left out because a baseline accepts them."""
    coverage: tuple[CoverageRow, ...]
    unjudged_cases_and_inputs: tuple[tuple[str, str], ...]
    """Cases and inputs that were not judged, each with its reason."""


def render_findings_page(page: FindingsPage) -> str:
    """Render the page; it needs no other file and no network."""
    assets = load_assets(STYLE_SHEET_FILES, SCRIPT_FILES)
    groups: dict[str, list[PageFinding]] = {}
    for finding in page.findings:
        groups.setdefault(finding.urgency, []).append(finding)
    template = create_template_environment().get_template("findings.html.j2")
    return template.render(
        page=page,
        groups=groups,
        style=assets.style,
        script=assets.script,
        policy=assets.content_security_policy,
        cut=_shorten_text,
    )


def _shorten_text(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS].rstrip()} …"


def format_location(location: FileLocation | None) -> str:
    """Return a location as "file:line"; the path is relative if the file is below the working folder."""
    if location is None:
        return ""
    return str(FileLocation(file=location.make_path_relative_to(Path.cwd()) or location.file, line=location.line))


def build_anchor(finding: ReportedFinding, finding_number: int) -> str:
    """Return the HTML id of the part of the page about a finding.

    It is the same in every check if the finding has a fingerprint; otherwise it contains `finding_number`.
    """
    return f"finding-{finding.fingerprint or finding_number}"


def read_source_lines(location: FileLocation | None) -> tuple[SourceLine, ...]:
    """Return the violated line of a file and its neighbours; empty if the file cannot be read."""
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


@cache
def _read_lines(file: str) -> Sequence[str]:
    try:
        return read_file(Path(file)).decode("utf-8", errors="replace").splitlines()
    except (OSError, UsageError):
        return ()

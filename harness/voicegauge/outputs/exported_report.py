"""Defines the report from which JUnit XML, SARIF and GitHub annotations are written."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from voicegauge.model import Record


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
    """One finding of a rule."""

    rule: str
    """Id of the rule."""
    level: SarifLevel
    severity: str
    """Severity as the command's own report names it, such as "disputed" or "breaking"."""
    message: str
    """One sentence that states the violation."""
    other_messages: tuple[str, ...] = ()
    """Messages of further occurrences that differ from `message`, each with its number of occurrences."""
    api_name: str
    """Name of the provider, or of the API, that the finding is about."""
    operation: str | None = None
    """Id of the operation that the finding is about; `None` if the finding is about no single operation."""
    location: FileLocation | None = None
    """The file and line at which the finding is shown."""
    related_location: FileLocation | None = None
    """The corresponding file and line in the other of two compared inputs; `None` if there was no comparison."""
    extra_lines: tuple[str, ...] = ()
    """Lines that the detailed output shows after the message and the location."""
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
        return "\n".join((f"{self.message}{occurrences}", *self.other_messages, *location, *self.extra_lines))


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
    findings: tuple[ReportedFinding, ...]
    """Findings that no baseline accepts, most severe first."""
    accepted_findings: tuple[ReportedFinding, ...] = ()
    """Findings that a baseline accepts; `findings` does not contain them."""
    cases: tuple[JUnitCase, ...] = ()
    rules: tuple[RuleDescription, ...]
    """All rules that `findings` and `accepted_findings` refer to. Other rules may be listed too."""

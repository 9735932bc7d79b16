"""The report model that JUnit XML, SARIF and GitHub annotations are written from."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from voicegauge.model import Record


class ResultLevel(StrEnum):
    """Severity of a finding in the terms of SARIF, most severe first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    """GitHub calls this level "notice"."""


class FileLocation(Record, frozen=True, kw_only=True):
    """A file, or one line of it."""

    file: str
    line: int | None = None
    """Counted from 1; `None` for the whole file."""

    def __str__(self) -> str:
        """The location as compilers print it: file:line."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def relative_to(self, root: Path) -> str | None:
        """The POSIX path of the file relative to `root`; `None` if the file is outside it."""
        path, root = Path(self.file).resolve(), root.resolve()
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


class ReportedFinding(Record, frozen=True, kw_only=True):
    """One finding of a rule."""

    rule: str
    """Id of the rule."""
    level: ResultLevel
    severity: str
    """Severity in the terms of the report, such as "disputed" or "breaking"."""
    message: str
    """One sentence."""
    suite: str
    """Provider or API that the finding is about."""
    operation: str | None = None
    """Operation id; `None` if the finding is about no operation, or about several."""
    location: FileLocation | None = None
    """Where the finding is shown."""
    related_location: FileLocation | None = None
    """The other side of a comparison."""
    extra_lines: tuple[str, ...] = ()
    """Additional lines for the detailed output."""
    occurrences: int = 1
    """How often the finding was observed."""
    fingerprint: str
    """Identifies the finding across runs."""
    fails: bool
    """Whether the finding makes the command fail."""
    properties: Mapping[str, Any] = {}
    """Additional properties for SARIF."""

    @property
    def subject(self) -> str:
        """The suite, with the operation if there is one: "acme/speak"."""
        return f"{self.suite}/{self.operation}" if self.operation else self.suite

    @property
    def details(self) -> str:
        """Message, location and additional lines, one per line."""
        occurrences = f" ({self.occurrences} times)" if self.occurrences > 1 else ""
        location = [] if self.location is None else [f"at {self.location}"]
        return "\n".join((f"{self.message}{occurrences}", *location, *self.extra_lines))


class JUnitCase(Record, frozen=True, kw_only=True):
    """A JUnit test case without a finding: passed, or skipped."""

    suite: str
    subject: str
    """As `ReportedFinding.subject`: "acme/speak"."""
    name: str
    skipped: str | None = None
    """Why there is no verdict; `None` for a passed case."""


class RuleDescription(Record, frozen=True, kw_only=True):
    """A rule as SARIF describes it."""

    id: str
    level: ResultLevel
    """Default level of the rule's findings."""
    summary: str
    """One sentence."""
    help: str
    """Longer explanation."""


class ExportedReport(Record, frozen=True, kw_only=True):
    """Findings, cases and rules of one report, independent of the command that wrote it."""

    created_at: str
    """UTC, ISO 8601."""
    finished: bool = True
    """Whether the run was completed."""
    findings: tuple[ReportedFinding, ...]
    """Most severe first."""
    accepted: tuple[ReportedFinding, ...] = ()
    """Findings that a baseline accepts; not among `findings`."""
    cases: tuple[JUnitCase, ...] = ()
    rules: tuple[RuleDescription, ...]
    """All rules of `findings` and `accepted`; may contain others."""

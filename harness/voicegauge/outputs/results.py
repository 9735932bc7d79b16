"""What the writers see of a report: items under rules, graded in three steps, with their places."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from voicegauge.model import Record


class ResultLevel(StrEnum):
    """How grave an item is, in the words of SARIF; the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    """GitHub's word for it is notice."""


class FileLocation(Record, frozen=True, kw_only=True):
    """A line of a file, or the file."""

    file: str
    line: int | None = None
    """Counted from 1."""

    def __str__(self) -> str:
        """As compilers write it: file:line."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def below(self, root: Path) -> str | None:
        """The file's path below `root`, with slashes; `None` where it lies elsewhere."""
        path = Path(self.file).resolve()
        return path.relative_to(root.resolve()).as_posix() if path.is_relative_to(root.resolve()) else None


class ReportedFinding(Record, frozen=True, kw_only=True):
    """One thing that a rule reports."""

    rule: str
    grade: ResultLevel
    severity: str
    """The report's own word for it: "disputed", "breaking"."""
    message: str
    """One sentence."""
    suite: str
    """The provider or API that it is about."""
    operation: str | None = None
    """`None` where it is about none or about many."""
    place: FileLocation | None = None
    """Where it is shown."""
    other_place: FileLocation | None = None
    """What it is compared with."""
    more: tuple[str, ...] = ()
    """Further lines for who reads all of it."""
    times: int = 1
    """How often it was seen."""
    fingerprint: str
    """Names it across runs."""
    fails: bool
    """Whether it makes the command fail."""
    properties: Mapping[str, Any] = {}
    """Whatever else is known of it, for SARIF."""

    @property
    def subject(self) -> str:
        """The operation with its suite: "acme/speak"."""
        return f"{self.suite}/{self.operation}" if self.operation else self.suite

    @property
    def details(self) -> str:
        """All that it says, a line each: the message, the place, and what more there is."""
        times = f" ({self.times} times)" if self.times > 1 else ""
        place = [] if self.place is None else [f"at {self.place}"]
        return "\n".join((f"{self.message}{times}", *place, *self.more))


class JUnitCase(Record, frozen=True, kw_only=True):
    """Something that was judged without an item, or could not be judged."""

    suite: str
    subject: str
    """As an item's: "acme/speak"."""
    name: str
    skipped: str | None = None
    """Why there is no verdict; `None` where all is well."""


class RuleDescription(Record, frozen=True, kw_only=True):
    """What a rule says of itself."""

    id: str
    grade: ResultLevel
    text: str
    """One sentence."""
    help: str


class ExportedReport(Record, frozen=True, kw_only=True):
    """All that the writers see of a report."""

    created_at: str
    """UTC, ISO 8601."""
    finished: bool = True
    items: tuple[ReportedFinding, ...]
    """The worst first."""
    accepted: tuple[ReportedFinding, ...] = ()
    """Those that a baseline accepts; they are not among `items`."""
    cases: tuple[JUnitCase, ...] = ()
    rules: tuple[RuleDescription, ...]
    """At least those that `items` and `accepted` name."""

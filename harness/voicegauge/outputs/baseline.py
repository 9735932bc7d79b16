"""Reads and writes baselines: findings that a team knows and accepts, so that a command reports only new ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model import Record


class AcceptedFinding(Record, frozen=True, kw_only=True):
    """One accepted finding. Only the fingerprint is compared; the other fields are for readers of the file."""

    fingerprint: str
    rule: str
    provider: str
    operation: str | None = None
    contract_pointer: str | None = msgspec.field(name="statement", default=None)
    """JSON pointer to the statement of the contract that was violated; for drift, to the changed part of the contract.
    """
    body_pointer: str | None = msgspec.field(name="pointer", default=None)
    """JSON pointer to the part of the body that the finding is about; `None` if it is not about a part of a body."""
    message: str

    def __str__(self) -> str:
        """Format the finding as one line, for a message about an accepted finding that no longer occurs."""
        return f"{self.rule} {self.provider}/{self.operation or ''}: {self.message}"


class FindingsBaseline(Record, frozen=True, kw_only=True):
    """The content of a baseline file."""

    schema: Literal["voicegauge/baseline/1"] = "voicegauge/baseline/1"
    accepted_findings: tuple[AcceptedFinding, ...] = msgspec.field(name="accepted", default=())

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all accepted findings."""
        return frozenset(entry.fingerprint for entry in self.accepted_findings)


def build_baseline(accepted_findings: Iterable[AcceptedFinding]) -> FindingsBaseline:
    """Build a baseline with one accepted finding per fingerprint, sorted so that a rewritten file has a small diff."""
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
    except OSError as error:
        raise DataError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a valid baseline: {error}; write one with --write-baseline") from error

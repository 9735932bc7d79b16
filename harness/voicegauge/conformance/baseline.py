"""A baseline: findings that a team knows of and accepts, so that a check tells only of new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from voicegauge.conformance.result import CheckReport
from voicegauge.errors import DataError
from voicegauge.model import Record, Severity


class Accepted(Record, frozen=True, kw_only=True):
    """One finding that is accepted; all but the fingerprint is for whoever reads the file."""

    fingerprint: str
    rule: str
    provider: str
    operation: str | None = None
    statement: str | None = None
    pointer: str | None = None
    message: str


class Baseline(Record, frozen=True, kw_only=True):
    """The content of a baseline file."""

    schema: Literal["voicegauge/baseline/1"] = "voicegauge/baseline/1"
    accepted: tuple[Accepted, ...] = ()


def make_baseline(report: CheckReport) -> Baseline:
    """A baseline that accepts every error and warning of `report`, and what it accepted already."""
    entries = {}
    for finding in (*report.findings, *report.accepted):
        if finding.severity in (Severity.ERROR, Severity.WARNING):
            where = finding.where
            entries[finding.fingerprint] = Accepted(
                fingerprint=finding.fingerprint,
                rule=finding.rule,
                provider=where.provider,
                operation=where.operation,
                statement=where.statement,
                pointer=where.pointer,
                message=finding.message,
            )
    ordered = sorted(entries.values(), key=lambda e: (e.provider, e.operation or "", e.rule, e.fingerprint))
    return Baseline(accepted=tuple(ordered))


def load_baseline(path: Path) -> Baseline:
    """The baseline in the file `path`.

    Raises:
        DataError: it cannot be read, or is no baseline of this version.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise DataError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no baseline: {error}; --write-baseline makes one") from error


def apply_baseline(report: CheckReport, baseline: Baseline) -> CheckReport:
    """`report` with the accepted findings apart.

    An entry is unused where its operation was judged and the finding did not come. What is
    disputed or info does not fail anyway and is never moved.
    """
    known = {entry.fingerprint for entry in baseline.accepted}
    grave = (Severity.ERROR, Severity.WARNING)
    accepted = tuple(f for f in report.findings if f.fingerprint in known and f.severity in grave)
    seen = {finding.fingerprint for finding in report.findings}
    unused = tuple(
        f"{entry.rule} {entry.provider}/{entry.operation or ''}: {entry.message}"
        for entry in baseline.accepted
        if entry.fingerprint not in seen
        and (f"{entry.provider}/{entry.operation}" in report.operations or entry.operation is None)
    )
    left = tuple(finding for finding in report.findings if finding not in accepted)
    return msgspec.structs.replace(report, findings=left, accepted=accepted, unused_baseline=unused)

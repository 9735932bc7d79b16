"""Finds the findings of `check` and the changes of `drift` that concern one target of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from voicegauge.conformance import CheckReport
from voicegauge.drift import DriftChange, DriftLevel, DriftReport
from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model import Finding, Provenance, Severity

ResultT = TypeVar("ResultT", CheckReport, DriftReport)

MAX_LISTED_ITEMS = 20
"""Largest number of findings, and of changes, that are listed for each target."""


class SavedResults(NamedTuple):
    """Results of `check --json` and `drift --json` that a report shows with the targets they concern."""

    check_reports: tuple[CheckReport, ...] = ()
    drift_reports: tuple[DriftReport, ...] = ()


NO_SAVED_RESULTS = SavedResults()


class TargetCheck(NamedTuple):
    """The findings of one check that concern one target."""

    date: str
    """Day of the check: UTC, ISO 8601."""
    is_emulated: bool
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


def load_saved_results(check_files: Sequence[Path], drift_files: Sequence[Path]) -> SavedResults:
    """Load what `check --json` and `drift --json` have written.

    Raises:
        DataError: a file cannot be read, or is not such a result.
    """
    return SavedResults(
        tuple(_load_saved_result(file, CheckReport, "voicegauge check --json") for file in check_files),
        tuple(_load_saved_result(file, DriftReport, "voicegauge drift --json") for file in drift_files),
    )


class _ResultHeader(msgspec.Struct):
    """The `schema` of a JSON file, which names the command and version that wrote it."""

    schema: str = ""


def _load_saved_result(file: Path, result_type: type[ResultT], command: str) -> ResultT:
    try:
        content = read_file(file)
        schema = msgspec.json.decode(content, type=_ResultHeader).schema
        expected = str(next(field.default for field in msgspec.structs.fields(result_type) if field.name == "schema"))
        if schema != expected:
            raise DataError(f"{file}: is not a result of `{command}`: its schema is {schema!r}, not {expected!r}")
        return msgspec.json.decode(content, type=result_type)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{file}: is not a result of `{command}`: {error}") from error


def find_target_checks(saved_results: SavedResults, target_id: str) -> tuple[TargetCheck, ...]:
    """Return the findings about a target, for each check that sent something to the target's provider."""
    provider = target_id.partition("/")[0]
    found = []
    for report in saved_results.check_reports:
        if not any(name.startswith(f"{provider}/") for name in (*report.operations, *report.targets)):
            continue
        findings = sorted(
            (one for one in report.findings if _is_about_target(one, provider, target_id)),
            key=lambda one: (_SEVERITY_ORDER.index(one.severity), one.where.target != target_id),
        )
        found.append(
            TargetCheck(
                date=report.created_at[:10],
                is_emulated=Provenance.EMULATED in report.exchange_count_by_provenance,
                findings=tuple(findings[:MAX_LISTED_ITEMS]),
                unlisted_finding_count=max(len(findings) - MAX_LISTED_ITEMS, 0),
            )
        )
    return tuple(found)


_SEVERITY_ORDER = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)


def _is_about_target(finding: Finding, provider: str, target_id: str) -> bool:
    return finding.where.provider == provider and finding.where.target in (None, target_id)


def find_target_drifts(saved_results: SavedResults, target_id: str) -> tuple[TargetDrift, ...]:
    """Return the changes of a target's provider, for each comparison of its documents or traffic."""
    provider = target_id.partition("/")[0]
    levels = list(DriftLevel)
    return tuple(
        TargetDrift(
            old_document=report.old_input.version or report.old_input.file,
            new_document=report.new_input.version or report.new_input.file,
            changes=tuple(sorted(report.changes, key=lambda one: levels.index(one.level))[:MAX_LISTED_ITEMS]),
            unlisted_change_count=max(len(report.changes) - MAX_LISTED_ITEMS, 0),
        )
        for report in saved_results.drift_reports
        if provider in (report.old_input.provider, report.new_input.provider)
    )

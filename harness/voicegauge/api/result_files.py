"""Writes results as files for people and other tools, and baselines of accepted findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from voicegauge.bench.comparison_result import RunComparison
from voicegauge.bench.run_history import RunHistory
from voicegauge.bench.target_summaries import BenchResult
from voicegauge.conformance.check_report import (
    CheckReport,
    build_check_baseline,
    export_check_report,
    render_check_badge,
)
from voicegauge.conformance.check_report import apply_baseline as apply_check_baseline
from voicegauge.drift.drift_report import DriftLevel, DriftReport, build_drift_baseline, export_drift_report
from voicegauge.drift.drift_report import apply_baseline as apply_drift_baseline
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.files import BASELINE_MARK, PAGE_MARK, check_replaceable, write_file
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.outputs.finding_exports import (
    ExportedReport,
    FindingsBaseline,
    format_junit_xml,
    format_sarif_json,
    format_workflow_commands,
    load_baseline,
)
from voicegauge.outputs.result_summary import (
    ResultSummary,
    format_prometheus_text,
    format_summary_html,
    format_summary_markdown,
    format_summary_slack,
)
from voicegauge.report.result_summaries import summarize

ReportT = TypeVar("ReportT", CheckReport, DriftReport)


def _require_report(report: object, function: str, *, accepts_drift_reports: bool = True) -> None:
    """Raise a `UsageError` unless the first argument of a function that writes is a report."""
    # Both arguments are easily swapped, and neither type is checked by Python.
    if not isinstance(report, (CheckReport, DriftReport) if accepts_drift_reports else CheckReport):
        verbs = "`check` or `find_drift`" if accepts_drift_reports else "`check`"
        kind = type(report).__name__
        raise UsageError(f"{function} takes the report that {verbs} returned first, then the file; not a {kind}")


def to_exported_report(
    report: CheckReport | DriftReport, *, strict: bool = False, fail_on: DriftLevel = DriftLevel.BREAKING
) -> ExportedReport:
    """Convert a report to the record from which JUnit XML, SARIF and annotations are written.

    Args:
        report: the report returned by `check` or `find_drift`.
        strict: whether warnings of a check are failures.
        fail_on: the mildest drift that is a failure.
    """
    if isinstance(report, CheckReport):
        return export_check_report(report, fail_on_warnings=strict)
    return export_drift_report(report, fail_on)


def write_junit(
    report: CheckReport | DriftReport,
    file: PathLike,
    *,
    strict: bool = False,
    fail_on: DriftLevel = DriftLevel.BREAKING,
    unmet_limits: Mapping[str, str] | None = None,
) -> None:
    """Write a report as JUnit XML.

    >>> voicegauge.write_junit(voicegauge.check("pixelapi"), f"{folder}/junit.xml")

    Args:
        report: the report returned by `check` or `find_drift`.
        file: the file to write.
        strict: whether warnings of a check are failures.
        fail_on: the mildest drift that is a failure.
        unmet_limits: what else failed, a sentence for each name. Each becomes a test case that failed. `None` for none.

    Raises:
        UsageError: the file cannot be written, or `report` is not a report.
    """
    _require_report(report, "write_junit")
    exported = to_exported_report(report, strict=strict, fail_on=fail_on)
    exported = msgspec.structs.replace(exported, unmet_limits=unmet_limits or {})
    write_file(Path(file), format_junit_xml(exported).encode())


def write_findings_page(
    report: CheckReport | DriftReport,
    file: PathLike,
    *,
    strict: bool = False,
    fail_on: DriftLevel = DriftLevel.BREAKING,
) -> None:
    """Write a report as one self-contained HTML page, which needs no other file and no network.

    Args:
        report: the report returned by `check` or `find_drift`.
        file: the file to write.
        strict: whether warnings of a check are failures.
        fail_on: the mildest drift that is a failure.

    Raises:
        UsageError: `report` is not a report; the file cannot be written, or exists and is not a page of voicegauge.
    """
    _require_report(report, "write_findings_page")
    from voicegauge.report.findings_page import build_check_page, build_drift_page, render_findings_page

    # A path that was mistyped must not replace a file of the user.
    check_replaceable(Path(file), PAGE_MARK)
    if isinstance(report, CheckReport):
        page = build_check_page(report, fail_on_warnings=strict)
    else:
        page = build_drift_page(report, fail_on=fail_on)
    write_file(Path(file), render_findings_page(page).encode())


@with_checked_arguments
def write_history_page(history: RunHistory, file: PathLike) -> Path:
    """Write a history as one self-contained HTML page, with a chart of each series and the time line.

    Args:
        history: the history returned by `read_history`.
        file: the file to write.

    Returns:
        The path of the file.

    Raises:
        UsageError: the file cannot be written, or exists and is not a page of voicegauge.
    """
    from voicegauge.report.history_page import render_history_page

    path = Path(file)
    check_replaceable(path, PAGE_MARK)
    write_file(path, render_history_page(history).encode())
    return path


def write_badge(
    report: CheckReport, file: PathLike, *, strict: bool = False, unmet_limits: Mapping[str, str] | None = None
) -> None:
    """Write the result of a check as an SVG badge: the providers, the findings, and how and when they were found.

    >>> voicegauge.write_badge(voicegauge.check("pixelapi"), f"{folder}/badge.svg")

    Args:
        report: the report returned by `check`.
        file: the file to write.
        strict: whether warnings of a check are failures.
        unmet_limits: what else failed, a sentence for each name. With one, the badge is red. `None` for none.

    Raises:
        UsageError: the file cannot be written, or `report` is not a report.
    """
    _require_report(report, "write_badge", accepts_drift_reports=False)
    badge = render_check_badge(report, fail_on_warnings=strict, has_unmet_limit=bool(unmet_limits))
    write_file(Path(file), badge.encode())


def write_sarif(
    report: CheckReport | DriftReport,
    file: PathLike,
    *,
    repository_folder: PathLike = ".",
    unmet_limits: Mapping[str, str] | None = None,
) -> None:
    """Write a report as SARIF 2.1.0, the format that GitHub code scanning reads.

    Args:
        report: the report returned by `check` or `find_drift`.
        file: the file to write.
        repository_folder: folder of the repository; paths in the file are relative to it.
        unmet_limits: what else failed, a sentence for each name. Each becomes a notification of the run; `None` for
            none.

    Raises:
        UsageError: the file cannot be written, or `report` is not a report.
    """
    _require_report(report, "write_sarif")
    exported = msgspec.structs.replace(to_exported_report(report), unmet_limits=unmet_limits or {})
    write_file(Path(file), format_sarif_json(exported, Path(repository_folder).resolve()).encode())


def format_github_annotations(report: CheckReport | DriftReport, *, repository_folder: PathLike = ".") -> str:
    """Render a report as workflow commands that GitHub Actions shows as annotations.

    Args:
        report: the report returned by `check` or `find_drift`.
        repository_folder: folder of the repository; paths in the annotations are relative to it.

    Returns:
        The lines to print.
    """
    return format_workflow_commands(to_exported_report(report), Path(repository_folder).resolve())


SummaryFormat = Literal["markdown", "slack", "prometheus", "html"]
"""Where a summary is read: on GitHub, in a chat, by Prometheus, or in a notebook."""
_RENDERER_BY_SUMMARY_FORMAT: dict[SummaryFormat, Callable[[ResultSummary], str]] = {
    "markdown": format_summary_markdown,
    "slack": format_summary_slack,
    "prometheus": format_prometheus_text,
    "html": format_summary_html,
}


def render_summary(
    result: CheckReport | DriftReport | BenchResult | RunComparison | RunHistory, format: SummaryFormat = "markdown"
) -> str:
    """Render a result in a few lines and tables, for readers of a pull request, a chat, a dashboard or a notebook.

    >>> voicegauge.render_summary(voicegauge.check("pixelapi")).splitlines()[0]
    '## voicegauge check pixelapi'

    Args:
        result: what `check`, `find_drift`, `benchmark`, `compare` or `read_history` returned.
        format: "markdown" for GitHub; "slack" for a message to an incoming webhook; "prometheus" for its text format;
            "html" for the HTML that a notebook shows for a result anyway.

    Raises:
        MissingExtraError: the extra `prometheus` is not installed.
        UnknownNameError: a summary has no such format.
    """
    if format not in _RENDERER_BY_SUMMARY_FORMAT:
        raise UnknownNameError("format", str(format), _RENDERER_BY_SUMMARY_FORMAT)
    return _RENDERER_BY_SUMMARY_FORMAT[format](summarize(result))


def apply_baseline(report: ReportT, file: PathLike) -> ReportT:
    """Return a report without the findings that a baseline file accepts.

    Args:
        report: the report returned by `check` or `find_drift`.
        file: a baseline file that `write_baseline` has written.

    Returns:
        A report that lists accepted findings separately, with the baseline entries that are not needed any more.

    Raises:
        DataError: the file is not a baseline.
    """
    return _remove_accepted_findings(report, load_baseline(Path(file)))


def write_baseline(report: ReportT, file: PathLike) -> ReportT:
    """Write all findings of a report to a baseline file, so that they are accepted in the future.

    >>> report = voicegauge.write_baseline(voicegauge.check("pixelapi"), f"{folder}/known.json")
    >>> voicegauge.apply_baseline(report, f"{folder}/known.json").unused_baseline_entries
    ()

    Args:
        report: the report returned by `check` or `find_drift`.
        file: the file to write.

    Returns:
        A report in which all findings are accepted.

    Raises:
        UsageError: `report` is not a report; the file cannot be written, or exists and is not a baseline.
    """
    _require_report(report, "write_baseline")
    check_replaceable(Path(file), BASELINE_MARK)
    baseline = build_check_baseline(report) if isinstance(report, CheckReport) else build_drift_baseline(report)
    write_file(Path(file), msgspec.json.format(msgspec.json.encode(baseline), indent=2) + b"\n")
    return _remove_accepted_findings(report, baseline)


def _remove_accepted_findings(report: ReportT, baseline: FindingsBaseline) -> ReportT:
    if isinstance(report, CheckReport):
        return apply_check_baseline(report, baseline)
    return apply_drift_baseline(report, baseline)

"""Sums up results in lines and tables, and writes their numbers for dashboards and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from voicegauge.bench import DEFAULT_TEXT_LENGTH
from voicegauge.bench.comparison_result import MetricComparison, RunComparison
from voicegauge.bench.estimates import Estimate
from voicegauge.bench.run_history import MetricSeries, RunHistory, compute_level
from voicegauge.bench.target_cost import compute_target_cost
from voicegauge.bench.target_samples import group_counted_samples_by_target
from voicegauge.bench.target_summaries import BenchResult, describe_repeated_submits, get_error_rate
from voicegauge.conformance.check_report import CheckReport, describe_result, export_check_report
from voicegauge.drift.drift_report import DriftLevel, DriftReport
from voicegauge.model.base import Provenance, Severity
from voicegauge.model.run import Run
from voicegauge.model.sample import SAMPLE_COLUMNS, ColumnValue
from voicegauge.outputs.finding_exports import ReportedFinding
from voicegauge.outputs.result_summary import MetricValue, ResultSummary, SummaryTable, SummaryVerdict
from voicegauge.printable_text import describe_repetitions, escape_unprintable, format_count
from voicegauge.report._result_tables import build_comparison_columns, build_comparison_rows
from voicegauge.report.findings_page import format_location
from voicegauge.report.history_page import (
    NOT_JUDGED_TEXT,
    build_timeline,
    label_configurations,
    list_provenances,
    name_series,
)
from voicegauge.report.text_format import format_change, format_change_interval, format_value

# The numbers of results for dashboards.
#
# Metrics with the same name and labels in two files of one host collide, so labels name what was judged.


_HELP_BY_METRIC = {
    "check_findings": "Findings that no baseline accepts",
    "check_spent_usd": "Dollars charged to the budget",
    "check_coverage_percent": "Share of the contracts that was tried",
    "drift_changes": "Changes that no baseline accepts",
    "requests": "Requested samples, without lost ones and warm-up",
    "failures": "Samples without usable audio",
    "lost_samples": "Further samples, sent without a saved result",
    "wrong_audio": "Samples whose audio is known to be wrong",
    "total_latency_seconds": "Median total latency",
    "time_to_first_audio_seconds": "Median time to first audio",
    "real_time_factor": "Median real-time factor",
    "error_rate": "Word error rate; character error rate without words",
    "price_usd_per_request": "Mean price per request",
    "compare_verdict": "1 for each metric, with the verdict as a label",
    "compare_regression": "Whether the metric regressed (1) or not (0)",
    "compare_change": "Change from the baseline: relative for times and prices, the difference for rates and ratings",
    "history_level": "Level since the latest confirmed change, in the unit of its label: median or rate of all samples",
    "history_regressions": "Confirmed regressions of all nights",
    "history_alerts": "Regressions that the latest night has confirmed",
}
"""What each metric means, by its name without "voicegauge_"."""


def _build_metric(name: str, value: float, labels: Mapping[str, str], **further_labels: str) -> MetricValue:
    """Return a value of the metric `name` of `_HELP_BY_METRIC`."""
    return MetricValue(
        name=f"voicegauge_{name}", help=_HELP_BY_METRIC[name], labels={**labels, **further_labels}, value=value
    )


def iterate_check_metrics(report: CheckReport) -> Iterator[MetricValue]:
    """Yield the findings of each provider by severity, and what was spent and tried in the whole check."""
    provenance = "+".join(sorted(report.exchange_count_by_provenance)) or "none"
    providers = dict.fromkeys(target.partition("/")[0] for target in report.targets)
    for provider in providers:
        for severity in Severity:
            count = sum(one.where.provider == provider and one.severity is severity for one in report.findings)
            labels = {"provider": provider, "severity": severity.value, "provenance": provenance}
            yield _build_metric("check_findings", count, labels)
    labels = {"provider": ",".join(providers), "provenance": provenance}
    yield _build_metric("check_spent_usd", report.spent_usd, labels)
    if report.coverage_percent is not None:
        yield _build_metric("check_coverage_percent", report.coverage_percent, labels)


def iterate_drift_metrics(report: DriftReport) -> Iterator[MetricValue]:
    """Yield the number of changes of each level, also of levels without changes."""
    for level, count in report.count_by_level.items():
        yield _build_metric("drift_changes", count, {"api": report.name, "level": level.value})


def iterate_benchmark_metrics(result: BenchResult) -> Iterator[MetricValue]:
    """Yield the metrics of each target of a benchmark whose values are known."""
    for target in result.targets:
        values = {
            "requests": target.sample_count,
            "failures": target.failure_count,
            "lost_samples": target.lost_count,
            "wrong_audio": target.wrong_count,
            "total_latency_seconds": _convert_ms_to_seconds(target.total_latency_ms),
            "time_to_first_audio_seconds": _convert_ms_to_seconds(target.ttfa_ms),
            "real_time_factor": None if target.rtf is None else target.rtf.value,
            "error_rate": get_error_rate(target),
            "price_usd_per_request": target.cost.price_per_request.usd,
        }
        for name, value in values.items():
            if value is not None:
                yield _build_metric(name, value, {"target": target.target, "provenance": result.provenance.value})


def _convert_ms_to_seconds(estimate_ms: Estimate | None) -> float | None:
    return None if estimate_ms is None else estimate_ms.value / 1000


def iterate_comparison_metrics(result: RunComparison) -> Iterator[MetricValue]:
    """Yield the verdict and the change of each metric of each target."""
    for one in result.metrics:
        labels = {
            "target": one.target,
            "baseline_target": one.baseline_target,
            "metric": one.metric,
            "suite": result.suite,
            "provenance": result.provenance.value,
        }
        yield _build_metric("compare_verdict", 1, labels, verdict=one.verdict)
        yield _build_metric("compare_regression", int(one.verdict == "regression"), labels)
        yield _build_metric("compare_change", one.change, labels, unit=one.unit)


def iterate_history_metrics(history: RunHistory) -> Iterator[MetricValue]:
    """Yield the present level of each series and, except for prices, its numbers of regressions and of alerts."""
    for one in history.series:
        labels = {
            "target": one.key.target,
            "metric": one.key.metric,
            "region": one.key.region or "",
            "place": one.key.place or "",
            "configuration": one.key.configuration,
            "provenance": one.key.provenance.value,
        }
        yield _build_metric("history_level", _compute_present_level(history, one), labels, unit=one.key.unit)
        if one.key.unit == "usd":
            continue  # changes of prices are events, not regressions
        changes = [change for change in history.changes if change.series_key == one.key]
        regression_count = sum(change.direction == "regression" for change in changes)
        yield _build_metric("history_regressions", regression_count, labels)
        yield _build_metric("history_alerts", sum(change in history.new_regressions for change in changes), labels)


def _compute_present_level(history: RunHistory, series: MetricSeries) -> float:
    if series.key.unit == "usd":
        return series.nights[-1].value
    # Nights before the latest change would hide the new level in the median.
    starts = [change.first_night for change in history.changes if change.series_key == series.key]
    return compute_level(series.key.unit, [one for one in series.nights if one.night >= max(starts, default="")])


# Sums up results of checks, benchmarks, comparisons and histories in a few lines and tables.


REHEARSAL_NOTE = "The numbers show that the tool works, not how fast or good a provider is."
"""Sentence below the numbers of a run in which the named service did not answer itself."""


def summarize(result: Any, *, fails: bool | None = None) -> ResultSummary:
    """Return the result of a command as a person reads it: a verdict, a sentence, tables and metrics.

    Args:
        result: a report of `check` or `find_drift`, a result of `benchmark` or `compare`, or a history.
        fails: whether the command fails with this result; `None` if it is to be decided as without any option.

    Raises:
        TypeError: it is not a result that can be summed up.
    """
    match result:
        case CheckReport():
            return summarize_check(result, fails=fails)
        case DriftReport():
            return _summarize_drift(result, fails=fails)
        case BenchResult():
            return _summarize_benchmark(result, fails=fails)
        case RunComparison():
            return _summarize_comparison(result, fails=fails)
        case RunHistory():
            return _summarize_history(result, fails=fails)
        case _:
            raise TypeError(f"{type(result).__name__} has no summary")


def _choose_verdict(*, fails: bool, is_judged: bool = True, has_findings: bool = False) -> SummaryVerdict:
    """Return the verdict on a result; `has_findings` says whether the command would fail without any option."""
    if fails:
        return "failed"
    if has_findings:
        return "passed with findings"
    return "passed" if is_judged else "not judged"


def _remove_missing_notes(*notes: str | None) -> tuple[str, ...]:
    return tuple(note for note in notes if note)


# Checks and drift.


def summarize_check(
    report: CheckReport,
    *,
    fails: bool | None = None,
    fail_on_warnings: bool = False,
    unmet_limits: Mapping[str, str] | None = None,
) -> ResultSummary:
    """Sum up a check: the findings, each with its place in the contract and a command that shows it again.

    Args:
        report: the report of the check.
        fails: whether the command fails; `None` if a failing finding or an unmet limit is to decide.
        fail_on_warnings: whether warnings are failures.
        unmet_limits: what else failed, a sentence for each name; `None` for nothing. Each becomes a note.
    """
    findings = export_check_report(report, fail_on_warnings=fail_on_warnings).findings
    table = SummaryTable(
        headings=("severity", "rule", "operation", "observed", "at", "shown again by"),
        rows=tuple(map(_build_finding_row, findings)),
        code_columns=(5,),
    )
    unmet = unmet_limits or {}
    has_failed = bool(unmet) or any(one.fails_command for one in findings) if fails is None else fails
    providers = ", ".join(dict.fromkeys(target.partition("/")[0] for target in report.targets))
    verdict = _choose_verdict(fails=has_failed, is_judged=report.no_verdict_reason is None)
    return ResultSummary(
        title=f"voicegauge check {providers}".strip(),
        verdict="partly judged" if verdict == "passed" and not report.is_whole else verdict,
        headline=describe_result(report),
        notes=_remove_missing_notes(
            *unmet.values(),
            report.no_verdict_reason,
            report.partly_judged_reason,
            report.doubt_reason,
            report.todo_notice,
            describe_repetitions(report.repetition_count_by_status),
        ),
        tables=(table,) if findings else (),
        metrics=tuple(iterate_check_metrics(report)),
    )


def _build_finding_row(finding: ReportedFinding) -> tuple[str, ...]:
    operations = finding.sarif_properties.get("other_operations")
    also = (f"also in {operations}",) if operations else ()
    message = "; ".join((finding.message, *finding.further_occurrence_messages, *also))
    location = format_location(finding.location)
    return finding.severity, finding.rule, finding.operation_path, message, location, finding.command or ""


def _summarize_drift(report: DriftReport, *, fails: bool | None) -> ResultSummary:
    counts = ", ".join(f"{count} {level.value}" for level, count in report.count_by_level.items() if count)
    rows = tuple(
        (one.level.value, one.rule, f"{one.qualified_location}: {one.message}", one.formatted_positions)
        for one in report.changes
    )
    accepted = f", {len(report.accepted_changes)} accepted by the baseline" if report.accepted_changes else ""
    is_breaking = report.has_change_at_least(DriftLevel.BREAKING)
    return ResultSummary(
        title=f"voicegauge drift {report.name}",
        verdict=_choose_verdict(fails=is_breaking if fails is None else fails, has_findings=is_breaking),
        headline=f"{format_count(len(report.changes), 'change')}{f': {counts}' if counts else ''}{accepted}",
        tables=(SummaryTable(headings=("level", "rule", "change", "at"), rows=rows),) if rows else (),
        metrics=tuple(iterate_drift_metrics(report)),
    )


# Benchmarks.


def _prepend_rehearsal_label(rehearsal_label: str, sentence: str) -> str:
    """Put the label of a rehearsal before a sentence about its numbers."""
    return f"{rehearsal_label}: {sentence}" if rehearsal_label else sentence


def _summarize_benchmark(result: BenchResult, *, fails: bool | None) -> ResultSummary:
    failed = sum(target.failure_count for target in result.targets)
    measured = sum(target.sample_count for target in result.targets)
    requested = measured + result.missing_sample_count
    delivered = f"{measured - failed} of {format_count(requested, 'request')} delivered"
    targets = format_count(len(result.targets), "target")
    wrong = sum(target.wrong_count for target in result.targets)
    found = [f"{wrong} with wrong audio"] if wrong else []
    if result.missing_sample_count:
        found.append(f"{result.missing_sample_count} lost or not sent")
    sentence = ", ".join([delivered, *found, targets, result.load])
    if result.ramp is not None:
        sentence = f"Ramp: {result.ramp.describe()}. {sentence}"
    return ResultSummary(
        title=f"voicegauge bench {result.manifest.run_id}",
        verdict=_choose_verdict(
            fails=result.stop_message is not None if fails is None else fails,
            is_judged=failed + wrong < measured and (result.ramp is None or result.ramp.is_conclusive),
        ),
        headline=_prepend_rehearsal_label(result.rehearsal_label, sentence),
        notes=_remove_missing_notes(
            result.stop_message,
            *describe_repeated_submits(result.targets),
            REHEARSAL_NOTE if result.rehearsal_label else None,
        ),
        tables=(_build_target_table(result),),
        metrics=tuple(iterate_benchmark_metrics(result)),
    )


def _build_target_table(result: BenchResult) -> SummaryTable:
    """Return the columns that the page shows at first, with the numbers and marks of the page."""
    columns = [
        column for column in build_comparison_columns(result.targets, DEFAULT_TEXT_LENGTH) if column.is_shown_initially
    ]
    names = {"million": "Price per 1M characters"}  # the page says it in two lines
    headings = (
        " ".join(
            filter(None, (names.get(one.key, one.standalone_heading or one.heading), one.unit and f"({one.unit})"))
        )
        for one in columns
    )
    rows = build_comparison_rows(result.targets, columns, is_rehearsal=result.manifest.is_rehearsal)
    return SummaryTable(
        headings=(result.manifest.mark_heading("target"), *headings),
        rows=tuple(
            (row.summary.target, *(f"{cell.text} {cell.second_line}".strip() for cell in row.cells)) for row in rows
        ),
    )


# Comparisons and histories.


def _summarize_comparison(result: RunComparison, *, fails: bool | None) -> ResultSummary:
    shown = result.list_shown_metrics()
    table = SummaryTable(
        headings=("target", "metric", "baseline", "run", "change", "interval", "verdict"),
        rows=tuple(map(_build_metric_row, shown)),
    )
    return ResultSummary(
        title=f"voicegauge compare {result.run.run_id}",
        verdict=_choose_verdict(
            fails=bool(result.regressions) if fails is None else fails,
            is_judged=any(metric.verdict != "underpowered" for metric in result.metrics),
            has_findings=bool(result.regressions),
        ),
        headline=_prepend_rehearsal_label(result.rehearsal_label, result.describe_verdict_counts()),
        notes=_remove_missing_notes(
            *result.list_warnings_about_wrong_audio(),
            result.describe_base_urls(),
            result.describe_text_overlap(),
            *result.describe_unproven_worsenings(),
            result.describe_too_few_texts(),
            f"error rates by {result.asr}: {result.known_words}" if result.known_words is not None else None,
            *result.notes,
            REHEARSAL_NOTE if result.rehearsal_label else None,
        ),
        tables=(table,) if shown else (),
        metrics=tuple(iterate_comparison_metrics(result)),
    )


def _build_metric_row(metric: MetricComparison) -> tuple[str, ...]:
    return (
        metric.target,
        metric.metric,
        format_value(metric.unit, metric.baseline_value),
        format_value(metric.unit, metric.run_value),
        format_change(metric.unit, metric.change),
        format_change_interval(metric),
        metric.describe_verdict(),
    )


def _summarize_history(history: RunHistory, *, fails: bool | None) -> ResultSummary:
    alerts = len(history.new_regressions)
    judged = history.has_series_long_enough
    span = f"{format_count(len(history.nights), 'night')}, {history.nights[0]} to {history.nights[-1]}"
    provenances = list_provenances(history)
    prefix = "EMULATED: " if provenances == [Provenance.EMULATED] else ""
    alert_text = f"{format_count(alerts, 'alert')} on the latest night" if judged else NOT_JUDGED_TEXT
    return ResultSummary(
        title=f"voicegauge history {history.folder}",
        verdict=_choose_verdict(
            fails=bool(alerts) if fails is None else fails, is_judged=judged, has_findings=bool(alerts)
        ),
        headline=f"{prefix}{span}: {alert_text}",
        tables=tuple(table for one in provenances for table in _build_history_tables(history, one)),
        metrics=tuple(iterate_history_metrics(history)),
    )


def _build_history_tables(history: RunHistory, provenance: Provenance) -> Iterable[SummaryTable]:
    label = "live" if provenance is Provenance.LIVE else provenance.value.upper()
    timeline = build_timeline(history, provenance)
    if timeline:
        yield SummaryTable(
            title=f"Changes, {label}",
            headings=("night", "change", "of", "what"),
            rows=tuple((one.night, one.change_kind, one.subject, one.text) for one in reversed(timeline)),
        )
    series = [one for one in history.series if one.key.provenance == provenance]
    configuration_labels = label_configurations(series)
    yield SummaryTable(
        title=f"Latest values, {label}",
        headings=("target", "metric", "nights", "first", "latest"),
        rows=tuple(
            (
                one.key.target,
                name_series(one.key, configuration_labels),
                str(len(one.nights)),
                format_value(one.key.unit, one.nights[0].value),
                format_value(one.key.unit, one.nights[-1].value),
            )
            for one in series
        ),
    )
    if configuration_labels.labels:
        yield SummaryTable(
            title=f"Configurations, {label}",
            headings=("configuration", "differs in"),
            rows=tuple((str(number), text) for number, text in enumerate(configuration_labels.labels, 1)),
        )


# Writes the samples of runs as CSV.


_SPREADSHEET_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Characters that make a spreadsheet evaluate a cell that starts with one of them (OWASP, "CSV injection")."""


PRICE_COLUMNS = ("target_usd", "target_low_usd", "target_high_usd", "target_price_unit", "target_price_text")
"""Columns with the price of a sample's target: by the claim that counts, the lowest and the highest one, what it is
for, and as other reports show it."""


def render_csv(runs: Sequence[tuple[Path, Run]]) -> str:
    """Render one row per sample with the latest scores of its run; warm-up samples are included and marked.

    The columns are `SAMPLE_COLUMNS` and `PRICE_COLUMNS`. Booleans are 0 and 1. Texts that a spreadsheet would evaluate
    as a formula are prefixed with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(column.name for column in SAMPLE_COLUMNS), *PRICE_COLUMNS])
    for _, run in runs:
        prices = _compute_price_values(run)
        for row in run.iterate_sample_rows():
            # A run that was not written by voicegauge may have samples of a target that it does not list.
            price = prices.get(row.sample.target, [None] * len(PRICE_COLUMNS))
            values = [*(column.read_value(row) for column in SAMPLE_COLUMNS), *price]
            writer.writerow(map(_format_csv_value, values))
    return out.getvalue()


def _compute_price_values(run: Run) -> dict[str, list[ColumnValue]]:
    """Return the values of `PRICE_COLUMNS` by target id."""
    samples = group_counted_samples_by_target(run)
    values: dict[str, list[ColumnValue]] = {}
    for target in run.manifest.targets:
        cost = compute_target_cost(
            target,
            samples[target.id],
            DEFAULT_TEXT_LENGTH,
            takes_audio=run.manifest.kind != "speech",
            uses_measurements=run.manifest.provenance is Provenance.LIVE,
        )
        price = cost.comparison_price
        unit = "minute of audio" if cost.takes_audio else f"1M characters in texts of {cost.text_length}"
        values[target.id] = [price.usd, price.low_usd, price.high_usd, unit, price.describe()]
    return values


def _format_csv_value(value: ColumnValue) -> str | int | float | None:
    # Before other numbers, because `bool` is a subclass of `int`, and would be written as a word.
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str):
        return value
    text = escape_unprintable(value)
    return f"'{text}" if text.startswith(_SPREADSHEET_FORMULA_STARTS) else text

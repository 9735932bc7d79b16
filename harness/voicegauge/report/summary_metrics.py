"""The numbers of results for dashboards.

Metrics with the same name and labels in two files of one host collide, so labels name what was judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.bench.benchmark_result import BenchResult
from voicegauge.bench.comparison import RunComparison
from voicegauge.bench.estimates import Estimate
from voicegauge.bench.metric_series import MetricSeries, compute_level
from voicegauge.bench.run_history import RunHistory
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.conformance.report import CheckReport
from voicegauge.drift.report import DriftReport
from voicegauge.model.base import Severity
from voicegauge.outputs.result_summary import MetricValue


def iterate_check_metrics(report: CheckReport) -> Iterator[MetricValue]:
    """Yield the findings of each provider by severity, and what was spent and tried in the whole check."""
    provenance = "+".join(sorted(report.exchange_count_by_provenance)) or "none"
    providers = dict.fromkeys(target.partition("/")[0] for target in report.targets)
    for provider in providers:
        for severity in Severity:
            count = sum(one.where.provider == provider and one.severity is severity for one in report.findings)
            yield MetricValue(
                name="voicegauge_check_findings",
                help="Findings that no baseline accepts",
                labels={"provider": provider, "severity": severity.value, "provenance": provenance},
                value=count,
            )
    labels = {"provider": ",".join(providers), "provenance": provenance}
    yield MetricValue(
        name="voicegauge_check_spent_usd", help="Dollars charged to the budget", labels=labels, value=report.spent_usd
    )
    if report.coverage_percent is not None:
        yield MetricValue(
            name="voicegauge_check_coverage_percent",
            help="Share of the contracts that was tried",
            labels=labels,
            value=report.coverage_percent,
        )


def iterate_drift_metrics(report: DriftReport) -> Iterator[MetricValue]:
    """Yield the number of changes of each level, also of levels without changes."""
    for level, count in report.count_by_level.items():
        yield MetricValue(
            name="voicegauge_drift_changes",
            help="Changes that no baseline accepts",
            labels={"api": report.name, "level": level.value},
            value=count,
        )


def iterate_benchmark_metrics(result: BenchResult) -> Iterator[MetricValue]:
    """Yield the numbers of each target that are known."""
    for target in result.targets:
        labels = {"target": target.target, "provenance": result.provenance.value}
        values = {
            ("voicegauge_requests", "Requested samples, without warm-up"): target.sample_count,
            ("voicegauge_failures", "Samples without usable audio"): target.failure_count,
            ("voicegauge_wrong_audio", "Samples whose audio is known to be wrong"): target.wrong_count,
            ("voicegauge_total_latency_seconds", "Median total latency"): _to_seconds(target.total_latency_ms),
            ("voicegauge_time_to_first_audio_seconds", "Median time to first audio"): _to_seconds(target.ttfa_ms),
            ("voicegauge_real_time_factor", "Median real-time factor"): None
            if target.rtf is None
            else target.rtf.value,
            ("voicegauge_error_rate", "Word error rate; character error rate without words"): _get_error_rate(target),
            ("voicegauge_price_usd_per_request", "Mean price per request"): target.cost.price_per_request.usd,
        }
        for (name, about), value in values.items():
            if value is not None:
                yield MetricValue(name=name, help=about, labels=labels, value=value)


def _to_seconds(estimate_ms: Estimate | None) -> float | None:
    return None if estimate_ms is None else estimate_ms.value / 1000


def _get_error_rate(target: TargetSummary) -> float | None:
    rate = target.wer or target.cer
    return None if rate is None else rate.corpus_rate.value


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
        yield MetricValue(
            name="voicegauge_compare_verdict",
            help="1 for each metric, with the verdict as a label",
            labels={**labels, "verdict": one.verdict},
            value=1,
        )
        yield MetricValue(
            name="voicegauge_compare_regression",
            help="Whether the metric regressed (1) or not (0)",
            labels=labels,
            value=int(one.verdict == "regression"),
        )
        yield MetricValue(
            name="voicegauge_compare_change",
            help="Change from the baseline: relative for times and prices, the difference for rates and ratings",
            labels={**labels, "unit": one.unit},
            value=one.change,
        )


def iterate_history_metrics(history: RunHistory) -> Iterator[MetricValue]:
    """Yield alerts, regressions and the present level of each series."""
    for one in history.series:
        labels = {
            "target": one.key.target,
            "metric": one.key.metric,
            "region": one.key.region or "",
            "configuration": one.key.configuration,
            "provenance": one.key.provenance.value,
        }
        yield MetricValue(
            name="voicegauge_history_level",
            help="Level since the latest confirmed change, in the unit of its label: median, or rate over all samples",
            labels={**labels, "unit": one.key.unit},
            value=_compute_present_level(history, one),
        )
        if one.key.unit == "usd":
            continue  # changes of prices are events, not regressions
        changes = [change for change in history.changes if change.series_key == one.key]
        yield MetricValue(
            name="voicegauge_history_regressions",
            help="Confirmed regressions of all nights",
            labels=labels,
            value=sum(change.direction == "regression" for change in changes),
        )
        yield MetricValue(
            name="voicegauge_history_alerts",
            help="Regressions that the latest night has confirmed",
            labels=labels,
            value=sum(change in history.new_regressions for change in changes),
        )


def _compute_present_level(history: RunHistory, series: MetricSeries) -> float:
    if series.key.unit == "usd":
        return series.nights[-1].value
    starts = [change.first_night for change in history.changes if change.series_key == series.key]
    return compute_level(series.key.unit, [one for one in series.nights if one.night >= max(starts, default="")])

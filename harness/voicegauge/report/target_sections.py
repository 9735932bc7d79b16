"""Builds the section of each target: latency, errors, clips, failures, and findings of other commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from voicegauge.bench.estimates import BoundEstimates
from voicegauge.bench.speech_summaries import CategoryErrorRate, LanguageErrorRate
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.conformance.check_report import CheckReport
from voicegauge.drift.drift_report import DriftChange, DriftLevel, DriftReport
from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model.base import Finding, Provenance, Severity
from voicegauge.model.exchange import BodyExcerpt, ExchangeExcerpt, FailureKind, Headers
from voicegauge.model.run import MeasuredTarget, Run
from voicegauge.model.sample import Latency
from voicegauge.report._charts import JobStateChart, LatencyCurve, build_job_state_chart, build_latency_curve
from voicegauge.report._result_tables import format_time_bounds
from voicegauge.report.report_data import FailureGroup, RunReport
from voicegauge.report.scored_clips import ClipPlayer, ScoredClip, WrongClip
from voicegauge.report.text_format import format_ms

# Finds the findings of `check` and the changes of `drift` that concern one target of a benchmark.


ResultT = TypeVar("ResultT", CheckReport, DriftReport)

MAX_LISTED_FINDINGS_OR_CHANGES = 20
"""Largest number of findings, and of changes, that are listed for each target."""


class CheckAndDriftReports(NamedTuple):
    """Saved results of `check --json` and `drift --json`, which a report shows with the targets that they concern."""

    check_reports: tuple[CheckReport, ...] = ()
    drift_reports: tuple[DriftReport, ...] = ()


NO_CHECK_AND_DRIFT_REPORTS = CheckAndDriftReports()


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


def load_check_and_drift_reports(check_files: Sequence[Path], drift_files: Sequence[Path]) -> CheckAndDriftReports:
    """Load what `check --json` and `drift --json` have written.

    Raises:
        DataError: a file cannot be read, or is not such a result.
    """
    return CheckAndDriftReports(
        tuple(_load_report(file, CheckReport, "voicegauge check --json") for file in check_files),
        tuple(_load_report(file, DriftReport, "voicegauge drift --json") for file in drift_files),
    )


class _ResultHeader(msgspec.Struct):
    """The `schema` of a JSON file, which names the command and version that wrote it."""

    schema: str = ""


def _load_report(file: Path, result_type: type[ResultT], command: str) -> ResultT:
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


def find_target_checks(check_and_drift_reports: CheckAndDriftReports, target_id: str) -> tuple[TargetCheck, ...]:
    """Return the findings about a target, for each check that sent something to the target's provider."""
    provider = target_id.partition("/")[0]
    target_checks = []
    for report in check_and_drift_reports.check_reports:
        if not any(name.startswith(f"{provider}/") for name in (*report.operations, *report.targets)):
            continue
        findings = sorted(
            (one for one in report.findings if _is_about_target(one, provider, target_id)),
            key=lambda one: (_SEVERITY_ORDER.index(one.severity), one.where.target != target_id),
        )
        target_checks.append(
            TargetCheck(
                date=report.created_at[:10],
                is_emulated=Provenance.EMULATED in report.exchange_count_by_provenance,
                findings=tuple(findings[:MAX_LISTED_FINDINGS_OR_CHANGES]),
                unlisted_finding_count=max(len(findings) - MAX_LISTED_FINDINGS_OR_CHANGES, 0),
            )
        )
    return tuple(target_checks)


_SEVERITY_ORDER = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)


def _is_about_target(finding: Finding, provider: str, target_id: str) -> bool:
    return finding.where.provider == provider and finding.where.target in (None, target_id)


def find_target_drifts(check_and_drift_reports: CheckAndDriftReports, target_id: str) -> tuple[TargetDrift, ...]:
    """Return the changes of a target's provider, for each comparison of its documents or traffic."""
    provider = target_id.partition("/")[0]
    levels = list(DriftLevel)
    return tuple(
        TargetDrift(
            old_document=report.old_input.version or report.old_input.file,
            new_document=report.new_input.version or report.new_input.file,
            changes=tuple(
                sorted(report.changes, key=lambda one: levels.index(one.level))[:MAX_LISTED_FINDINGS_OR_CHANGES]
            ),
            unlisted_change_count=max(len(report.changes) - MAX_LISTED_FINDINGS_OR_CHANGES, 0),
        )
        for report in check_and_drift_reports.drift_reports
        if provider in (report.old_input.provider, report.new_input.provider)
    )


# Builds the section of each target: distribution, job states, errors by category, clips, failures and contract.


MAX_FAILURE_MESSAGES_PER_CAUSE = 3
"""Largest number of different failure messages that are shown for each cause."""

PlayableClip = tuple[ScoredClip, ClipPlayer]
"""A clip with the player of its audio."""


class PhaseTime(NamedTuple):
    """One row of the table of phases: a name, and the median or the bounds of the medians in ms."""

    phase_name: str
    time_text: str


class ErrorRow(NamedTuple):
    """A row of the table of word or character errors: one language, or one category of texts in it."""

    language: str
    category: str
    """Category of the texts; empty if the row is about all texts of the language."""
    error_rate: CategoryErrorRate | LanguageErrorRate


class QuotedExchange(NamedTuple):
    """One exchange as text: its request and its response, each with first line, headers and body."""

    request_text: str
    response_text: str


class FailureCause(NamedTuple):
    """The failures of one target that have the same kind and status."""

    kind: FailureKind
    http_status: int | None
    failure_count: int
    failure_groups: tuple[FailureGroup, ...]
    """The failures by message, the most frequent messages first; at most `MAX_FAILURE_MESSAGES_PER_CAUSE` groups."""
    unlisted_message_count: int
    """Number of failure messages that are not in `failure_groups`."""
    example_exchange: QuotedExchange | None


class TargetSection(NamedTuple):
    """The content of the page's section about one target."""

    anchor: str
    summary: TargetSummary
    measured_target: MeasuredTarget
    latency_curve: LatencyCurve | None
    job_state_chart: JobStateChart | None
    phase_times: tuple[PhaseTime, ...]
    error_rows: tuple[ErrorRow, ...]
    worst_clips: tuple[PlayableClip, ...]
    random_clips: tuple[PlayableClip, ...]
    wrong_clips: tuple[tuple[WrongClip, ClipPlayer], ...]
    """Clips whose audio is wrong or in doubt, each with an excerpt."""
    failure_causes: tuple[FailureCause, ...]
    target_checks: tuple[TargetCheck, ...]
    """The findings of saved conformance checks about the target."""
    target_drifts: tuple[TargetDrift, ...]
    """Changes of the provider's documents or traffic, from the saved results of `voicegauge drift`."""


def build_target_sections(
    report: RunReport,
    run: Run,
    targets: Sequence[TargetSummary],
    anchor_by_target: dict[str, str],
    check_and_drift_reports: CheckAndDriftReports,
    *,
    worst_clips: Sequence[PlayableClip] = (),
    random_clips: Sequence[PlayableClip] = (),
    wrong_clips: Sequence[tuple[WrongClip, ClipPlayer]] = (),
) -> tuple[TargetSection, ...]:
    """Return the sections of the targets of one run.

    Args:
        report: the run's report.
        run: the saved run from which the report was computed.
        targets: the targets in the order of their sections.
        anchor_by_target: ids of the sections by target.
        check_and_drift_reports: saved results of `check` and `drift`.
        worst_clips: the clips of all targets with the highest error rates.
        random_clips: a clip of each target that was not chosen for its errors.
        wrong_clips: the clips of all targets whose audio is wrong or in doubt, with their excerpts.
    """
    measured_targets = {one.id: one for one in run.manifest.targets}
    latencies: dict[str, list[Latency]] = defaultdict(list)
    for sample in run.select_counted_samples():
        if sample.failure is None and sample.latency:
            latencies[sample.target].append(sample.latency)
    return tuple(
        TargetSection(
            anchor=anchor_by_target[name],
            summary=target,
            measured_target=measured_targets[name],
            latency_curve=build_latency_curve(
                [one.total_latency_ms for one in latencies[name] if one.total_latency_ms is not None]
            ),
            job_state_chart=build_job_state_chart(latencies[name]),
            phase_times=_list_phase_times(target),
            error_rows=_list_error_rows(target),
            worst_clips=tuple(pair for pair in worst_clips if pair[0].target == name),
            random_clips=tuple(pair for pair in random_clips if pair[0].target == name),
            wrong_clips=tuple(pair for pair in wrong_clips if pair[0].target == name),
            failure_causes=_group_failures_by_cause([one for one in report.failure_groups if one.target == name]),
            target_checks=find_target_checks(check_and_drift_reports, name),
            target_drifts=find_target_drifts(check_and_drift_reports, name),
        )
        for target in targets
        for name in (target.target,)
    )


def _group_failures_by_cause(failure_groups: Sequence[FailureGroup]) -> tuple[FailureCause, ...]:
    by_cause: dict[tuple[FailureKind, int | None], list[FailureGroup]] = {}
    for failure in failure_groups:
        by_cause.setdefault((failure.kind, failure.http_status), []).append(failure)
    causes = [
        FailureCause(
            kind=kind,
            http_status=status,
            failure_count=sum(failure.count for failure in group),
            failure_groups=tuple(group[:MAX_FAILURE_MESSAGES_PER_CAUSE]),
            unlisted_message_count=max(len(group) - MAX_FAILURE_MESSAGES_PER_CAUSE, 0),
            example_exchange=next(
                (_quote_exchange(failure.example_exchange) for failure in group if failure.example_exchange), None
            ),
        )
        for (kind, status), group in by_cause.items()
    ]
    return tuple(sorted(causes, key=lambda cause: -cause.failure_count))


def _quote_exchange(exchange: ExchangeExcerpt) -> QuotedExchange:
    return QuotedExchange(
        _format_message(f"{exchange.method} {exchange.url}", exchange.request_headers, exchange.request_body),
        _format_message(f"HTTP {exchange.status}", exchange.response_headers, exchange.response_body),
    )


def _format_message(first_line: str, headers: Headers, body: BodyExcerpt) -> str:
    note = f"({body.size_bytes:,} bytes: {body.omission_reason})" if body.omission_reason else ""
    head = "\n".join((first_line, *(f"{name}: {value}" for name, value in headers)))
    return "\n\n".join(part for part in (head, body.text, note) if part)


def _list_phase_times(target: TargetSummary) -> tuple[PhaseTime, ...]:
    """Return the times of a target in the order of a request.

    A target that responds to the submit with the audio has no row for the submit, because it ends with the request.
    """
    is_direct = target.completion_ms is None and target.download_ms is None
    socket = target.socket
    interruptions = socket.interruptions if socket is not None else None
    times = {
        "Handshake of a new connection": socket.handshake_ms if socket is not None else None,
        "Submit answered": None if is_direct else target.submit_latency_ms,
        "Waiting in the queue": target.queue_ms,
        "Processing": target.processing_ms,
        "Job complete": target.completion_ms,
        "First byte of audio": target.ttfa_ms,
        "First byte of audio, after the last text": target.ttfa_after_text_ms,
        "First byte of audio, after the flush": socket.ttfa_after_flush_ms if socket is not None else None,
        "First speech is played": target.ttfs_ms,
        "Download": target.download_ms,
        "Everything, median": target.total_latency_ms,
        "Everything, 95th percentile": target.total_latency_p95_ms,
        "Last audio after a cancellation": interruptions.last_audio_ms if interruptions is not None else None,
        "Next turn speaks after a cancellation": interruptions.next_audio_ms if interruptions is not None else None,
    }
    return tuple(
        PhaseTime(name, format_time_bounds(time) if isinstance(time, BoundEstimates) else format_ms(time.value))
        for name, time in times.items()
        if time is not None
    )


def _list_error_rows(target: TargetSummary) -> tuple[ErrorRow, ...]:
    languages = [ErrorRow(one.language, "", one) for one in target.error_rates_by_language]
    categories = [ErrorRow(one.language, one.category, one) for one in target.error_rates_by_category]
    rows = [*(languages if len(languages) > 1 or len(categories) > 1 else []), *categories]
    return tuple(sorted(rows, key=lambda row: (row.language, row.category != "", row.category)))

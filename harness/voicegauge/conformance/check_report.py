"""The report of a check, its baseline, badge and export.

In output formats, errors and warnings keep their level, and findings of severity `disputed` or `info` become notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, final

import msgspec

from voicegauge.conformance.coverage import CoverageEntry
from voicegauge.conformance.spending import Spending
from voicegauge.model.base import Finding, FindingLocation, Provenance, Record, Severity, StopReason
from voicegauge.model.exchange import DOWNLOAD_OPERATION, AmbiguousRequest, Interruption
from voicegauge.model.price import format_price_usd
from voicegauge.outputs.finding_exports import (
    AcceptedFinding,
    BadgeVerdict,
    ExportedReport,
    FileLocation,
    FindingsBaseline,
    JUnitCase,
    ReportedFinding,
    RuleDescription,
    SarifLevel,
    build_baseline,
    format_badge_svg,
)
from voicegauge.outputs.result_summary import SummarizedResult
from voicegauge.printable_text import format_count, format_names
from voicegauge.rules.registry import RULE_BY_ID

# Defines what the report of a check says about the resources that the check created in the account.


class RemainingResource(Record, frozen=True, kw_only=True):
    """A resource that stays in the account."""

    operation: str
    """The operation that created the resource: <provider>/<operation>."""
    resource_type: str
    """What the kind of resource is called: "saved voice"."""
    id: str | None
    """The id of the resource; `None` if no response contained a usable one."""
    not_deleted_reason: str
    """Why the resource was not deleted, in one line."""
    created_at: str
    """Time of the request that created the resource: UTC, ISO 8601."""


class ResourceSummary(Record, frozen=True, kw_only=True):
    """The resources that a check created, such as saved voices, and what became of them."""

    created_count: int = 0
    """Number of resources that the check created."""
    deleted_count: int = 0
    """Number of the created resources that were deleted, by the check itself or at its end."""
    deleted_count_of_earlier_runs: int = 0
    """Number of resources of earlier runs that were deleted first, because those runs had been killed."""
    remaining_resources: tuple[RemainingResource, ...] = ()
    """Resources of this run and of earlier runs that stay in the account."""

    def __add__(self, other: ResourceSummary) -> ResourceSummary:
        """Return the sum of two summaries."""
        return ResourceSummary(
            created_count=self.created_count + other.created_count,
            deleted_count=self.deleted_count + other.deleted_count,
            deleted_count_of_earlier_runs=self.deleted_count_of_earlier_runs + other.deleted_count_of_earlier_runs,
            remaining_resources=(*self.remaining_resources, *other.remaining_resources),
        )


# Defines the report of a check, and what makes a check doubtful.


class CaseResult(Record, frozen=True, kw_only=True):
    """The result of one planned case."""

    id: str
    """Id of the case."""
    operation: str
    """The operation of the case: <provider>/<operation id>; empty if nothing could be planned."""
    target: str | None = None
    """Id of the target of the case; `None` if it tests no target."""
    verdict: Literal["passed", "failed", "skipped"]
    """`failed` if the case has an error or a warning; `skipped` if no verdict was possible."""
    status: int | None = None
    """HTTP status of the response that was judged; `None` if no response was judged."""
    not_judged_reason: str | None = None
    """Why the case was skipped or not completely judged, such as the error that ended a delivery early."""
    is_delivery: bool = False
    """Whether the case is a delivery, which should end with downloaded audio."""
    message_by_violated_rule: dict[str, str] = msgspec.field(default_factory=dict)
    """The first message of each rule with an error or a warning in the case, by rule id."""


@final
class CheckReport(SummarizedResult, frozen=True, kw_only=True):
    """The JSON that `voicegauge check --json` writes."""

    schema: str = "voicegauge/check/2"
    voicegauge_version: str
    """Version of voicegauge that wrote the report."""
    created_at: str
    """Time at which the check started, in UTC and ISO 8601 format."""
    is_finished: bool
    """Whether the check ran to its end. It is false if the check was stopped early, for example by the budget."""
    stop_message: str | None = None
    """What stopped the check early, in one line; `None` if the check ran to its end."""
    stop_reason: StopReason | None = None
    """The kind of event that stopped the check early; `None` if the check ran to its end."""
    seed: int
    """Seed of the random numbers of the check."""
    targets: tuple[str, ...]
    """Ids of the checked targets."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that were applied; empty if all were."""
    operations: tuple[str, ...] = ()
    """Operations with at least one exchange: <provider>/<operation>."""
    excluded_operations: tuple[str, ...] = ()
    """Operations that the targets do not need, to which nothing was sent and which `coverage` does not contain:
    <provider>/<operation>."""
    exchange_count_by_provenance: dict[Provenance, int] = msgspec.field(default_factory=dict)
    """Number of exchanges that were judged, by provenance."""
    repetition_count_by_status: dict[str, int] = msgspec.field(default_factory=dict)
    """How often this check repeated a request because the response asked for it, by HTTP status, most frequent first.
    If the contract documents the status and its repetition, there is no finding about it."""
    case_results: tuple[CaseResult, ...] = ()
    """The results of the planned cases, in the order of the plan; empty for recordings."""
    interruptions_by_target: dict[str, tuple[Interruption, ...]] = {}
    """How targets that speak over WebSockets reacted to each interruption, by target id. Interruptions in an earlier,
    killed check, which this one resumes, are missing."""
    unjudged_words_count_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of deliveries with audible speech of which it was not judged whether they say their text, by the reason.
    They have not failed, and not passed either."""
    unjudged_sound_count_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of deliveries whose sound a rule could not judge, by rule and reason ("audio-dropout: ..."). They have not
    failed that rule, and not passed it either."""
    not_judged_reason_by_name: dict[str, str] = msgspec.field(default_factory=dict)
    """Why targets, recordings and folders were not judged although they should have been, by their name. The check
    proves nothing about them, so it does not pass."""
    left_out_reason_by_target: dict[str, str] = msgspec.field(default_factory=dict)
    """Why targets were left out of the plan, by target id: their delivery is beyond a limit of the user, or no
    document states what it costs. The check proves nothing about them."""
    is_short: bool = False
    """Whether the user asked for some billable requests only (`max_calls`). The targets that were left out then, and
    `unreserved_rejection_count`, make no difference to the exit status; otherwise the check does not pass."""
    over_budget_case_count: int = 0
    """Number of cases that were not sent because they did not fit into what was left of a budget: left out of a plan
    with `max_calls`, or skipped. If there is at least one, only a part was judged, so the check does not pass."""
    unreserved_rejection_count: int = 0
    """Number of the cases in `over_budget_case_count` that should be rejected at no cost, and were not sent because a
    faulty service could charge more than was left."""
    unmatched_request_reason_by_name: dict[str, str] = msgspec.field(default_factory=dict)
    """Why accepted requests of a recording are about no target of the contract, such as requests for another model: the
    reason by recording and operation. Their jobs and audio are not judged."""
    doubt_reason: str | None = None
    """What makes the whole check doubtful, such as a wrong key, in one line; `None` if nothing does."""
    todo_notice: str | None = None
    """How many open TODO marks contracts have, and where; `None` if none. They mark guesses of `voicegauge init`."""
    coverage: tuple[CoverageEntry, ...] = ()
    """What was tried of the contracts, and the reason for what was not tried. Documented examples are not counted,
    because they are never sent."""
    coverage_percent: float | None = None
    """Percentage of everything applicable in `coverage` that was tried; `None` if nothing was sent or read."""
    emulator_command: str | None = None
    """The shell command that starts the emulator of the check again, with its faults, for the `curl` commands of the
    findings. `None` if the check did not use an emulator of its own."""
    ineffective_faults: tuple[str, ...] = ()
    """Names of the injected faults that have no effect on the targets. The check proves nothing about them."""
    findings: tuple[Finding, ...] = ()
    """Findings of the check: one per rule, location and severity. `occurrence_count` says how often each was seen."""
    accepted_findings: tuple[Finding, ...] = ()
    """Findings that the baseline accepts. They are not in `findings`."""
    unused_baseline_entries: tuple[str, ...] = ()
    """Entries of the baseline for which there was no finding, one line each."""
    resources: ResourceSummary = ResourceSummary()
    """The resources that the check created in the account, such as saved voices, and those that are left there. They do
    not change the exit status."""
    spent_usd: float = 0.0
    """Dollars charged to the budget by this check."""
    spent_by_earlier_runs_usd: float = 0.0
    """Dollars that were or may have been charged to earlier checks of these targets, as far as they ended early or lost
    requests. They count towards the budget and are not in `spent_usd`."""
    resumed_case_count: int = 0
    """Number of cases that an earlier check of these targets judged before it ended early. They are in `case_results`,
    were not sent again, and do not count in `spending`."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is not known: of this check, and of earlier checks
    of these targets."""
    spending: Spending = Spending()
    """Requests and money spent for each purpose; empty if nothing was sent."""

    def count_findings(self, *severities: Severity) -> int:
        """Return the number of findings of the given severities."""
        return sum(finding.severity in severities for finding in self.findings)

    @property
    def contract_operations(self) -> tuple[str, ...]:
        """Those of `operations` that a contract describes: <provider>/<operation>. Downloads are left out."""
        return tuple(name for name in self.operations if not name.endswith(f"/{DOWNLOAD_OPERATION}"))

    @property
    def emulator_notice(self) -> str | None:
        """How to start the emulator that the curl commands of the findings send to; `None` if none is needed."""
        commands = (finding.reproduction_command or "" for finding in self.findings)
        if self.emulator_command is None or not any(command.startswith("curl ") for command in commands):
            return None
        return f"the curl commands need the emulator, which takes any key: {self.emulator_command}"

    @property
    def no_verdict_reason(self) -> str | None:
        """Why the check does not pass even if nothing was found, in one line; `None` if it can pass.

        The reason is that no case has a verdict, or that targets or recordings were not judged.
        """
        if self.case_results and all(case.verdict == "skipped" for case in self.case_results):
            return f"no case came to a verdict; the first: {self.case_results[0].not_judged_reason}"
        is_partly_judged = bool(not self.case_results and self.exchange_count_by_provenance)  # as of recordings
        return _describe_first_unjudged_item(self.not_judged_reason_by_name, is_partly_judged=is_partly_judged)

    @property
    def partly_judged_reason(self) -> str | None:
        """Why the check does not pass although everything judged passes, in one line; `None` without a reason.

        The reasons are a budget that does not pay for the plan, and a target whose price is not known. If the user has
        limited the check (`is_short`), only planned cases that could not be paid for count.
        """
        if self.left_out_reason_by_target and not self.is_short:
            return f"partly judged: {_describe_first_unjudged_item(self.left_out_reason_by_target)}"
        if self.over_budget_case_count <= (self.unreserved_rejection_count if self.is_short else 0):
            return None
        more = "a larger --max-cost or --max-cost-per-day pays for them"
        return f"partly judged: {_describe_over_budget_cases(self)}: {more}"

    @property
    def is_whole(self) -> bool:
        """Whether the check has ended, and no case was left out because of a budget or a limit of requests."""
        has_unpaid_part = self.left_out_reason_by_target or self.over_budget_case_count
        return self.is_finished and self.partly_judged_reason is None and not has_unpaid_part


def _describe_first_unjudged_item(reason_by_name: Mapping[str, str], *, is_partly_judged: bool = False) -> str | None:
    """Return a line about the first item that was not judged, with the reason; `None` if there is no such item.

    With `is_partly_judged`, the line does not say that nothing of the item was judged.
    """
    if not reason_by_name:
        return None
    name, reason = next(iter(reason_by_name.items()))
    more = len(reason_by_name) - 1
    extent = "not everything was judged:" if is_partly_judged else "nothing was judged of"
    return f"{extent} {name}: {reason}{f' (and of {more} more: see --json)' if more else ''}"


def _describe_over_budget_cases(report: CheckReport) -> str:
    return f"{format_count(report.over_budget_case_count, 'case')} not sent for lack of budget"


def describe_doubtful_statuses(count_by_status: Mapping[int, int]) -> str | None:
    """Return a notice if a wrong key, a wrong base URL or a broken server explains nearly all responses, else `None`.

    A wrong key or base URL is assumed if nine of ten responses have a status that it causes; a wrong base URL or broken
    server also if all responses have the same status of a redirect or server error. Then hardly anything of the
    contract was tried, and the findings are only consequences. The result is `None` for fewer than ten responses.

    Args:
        count_by_status: number of responses by HTTP status.
    """
    total, first = sum(count_by_status.values()), next(iter(count_by_status), 0)
    if (
        total >= 10
        and len(count_by_status) == 1
        and first not in _LIKELY_CAUSE_BY_STATUS
        and (300 <= first < 400 or first >= 500)
    ):
        cause = "the base URL, because redirects are not followed" if first < 400 else "the server first"
        return f"every response has status {first}: check {cause}"
    doubtful = {status: count for status, count in sorted(count_by_status.items()) if status in _LIKELY_CAUSE_BY_STATUS}
    if total < 10 or sum(doubtful.values()) < 0.9 * total:
        return None
    named = " or ".join(map(str, doubtful))
    causes = " and ".join(dict.fromkeys(_LIKELY_CAUSE_BY_STATUS[status] for status in doubtful))
    return f"{sum(doubtful.values())} of {total} responses have status {named}: check {causes} first"


def find_common_failure_cause(count_by_status: Mapping[int, int]) -> str | None:
    """Return what is probably wrong, "the key" or "the base URL", if it explains the statuses of all responses.

    Return `None` otherwise. `count_by_status` is the number of responses by HTTP status.
    """
    causes = {_LIKELY_CAUSE_BY_STATUS.get(status) for status in count_by_status}
    return causes.pop() if len(causes) == 1 else None


_LIKELY_CAUSE_BY_STATUS = {
    401: "the key",
    403: "the key",
    404: "the base URL",
    405: "the base URL",
    501: "the base URL",
    502: "the base URL",
}
"""By HTTP status: what is probably wrong if nearly all responses have this status."""


# Renders the result of a check as an SVG badge.


_MAX_NAMED_PROVIDERS = 3
"""Maximum number of providers that a badge names."""


def render_check_badge(report: CheckReport, *, fail_on_warnings: bool = False, has_unmet_limit: bool = False) -> str:
    """Return an SVG image such as "acme contract | 0 findings, LIVE 2026-11-23".

    Args:
        report: the report of the check.
        fail_on_warnings: whether warnings are failures.
        has_unmet_limit: whether something besides findings failed, such as a limit of the user.
    """
    providers = sorted({name.partition("/")[0] for name in (*report.targets, *report.operations)})
    label = f"{format_names(providers, _MAX_NAMED_PROVIDERS)} contract{'' if len(providers) == 1 else 's'}"
    verdict = "failed" if has_unmet_limit else _determine_verdict(report, fail_on_warnings=fail_on_warnings)
    date = report.created_at[:10]
    order = (Provenance.LIVE, Provenance.EMULATED, Provenance.RECORDED, Provenance.DOCUMENTED)
    source = " + ".join(one.upper() for one in order if one in report.exchange_count_by_provenance) or "nothing sent"
    return format_badge_svg(label, f"{_describe_findings(report)}, {source} {date}", verdict)


def _determine_verdict(report: CheckReport, *, fail_on_warnings: bool) -> BadgeVerdict:
    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    if report.count_findings(*failing):
        return "failed"
    is_judged = report.is_finished and report.exchange_count_by_provenance and report.no_verdict_reason is None
    return "passed" if is_judged and report.is_whole else "not-judged"


def _describe_findings(report: CheckReport) -> str:
    counts = {severity: report.count_findings(severity) for severity in Severity}
    found = [
        format_count(count, severity.value) if severity in (Severity.ERROR, Severity.WARNING) else f"{count} {severity}"
        for severity, count in counts.items()
        if count
    ]
    if not found:
        is_judged = report.exchange_count_by_provenance and report.no_verdict_reason is None
        found = ["0 findings" if is_judged else "not judged"]
    if not report.is_finished:
        found.append("incomplete")
    elif not report.is_whole:
        found.append("partly judged")
    return ", ".join(found)


# Makes and applies the baseline of a check, which lists the findings that a team has accepted.


ACCEPTABLE_SEVERITIES = (Severity.ERROR, Severity.WARNING)
"""Severities that a baseline can accept. Findings of other severities never fail a check, so hiding them has no use."""


def build_check_baseline(report: CheckReport) -> FindingsBaseline:
    """Return a baseline that accepts every error and warning of `report`, and the findings already accepted there.

    A finding has an entry for each of its places.
    """
    return build_baseline(
        _build_accepted_finding(finding, place)
        for finding in (*report.findings, *report.accepted_findings)
        if finding.severity in ACCEPTABLE_SEVERITIES
        for place in finding.locations
    )


def _build_accepted_finding(finding: Finding, where: FindingLocation) -> AcceptedFinding:
    # The message is about one place; an entry about another operation says so.
    seen_in = "" if where.operation == finding.where.operation else f"as in {finding.where.operation}: "
    return AcceptedFinding(
        fingerprint=finding.compute_fingerprint(where),
        rule=finding.rule,
        provider=where.provider,
        operation=where.operation,
        contract_pointer=where.contract_pointer,
        body_pointer=where.traffic_pointer,
        message=f"{seen_in}{finding.message}",
    )


def apply_baseline(report: CheckReport, baseline: FindingsBaseline) -> CheckReport:
    """Return `report` with the findings that `baseline` accepts moved from `findings` to `accepted_findings`.

    A finding is accepted if it is accepted in each of its places. Findings that only an earlier baseline accepted are
    moved back. An entry of the baseline counts as unused only if its rule was applied to its operation in a check that
    ran to its end. Otherwise the finding may still exist.
    """
    rules = report.rules or RULE_BY_ID
    findings = (*report.findings, *report.accepted_findings)
    accepted = tuple(
        finding
        for finding in findings
        if _list_fingerprints(finding) <= baseline.fingerprints and finding.severity in ACCEPTABLE_SEVERITIES
    )
    seen = {fingerprint for finding in findings for fingerprint in _list_fingerprints(finding)}
    unused = tuple(
        str(entry)
        for entry in baseline.accepted_findings
        if report.is_finished
        and entry.fingerprint not in seen
        and entry.rule in rules
        and (f"{entry.provider}/{entry.operation}" in report.operations or entry.operation is None)
    )
    others = tuple(finding for finding in findings if finding not in accepted)
    return msgspec.structs.replace(report, findings=others, accepted_findings=accepted, unused_baseline_entries=unused)


def _list_fingerprints(finding: Finding) -> set[str]:
    return set(map(finding.compute_fingerprint, finding.locations))


def describe_accepting_entries(report: CheckReport) -> str:
    """Return the number of baseline entries that accept the findings of `report`, such as " (3 entries)".

    Empty if each finding has one entry.
    """
    count = len(set().union(*map(_list_fingerprints, report.accepted_findings)))
    return "" if count == len(report.accepted_findings) else f" ({count} entries)"


# Converts a check report to the common form of the output formats (JUnit, SARIF, GitHub annotations).


MAX_NAMES_IN_SUMMARY = 3
"""Largest number of targets, recordings or faults that the summary line lists; other lines have each with its
reason."""
MAX_OTHER_OPERATIONS_SHOWN = 8
"""Largest number of further operations that a finding names; its JSON has all."""
SARIF_LEVEL_BY_SEVERITY = {
    Severity.ERROR: SarifLevel.ERROR,
    Severity.WARNING: SarifLevel.WARNING,
    Severity.DISPUTED: SarifLevel.NOTE,
    Severity.INFO: SarifLevel.NOTE,
}
"""The level that output formats show for each severity, most severe first."""


def describe_result(report: CheckReport) -> str:
    """Return the number of exchanges, cases and findings, and the cost, in one line."""
    exchanges = " + ".join(
        f"{provenance.upper()} {count}" for provenance, count in report.exchange_count_by_provenance.items()
    )
    counts = [
        _format_finding_count(report, severity)
        for severity in (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)
    ]
    findings = ", ".join(count for count in counts if count) or "no findings"
    is_one = sum(report.exchange_count_by_provenance.values()) == 1
    parts = [f"{exchanges or 'no'} exchange{'' if is_one else 's'}"]
    if report.case_results:
        skipped = sum(case.verdict == "skipped" for case in report.case_results)
        cases = format_count(len(report.case_results), "case")
        parts.append(f"{cases} ({skipped} without a verdict)" if skipped else cases)
    if report.resumed_case_count:
        parts.append(f"{report.resumed_case_count} of them judged by an earlier check")
    covered = {entry.operation_or_provider for entry in report.coverage} | {*report.excluded_operations}
    # Coverage counts the operations that a client requests over HTTP, so that its number of operations is smaller.
    others = sum(name not in covered for name in report.contract_operations) if covered else 0
    operations = format_count(len(report.contract_operations), "operation")
    parts.append(f"{operations}{f' ({others} of them webhooks or WebSockets)' if others else ''}: {findings}")
    if report.over_budget_case_count:
        unpaid = _describe_over_budget_cases(report)
        is_allowed = report.partly_judged_reason is None
        parts.append(f"{unpaid} (optional with --max-calls)" if is_allowed else f"partly judged: {unpaid}")
    if report.not_judged_reason_by_name:
        parts.append(f"not judged: {format_names([*report.not_judged_reason_by_name], MAX_NAMES_IN_SUMMARY)}")
    if report.left_out_reason_by_target:
        parts.append(f"left out: {format_names([*report.left_out_reason_by_target], MAX_NAMES_IN_SUMMARY)}")
    if report.accepted_findings:
        parts.append(f"{len(report.accepted_findings)} accepted by the baseline{describe_accepting_entries(report)}")
    if report.spent_usd:
        parts.append(f"{format_price_usd(report.spent_usd)} spent")
    if report.spent_by_earlier_runs_usd:
        parts.append(f"{format_price_usd(report.spent_by_earlier_runs_usd)} spent by earlier checks")
    if report.ineffective_faults:
        parts.append(f"without effect: the fault {format_names(report.ineffective_faults, MAX_NAMES_IN_SUMMARY)}")
    line = ", ".join(parts)
    return f"{line}. Incomplete: {report.stop_message}" if report.stop_message else line


def _format_finding_count(report: CheckReport, severity: Severity) -> str:
    count = report.count_findings(severity)
    if not count:
        return ""
    return f"{count} disputed" if severity is Severity.DISPUTED else format_count(count, severity.value)


def export_check_report(report: CheckReport, *, fail_on_warnings: bool = False) -> ExportedReport:
    """Return `report` in the form that output formats read.

    JUnit lists passed and skipped tests besides the findings: each judged operation without a finding is passed; each
    case without a verdict, and each target, recording or group of recorded requests that was not judged, is skipped.

    Args:
        report: the report to convert.
        fail_on_warnings: whether warnings fail as well.
    """
    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    ordered = sorted(report.findings, key=lambda finding: list(SARIF_LEVEL_BY_SEVERITY).index(finding.severity))
    return ExportedReport(
        created_at=report.created_at,
        is_finished=report.is_finished,
        stop_message=report.stop_message,
        findings=tuple(_build_reported_finding(finding, failing) for finding in ordered),
        accepted_findings=tuple(_build_reported_finding(finding, ()) for finding in report.accepted_findings),
        cases=tuple(_iterate_junit_cases(report)),
        rules=tuple(
            RuleDescription(
                id=rule.id,
                default_level=SARIF_LEVEL_BY_SEVERITY[rule.severity],
                summary=rule.description,
                explanation=f"{rule.description}\n\nBased on: {rule.contract_condition}",
            )
            for rule in RULE_BY_ID.values()
        ),
    )


def format_other_operations(finding: Finding) -> str:
    """Return the further operations of a finding that has several, in one line; empty if it has one."""
    operations = dict.fromkeys(place.operation for place in finding.other_places if place.operation)
    names = [name for name in operations if name != finding.where.operation]
    return format_names(names, MAX_OTHER_OPERATIONS_SHOWN)


def _build_reported_finding(finding: Finding, failing_severities: tuple[Severity, ...]) -> ReportedFinding:
    where = finding.where
    details = (
        *(("also ", f"{rule}: {message}") for rule, message in finding.same_cause_messages.items()),
        ("also in ", format_other_operations(finding)),
        ("case ", finding.case_id),
        ("seen ", finding.evidence),
        ("disputed: ", finding.satisfied_claim),
        ("", finding.reproduction_command),
    )
    return ReportedFinding(
        rule=finding.rule,
        level=SARIF_LEVEL_BY_SEVERITY[finding.severity],
        severity=finding.severity.value,
        message=finding.message,
        further_occurrence_messages=tuple(
            f"{message} ({count} times)" if count > 1 else message
            for message, count in finding.message_counts.items()
            if message != finding.message
        ),
        api_name=where.provider,
        operation=where.operation,
        location=None
        if where.contract_file is None
        else FileLocation(file=where.contract_file, line=where.contract_line),
        extra_lines=tuple(f"{label}{text}" for label, text in details if text),
        command=finding.reproduction_command or None,
        occurrence_count=finding.occurrence_count,
        fingerprint=finding.fingerprint,
        fails_command=finding.severity in failing_severities,
        sarif_properties={
            "provenance": finding.provenance.value,
            "target": where.target,
            "traffic_pointer": where.traffic_pointer,
            "contract_pointer": where.contract_pointer,
            "case_id": finding.case_id,
            "evidence": finding.evidence,
            "message_counts": finding.message_counts or None,
            "same_cause_messages": finding.same_cause_messages or None,
            "other_operations": format_other_operations(finding) or None,
            "other_places": [msgspec.to_builtins(place) for place in finding.other_places] or None,
            "satisfied_claim": finding.satisfied_claim,
            "reproduction_command": finding.reproduction_command,
        },
    )


def _iterate_junit_cases(report: CheckReport) -> Iterator[JUnitCase]:
    with_findings = {(place.provider, place.operation) for finding in report.findings for place in finding.locations}
    for operation in report.operations:
        provider, _, name = operation.partition("/")
        if (provider, name) not in with_findings:
            yield JUnitCase(api_name=provider, subject=operation, case_name="follows its contract")
    for name, reason in (
        *report.not_judged_reason_by_name.items(),
        *report.left_out_reason_by_target.items(),
        *report.unmatched_request_reason_by_name.items(),
    ):
        yield JUnitCase(api_name=name.partition("/")[0], subject=name, case_name="was judged", skip_reason=reason)
    for case in report.case_results:
        if case.verdict == "skipped":
            provider = case.id.partition("/")[0]
            reason = case.not_judged_reason or "no verdict"
            yield JUnitCase(api_name=provider, subject=case.operation or case.id, case_name=case.id, skip_reason=reason)

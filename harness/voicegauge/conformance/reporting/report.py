"""Defines the report of a check, and what makes a check doubtful."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, final

import msgspec

from voicegauge.conformance.reporting.coverage import CoverageEntry
from voicegauge.conformance.reporting.resource_summary import ResourceSummary
from voicegauge.conformance.reporting.spending import Spending
from voicegauge.contract import Target
from voicegauge.model import (
    DOWNLOAD_OPERATION,
    AmbiguousRequest,
    Finding,
    FindingLocation,
    Provenance,
    Record,
    Severity,
    StopReason,
)

MAX_MESSAGES_PER_FINDING = 100
"""Maximum number of different messages of one finding, because a hostile service can send any number of values."""


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
    not_judged_reason: str | None = msgspec.field(name="reason", default=None)
    """Why the case was skipped or not completely judged, such as the error that ended a delivery early."""
    is_delivery: bool = False
    """Whether the case is a delivery, which should end with downloaded audio."""
    message_by_violated_rule: dict[str, str] = msgspec.field(name="violations", default_factory=dict)
    """The first message of each rule with an error or a warning in the case, by rule id."""


@final
class CheckReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge check --json` writes."""

    schema: str = "voicegauge/check/2"
    voicegauge_version: str = msgspec.field(name="voicegauge")
    """Version of voicegauge that wrote the report."""
    created_at: str
    """Time at which the check started, in UTC and ISO 8601 format."""
    is_finished: bool = msgspec.field(name="finished")
    """Whether the check ran to its end. It is false if the check was stopped early, for example by the budget."""
    stop_message: str | None = msgspec.field(name="stopped_by", default=None)
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
    excluded_operations: tuple[str, ...] = msgspec.field(name="left_out_operations", default=())
    """Operations that the targets do not need, to which nothing was sent and which `coverage` does not contain:
    <provider>/<operation>."""
    exchange_count_by_provenance: dict[Provenance, int] = msgspec.field(name="exchanges", default_factory=dict)
    """Number of exchanges that were judged, by provenance."""
    case_results: tuple[CaseResult, ...] = msgspec.field(name="cases", default=())
    not_judged_reason_by_name: dict[str, str] = msgspec.field(name="not_judged", default_factory=dict)
    """Why targets, recordings and folders were not judged although they should have been, by their name. The check
    proves nothing about them, so it does not pass."""
    unmatched_request_reason_by_name: dict[str, str] = msgspec.field(name="unmatched_requests", default_factory=dict)
    """Why accepted requests of a recording are about no target of the contract, such as requests for another model: the
    reason by recording and operation. Their jobs and audio are not judged."""
    doubt_reason: str | None = msgspec.field(name="notice", default=None)
    """What makes the whole check doubtful, such as a wrong key or an emulated account without credit, in one line;
    `None` if nothing does."""
    coverage: tuple[CoverageEntry, ...] = ()
    """What was tried of the contracts, and the reason for what was not tried. Documented examples are not counted,
    because they are never sent."""
    coverage_percent: float | None = None
    """Percentage of everything applicable in `coverage` that was tried; `None` if nothing was sent or read."""
    emulator_command: str | None = None
    """The shell command that starts the emulator of the check again, with its faults, for the `curl` commands of the
    findings. `None` if the check did not use an emulator of its own."""
    findings: tuple[Finding, ...] = ()
    """Findings of the check: one per rule, location and severity. `occurrences` is how often each was seen."""
    accepted_findings: tuple[Finding, ...] = msgspec.field(default=(), name="accepted")
    """Findings that the baseline accepts. They are not in `findings`."""
    unused_baseline_entries: tuple[str, ...] = msgspec.field(default=(), name="unused_baseline")
    """Entries of the baseline for which there was no finding, one line each."""
    resources: ResourceSummary = ResourceSummary()
    """The resources that the check created in the account, such as saved voices, and those that are left there. They do
    not change the exit status."""
    spent_usd: float = 0.0
    """Dollars charged to the budget by this check."""
    spent_by_earlier_runs_usd: float = msgspec.field(name="spent_before_usd", default=0.0)
    """Dollars that were or may have been charged to earlier checks of these targets which were killed before their
    report was printed. They count towards the budget and are not in `spent_usd`."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is not known: of this check, and of earlier checks
    that were killed."""
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

        The reason is that no case has a verdict, or that `not_judged_reason_by_name` is not empty.
        """
        if self.case_results and all(case.verdict == "skipped" for case in self.case_results):
            return f"no case came to a verdict; the first: {self.case_results[0].not_judged_reason}"
        if not self.not_judged_reason_by_name:
            return None
        name, reason = next(iter(self.not_judged_reason_by_name.items()))
        more = len(self.not_judged_reason_by_name) - 1
        return f"nothing was judged of {name}: {reason}{f' (and of {more} more: see --json)' if more else ''}"


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


def find_targets_not_judged(targets: Iterable[str], cases: Iterable[CaseResult]) -> dict[str, str]:
    """Return the targets of which no planned delivery was judged, each with the reason.

    The reason is why the first delivery was not judged. Targets without a planned delivery are not included, because
    `CasePlan.targets_without_delivery` lists them.
    """
    deliveries = [case for case in cases if case.is_delivery]
    reasons: dict[str, str] = {}
    for target in targets:
        of_target = [case for case in deliveries if case.target == target]
        if of_target and all(case.not_judged_reason is not None for case in of_target):
            reasons[target] = f"no delivery was judged; the first: {of_target[0].not_judged_reason}"
    return reasons


def describe_empty_account(rejected_request_count: int) -> str | None:
    """Return a notice if the emulator rejected requests because the account had no credit left, otherwise `None`.

    Args:
        rejected_request_count: the number of requests that were rejected for this reason, without requests that test
            the rejection.
    """
    if not rejected_request_count:
        return None
    requests = "1 request" if rejected_request_count == 1 else f"{rejected_request_count} requests"
    return (
        f"the emulated account has no credit left ({requests} rejected with 402): start the emulator with more, "
        "for example voicegauge serve --credits 1000000"
    )


def group_rejections_of_missing_targets(
    findings: Iterable[Finding], cases: Sequence[CaseResult], target_by_case_id: Mapping[str, Target]
) -> Iterator[Finding]:
    """Yield `findings`, with equal findings for all rejected requests to a target that the service does not have.

    The service does not have a target if it rejects all deliveries of the target. It then rejects every other request
    to the target for the same cause, so the findings of these requests are replaced by equal findings. Their message
    names the fields that select the target. `merge_findings` merges them later.

    Args:
        findings: findings in the order in which they were found.
        cases: results of the cases.
        target_by_case_id: the targets that the requests of the cases address.
    """
    deliveries: dict[str, list[bool]] = {}
    for case in cases:
        if case.is_delivery and case.target is not None:
            deliveries.setdefault(case.target, []).append(_REJECTS_VALID_RULE_ID in case.message_by_violated_rule)
    missing = {target for target, are_rejected in deliveries.items() if all(are_rejected)}
    if len(missing) == len(deliveries):  # then nothing works, and the cause may be any
        missing = set()
    where_by_target: dict[str, FindingLocation] = {}
    status_by_case_id = {case.id: case.status for case in cases}
    for finding in findings:
        target = target_by_case_id.get(finding.case_id or "")
        if finding.rule == _REJECTS_VALID_RULE_ID and target is not None and target.id in missing:
            where = where_by_target.setdefault(target.id, finding.where)
            fields = ", ".join(f"{at} {value!r}" for at, value in target.selecting_constants.items())
            rejection = f"requests with {fields}: rejected with {status_by_case_id.get(finding.case_id or '')}"
            yield msgspec.structs.replace(finding, where=where, message=rejection if fields else finding.message)
        else:
            yield finding


_REJECTS_VALID_RULE_ID = "rejects-valid"


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding per fingerprint and severity, with the number of its occurrences and all of its messages.

    The severity matters because a finding may be disputed in one response and an error in another.
    """
    merged: dict[tuple[str, Severity], Finding] = {}
    for finding in findings:
        key = (finding.fingerprint, finding.severity)
        first = merged.get(key)
        merged[key] = finding if first is None else _add_occurrence(first, finding)
    return tuple(merged.values())


def _add_occurrence(merged_finding: Finding, other_finding: Finding) -> Finding:
    messages = merged_finding.message_counts or {merged_finding.message: merged_finding.occurrence_count}
    for message, count in (
        other_finding.message_counts or {other_finding.message: other_finding.occurrence_count}
    ).items():
        if message in messages or len(messages) < MAX_MESSAGES_PER_FINDING:
            messages = {**messages, message: messages.get(message, 0) + count}
    return msgspec.structs.replace(
        merged_finding,
        occurrence_count=merged_finding.occurrence_count + other_finding.occurrence_count,
        message_counts=messages if len(messages) > 1 else {},
        same_cause_messages={**other_finding.same_cause_messages, **merged_finding.same_cause_messages},
    )

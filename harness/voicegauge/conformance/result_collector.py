"""Collects results and findings of cases, with clips of audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance._sent_case import CaseJudgement
from voicegauge.conformance.check_report import (
    CaseResult,
    CheckReport,
    ResourceSummary,
    describe_doubtful_statuses,
)
from voicegauge.conformance.coverage import CoverageCounter, compute_coverage_percent
from voicegauge.conformance.finding_groups import (
    RequestedValues,
    group_effects,
    group_findings_of_service,
    group_rejections_of_missing_targets,
    group_rejections_of_values,
    merge_findings,
    rank_case,
)
from voicegauge.conformance.spending import SpendingAccount
from voicegauge.contract.contract import Target
from voicegauge.errors import BudgetError, OverchargedError
from voicegauge.model.base import Finding, FindingClip, Provenance, Severity, StopReason
from voicegauge.model.exchange import Interruption
from voicegauge.printable_text import format_count
from voicegauge.recording.masking import mask_record
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.charges import BalancesOfRun
from voicegauge.rules.checker import Checker, ReproductionCommandBuilder
from voicegauge.rules.delivery_groups import DeliveriesOfRun, DeliveryAmongOthers
from voicegauge.rules.subjects import DeliveryPair, SpeechDelivery
from voicegauge.version import __version__

# Adds short audio clips to findings, so that a report page can play what was wrong.


MAX_CLIP_DURATION_S = 5.0
"""Maximum duration of a clip in seconds; the rest of the audio is left out."""
CLIP_LEAD_S = 1.0
"""Time in seconds that a clip begins before what is wrong is audible."""
MAX_CLIP_SAMPLE_RATE_HZ = 32_000
"""Highest sample rate of a clip, which is the lowest sample rate of MPEG-1."""
MAX_TOTAL_CLIP_BYTES = 180_000
"""Maximum size, in bytes, of all clips of a check. With it, a page of 500 findings stays below a megabyte."""


class FindingClips:
    """Adds a clip of the defect to new findings about audio, until the clips of a check have `MAX_TOTAL_CLIP_BYTES`."""

    def __init__(self) -> None:
        """Create an empty collection of clips."""
        self._left_bytes = MAX_TOTAL_CLIP_BYTES
        self._clip_ids: set[tuple[str, str]] = set()

    def count_clips(self, findings: Iterable[Finding]) -> None:
        """Count the clips that `findings` have already: they take space, and their findings get no other clip."""
        for finding in findings:
            if finding.clip is not None:
                self._clip_ids.add((finding.fingerprint, finding.severity.value))
                self._left_bytes -= len(finding.clip.data)

    def add_clips(self, findings: list[Finding], subject: CheckSubject) -> list[Finding]:
        """Return `findings`, of which each new one has a clip of the audio of `subject`.

        A finding is new if it has not occurred with an earlier subject. No clip is added if `subject` has no audio, or
        if the clips together would be larger than `MAX_TOTAL_CLIP_BYTES`.
        """
        delivery = _find_delivery(subject) if findings else None
        if delivery is None:
            return findings
        clip_by_start_s: dict[float, FindingClip | None] = {}
        clipped = []
        for finding in findings:
            clip_id = (finding.fingerprint, finding.severity.value)
            if clip_id in self._clip_ids or self._left_bytes <= 0:
                clipped.append(finding)
                continue
            self._clip_ids.add(clip_id)
            start_s = max((finding.audio_start_s or 0.0) - CLIP_LEAD_S, 0.0)
            if start_s not in clip_by_start_s:
                clip_by_start_s[start_s] = _build_clip(delivery, start_s)
            clip = clip_by_start_s[start_s]
            if clip is None or len(clip.data) > self._left_bytes:
                clipped.append(finding)
                continue
            self._left_bytes -= len(clip.data)
            clipped.append(msgspec.structs.replace(finding, clip=clip))
        return clipped


def _find_delivery(subject: CheckSubject) -> SpeechDelivery | None:
    """Return the delivery whose audio a subject is about; `None` if it is about none."""
    if isinstance(subject, DeliveryPair):
        return subject.changed_delivery
    if isinstance(subject, DeliveryAmongOthers):
        return subject.speech_delivery
    return subject if isinstance(subject, SpeechDelivery) else None


def _build_clip(delivery: SpeechDelivery, start_s: float) -> FindingClip | None:
    decoded = delivery.decoded_audio
    if decoded is None or not len(decoded.samples):
        return None
    from voicegauge.speech.encoding import encode, resample

    # As MP3, because every browser plays it, and five seconds of WAV would take more than the space of all clips.
    first = int(start_s * decoded.sample_rate_hz)
    samples = decoded.samples[first : first + int(MAX_CLIP_DURATION_S * decoded.sample_rate_hz)]
    if not len(samples):
        return None
    if decoded.sample_rate_hz > MAX_CLIP_SAMPLE_RATE_HZ:
        samples = resample(samples, decoded.sample_rate_hz, MAX_CLIP_SAMPLE_RATE_HZ)
    data, media_type = encode(samples, min(decoded.sample_rate_hz, MAX_CLIP_SAMPLE_RATE_HZ), "mp3")
    audio_s = len(decoded.samples) / decoded.sample_rate_hz
    return FindingClip(media_type=media_type, data=data, audio_duration_s=round(audio_s, 2), start_s=round(start_s, 2))


# Collects findings and results while a check runs, so that an interruption does not lose them.


class ResultCollector:
    """Collects the findings, results and spending of one check."""

    def __init__(self, target_ids: Iterable[str], seed: int) -> None:
        """Create a collector for a check of the targets `target_ids`, with `seed` as its seed of random numbers."""
        self._targets, self._seed = tuple(target_ids), seed
        self._created_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._findings: list[Finding] = []
        self._cases: list[CaseResult] = []
        # What findings are grouped by at the end. Only then is it known which cases passed with the same value.
        self._target_by_case_id: dict[str, Target] = {}
        self._values_by_case_id: dict[str, RequestedValues] = {}
        self._rank_by_case_id: dict[str, int] = {}
        self._operations: dict[str, None] = {}
        self._exchanges: Counter[Provenance] = Counter()
        self.repetition_count_by_status: Counter[int] = Counter()
        """Number of requests that were sent again after a response with a status, by that status."""
        self.spending_account = SpendingAccount()
        """Adds up the requests and money of the cases, and knows the rules by which they are reported."""
        # The reasons, each once, by the name of what was not judged.
        self._not_judged: dict[str, dict[str, None]] = {}
        self._interruptions: dict[str, tuple[Interruption, ...]] = {}
        self.is_short_check = False
        """Whether the user limits the number of billable requests."""
        self.over_budget_case_count = 0
        """Number of cases that were not sent because they do not fit into a budget."""
        self._unreserved_rejection_count = 0
        self.unmatched_request_reason_by_name: dict[str, str] = {}
        """Why recorded requests are about no target, by the name "<recording>: <operation>" of the requests."""
        self._excluded_operations: tuple[str, ...] = ()
        self._resources = ResourceSummary()
        self.rejection_without_credit_count = 0
        """Number of requests that the emulator rejected because the account has no credit left."""
        self._resumed_case_count = 0
        self.coverage = CoverageCounter()
        self.clips = FindingClips()
        self.deliveries = DeliveriesOfRun()
        """Measurements of the deliveries so far, with which later ones are compared."""
        self.balances = BalancesOfRun()
        """The balances that responses have reported so far, from which their changes follow."""
        self.recorded_targets: set[str] = set()
        """Ids of the targets that recorded requests address."""
        self.secrets: set[str] = set()
        """API keys in use, which are masked in every text of the report."""
        self.stop_reason: StopReason | None = None
        """The kind of event that ended the check early; `None` if nothing has."""
        self.stop_message: str | None = None
        """What ended the check early, in one line; `None` if nothing has."""
        self.was_request_sent = False
        """Whether a request was sent to which the service did not respond."""
        # Number of billable cases that were not sent because of the budget, and why the first was not.
        self._unaffordable_count = 0
        self._unaffordable_message = ""
        # Values of the fields of `CheckReport` with the same names.
        self.emulator_command: str | None = None
        self.todo_notice: str | None = None
        self.ineffective_faults: tuple[str, ...] = ()
        self.left_out_reason_by_target: dict[str, str] = {}

    def judge_subjects(
        self, checker: Checker, subjects: Iterable[CheckSubject], case_id: str | None = None
    ) -> list[Finding]:
        """Apply the rules of `checker` to `subjects`, and add and return the findings.

        `case_id` is the id of the planned case that the subjects belong to; `None` if there is no planned case.
        """
        judged = self.apply_rules(checker, subjects, case_id=case_id)
        findings = [finding for _, of_subject in judged for finding in of_subject]
        self._findings += findings
        return findings

    def apply_rules(
        self,
        checker: Checker,
        subjects: Iterable[CheckSubject],
        *,
        case_id: str | None = None,
        build_reproduction_command: ReproductionCommandBuilder | None = None,
    ) -> list[tuple[CheckSubject, list[Finding]]]:
        """Apply the rules of `checker` to `subjects` and to what compares them with earlier ones.

        Return each subject with its findings, which have clips, but are not added: a search may shrink them first.
        The subjects are counted in the coverage.

        Args:
            checker: applies the rules.
            subjects: the subjects of one case.
            case_id: id of the planned case that the subjects belong to; `None` if there is no planned case.
            build_reproduction_command: returns the shell command that reproduces a finding; `None` for the function of
                `checker`.
        """
        judged = []
        for subject, found in checker.iterate_findings_by_subject(
            self.deliveries.add_comparisons(self.balances.add_changes(subjects)),
            case_id=case_id,
            build_reproduction_command=build_reproduction_command,
        ):
            self.coverage.add_subject(subject, {rule for one in found for rule in one.violated_rules})
            judged.append((subject, self.clips.add_clips(found, subject)))
        return judged

    def add_findings(self, findings: Iterable[Finding]) -> None:
        """Add findings, in the order in which they were found, to those that the report groups and merges."""
        self._findings += findings

    def merge_equal_findings(self) -> None:
        """Merge equal findings into one with a count, so that endless traffic does not fill the memory.

        It must not be called in a check with planned cases, whose rejections are grouped at the end.
        """
        self._findings = list(merge_findings(self._findings))

    def count_exchange(self, provenance: Provenance, provider: str, operation: str) -> None:
        """Count one exchange; `provider` and `operation` are the ids of its contract and operation."""
        self._exchanges[provenance] += 1
        self._operations.setdefault(f"{provider}/{operation}")

    def add_result(
        self,
        case: ConformanceCase,
        findings: Iterable[Finding],
        status: int | None,
        not_judged_reason: str | None = None,
        target: Target | None = None,
        requested_values: RequestedValues | None = None,
    ) -> None:
        """Add the result of a case.

        Args:
            case: the case.
            findings: the findings in the case.
            status: HTTP status of the response that was judged; `None` if no response was judged.
            not_judged_reason: why not everything could be judged; `None` if everything was. A case with such a reason,
                but without errors and warnings, has no verdict.
            target: the target that the request addresses; `None` if it addresses none, or if there are no findings.
            requested_values: the values in the request; `None` if it should not be accepted.
        """
        if target is not None:
            self._target_by_case_id[case.id] = target
        if requested_values is not None:
            self._values_by_case_id[case.id] = requested_values
        self._rank_by_case_id[case.id] = rank_case(case, requested_values)
        violations: dict[str, str] = {}
        for finding in findings:
            if finding.severity in (Severity.ERROR, Severity.WARNING):
                violations.setdefault(finding.rule, finding.message)
                for rule, message in finding.same_cause_messages.items():
                    violations.setdefault(rule, f"{message} (follows from {finding.rule}: {finding.message})")
        verdict = "failed" if violations else "passed" if not_judged_reason is None else "skipped"
        self._cases.append(_build_case_result(case, verdict, status, not_judged_reason, violations))

    def add_earlier_judgement(
        self,
        case: ConformanceCase,
        judgement: CaseJudgement,
        target: Target | None,
        requested_values: RequestedValues | None = None,
    ) -> None:
        """Add what an earlier check, which ended early, judged of a case. What it spent is not added.

        Args:
            case: the case.
            judgement: what was judged.
            target: the target that the request addresses; `None` if it addresses none, or if there are no findings.
            requested_values: see `add_result`.
        """
        self._resumed_case_count += 1
        for provenance, operation in judgement.iterate_exchanges():
            self.count_exchange(provenance, case.provider, operation)
        self.coverage.add_counts(judgement.coverage)
        self.deliveries.unjudged_words_count_by_reason.update(judgement.unjudged_words_count_by_reason)
        self.deliveries.unjudged_sound_count_by_reason.update(judgement.unjudged_sound_count_by_reason)
        self.deliveries.add_earlier_deliveries(judgement.measurements)
        self.clips.count_clips(judgement.findings)
        self.add_findings(judgement.findings)
        if judgement.has_no_result:
            self.add_skipped_case(case, judgement.no_verdict_reason or "")
        else:
            self.add_result(
                case, judgement.findings, judgement.status, judgement.no_verdict_reason, target, requested_values
            )

    def add_unjudged_item(self, item_name: str, reason: str) -> None:
        """Add a target, a recording or a folder that was not judged, or only in part; different reasons are joined."""
        self._not_judged.setdefault(item_name, {})[reason] = None

    def add_interruptions(self, case: ConformanceCase, interruptions: Sequence[Interruption]) -> None:
        """Add how the target of `case` reacted to the interruptions of its speech."""
        if interruptions:
            target = f"{case.provider}/{case.target_name}"
            self._interruptions[target] = (*self._interruptions.get(target, ()), *interruptions)

    def exclude_operations(self, operation_names: Collection[str]) -> None:
        """Exclude operations, as <provider>/<operation id>, from the coverage, because the targets do not need them."""
        self._excluded_operations = tuple(operation_names)
        self.coverage.exclude_operations(operation_names)

    def add_resource_summary(self, resource_summary: ResourceSummary) -> None:
        """Add the resources of one provider: how many were created and deleted, and which remain in the account."""
        self._resources += resource_summary

    def add_skipped_case(self, case: ConformanceCase, skip_reason: str) -> None:
        """Add the result of a case that has no verdict, with the reason."""
        self._cases.append(_build_case_result(case, "skipped", None, skip_reason))

    def add_unaffordable_case(self, case: ConformanceCase, error: BudgetError) -> None:
        """Add a case that was not sent because it may cost more than is left of the budget.

        The check is incomplete if the case was to be accepted, not if it was to be rejected at no cost.
        """
        is_overcharged = isinstance(error, OverchargedError)
        self.over_budget_case_count += not is_overcharged
        self._unreserved_rejection_count += not (is_overcharged or case.is_billable)
        reason = str(error) if is_overcharged else "it may cost more than is left of --max-cost"
        self.add_skipped_case(case, f"not sent: {reason}")
        if case.is_billable:
            self._unaffordable_count += 1
            self._unaffordable_message = self._unaffordable_message or str(error)
            count = format_count(self._unaffordable_count, "billable request")
            self.end_early("budget", f"not sent: {count}, the first because {self._unaffordable_message}")

    def end_early(self, reason: StopReason | None, message: str) -> None:
        """Note what ends the check early, in place of an earlier note; `reason` is `None` for an error of the tool."""
        self.stop_reason, self.stop_message = reason, message

    def add_skipped_result(self, result_id: str, skip_reason: str) -> None:
        """Add a skipped result for something that could not be planned as a case, with the reason."""
        self._cases.append(CaseResult(id=result_id, operation="", verdict="skipped", not_judged_reason=skip_reason))

    @property
    def exchange_count(self) -> int:
        """Number of exchanges that were counted, of any provenance and provider."""
        return self._exchanges.total()

    def _group_findings(self) -> tuple[Finding, ...]:
        """Return one finding for each cause.

        First effects are moved to their causes, then rejections get the message of the value or target that causes
        them, and only then equal findings can be merged.
        """
        found = group_rejections_of_values(
            group_effects(self._findings), self._cases, self._target_by_case_id, self._values_by_case_id
        )
        equal = merge_findings(
            group_rejections_of_missing_targets(found, self._cases, self._target_by_case_id), self._rank_by_case_id
        )
        return group_findings_of_service(equal, self._rank_by_case_id)

    def build_report(self) -> CheckReport:
        """Return the report of everything collected so far."""
        spending = self.spending_account.build_spending()
        coverage = tuple(self.coverage.iterate_entries())
        report = CheckReport(
            voicegauge_version=__version__,
            created_at=self._created_at,
            is_finished=self.stop_message is None,
            stop_message=self.stop_message,
            stop_reason=self.stop_reason,
            seed=self._seed,
            targets=self._targets,
            operations=tuple(self._operations),
            excluded_operations=self._excluded_operations,
            exchange_count_by_provenance=dict(self._exchanges),
            repetition_count_by_status={str(status): n for status, n in self.repetition_count_by_status.most_common()},
            case_results=tuple(self._cases),
            not_judged_reason_by_name={
                **_find_targets_not_judged(self._targets, self._cases),
                **{name: "; ".join(reasons) for name, reasons in self._not_judged.items()},
            },
            left_out_reason_by_target=self.left_out_reason_by_target,
            is_short=self.is_short_check,
            over_budget_case_count=self.over_budget_case_count,
            unreserved_rejection_count=self._unreserved_rejection_count,
            interruptions_by_target=self._interruptions,
            unjudged_words_count_by_reason=dict(self.deliveries.unjudged_words_count_by_reason.most_common()),
            unjudged_sound_count_by_reason=dict(self.deliveries.unjudged_sound_count_by_reason.most_common()),
            unmatched_request_reason_by_name=self.unmatched_request_reason_by_name,
            doubt_reason=(
                describe_doubtful_statuses(self.coverage.response_count_by_status)
                or _describe_empty_account(self.rejection_without_credit_count)
            ),
            coverage=coverage,
            coverage_percent=compute_coverage_percent(coverage),
            emulator_command=self.emulator_command,
            todo_notice=self.todo_notice,
            ineffective_faults=self.ineffective_faults,
            findings=self._group_findings(),
            resources=self._resources,
            resumed_case_count=self._resumed_case_count,
            spent_usd=spending.total.spent_usd,
            spending=spending,
        )
        # Findings are masked when they are made. Everything else that quotes traffic is masked here at the latest.
        return mask_record(report, tuple(self.secrets))


def _build_case_result(
    case: ConformanceCase,
    verdict: str,
    status: int | None,
    not_judged_reason: str | None = None,
    message_by_violated_rule: Mapping[str, str] = MappingProxyType({}),
) -> CaseResult:
    return CaseResult(
        id=case.id,
        operation=f"{case.provider}/{case.operation}",
        target=f"{case.provider}/{case.target_name}" if case.target_name else None,
        verdict=verdict,  # type: ignore[arg-type]
        status=status,
        not_judged_reason=not_judged_reason,
        is_delivery=(case.speech_request is not None and not case.expects_job_failure)
        or (case.socket_scenario is not None and case.socket_scenario.kind in ("turns", "transcription")),
        message_by_violated_rule=dict(message_by_violated_rule),
    )


def _find_targets_not_judged(targets: Iterable[str], cases: Iterable[CaseResult]) -> dict[str, str]:
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


def _describe_empty_account(rejected_request_count: int) -> str | None:
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

"""Groups findings that have one cause, and chooses the request with which each group is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.conformance.check_report import CaseResult
from voicegauge.contract.contract import Contract, Target
from voicegauge.errors import UsageError
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.model.base import Finding, FindingLocation, Severity
from voicegauge.rules.call import describe_error_with_success_status

_REJECTED_VALID_REQUEST_RULE_ID = "rejects-valid"
"""Id of the rule that reports a rejected valid request."""


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
    missing = _find_rejected_targets(cases)
    where_by_target: dict[str, FindingLocation] = {}
    status_by_case_id = {case.id: case.status for case in cases}
    for finding in findings:
        target = target_by_case_id.get(finding.case_id or "")
        if finding.rule == _REJECTED_VALID_REQUEST_RULE_ID and target is not None and target.id in missing:
            where = where_by_target.setdefault(target.id, finding.where)
            fields = ", ".join(f"{at} {value!r}" for at, value in target.selecting_constants.items())
            rejection = f"requests with {fields}: {_describe_rejection(status_by_case_id.get(finding.case_id or ''))}"
            yield msgspec.structs.replace(finding, where=where, message=rejection if fields else finding.message)
        else:
            yield finding


def _describe_rejection(status: int | None) -> str:
    """Return how a service rejects requests, in words: by a status, or by an error sent with one of success.

    `status` is the HTTP status of the rejection. Only a case without a response has none (`None`), and no rejection.
    """
    if status is not None and 200 <= status < 300:
        return describe_error_with_success_status(status)
    return f"rejected with {status}"


def _find_rejected_targets(cases: Iterable[CaseResult]) -> set[str]:
    """Return the ids of the targets whose deliveries are all rejected; none if the deliveries of all targets are."""
    deliveries: dict[str, list[bool]] = {}
    for case in cases:
        if case.is_delivery and case.target is not None:
            deliveries.setdefault(case.target, []).append(
                _REJECTED_VALID_REQUEST_RULE_ID in case.message_by_violated_rule
            )
    missing = {target for target, are_rejected in deliveries.items() if all(are_rejected)}
    return set() if len(missing) == len(deliveries) else missing  # if nothing works, the cause may be any


# Groups the rejections of all requests with one value, such as a format that the service does not support.


_MAX_COMPARED_TEXT_CHARACTERS = 100
"""Maximum length of a compared text value. A longer text is not one of the choices that a document lists."""
_MIN_REJECTED_REQUESTS_WITH_VALUE = 2
"""Least count of a value in rejected requests, as `_find_causing_value` counts, with which the value is the cause."""
RequestedValue = tuple[str, str | float | bool]
"""Where a request has a value, such as "body#/response_format", and the value."""


class RequestedValues(NamedTuple):
    """The values of a request that should be accepted."""

    operation: str
    """The operation: <provider>/<operation id>."""
    values: frozenset[RequestedValue]
    """Each short text, number or boolean of the request, with its location."""


def list_requested_values(contract: Contract, case: ConformanceCase) -> RequestedValues | None:
    """Return the short texts, the numbers and the booleans of the request of a case.

    `None` if the request cannot be sent or should not be accepted, or if the case has several requests.
    """
    parts = case.request
    target = contract.targets.get(case.target_name or "")
    if case.expected_response.acceptance != "accepted" or case.socket_scenario is not None:
        return None
    if parts is None and case.speech_request is not None and target is not None:
        try:
            parts = map_speech_request(target, case.speech_request)
        except UsageError:  # the request cannot be sent, which is reported elsewhere
            return None
    if parts is None:
        return None
    return RequestedValues(f"{case.provider}/{case.operation}", frozenset(_iterate_request_values(parts)))


def _iterate_request_values(request: RequestParts) -> Iterator[RequestedValue]:
    parameters = {"path": request.path_parameters, "query": request.query_parameters, "header": request.headers}
    for message_part, value_by_name in parameters.items():
        for name, value in value_by_name.items():
            if isinstance(value, str | float | int):
                yield f"{message_part}.{name}", value
    yield from _iterate_body_values(request.body, "body#")


def _iterate_body_values(value: Any, location: str) -> Iterator[RequestedValue]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _iterate_body_values(item, f"{location}/{escape_pointer_token(str(name))}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _iterate_body_values(item, f"{location}/{index}")
    elif isinstance(value, str | float | int) and len(str(value)) <= _MAX_COMPARED_TEXT_CHARACTERS:
        yield location, value


def group_rejections_of_values(
    findings: Sequence[Finding],
    cases: Sequence[CaseResult],
    target_by_case_id: Mapping[str, Target],
    values_by_case_id: Mapping[str, RequestedValues],
) -> Iterator[Finding]:
    """Yield `findings`; rejections of valid requests that have one value in common get one and the same message.

    A value that rejected requests have, and no accepted one, is the cause: a service without FLAC rejects each request
    for it, whatever else the request tests. The message names the value. `merge_findings` merges equal findings later.

    Args:
        findings: findings in the order in which they were found.
        cases: results of the cases.
        target_by_case_id: the targets that the requests of the cases address.
        values_by_case_id: the values of the requests that should be accepted.
    """
    # Requests to a missing target are rejected whatever they contain, so they say nothing about their values.
    missing = _find_rejected_targets(cases)
    results = {case.id: case for case in cases}
    rejected = {
        finding.case_id: finding
        for finding in findings
        if finding.rule == _REJECTED_VALID_REQUEST_RULE_ID and finding.case_id in values_by_case_id
        if finding.case_id in results
        if (target := target_by_case_id.get(finding.case_id or "")) is None or target.id not in missing
    }
    replaced: dict[str | None, Finding] = {}
    for operation in dict.fromkeys(values_by_case_id[str(case_id)].operation for case_id in rejected):
        of_operation = {case_id: one for case_id, one in values_by_case_id.items() if one.operation == operation}
        accepted = [one.values for case_id, one in of_operation.items() if results[case_id].verdict == "passed"]
        if not accepted:  # if nothing works, the cause may be any
            continue
        known = frozenset[RequestedValue]().union(*accepted)
        waiting = {case_id: one.values - known for case_id, one in of_operation.items() if case_id in rejected}
        where_by_location: dict[str, FindingLocation] = {}
        # The most common value first, and its requests leave: a request with FLAC and a rejected speed counts for one
        # of them only, so that the second value is blamed only if requests are left that the first does not explain.
        while (cause := _find_causing_value(waiting.values(), where_by_location)) is not None:
            group = [case_id for case_id, values in waiting.items() if cause in values]
            location, value = cause
            wheres = [rejected[case_id].where for case_id in group]
            where = where_by_location.setdefault(location, _choose_location(wheres, location))
            message = f"requests with {location} {value!r}: {_describe_rejection(results[group[0]].status)}"
            for case_id in group:
                del waiting[case_id]
                replaced[case_id] = msgspec.structs.replace(rejected[case_id], where=where, message=message)
    for finding in findings:
        is_grouped = finding.rule == _REJECTED_VALID_REQUEST_RULE_ID and finding.case_id in replaced
        yield replaced[finding.case_id] if is_grouped else finding


def _find_causing_value(
    values_of_requests: Iterable[frozenset[RequestedValue]], known_locations: Container[str]
) -> RequestedValue | None:
    """Return the value that most requests have; `None` if no value is common to several requests.

    The only value of a request counts twice if its location is in `known_locations`, because nothing else can be the
    cause.
    """
    requests = list(values_of_requests)
    counts = Counter(value for values in requests for value in sorted(values, key=str))
    only = (next(iter(values)) for values in requests if len(values) == 1)
    counts.update(value for value in only if value[0] in known_locations)
    # Sorted above, so that equally frequent values are blamed in the same order in each run.
    return next((value for value, count in counts.most_common(1) if count >= _MIN_REJECTED_REQUESTS_WITH_VALUE), None)


def _choose_location(locations: Sequence[FindingLocation], value_location: str) -> FindingLocation:
    """Return the location of the field that has the value; the first of `locations` if none of them is that field."""
    name = value_location.replace(".", "/").rpartition("/")[2]
    fitting = (where for where in locations if f"/properties/{name}" in (where.contract_pointer or ""))
    return next(fitting, locations[0])


# Groups what is wrong in the same cases.


_RULE_IDS_VIOLATED_BY_OTHER_WORDS = ("audio-length", "long-text-cut", "spoken-words-differ", "format-changes-speech")
"""Ids of the rules that audio with other words than the requested ones violates too."""
_EFFECT_RULE_IDS_BY_CAUSE_RULE_ID: Mapping[str, tuple[str, ...]] = {
    "audio-not-audio": ("audio-silent", "audio-length"),
    "audio-not-speech": ("spoken-text-other", *_RULE_IDS_VIOLATED_BY_OTHER_WORDS),
    "audio-swapped": ("audio-of-other-text", "spoken-text-other", *_RULE_IDS_VIOLATED_BY_OTHER_WORDS),
    "audio-of-other-text": ("audio-swapped", "spoken-text-other", *_RULE_IDS_VIOLATED_BY_OTHER_WORDS),
    "spoken-text-other": ("audio-swapped", "audio-of-other-text", *_RULE_IDS_VIOLATED_BY_OTHER_WORDS),
    "auth-not-enforced": ("charge-wrong",),
    "empty-body": ("audio-missing",),
    "content-type": ("audio-media-type", "audio-missing"),
    "header-schema": ("retry-after-invalid",),
    "job-completed-without-output": ("audio-missing",),
    "response-schema": ("job-state-unknown", "job-completed-without-output"),
}
"""By rule id, the rules that the same defect also violates. If the same cases violate several rules that are keys, the
first key is the cause, because it says most about the defect."""
_EFFECT_RULE_IDS_AT_SAME_VALUE = frozenset({"job-state-unknown", "job-completed-without-output"})
"""Rules that are violated by the same defect only if they are about the same value."""
_SEVERITIES_BY_RANK = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)
"""The severities, most severe first."""
_RuleInOperation = tuple[str, str | None, Severity]
"""A rule, the operation in which it is violated, and the severity."""


def group_effects(findings: Sequence[Finding]) -> list[Finding]:
    """Return `findings` without those that follow from another finding in each of their cases.

    A service that speaks another text breaks several rules with each delivery: the text is not spoken, the samples are
    those of another text, and the audio is too short. The rule that most cases violate is the cause; it lists the
    messages of the others, which are not more severe.
    """
    groups: dict[_RuleInOperation, list[Finding]] = {}
    for one in findings:
        groups.setdefault(_get_rule_in_operation(one), []).append(one)
    cause_by_effect: dict[_RuleInOperation, _RuleInOperation] = {}
    kept = list(findings)
    rules = list(_EFFECT_RULE_IDS_BY_CAUSE_RULE_ID)
    causes = (key for key in groups if key[0] in rules)
    case_ids_by_key = {key: {one.case_id for one in group} - {None} for key, group in groups.items()}
    # The cause with most cases first: an effect that two rules explain then belongs to the one that explains more.
    for cause in sorted(causes, key=lambda key: (-len(case_ids_by_key[key]), rules.index(key[0]))):
        rule, operation, severity = cause
        for effect in _EFFECT_RULE_IDS_BY_CAUSE_RULE_ID[rule]:
            for less_severe in _SEVERITIES_BY_RANK[_SEVERITIES_BY_RANK.index(severity) :]:
                key = (effect, operation, less_severe)
                is_known = key in cause_by_effect or key in _iterate_causes(cause, cause_by_effect)
                if key in groups and not is_known and _are_effects(groups[key], groups[cause]):
                    kept = _move_effects_to_cause(kept, list(_iterate_causes(cause, cause_by_effect)), key)
                    cause_by_effect[key] = cause
    return kept


def _get_rule_in_operation(finding: Finding) -> _RuleInOperation:
    """Return the key by which findings are grouped before causes are looked for."""
    return finding.rule, finding.where.operation, finding.severity


def _iterate_causes(
    cause: _RuleInOperation, cause_by_effect: Mapping[_RuleInOperation, _RuleInOperation]
) -> Iterator[_RuleInOperation]:
    """Yield `cause`, then the rule that `cause` is itself an effect of, if there is one, and so on."""
    found: _RuleInOperation | None = cause
    while found is not None:
        yield found
        found = cause_by_effect.get(found)


def _are_effects(effects: Sequence[Finding], causes: Sequence[Finding]) -> bool:
    """Whether each effect is in the case of a cause; for `_EFFECT_RULE_IDS_AT_SAME_VALUE`, also at the same value."""
    rule = effects[0].rule
    located = {_locate_effect(one, rule) for one in effects}
    return all(case is not None for case, _ in located) and located <= {_locate_effect(one, rule) for one in causes}


def _locate_effect(finding: Finding, effect_rule: str) -> tuple[str | None, str | None]:
    """Return what a violation of `effect_rule` shares with its cause: the case; of some rules also the value."""
    return finding.case_id, finding.where.traffic_pointer if effect_rule in _EFFECT_RULE_IDS_AT_SAME_VALUE else None


def _move_effects_to_cause(
    findings: Iterable[Finding], causes: Sequence[_RuleInOperation], effect: _RuleInOperation
) -> list[Finding]:
    """Return `findings` in which the messages about `effect` are moved to the finding that is left of its causes.

    `causes` are the cause of `effect`, the cause of that cause, and so on. Of these, the finding of the last one is
    left, with the messages of the others.
    """
    effects: dict[tuple[str | None, str | None], Finding] = {}
    others: list[Finding] = []
    for one in findings:
        if _get_rule_in_operation(one) == effect:
            effects.setdefault(_locate_effect(one, effect[0]), one)
        else:
            others.append(one)
    for index, one in enumerate(others):
        has_cause = _get_rule_in_operation(one) == causes[-1] and (
            len(causes) == 1 or causes[0][0] in one.same_cause_messages
        )
        found = effects.pop(_locate_effect(one, effect[0]), None) if has_cause else None
        if found is not None:
            messages = {**one.same_cause_messages, effect[0]: found.message, **found.same_cause_messages}
            others[index] = msgspec.structs.replace(one, same_cause_messages=messages)
    return others


# Groups what a whole service does wrong.


def group_findings_of_service(
    findings: Iterable[Finding], rank_by_case_id: Mapping[str, int] | None = None
) -> tuple[Finding, ...]:
    """Return `findings`, with one finding for a defect of the service that several operations show.

    Findings show the same defect if they contradict one statement of the contract, such as the schema of all errors, or
    if they have an equal `common_cause`, such as too high a charge for every target.

    Args:
        findings: findings that `merge_findings` has merged.
        rank_by_case_id: how unusual the request of each case is; `None` for no ranks; see `merge_findings`.
    """

    def find_cause(finding: Finding) -> object:
        """Return what findings of one defect have in common."""
        where = finding.where
        cause = finding.common_cause or where.contract_pointer or finding.fingerprint
        return finding.rule, finding.severity, where.provider, cause

    return _merge_findings_with_same_key(findings, find_cause, rank_by_case_id or {})


# Merges equal findings.


MAX_MESSAGES_PER_FINDING = 100
"""Maximum number of different messages of one finding, because a hostile service can send any number of values."""
_HIGHEST_REQUEST_RANK = 1_000_000
"""Rank of a request that should be rejected: the least suitable one to show a finding."""


def rank_case(case: ConformanceCase, requested_values: RequestedValues | None) -> int:
    """Return how unusual the request of a case is.

    The rank is 0 for a delivery, `_HIGHEST_REQUEST_RANK` for a request that should not be accepted, and otherwise it
    grows with the number of values in the request.

    Args:
        case: the case.
        requested_values: the values in its request; `None` if the request should not be accepted.
    """
    if requested_values is None:
        return _HIGHEST_REQUEST_RANK
    return 0 if case.kind == "delivery" else 1 + len(requested_values.values)


def merge_findings(
    findings: Iterable[Finding], rank_by_case_id: Mapping[str, int] | None = None
) -> tuple[Finding, ...]:
    """Return one finding per fingerprint and severity, with the number of its occurrences and all of its messages.

    The severity matters because a finding may be disputed in one response and an error in another. The merged finding
    shows the first of the most usual requests, which are the easiest to understand.

    Args:
        findings: findings in the order in which they were found.
        rank_by_case_id: how unusual the request of each case is; a case without a rank counts as usual, and if it is
            `None`, every case does.
    """
    return _merge_findings_with_same_key(findings, lambda one: (one.fingerprint, one.severity), rank_by_case_id or {})


def _merge_findings_with_same_key(
    findings: Iterable[Finding], get_key: Callable[[Finding], object], rank_by_case_id: Mapping[str, int]
) -> tuple[Finding, ...]:
    """Merge findings with equal keys, and show the most usual request; if some have an audio clip, one of those."""
    merged: dict[object, Finding] = {}
    for finding in findings:
        key = get_key(finding)
        first = merged.get(key)
        if first is None:
            merged[key] = finding
            continue
        # The first of equally usual requests stays, so that the finding and its command are the same in each run.
        is_more_usual = rank_by_case_id.get(finding.case_id or "", 0) < rank_by_case_id.get(first.case_id or "", 0)
        has_no_clip_to_lose = first.clip is None or finding.clip is not None
        shown = finding if is_more_usual and has_no_clip_to_lose else first
        merged[key] = _add_occurrence(first, finding, shown)
    return tuple(merged.values())


def _add_occurrence(merged_finding: Finding, other_finding: Finding, shown_finding: Finding) -> Finding:
    """Return `shown_finding`, which is one of the two, with the occurrences, messages and places of both."""
    messages = merged_finding.message_counts or {merged_finding.message: merged_finding.occurrence_count}
    for message, count in (
        other_finding.message_counts or {other_finding.message: other_finding.occurrence_count}
    ).items():
        if message in messages or len(messages) < MAX_MESSAGES_PER_FINDING:
            messages = {**messages, message: messages.get(message, 0) + count}
    fingerprint = shown_finding.fingerprint
    locations = (*merged_finding.locations, *other_finding.locations)
    location_by_fingerprint = {merged_finding.compute_fingerprint(one): one for one in locations}
    return msgspec.structs.replace(
        shown_finding,
        other_places=tuple(one for known, one in location_by_fingerprint.items() if known != fingerprint),
        occurrence_count=merged_finding.occurrence_count + other_finding.occurrence_count,
        message_counts=messages if len(messages) > 1 else {},
        same_cause_messages={**other_finding.same_cause_messages, **merged_finding.same_cause_messages},
    )

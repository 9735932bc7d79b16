"""Judges a server by the requirements of a profile."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from http import HTTPStatus

import msgspec

from voicegauge.cases.case import explain_inconclusive_status
from voicegauge.cases.plan import matches_case_pattern
from voicegauge.conformance.report import CaseResult, CheckReport
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.data_folders import find_profiles_folder
from voicegauge.errors import UnknownNameError
from voicegauge.profiles.profile_report import (
    Profile,
    ProfileReport,
    ProfileScore,
    ProfileVerdict,
    Requirement,
    RequirementLevel,
    RequirementResult,
    RequirementVerdict,
)
from voicegauge.rules.call import names_error_with_success_status

# Loads the profiles that are part of voicegauge.


_PROFILES_FOLDER = find_profiles_folder()
_FILE_NAME, _CONTRACT_NAME = "profile.yaml", "openapi.yaml"


def list_profiles() -> tuple[str, ...]:
    """Return the ids of all profiles, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _PROFILES_FOLDER.glob(f"*/{_FILE_NAME}")))


@cache
def load_profile(profile_id: str) -> Profile:
    """Return a profile.

    Raises:
        UnknownNameError: there is no profile with this id; the message lists those that exist.
    """
    if profile_id not in list_profiles():
        raise UnknownNameError("profile", profile_id, list_profiles())
    return msgspec.yaml.decode((_PROFILES_FOLDER / profile_id / _FILE_NAME).read_bytes(), type=Profile)


def load_profile_contract(profile: Profile) -> Contract:
    """Return the contract from which the cases of `profile` are planned."""
    return load_contract(_PROFILES_FOLDER / profile.id / _CONTRACT_NAME)


def compute_profile_digest(profile_id: str) -> str:
    """Return the SHA-256 checksum of the two files of a profile, which never changes after its publication."""
    folder = _PROFILES_FOLDER / profile_id
    return hashlib.sha256((folder / _FILE_NAME).read_bytes() + (folder / _CONTRACT_NAME).read_bytes()).hexdigest()


# Judges the requirements of a profile by the results of planned cases.


_REJECTS_VALID_RULE_ID = "rejects-valid"
_ACCEPTS_INVALID_RULE_ID = "accepts-invalid"
_SERVER_ERROR_RULE_ID = "server-error"


def judge_profile(
    profile: Profile, check_report: CheckReport, *, server: str, claimed_capabilities: Collection[str] = ()
) -> ProfileReport:
    """Judge every requirement of `profile`.

    Args:
        profile: the profile.
        check_report: the results of the cases of its plan.
        server: base URL of the server, or "emulator".
        claimed_capabilities: names of the capabilities whose requirements count as required.

    Raises:
        UnknownNameError: the profile has no such capability.
    """
    for name in claimed_capabilities:
        if name not in profile.capabilities:
            raise UnknownNameError("capability", name, profile.capabilities)
    judgement = _ProfileJudge(profile, check_report.case_results, claimed_capabilities)
    results = tuple(map(judgement.judge_requirement, profile.requirements))
    score = _compute_score(results)
    return ProfileReport(
        voicegauge_version=check_report.voicegauge_version,
        profile_id=profile.id,
        profile_title=profile.title,
        profile_sha256=compute_profile_digest(profile.id),
        server=server,
        created_at=check_report.created_at,
        verdict=_determine_verdict(score),
        score=score,
        requirement_results=results,
        check_report=check_report,
    )


class _ProfileJudge:
    """Judges the requirements of a profile one by one, by the cases of one check."""

    def __init__(self, profile: Profile, cases: Sequence[CaseResult], claimed_capabilities: Collection[str]) -> None:
        self._profile, self._claimed = profile, claimed_capabilities
        self._cases = _remove_violations_of_busy_server(cases)

    def judge_requirement(self, requirement: Requirement) -> RequirementResult:
        """Return the result of one requirement."""
        if requirement.level == "not-scored":
            return self._build_result(requirement, "not-scored", verdict_reason=requirement.not_scored_reason)
        is_claimed = requirement.capability in self._claimed
        level: RequirementLevel = "required" if is_claimed else requirement.level
        if requirement.capability is not None:
            rejected = self._find_case_disproving_capability(requirement.capability)
            if rejected is not None:
                verdict: RequirementVerdict = "failed" if is_claimed else "not-offered"
                reason = rejected.message_by_violated_rule.get(
                    _REJECTS_VALID_RULE_ID, f"rejected with {rejected.status}"
                )
                return self._build_result(
                    requirement, verdict, level=level, verdict_reason=reason, case_ids=(rejected.id,)
                )
        cases = [case for pattern in requirement.case_patterns for case in self._find_cases(pattern)]
        failed = [case for case in cases if _find_broken_rules(case, requirement.rule_ids)]
        if failed:
            return self._build_violated_result(requirement, level, failed)
        reasons = [_explain_missing_verdict(case, requirement) for case in cases]
        reasons += [
            f"the plan has no case {pattern!r}: does the server list its voices? Name them with --voice"
            for pattern in requirement.case_patterns
            if not self._find_cases(pattern)
        ]
        missing = [reason for reason in reasons if reason is not None]
        is_judged = len(missing) < len(reasons) if requirement.cases_needing_verdict == "any" else not missing
        return self._build_result(
            requirement,
            "passed" if is_judged else "not-judged",
            level=level,
            verdict_reason=None if is_judged else missing[0],
            case_ids=tuple(case.id for case in cases),
        )

    def _build_violated_result(
        self, requirement: Requirement, level: RequirementLevel, failed_cases: Sequence[CaseResult]
    ) -> RequirementResult:
        """Return the result of a requirement whose rules were broken in `failed_cases`."""
        broken = [(case, rule) for case in failed_cases for rule in _find_broken_rules(case, requirement.rule_ids)]
        worst = [
            (case, rule)
            for case, rule in broken
            if rule not in requirement.permissive_rule_ids
            # A client takes the error for what it asked for.
            or names_error_with_success_status(_collect_messages_by_violated_rule(case)[rule])
        ]
        case, rule = (worst or broken)[0]
        return self._build_result(
            requirement,
            "failed" if worst else "more-permissive",
            level=level,
            verdict_reason=_collect_messages_by_violated_rule(case)[rule],
            case_ids=tuple(dict.fromkeys(case.id for case, _ in worst or broken)),
            broken_rule_ids=tuple(dict.fromkeys(rule for _, rule in worst or broken)),
        )

    def _find_case_disproving_capability(self, capability: str) -> CaseResult | None:
        """Return the case that shows that the server does not have a capability; `None` if it may have it."""
        cases = self._find_cases(self._profile.capabilities[capability].disproving_case_pattern)
        return next((case for case in cases if _is_rejected(case)), None)

    def _find_cases(self, case_pattern: str) -> list[CaseResult]:
        full = f"{self._profile.provider}/{case_pattern}"
        return [case for case in self._cases if matches_case_pattern(case.id, full)]

    def _build_result(
        self,
        requirement: Requirement,
        verdict: RequirementVerdict,
        *,
        level: RequirementLevel = "not-scored",
        verdict_reason: str | None = None,
        case_ids: tuple[str, ...] = (),
        broken_rule_ids: tuple[str, ...] = (),
    ) -> RequirementResult:
        document = self._profile.sources[requirement.source.document_name]
        capability = requirement.capability
        return RequirementResult(
            id=requirement.id,
            sentence=requirement.sentence,
            level=level,
            verdict=verdict,
            capability_title=self._profile.capabilities[capability].title if capability is not None else None,
            source_title=document.title,
            source_url=document.url,
            source_read_on=document.read_on,
            source_section=requirement.source.section,
            verdict_reason=verdict_reason,
            broken_rule_ids=broken_rule_ids,
            case_ids=case_ids,
        )


def _remove_violations_of_busy_server(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """Remove the violations of cases in which the server only responded that it is busy.

    If it responded with 503 in more than one case, these cases have a server error instead.
    """
    replaced = list(cases)
    busy = [
        i
        for i, case in enumerate(cases)
        if case.not_judged_reason and case.status and _is_inconclusive_status(case.status)
    ]
    unavailable = [i for i in busy if cases[i].status == HTTPStatus.SERVICE_UNAVAILABLE]
    for index in busy:
        is_repeated = index in unavailable and len(unavailable) > 1
        violations = {_SERVER_ERROR_RULE_ID: f"got status 503 in {len(unavailable)} cases"} if is_repeated else {}
        replaced[index] = msgspec.structs.replace(cases[index], message_by_violated_rule=violations)
    return replaced


def _is_rejected(case: CaseResult) -> bool:
    """Whether a case with a valid request was rejected, be it by a status that no document states."""
    is_client_error = case.status is not None and 400 <= case.status < 500 and not _is_inconclusive_status(case.status)
    return _REJECTS_VALID_RULE_ID in case.message_by_violated_rule or is_client_error


def _is_inconclusive_status(http_status: int) -> bool:
    return explain_inconclusive_status(http_status) is not None


def _find_broken_rules(case: CaseResult, rule_ids: Sequence[str]) -> list[str]:
    violations = _collect_messages_by_violated_rule(case)
    return [rule for rule in rule_ids if rule in violations]


def _collect_messages_by_violated_rule(case: CaseResult) -> dict[str, str]:
    """Return the messages of the violations of a case, by rule id.

    A status below 400 also counts as a violation of the rule that invalid requests are rejected. Profiles
    name that rule only for cases with an invalid request.
    """
    if case.status is None or case.status >= 400:
        return case.message_by_violated_rule
    return {
        _ACCEPTS_INVALID_RULE_ID: f"got status {case.status}, not one from 400 to 499",
        **case.message_by_violated_rule,
    }


def _explain_missing_verdict(case: CaseResult, requirement: Requirement) -> str | None:
    """Return why a case gives no verdict on a requirement; `None` if the requirement passed in the case.

    It must be called only for cases that break no rule of the requirement.
    """
    missing = _find_broken_rules(case, requirement.prerequisite_rule_ids)
    return _collect_messages_by_violated_rule(case)[missing[0]] if missing else case.not_judged_reason


def _compute_score(results: Sequence[RequirementResult]) -> ProfileScore:
    counts = Counter((result.level, result.verdict) for result in results)
    passed, failed = counts["required", "passed"], counts["required", "failed"]
    return ProfileScore(
        required_count=passed + failed + counts["required", "not-judged"],
        required_judged_count=passed + failed,
        required_passed_count=passed,
        optional_passed_count=counts["optional", "passed"],
        optional_failed_count=counts["optional", "failed"],
        optional_not_offered_count=counts["optional", "not-offered"],
        optional_not_judged_count=counts["optional", "not-judged"],
        not_scored_count=counts["not-scored", "not-scored"],
        more_permissive_count=sum(result.verdict == "more-permissive" for result in results),
    )


def _determine_verdict(score: ProfileScore) -> ProfileVerdict:
    if score.required_passed_count < score.required_judged_count:
        return "failed"
    return "passed" if score.required_judged_count == score.required_count else "not-judged"

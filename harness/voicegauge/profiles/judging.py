"""Judges a server by the requirements of a profile, and shows the result as a record, a page and a badge."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import msgspec

from voicegauge.cases.case import explain_inconclusive_status
from voicegauge.cases.plan import matches_case_pattern
from voicegauge.conformance.check_report import CaseResult, CheckReport
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import UnknownNameError
from voicegauge.files import find_profiles_folder
from voicegauge.model.base import Record
from voicegauge.outputs.finding_exports import format_badge_svg
from voicegauge.printable_text import escape_unprintable
from voicegauge.rules.call import names_error_with_success_status

if TYPE_CHECKING:
    from jinja2 import Template


# A profile: published requirements with their sources.


RequirementLevel = Literal["required", "optional", "not-scored"]
"""How a requirement counts. `required`: in the score. `optional`: in the score only if the user says that the server
has the capability; it is judged in any case. `not-scored`: it is not judged, for a stated reason."""


class RequirementsDocument(Record, frozen=True, kw_only=True):
    """A public document that states requirements."""

    title: str
    """Title of the document, as reports name it."""
    url: str
    """Where the document is published."""
    read_on: str
    """The day on which the document was read, in ISO 8601 format."""


class SourceDocumentReference(Record, frozen=True, kw_only=True):
    """The public document, and the part of it, that states a requirement."""

    document_name: str
    """Name of the document in `Profile.sources`."""
    section: str
    """The part of the document that states the requirement."""


class Capability(Record, frozen=True, kw_only=True):
    """An optional ability of a server, such as streaming."""

    title: str
    """The ability in a few words, as reports name it."""
    disproving_case_pattern: str
    """Id, without the provider, of planned cases that need the capability; `*` stands for any text. A server that
    rejects one of them does not have it."""


class Requirement(Record, frozen=True, kw_only=True):
    """One sentence that a server must fulfil, and the cases and rules by which that is judged."""

    id: str
    """Id that is unique within the profile."""
    sentence: str
    """What the server must do."""
    source: SourceDocumentReference
    level: RequirementLevel
    """How the requirement counts unless the user says that the server has its capability."""
    capability: str | None = None
    """Name of the capability in `Profile.capabilities`; `None` unless the requirement is optional."""
    not_scored_reason: str | None = None
    """Why the requirement is not scored; `None` if it is judged."""
    case_patterns: tuple[str, ...] = ()
    """Ids of the planned cases that test the requirement, without the provider; `*` stands for any text."""
    rule_ids: tuple[str, ...] = ()
    """Ids of the rules that the requirement consists of: it fails if one of them has a finding in one of the cases."""
    permissive_rule_ids: tuple[str, ...] = ()
    """Ids from `rule_ids` of rules whose findings show only that the server accepts more than is documented, which
    breaks no client. If only these rules have findings, the verdict is `more-permissive` instead of `failed`."""
    prerequisite_rule_ids: tuple[str, ...] = ()
    """Ids of rules that must hold in a case before it can judge the requirement. A case in which one of them has a
    finding gives no verdict."""
    cases_needing_verdict: Literal["all", "any"] = "all"
    """`all`: the requirement passes only if each of its cases has a verdict. `any`: one case with a verdict is
    enough."""


class Profile(Record, frozen=True, kw_only=True):
    """A published list of requirements."""

    schema: Literal["voicegauge/profile/1"]
    id: str
    """Id with the month of publication: `<name>@<year>-<month>`."""
    title: str
    """Title of the profile, as reports name it."""
    published_on: str
    """The day of publication, in ISO 8601 format. From then on, the profile never changes."""
    provider: str
    """Id of the provider in the contract of the profile."""
    sources: dict[str, RequirementsDocument]
    """The documents that state the requirements, by the name under which requirements refer to them."""
    capabilities: dict[str, Capability] = {}
    """The optional abilities of a server, by the name under which requirements refer to them."""
    requirements: tuple[Requirement, ...]

    @property
    def case_patterns(self) -> tuple[str, ...]:
        """Ids of all cases of the plan, with the provider; `*` stands for any text."""
        of_requirements = [pattern for requirement in self.requirements for pattern in requirement.case_patterns]
        of_capabilities = [capability.disproving_case_pattern for capability in self.capabilities.values()]
        return tuple(dict.fromkeys(f"{self.provider}/{pattern}" for pattern in [*of_requirements, *of_capabilities]))


# Defines the result of judging a server by a profile.


RequirementVerdict = Literal["passed", "failed", "more-permissive", "not-offered", "not-judged", "not-scored"]
"""Verdict on a requirement. `more-permissive`: the server accepts more than is documented, which breaks no client.
`not-offered`: the server does not have the optional capability. `not-judged`: no case came to a verdict."""
ProfileVerdict = Literal["passed", "failed", "not-judged"]
"""Verdict on a server: `failed` if a required requirement failed, `passed` if all of them passed, else `not-judged`."""


class RequirementResult(Record, frozen=True, kw_only=True):
    """The verdict on one requirement of a profile, with its reason, its source and the cases that show it."""

    id: str
    """Id of the requirement in the profile."""
    sentence: str
    """What the server must do."""
    level: RequirementLevel
    """The level in this judgement: an optional requirement is required if the user says that the server has the
    capability."""
    verdict: RequirementVerdict
    capability_title: str | None = None
    """Title of the capability that the requirement belongs to; `None` if it belongs to none."""
    source_title: str
    source_url: str
    source_read_on: str
    """The day on which the document was read, in ISO 8601 format."""
    source_section: str
    """The part of the document that states the requirement, such as "POST /audio/speech, response 200"."""
    verdict_reason: str | None = None
    """The message of the finding that breaks the requirement, or why it is not offered, not judged or not scored;
    `None` if it passed."""
    broken_rule_ids: tuple[str, ...] = ()
    """Ids of the rules that failed."""
    case_ids: tuple[str, ...] = ()
    """Ids of the cases that were sent for the requirement; of a failed one, those in which a rule failed."""


class ProfileScore(Record, frozen=True, kw_only=True):
    """The numbers of requirements by verdict. The score is `required_passed_count` of `required_judged_count`."""

    required_count: int
    """Number of required requirements, without those on which the server is more permissive."""
    required_judged_count: int
    """Number of required requirements that passed or failed."""
    required_passed_count: int
    """Number of required requirements that passed."""
    optional_passed_count: int
    """Number of optional requirements that passed."""
    optional_failed_count: int
    """Number of optional requirements that failed."""
    optional_not_offered_count: int
    """Number of optional requirements whose capability the server does not have."""
    optional_not_judged_count: int
    """Number of optional requirements of which no case came to a verdict."""
    not_scored_count: int
    """Number of requirements that no check can judge, for a stated reason."""
    more_permissive_count: int = 0
    """Number of requirements, of any level, that the server breaks only by accepting more than is documented."""

    @property
    def required_not_judged_count(self) -> int:
        """Number of required requirements without a verdict, which do not count as passed."""
        return self.required_count - self.required_judged_count

    @property
    def percent(self) -> int | None:
        """Percentage of the judged required requirements that passed, rounded; `None` if none was judged.

        It is 100 only if all of them passed, and 0 only if none did.
        """
        if self.required_passed_count in (0, self.required_judged_count):
            return (100 if self.required_passed_count else 0) if self.required_judged_count else None
        return min(max(round(self.required_passed_count * 100 / self.required_judged_count), 1), 99)


class ProfileReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge check --profile --json` writes."""

    schema: str = "voicegauge/profile-check/2"
    voicegauge_version: str
    profile_id: str
    profile_title: str
    profile_sha256: str
    """Checksum of the published profile, which never changes."""
    server: str
    """Base URL of the server that was judged, or "emulator"."""
    created_at: str
    """Time at which the check started, in UTC and ISO 8601 format."""
    verdict: ProfileVerdict
    score: ProfileScore
    requirement_results: tuple[RequirementResult, ...]
    check_report: CheckReport
    """The report of the check whose cases judged the requirements."""


# Renders the score of a server as an SVG badge.


def render_profile_badge(report: ProfileReport) -> str:
    """Return an SVG image with the name of the profile and the score."""
    return format_badge_svg(report.profile_id, describe_score(report), report.verdict)


def describe_score(report: ProfileReport) -> str:
    """Return the score in a few words, such as "27 of 29, 1 not judged"."""
    score = report.score
    if not score.required_judged_count:
        return "not judged"
    missing = score.required_not_judged_count
    return (
        f"{score.required_passed_count} of {score.required_judged_count}{f', {missing} not judged' if missing else ''}"
    )


def describe_all_verdicts(report: ProfileReport) -> str:
    """Return one sentence in which every requirement counts once.

    Such as "27 of 29 required passed (93%), 1 not judged; optional: 5 passed, 2 not offered; 4 not scored".
    """
    score, counts = report.score, Counter((one.level, one.verdict) for one in report.requirement_results)
    percent = "" if score.percent is None else f" ({score.percent}%)"
    required = [f"{score.required_passed_count} of {score.required_judged_count} required passed{percent}"]
    optional = []
    for verdict, label in LABEL_BY_REQUIREMENT_VERDICT.items():
        if counts["required", verdict] and verdict not in ("passed", "failed"):
            required.append(f"{counts['required', verdict]} {label}")
        if counts["optional", verdict]:
            optional.append(f"{counts['optional', verdict]} {label}")
    parts = [", ".join(required), *([f"optional: {', '.join(optional)}"] if optional else [])]
    return "; ".join([*parts, f"{score.not_scored_count} not scored"])


# Renders the result of judging a server by a profile as one HTML page.


_TITLE_BY_REQUIREMENT_LEVEL: dict[RequirementLevel, str] = {
    "required": "Required",
    "optional": "Optional",
    "not-scored": "Not scored",
}
LABEL_BY_REQUIREMENT_VERDICT: dict[RequirementVerdict, str] = {
    "failed": "failed",
    "not-judged": "not judged",
    "more-permissive": "more permissive",
    "passed": "passed",
    "not-offered": "not offered",
    "not-scored": "not scored",
}
"""Labels of the verdicts, in the order in which requirements are shown."""


def render_profile_page(report: ProfileReport) -> str:
    """Return the result of judging a server as an HTML page in one file, without JavaScript."""
    order = list(LABEL_BY_REQUIREMENT_VERDICT)
    sections = [
        (
            title,
            sorted(
                (one for one in report.requirement_results if one.level == level), key=lambda r: order.index(r.verdict)
            ),
        )
        for level, title in _TITLE_BY_REQUIREMENT_LEVEL.items()
    ]
    return _load_page_template().render(
        report=report, sections=sections, labels=LABEL_BY_REQUIREMENT_VERDICT, score_text=describe_score(report)
    )


@cache
def _load_page_template() -> Template:
    """Return the template of the page; what it shows of a server is escaped, because responses are hostile input."""
    from jinja2 import Environment

    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Control characters in what a server has sent. Only plain texts: safe HTML has a class of its own.
        finalize=lambda value: escape_unprintable(value) if type(value) is str else value,
    )
    text = (files("voicegauge.profiles") / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


# Loads the profiles that are part of voicegauge.


_PROFILES_FOLDER = find_profiles_folder()
_PROFILE_FILE_NAME, _CONTRACT_FILE_NAME = "profile.yaml", "openapi.yaml"


def list_profiles() -> tuple[str, ...]:
    """Return the ids of all profiles, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _PROFILES_FOLDER.glob(f"*/{_PROFILE_FILE_NAME}")))


@cache
def load_profile(profile_id: str) -> Profile:
    """Return the published profile with an id.

    Raises:
        UnknownNameError: there is no profile with this id; the error message lists those that exist.
    """
    if profile_id not in list_profiles():
        raise UnknownNameError("profile", profile_id, list_profiles())
    return msgspec.yaml.decode((_PROFILES_FOLDER / profile_id / _PROFILE_FILE_NAME).read_bytes(), type=Profile)


def load_profile_contract(profile: Profile) -> Contract:
    """Return the contract from which the cases of `profile` are planned."""
    return load_contract(_PROFILES_FOLDER / profile.id / _CONTRACT_FILE_NAME)


def compute_profile_digest(profile_id: str) -> str:
    """Return the SHA-256 checksum of the two files of a profile, which never changes after its publication."""
    folder = _PROFILES_FOLDER / profile_id
    return hashlib.sha256(
        (folder / _PROFILE_FILE_NAME).read_bytes() + (folder / _CONTRACT_FILE_NAME).read_bytes()
    ).hexdigest()


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
        verdict=_determine_profile_verdict(score),
        score=score,
        requirement_results=results,
        check_report=check_report,
    )


class _ProfileJudge:
    """Judges the requirements of a profile one by one, by the cases of one check."""

    def __init__(self, profile: Profile, cases: Sequence[CaseResult], claimed_capabilities: Collection[str]) -> None:
        self._profile, self._claimed_capabilities = profile, claimed_capabilities
        self._cases = _remove_violations_of_busy_server(cases)

    def judge_requirement(self, requirement: Requirement) -> RequirementResult:
        """Return the result of one requirement of the profile, by the cases of the check."""
        if requirement.level == "not-scored":
            return self._build_result(requirement, "not-scored", verdict_reason=requirement.not_scored_reason)
        is_claimed = requirement.capability in self._claimed_capabilities
        level: RequirementLevel = "required" if is_claimed else requirement.level
        if requirement.capability is not None:
            capability = self._profile.capabilities[requirement.capability]
            probes = self._find_cases_matching_pattern(capability.disproving_case_pattern)
            rejected = next((case for case in probes if _is_rejected(case)), None)
            if rejected is not None:
                verdict: RequirementVerdict = "failed" if is_claimed else "not-offered"
                reason = rejected.message_by_violated_rule.get(
                    _REJECTS_VALID_RULE_ID, f"rejected with {rejected.status}"
                )
                return self._build_result(
                    requirement, verdict, level=level, verdict_reason=reason, case_ids=(rejected.id,)
                )
        # A violation counts even if other cases gave no verdict: nothing that they could show would undo it.
        cases = [case for pattern in requirement.case_patterns for case in self._find_cases_matching_pattern(pattern)]
        failed = [case for case in cases if _list_broken_rule_ids(case, requirement.rule_ids)]
        if failed:
            return self._build_violated_result(requirement, level, failed)
        reasons = [_explain_missing_verdict(case, requirement) for case in cases]
        reasons += [
            f"the plan has no case {pattern!r}: does the server list its voices? Name them with --voice"
            for pattern in requirement.case_patterns
            if not self._find_cases_matching_pattern(pattern)
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
        broken = [(case, rule) for case in failed_cases for rule in _list_broken_rule_ids(case, requirement.rule_ids)]
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

    def _find_cases_matching_pattern(self, case_pattern: str) -> list[CaseResult]:
        """Return the cases whose id, without the provider, matches `case_pattern`."""
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
    """Return the cases, without violations in those in which the server only responded that it is busy.

    If it responded with 503 in more than one case, these cases have a server error instead.
    """
    replaced = list(cases)
    busy = [
        i
        for i, case in enumerate(cases)
        if case.not_judged_reason and case.status and _is_inconclusive_status(case.status)
    ]
    unavailable = [i for i in busy if cases[i].status == HTTPStatus.SERVICE_UNAVAILABLE]
    # One 503 may be chance and says nothing; several are the server's own error in this check.
    for index in busy:
        is_repeated = index in unavailable and len(unavailable) > 1
        violations = {_SERVER_ERROR_RULE_ID: f"got status 503 in {len(unavailable)} cases"} if is_repeated else {}
        replaced[index] = msgspec.structs.replace(cases[index], message_by_violated_rule=violations)
    return replaced


def _is_rejected(case: CaseResult) -> bool:
    """Whether a case with a valid request was rejected, even with an undocumented status."""
    is_client_error = case.status is not None and 400 <= case.status < 500 and not _is_inconclusive_status(case.status)
    return _REJECTS_VALID_RULE_ID in case.message_by_violated_rule or is_client_error


def _is_inconclusive_status(http_status: int) -> bool:
    """Whether a response with this status, such as that of a busy server, shows nothing about a requirement."""
    return explain_inconclusive_status(http_status) is not None


def _list_broken_rule_ids(case: CaseResult, rule_ids: Sequence[str]) -> list[str]:
    """Return those of `rule_ids` that a case violates, in their order."""
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
    missing = _list_broken_rule_ids(case, requirement.prerequisite_rule_ids)
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


def _determine_profile_verdict(score: ProfileScore) -> ProfileVerdict:
    if score.required_passed_count < score.required_judged_count:
        return "failed"
    return "passed" if score.required_judged_count == score.required_count else "not-judged"

"""A profile, and the result of judging a server by it: as a record, a page and a badge."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from voicegauge.conformance.report import CheckReport
from voicegauge.model.base import Record
from voicegauge.outputs.baseline import format_badge_svg
from voicegauge.printable_text import escape_unprintable

if TYPE_CHECKING:
    from jinja2 import Template


# A profile: published requirements with their sources.


RequirementLevel = Literal["required", "optional", "not-scored"]
"""How a requirement counts. `required`: in the score. `optional`: in the score only if the user says that the server
has the capability; it is judged in any case. `not-scored`: it is not judged, for a stated reason."""


class RequirementsDocument(Record, frozen=True, kw_only=True):
    """A public document that states requirements."""

    title: str
    url: str
    read_on: str
    """The day on which it was read, in ISO 8601 format."""


class SourceDocumentReference(Record, frozen=True, kw_only=True):
    """The public document, and the part of it, that states a requirement."""

    document_name: str
    """Name of the document in `Profile.sources`."""
    section: str
    """The part of the document that states the requirement."""


class Capability(Record, frozen=True, kw_only=True):
    """An optional ability of a server, such as streaming."""

    title: str
    disproving_case_pattern: str
    """Id, without the provider, of a planned case that needs the capability. A server that rejects it does not have
    it."""


class Requirement(Record, frozen=True, kw_only=True):
    """One sentence by which servers are judged."""

    id: str
    sentence: str
    source: SourceDocumentReference
    level: RequirementLevel
    capability: str | None = None
    """Name of the capability in `Profile.capabilities`; `None` unless the requirement is optional."""
    not_scored_reason: str | None = None
    """Why the requirement is not scored; `None` if it is judged."""
    case_patterns: tuple[str, ...] = ()
    """Ids of the planned cases that test the requirement, without the provider; `*` stands for any text."""
    rule_ids: tuple[str, ...] = ()
    """Ids of the rules that the requirement consists of: it fails if one of them has a finding in one of the cases."""
    permissive_rule_ids: tuple[str, ...] = ()
    """Those of `rule_ids` whose findings show only that the server accepts more than is documented, which breaks no
    client: if no other rule has a finding, the verdict is `more-permissive` in place of `failed`."""
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
    published_on: str
    provider: str
    """Id of the provider in the contract of the profile."""
    sources: dict[str, RequirementsDocument]
    capabilities: dict[str, Capability] = {}
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
    """The result of one requirement."""

    id: str
    sentence: str
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
    """The message of the finding if the requirement failed, or why it was not judged or is not scored."""
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
    optional_passed_count: int
    optional_failed_count: int
    optional_not_offered_count: int
    optional_not_judged_count: int
    not_scored_count: int
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


# Renders the result of judging a server by a profile as one HTML page.


_TITLE_BY_LEVEL: dict[RequirementLevel, str] = {
    "required": "Required",
    "optional": "Optional",
    "not-scored": "Not scored",
}
_LABEL_BY_VERDICT: dict[RequirementVerdict, str] = {
    "failed": "failed",
    "not-judged": "not judged",
    "more-permissive": "more permissive",
    "passed": "passed",
    "not-offered": "not offered",
    "not-scored": "not scored",
}
"""Labels of the verdicts, in the order in which requirements are shown."""


def render_profile_page(report: ProfileReport) -> str:
    """Return the result as an HTML page in one file, without JavaScript."""
    order = list(_LABEL_BY_VERDICT)
    sections = [
        (
            title,
            sorted(
                (one for one in report.requirement_results if one.level == level), key=lambda r: order.index(r.verdict)
            ),
        )
        for level, title in _TITLE_BY_LEVEL.items()
    ]
    return _load_template().render(
        report=report, sections=sections, labels=_LABEL_BY_VERDICT, score_text=describe_score(report)
    )


@cache
def _load_template() -> Template:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_escape)
    text = (files("voicegauge.profiles") / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


def _escape(value: object) -> object:
    return escape_unprintable(value) if type(value) is str else value

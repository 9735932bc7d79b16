"""The result of judging a server by a profile, as a record, a page and a badge."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from voicegauge.conformance.report import CheckReport
from voicegauge.model.base import Record
from voicegauge.outputs.baseline import format_badge_svg
from voicegauge.printable_text import escape_unprintable
from voicegauge.profiles._profile import RequirementLevel

if TYPE_CHECKING:
    from jinja2 import Template


# Defines the result of judging a server by a profile.


RequirementVerdict = Literal["passed", "failed", "not-offered", "not-judged", "not-scored"]
"""Verdict on a requirement. `not-offered`: the server does not have the optional capability. `not-judged`: no case came
to a verdict."""
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
    required_judged_count: int
    """Number of required requirements that passed or failed."""
    required_passed_count: int
    optional_passed_count: int
    optional_failed_count: int
    optional_not_offered_count: int
    optional_not_judged_count: int
    not_scored_count: int

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

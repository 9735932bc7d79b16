"""Defines the result of judging a server by a profile."""

from __future__ import annotations

from typing import Literal

from voicegauge.conformance import CheckReport
from voicegauge.model import Record
from voicegauge.profiles.profile import RequirementLevel

RequirementVerdict = Literal["passed", "failed", "not-offered", "not-judged", "not-scored"]
"""`not-offered`: the server does not have the optional capability; `not-judged`: no case came to a verdict."""
ProfileVerdict = Literal["passed", "failed", "not-judged"]
"""`failed` if a required requirement failed; `passed` if all of them passed; `not-judged` otherwise."""


class RequirementResult(Record, frozen=True, kw_only=True):
    """The result of one requirement."""

    id: str
    sentence: str
    level: RequirementLevel
    """The level in this judgement: an optional requirement is required if the user says that the server has the
    capability."""
    verdict: RequirementVerdict
    capability: str | None = None
    """Title of the capability that the requirement belongs to; `None` if it belongs to none."""
    source_title: str
    source_url: str
    source_date: str
    """The day on which the document was read, in ISO 8601 format."""
    source_section: str
    """The part of the document that states the requirement, such as "POST /audio/speech, response 200"."""
    reason: str | None = None
    """The message of the finding if the requirement failed, or why it was not judged or is not scored."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that failed."""
    cases: tuple[str, ...] = ()
    """Ids of the cases that were sent for the requirement; of a failed one, those in which a rule failed."""


class ProfileScore(Record, frozen=True, kw_only=True):
    """The numbers of requirements by verdict. The score is `required_passed` of `required_judged`."""

    required: int
    required_judged: int
    """Number of required requirements that passed or failed."""
    required_passed: int
    optional_passed: int
    optional_failed: int
    optional_not_offered: int
    optional_not_judged: int
    not_scored: int

    @property
    def required_not_judged(self) -> int:
        """Number of required requirements without a verdict, which do not count as passed."""
        return self.required - self.required_judged

    @property
    def percent(self) -> int | None:
        """Percentage of the judged requirements that passed, rounded; `None` if none was judged.

        It is 100 only if all of them passed, and 0 only if none did.
        """
        if self.required_passed in (0, self.required_judged):
            return (100 if self.required_passed else 0) if self.required_judged else None
        return min(max(round(self.required_passed * 100 / self.required_judged), 1), 99)


class ProfileReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge check --profile --json` writes."""

    schema: str = "voicegauge/profile-check/2"
    voicegauge: str
    profile: str
    profile_title: str
    profile_sha256: str
    """Checksum of the published profile, which never changes."""
    server: str
    """Base URL of the server that was judged, or "emulator"."""
    created_at: str
    """Time at which the check started, in UTC and ISO 8601 format."""
    verdict: ProfileVerdict
    score: ProfileScore
    requirements: tuple[RequirementResult, ...]
    check: CheckReport
    """The report of the check whose cases judged the requirements."""

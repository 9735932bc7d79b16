"""Defines the result of judging a server by a profile."""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.conformance import CheckReport
from voicegauge.model import Record
from voicegauge.profiles.profile import RequirementLevel

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
    capability_title: str | None = msgspec.field(default=None, name="capability")
    """Title of the capability that the requirement belongs to; `None` if it belongs to none."""
    source_title: str
    source_url: str
    source_read_on: str = msgspec.field(name="source_date")
    """The day on which the document was read, in ISO 8601 format."""
    source_section: str
    """The part of the document that states the requirement, such as "POST /audio/speech, response 200"."""
    verdict_reason: str | None = msgspec.field(default=None, name="reason")
    """The message of the finding if the requirement failed, or why it was not judged or is not scored."""
    broken_rule_ids: tuple[str, ...] = msgspec.field(default=(), name="rules")
    """Ids of the rules that failed."""
    case_ids: tuple[str, ...] = msgspec.field(default=(), name="cases")
    """Ids of the cases that were sent for the requirement; of a failed one, those in which a rule failed."""


class ProfileScore(Record, frozen=True, kw_only=True):
    """The numbers of requirements by verdict. The score is `required_passed_count` of `required_judged_count`."""

    required_count: int = msgspec.field(name="required")
    required_judged_count: int = msgspec.field(name="required_judged")
    """Number of required requirements that passed or failed."""
    required_passed_count: int = msgspec.field(name="required_passed")
    optional_passed_count: int = msgspec.field(name="optional_passed")
    optional_failed_count: int = msgspec.field(name="optional_failed")
    optional_not_offered_count: int = msgspec.field(name="optional_not_offered")
    optional_not_judged_count: int = msgspec.field(name="optional_not_judged")
    not_scored_count: int = msgspec.field(name="not_scored")

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
    voicegauge_version: str = msgspec.field(name="voicegauge")
    profile_id: str = msgspec.field(name="profile")
    profile_title: str
    profile_sha256: str
    """Checksum of the published profile, which never changes."""
    server: str
    """Base URL of the server that was judged, or "emulator"."""
    created_at: str
    """Time at which the check started, in UTC and ISO 8601 format."""
    verdict: ProfileVerdict
    score: ProfileScore
    requirement_results: tuple[RequirementResult, ...] = msgspec.field(name="requirements")
    check_report: CheckReport = msgspec.field(name="check")
    """The report of the check whose cases judged the requirements."""

"""Judges servers by profiles: published lists of requirements for any server that claims to have an API.

A profile is a folder of this package with `profile.yaml`, the requirements, and `openapi.yaml`, the contract from which
the cases are planned. Neither changes after its publication, so that a result can be compared with an earlier one.
"""

from voicegauge.profiles.badge import render_profile_badge
from voicegauge.profiles.judging import judge_profile
from voicegauge.profiles.loading import compute_profile_digest, list_profiles, load_profile, load_profile_contract
from voicegauge.profiles.profile import (
    Capability,
    Profile,
    Requirement,
    RequirementLevel,
    SourceDocumentReference,
)
from voicegauge.profiles.profile_page import render_profile_page
from voicegauge.profiles.profile_report import (
    ProfileReport,
    ProfileScore,
    ProfileVerdict,
    RequirementResult,
    RequirementVerdict,
)

__all__ = [
    "Capability",
    "Profile",
    "ProfileReport",
    "ProfileScore",
    "ProfileVerdict",
    "Requirement",
    "RequirementLevel",
    "RequirementResult",
    "RequirementVerdict",
    "SourceDocumentReference",
    "compute_profile_digest",
    "judge_profile",
    "list_profiles",
    "load_profile",
    "load_profile_contract",
    "render_profile_badge",
    "render_profile_page",
]

"""Defines a profile: what `profile.yaml` of its folder states."""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.model import Record

RequirementLevel = Literal["required", "optional", "not-scored"]
"""`required`: counts in the score. `optional`: is judged, but counts only if the user says that the server has the
capability. `not-scored`: is not judged, for a stated reason."""


class ProfileDocument(Record, frozen=True, kw_only=True):
    """A public document with requirements."""

    title: str
    url: str
    date: str
    """The day on which it was read, in ISO 8601 format."""


class SourceDocumentReference(Record, frozen=True, kw_only=True):
    """The public document, and the part of it, that states a requirement."""

    document: str
    """Name in `Profile.sources`."""
    section: str = msgspec.field(name="at")
    """The part of the document that states the requirement: `at` in `profile.yaml`."""


class Capability(Record, frozen=True, kw_only=True):
    """An optional ability of a server, such as streaming."""

    title: str
    rejected_case: str = msgspec.field(name="shown_by")
    """Id, without the provider, of the case whose rejection shows that the server does not have the capability.

    The key in `profile.yaml` is `shown_by`.
    """


class Requirement(Record, frozen=True, kw_only=True):
    """One sentence by which servers are judged."""

    id: str
    sentence: str
    source: SourceDocumentReference
    level: RequirementLevel
    capability: str | None = None
    """Name in `Profile.capabilities`; `None` unless the requirement is optional."""
    reason: str | None = None
    """Why the requirement is not scored; `None` if it is judged."""
    cases: tuple[str, ...] = ()
    """Ids of the planned cases that try the requirement, without the provider; `*` stands for any text."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that the requirement consists of: it fails if one of them has a finding in one of the cases."""
    prerequisite_rules: tuple[str, ...] = msgspec.field(default=(), name="needs")
    """Ids of rules that a case must follow to judge the requirement: a case in which one of them has a finding gives no
    verdict. The key in `profile.yaml` is `needs`."""
    judged_by: Literal["all", "any"] = "all"
    """`all`: the requirement passes only if each of its cases has a verdict. `any`: one case with a verdict is enough.
    """


class Profile(Record, frozen=True, kw_only=True):
    """A published list of requirements."""

    schema: Literal["voicegauge/profile/1"]
    id: str
    """<name>@<year>-<month>"""
    title: str
    published: str
    provider: str
    """Id of the provider in the contract of the profile."""
    sources: dict[str, ProfileDocument]
    capabilities: dict[str, Capability] = {}
    requirements: tuple[Requirement, ...]

    @property
    def case_patterns(self) -> tuple[str, ...]:
        """Ids of all cases of the plan, with the provider; `*` stands for any text."""
        of_requirements = [pattern for requirement in self.requirements for pattern in requirement.cases]
        of_capabilities = [capability.rejected_case for capability in self.capabilities.values()]
        return tuple(dict.fromkeys(f"{self.provider}/{pattern}" for pattern in [*of_requirements, *of_capabilities]))

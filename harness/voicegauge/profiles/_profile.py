"""A profile: published requirements with their sources."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record

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

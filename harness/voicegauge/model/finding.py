"""Bad news about a provider: a rule that its traffic broke."""

from __future__ import annotations

from voicegauge.model.base import Provenance, Record, Severity


class Where(Record, frozen=True, kw_only=True):
    """The place a finding is about."""

    provider: str
    operation: str | None = None
    target: str | None = None
    pointer: str | None = None
    """JSON pointer into the request or response, such as "/output/media_url/0"."""
    file: str | None = None
    """The contract document that states what was broken."""
    line: int | None = None
    """The line of that document, counted from 1."""


class Finding(Record, frozen=True, kw_only=True):
    """One broken rule."""

    rule: str
    severity: Severity
    message: str
    """One sentence: what was expected and what was seen."""
    where: Where
    provenance: Provenance
    case: str | None = None
    """The planned case that led to it."""
    evidence: str | None = None
    """The piece of traffic that shows it, shortened and without secrets."""
    reproduce: str | None = None
    """A shell command that sends the request again; keys stand as environment variables."""
    reading: str | None = None
    """For a disputed finding: the other reading of the documents that the traffic keeps."""
    times: int = 1
    """How often it was seen; the rest tells of the first time."""

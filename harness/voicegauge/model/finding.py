"""Bad news about a provider: a rule that its traffic broke."""

from __future__ import annotations

import hashlib
import json

from voicegauge.model.base import Provenance, Record, Severity


class FindingLocation(Record, frozen=True, kw_only=True):
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
    contract_pointer: str | None = None
    """JSON pointer into that document, to what was broken."""


class Finding(Record, frozen=True, kw_only=True):
    """One broken rule."""

    rule: str
    severity: Severity
    message: str
    """One sentence: what was expected and what was seen."""
    where: FindingLocation
    provenance: Provenance
    case: str | None = None
    """The planned case that led to it."""
    evidence: str | None = None
    """The piece of traffic that shows it, shortened and without secrets."""
    reproduce: str | None = None
    """A shell command that sends the request again; keys stand as environment variables."""
    test: str | None = None
    """A pytest test that sends it again, for what was found by fuzzing; it needs voicegauge's plugin."""
    reading: str | None = None
    """For a disputed finding: the other reading of the documents that the traffic keeps."""
    occurrences: int = 1
    """How often it was seen; the rest tells of the first time."""

    @property
    def fingerprint(self) -> str:
        """Names the finding across runs: 16 hexadecimal digits.

        It rests on the rule, the provider, the operation, the broken statement of the contract
        and the place in the traffic, so that it stays when lines move, when messages are
        worded anew and when another target of the operation shows it first. The items of a
        list are one place.
        """
        where = self.where
        pointer = "/".join("*" if token.isdecimal() else token for token in (where.pointer or "").split("/"))
        parts = [self.rule, where.provider, where.operation, where.contract_pointer, pointer]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

"""Findings: violations of rules by a provider's traffic."""

from __future__ import annotations

import hashlib
import json

from voicegauge.model.base import Provenance, Record, Severity


class FindingLocation(Record, frozen=True, kw_only=True):
    """What a finding is about: provider and operation, and the positions in traffic and contract."""

    provider: str
    operation: str | None = None
    target: str | None = None
    pointer: str | None = None
    """JSON pointer into the request or response, such as "/output/media_url/0"."""
    file: str | None = None
    """The contract document with the violated statement."""
    line: int | None = None
    """Line of that statement, counted from 1."""
    contract_pointer: str | None = None
    """JSON pointer to that statement."""


class Finding(Record, frozen=True, kw_only=True):
    """One violation of a rule."""

    rule: str
    severity: Severity
    message: str
    """One sentence: the expected and the observed value."""
    where: FindingLocation
    provenance: Provenance
    case: str | None = None
    """Id of the planned case that led to it."""
    evidence: str | None = None
    """An excerpt of the traffic that shows it, shortened and without secrets."""
    reproduce: str | None = None
    """A shell command that sends the request again; keys are read from environment variables."""
    test: str | None = None
    """For a finding of fuzzing: a pytest test that sends the request again, with voicegauge's plugin."""
    reading: str | None = None
    """For a disputed finding: the contradicting claim that the traffic conforms to."""
    occurrences: int = 1
    """How often it was found; the other fields describe the first occurrence."""

    @property
    def fingerprint(self) -> str:
        """An identifier of the finding across runs: 16 hexadecimal digits.

        It is computed from the rule, the provider, the operation, the violated statement and the location in the
        traffic. So it stays the same when lines move, when messages are reworded and when another target of the
        operation is the first to show it. All items of a list count as one location.
        """
        where = self.where
        pointer = "/".join("*" if token.isdecimal() else token for token in (where.pointer or "").split("/"))
        parts = [self.rule, where.provider, where.operation, where.contract_pointer, pointer]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

"""From what a rule saw to a finding: where it stands, masked evidence, and disputes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from voicegauge.checks.registry import RULES, Rule, Violation
from voicegauge.checks.subjects import Call, Callback, CallSubject, CheckSubject, RequestCallbacks
from voicegauge.contract import MISSING
from voicegauge.contract.extension import Dispute
from voicegauge.formats import read_pointer, unescape
from voicegauge.model import Exchange, Finding, FindingLocation, Provenance, Severity

MAX_EVIDENCE = 240
"""Characters of evidence: about three lines of a terminal."""
MAX_MESSAGE = 400
"""A schema message quotes the value it is about, and that comes from the provider."""


@dataclass(frozen=True)
class Checker:
    """Applies rules to subjects."""

    provenance: Provenance
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULES)
    reproduce: Callable[[Exchange], str] | None = None
    """Writes the shell command that sends an exchange's request again."""
    mask: Callable[[str], str] = str
    """Takes secrets out of a text."""

    def findings(self, subject: CheckSubject, *, case: str | None = None) -> Iterator[Finding]:
        """Every finding of the rules that look at this kind of subject, or at a more general one."""
        for kind in type(subject).__mro__:
            for rule in self._by_subject.get(kind, ()):
                for problem in rule.check(subject):
                    yield self._finding(rule, subject, problem, case)

    @functools.cached_property
    def _by_subject(self) -> Mapping[type, list[Rule]]:
        found: dict[type, list[Rule]] = {}
        for rule in self.rules.values():
            found.setdefault(rule.subject, []).append(rule)
        return found

    def _finding(self, rule: Rule, subject: CheckSubject, problem: Violation, case: str | None) -> Finding:
        exchange = problem.exchange or subject.exchange
        dispute = find_dispute(rule.id, subject, problem)
        contract = subject.contract
        return Finding(
            rule=rule.id,
            severity=Severity.DISPUTED if dispute else rule.severity,
            message=_shorten(self.mask(problem.message), MAX_MESSAGE),
            where=FindingLocation(
                provider=contract.id,
                operation=exchange.operation,
                target=subject.target.id if subject.target else None,
                pointer=problem.pointer,
                file=str(contract.document.path),
                line=contract.document.line(problem.contract_pointer),
                contract_pointer=problem.contract_pointer,
            ),
            provenance=self.provenance,
            case=case,
            evidence=_shorten(self.mask(problem.evidence), MAX_EVIDENCE) if problem.evidence else None,
            reproduce=self._reproduce(subject, exchange),
            reading=f"{dispute.claim} ({dispute.document})" if dispute else None,
        )

    def _reproduce(self, subject: CheckSubject, exchange: Exchange) -> str | None:
        call = subject.call if isinstance(subject, CallSubject) else subject
        # What a document prints without its request, or what the provider sends, cannot be sent again.
        sent_by_it = isinstance(call, Callback) or (isinstance(call, RequestCallbacks) and call.submit is None)
        unknown = sent_by_it or (isinstance(call, Call) and call.request_origin == "unknown")
        return None if unknown or self.reproduce is None else self.mask(self.reproduce(exchange))


def _shorten(text: str, limit: int) -> str:
    # Nothing from the wire may move a terminal's cursor.
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def find_dispute(rule_id: str, subject: CheckSubject, problem: Violation) -> Dispute | None:
    """The dispute under which this problem keeps another reading of the documents.

    It stands at the broken statement or a part around it, or at the response,
    operation or target that the subject belongs to; it names the rule, and the
    traffic has the media type and the shape that it is limited to.
    """
    contract = subject.contract
    for place in (problem.contract_pointer, *subject.dispute_scopes):
        for dispute, at in contract.disputes(place):
            if rule_id in dispute.rules and _fits(dispute, at, subject, problem.exchange):
                return dispute
    return None


def _fits(dispute: Dispute, at: str, subject: CheckSubject, exchange: Exchange | None) -> bool:
    exchange = exchange or subject.exchange
    if dispute.status is not None and exchange.response.status != dispute.status:
        return False
    if dispute.media_type and exchange.response.media_type != dispute.media_type.lower():
        return False
    if dispute.schema is None:
        return True
    operation = subject.contract.operations.get(exchange.operation, subject.operation)
    value = Call(operation, exchange).response_json
    if value is MISSING:
        return False
    pointers = _schema_pointers(subject, at, dispute)
    return any(subject.contract.schemas.fits(pointer, value) for pointer in pointers)


def _schema_pointers(subject: CheckSubject, at: str, dispute: Dispute) -> Iterable[str]:
    """Where the dispute's schema stands, so that its references are read in the document."""
    tokens = [unescape(token) for token in at.split("/")[1:]]
    for key in ("x-source", "source"):
        listed = read_pointer(subject.contract.document.data, [*tokens, key, "disputed"])
        if isinstance(listed, list):
            for index, entry in enumerate(listed):
                if entry.get("schema") == dispute.schema and entry.get("claim") == dispute.claim:
                    yield f"{at}/{key}/disputed/{index}/schema"

"""Applies rules to exchanges, and reports violations as findings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import Dispute
from voicegauge.contract.operation import Operation
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity
from voicegauge.model.exchange import Exchange
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject
from voicegauge.rules.registry import RULE_BY_ID, Rule, Violation, select_applicable_rules

MAX_EVIDENCE_CHARACTERS = 240
"""Maximum number of characters in the evidence of a finding, which is about three lines of a terminal."""
_MAX_CHARACTERS_READ_TO_SHORTEN = 10_000
"""Maximum number of characters of a text that are read to shorten it. A message may quote a body of many megabytes."""
MAX_MESSAGE_CHARACTERS = 400
"""Maximum number of characters in the message of a finding, which may quote an arbitrarily long value."""


_SEVERITIES_BY_RANK = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)
"""The severities, most severe first."""
_RULES_ABOUT_UNDOCUMENTED_STATUSES = ("status-undocumented", "error-shape")
"""Ids of the rules that report an undocumented server error too, so that their findings are left out if the rule
server-error has reported it."""

_RULES_ABOUT_BODIES = frozenset({"content-type", "response-schema"})
"""Ids of the rules whose findings follow from an error with a success status, and are left out beside it."""
_RULE_ID_BY_ACCEPTANCE = {"accepted": "rejects-valid", "rejected": "accepts-invalid"}
"""The rule that reports an error with a success status, by what was expected."""

QuotationMasker = Callable[[Contract, Iterable[Exchange], str], str]
"""Function that masks undocumented words that could be secrets in a text that quotes exchanges."""
ReproductionCommandBuilder = Callable[[Exchange], str | None]
"""Function that returns the shell command that sends the request of an exchange again; `None` if no command can."""


@dataclass(frozen=True)
class Checker:
    """Applies rules to subjects and yields findings."""

    provenance: Provenance
    """Provenance of the traffic that is judged, which each finding states."""
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULE_BY_ID)
    """The rules to apply, by id."""
    build_reproduction_command: ReproductionCommandBuilder | None = None
    """Function that returns the shell command that reproduces a finding; `None` if findings have no commands."""
    mask_secrets: Callable[[str], str] = str
    """Function that masks the secrets in a text."""
    mask_quotation: QuotationMasker | None = None
    """Function that masks what could be a secret in a text that quotes exchanges; `None` if they have no secrets."""

    def iterate_findings(
        self,
        subject: CheckSubject,
        *,
        case_id: str | None = None,
        build_reproduction_command: ReproductionCommandBuilder | None = None,
    ) -> Iterator[Finding]:
        """Apply the rules for the class of `subject`, its base classes and its operation, and yield the findings.

        If one violation causes another, there is one finding, of the cause; it lists the other violation as an effect.

        Args:
            subject: the subject to which the rules are applied.
            case_id: id of the planned case that the subject belongs to; `None` if there is no planned case.
            build_reproduction_command: replaces the checker's own function; `None` to use that.
        """
        findings: list[Finding] = []
        for rule in self._find_rules(subject):
            for violation in rule.check(subject):
                finding = self._build_finding(
                    rule, subject, violation, case_id, build_reproduction_command or self.build_reproduction_command
                )
                # The rule of a cause is registered before those of its effects, so its finding is there already.
                index = _find_finding_index(findings, violation.cause_rule_id, finding.severity)
                if index is None:
                    findings.append(finding)
                else:
                    effects = {**findings[index].same_cause_messages, rule.id: finding.message}
                    findings[index] = msgspec.structs.replace(findings[index], same_cause_messages=effects)
        yield from findings

    def iterate_findings_by_subject(
        self,
        subjects: Iterable[CheckSubject],
        *,
        case_id: str | None = None,
        build_reproduction_command: ReproductionCommandBuilder | None = None,
    ) -> Iterator[tuple[CheckSubject, list[Finding]]]:
        """Apply the rules to the subjects of one case, and yield each subject with its findings.

        A server error that is neither expected nor documented gives one finding, of the rule server-error, and an error
        with a success status one of the rule accepts-invalid or rejects-valid.

        Args:
            subjects: the subjects; the same call may be part of several of them.
            case_id: id of the planned case that the subjects belong to; `None` if there is no planned case.
            build_reproduction_command: replaces the checker's own function; `None` to use that.
        """
        subjects = list(subjects)
        outcomes = [subject for subject in subjects if isinstance(subject, CaseOutcome)]
        failed_calls = {
            outcome.call for outcome in outcomes if outcome.is_server_error and "server-error" in self.rules
        }
        disguised_calls = {
            outcome.call
            for outcome in outcomes
            if outcome.has_error_with_success_status
            and outcome.expected_response.case_kind != "authentication"
            and _RULE_ID_BY_ACCEPTANCE.get(outcome.expected_response.acceptance) in self.rules
        }
        for subject in subjects:
            findings = self.iterate_findings(
                subject, case_id=case_id, build_reproduction_command=build_reproduction_command
            )
            if isinstance(subject, Call) and subject in failed_calls and subject.documented_response is None:
                yield subject, [f for f in findings if f.rule not in _RULES_ABOUT_UNDOCUMENTED_STATUSES]
            elif isinstance(subject, Call) and subject in disguised_calls:
                yield subject, [f for f in findings if f.rule not in _RULES_ABOUT_BODIES]
            else:
                yield subject, list(findings)

    @functools.cached_property
    def _rules_by_class(self) -> dict[type[CheckSubject], tuple[Rule, ...]]:
        """Cache: by class of subjects, the rules for the class and for its base classes."""
        return {}

    @functools.cached_property
    def _rules_by_class_and_operation(self) -> dict[tuple[type[CheckSubject], Operation], tuple[Rule, ...]]:
        """Cache: by class of subjects and operation, the rules that apply to such subjects of the operation."""
        return {}

    def _find_rules(self, subject: CheckSubject) -> tuple[Rule, ...]:
        """Return the rules that apply to a subject, by its class and by what the contract states of its operation."""
        subject_class, operation = type(subject), subject.operation
        found = self._rules_by_class_and_operation.get((subject_class, operation))
        if found is None:
            found = select_applicable_rules(self._find_rules_for_class(subject_class), operation)
            self._rules_by_class_and_operation[subject_class, operation] = found
        return found

    def _find_rules_for_class(self, subject_class: type[CheckSubject]) -> tuple[Rule, ...]:
        if subject_class not in self._rules_by_class:
            # The rules of the class itself first: they say more than those of its base classes.
            self._rules_by_class[subject_class] = tuple(
                rule for base in subject_class.__mro__ for rule in self.rules.values() if rule.subject_class is base
            )
        return self._rules_by_class[subject_class]

    def _build_finding(
        self,
        rule: Rule,
        subject: CheckSubject,
        violation: Violation,
        case_id: str | None,
        build_reproduction_command: ReproductionCommandBuilder | None,
    ) -> Finding:
        exchange = violation.exchange or subject.exchange
        dispute = find_dispute(rule.id, subject, violation)
        contract = subject.contract
        position = contract.document.find_position(violation.contract_pointer)
        return Finding(
            rule=rule.id,
            severity=_choose_severity(rule, subject, violation, dispute),
            message=self._mask_and_shorten(subject, violation, violation.message, MAX_MESSAGE_CHARACTERS),
            where=FindingLocation(
                provider=contract.id,
                operation=exchange.operation,
                target=subject.target.id if subject.target else None,
                traffic_pointer=self.mask_secrets(violation.value_pointer)
                if violation.value_pointer
                else violation.value_pointer,
                contract_file=str(position.path),
                contract_line=position.line,
                contract_pointer=violation.contract_pointer,
            ),
            provenance=self.provenance,
            case_id=case_id,
            evidence=self._mask_and_shorten(subject, violation, violation.evidence, MAX_EVIDENCE_CHARACTERS)
            if violation.evidence
            else None,
            reproduction_command=self._find_reproduction_command(build_reproduction_command, subject, exchange),
            common_cause=self.mask_secrets(violation.common_cause) if violation.common_cause else None,
            audio_start_s=violation.audio_start_s,
            satisfied_claim=f"{dispute.claim} ({dispute.document_name})" if dispute else None,
        )

    def _mask_and_shorten(self, subject: CheckSubject, violation: Violation, text: str, max_characters: int) -> str:
        """Mask secrets and possible secrets in `text`, put it on one line, and shorten it to `max_characters`."""
        # Masked before it is cut to its final length: the beginning of a key that is cut off would not be recognized.
        masked = self.mask_secrets(text[:_MAX_CHARACTERS_READ_TO_SHORTEN])
        exchanges = [violation.exchange] if violation.exchange is not None else subject.quoted_exchanges
        if self.mask_quotation is not None:
            masked = self.mask_quotation(subject.contract, exchanges, masked)
        return _shorten_text(masked, max_characters)

    def _find_reproduction_command(
        self, build_reproduction_command: ReproductionCommandBuilder | None, subject: CheckSubject, exchange: Exchange
    ) -> str | None:
        if build_reproduction_command is None or not subject.can_be_sent_again:
            return None
        command = build_reproduction_command(exchange)
        return self.mask_secrets(command) if command is not None else None


def _choose_severity(rule: Rule, subject: CheckSubject, violation: Violation, dispute: Dispute | None) -> Severity:
    """Return the severity of a finding: disputed if there is a `dispute` about it, which is `None` otherwise.

    An error needs a fact that the provider's own documents state. A fact that is known only from public traffic or from
    client libraries may have changed, so its violation is a warning.
    """
    if dispute is not None:
        return Severity.DISPUTED
    if rule.severity is not Severity.ERROR:
        return rule.severity
    is_stated = subject.contract.has_normative_source(violation.contract_pointer)
    return Severity.ERROR if is_stated and not violation.is_warning else Severity.WARNING


def _find_finding_index(findings: Sequence[Finding], rule_id: str | None, severity: Severity) -> int | None:
    """Return the index of the finding with this rule that is at least as severe; `None` if there is none."""
    severities = _SEVERITIES_BY_RANK[: _SEVERITIES_BY_RANK.index(severity) + 1]
    return next((i for i, one in enumerate(findings) if one.rule == rule_id and one.severity in severities), None)


def _shorten_text(text: str, max_characters: int) -> str:
    text = text[:_MAX_CHARACTERS_READ_TO_SHORTEN]
    # Control characters in a response could move the cursor of a terminal, or overwrite its output.
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= max_characters else f"{line[: max_characters - 1]}…"


def find_dispute(rule_id: str, subject: CheckSubject, violation: Violation) -> Dispute | None:
    """Return the dispute that allows the behavior that `violation` reports; `None` if there is none.

    A dispute states that documents contradict each other. It must name the rule. It must be recorded at the violated
    part of the contract, at a part that contains it, or at one of the `disputable_pointers` of the subject. If
    the dispute is limited to a status, media type or schema, the response must match it.
    """
    contract = subject.contract
    for pointer in (violation.contract_pointer, *subject.disputable_pointers):
        for dispute, dispute_pointer in contract.iterate_disputes(pointer):
            if rule_id in dispute.rule_ids and _is_dispute_about_exchange(
                dispute, dispute_pointer, subject, violation.exchange
            ):
                return dispute
    return None


def _is_dispute_about_exchange(
    dispute: Dispute, dispute_pointer: str, subject: CheckSubject, exchange: Exchange | None
) -> bool:
    exchange = exchange or subject.exchange
    if dispute.status is not None and exchange.response.status != dispute.status:
        return False
    if dispute.media_type and exchange.response.media_type != dispute.media_type.lower():
        return False
    if dispute.body_schema is None:
        return True
    # A violation may name an exchange of another operation, such as a poll of a submitted job.
    operation = subject.contract.operations.get(exchange.operation, subject.operation)
    value = Call(operation, exchange).response_json
    if value is MISSING:
        return False
    pointers = _iterate_dispute_schema_pointers(subject, dispute_pointer, dispute)
    return any(subject.contract.schemas.is_valid(pointer, value) for pointer in pointers)


def _iterate_dispute_schema_pointers(subject: CheckSubject, dispute_pointer: str, dispute: Dispute) -> Iterable[str]:
    """Yield the JSON pointers to every place in the contract where `dispute` states its schema.

    A response is validated against the schema at such a place, because references in the schema are resolved from
    there. The same dispute may be stated under `x-source` and under `source`.
    """
    pointer_tokens = split_json_pointer(dispute_pointer)
    for key in ("x-source", "source"):
        listed = read_pointer(subject.contract.document.data, [*pointer_tokens, key, "disputes"])
        if isinstance(listed, list):
            for index, entry in enumerate(listed):
                if entry.get("body_schema") == dispute.body_schema and entry.get("claim") == dispute.claim:
                    yield f"{dispute_pointer}/{key}/disputes/{index}/body_schema"

"""What a check has tried of each contract: operations, statuses, states, constraints and rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from voicegauge.checks import (
    RULES,
    AudioInputCall,
    Call,
    Callback,
    CheckSubject,
    IncompleteResponse,
    JobHistory,
    JobSet,
    RecordingAge,
    RequestCallbacks,
    ResourceStep,
    Rule,
    SpeechDelivery,
    applicable_rules,
)
from voicegauge.conformance.reporting.constraints import ConstrainedRequest, request_constraints
from voicegauge.contract import Contract, Operation
from voicegauge.model import Exchange, Record

_NO_SUBJECT: dict[type, str] = {
    AudioInputCall: "no audio was sent to be transcribed or converted",
    Callback: "no callback was received",
    JobHistory: "no job was followed",
    JobSet: "no jobs were submitted next to each other (--fuzz does)",
    RecordingAge: "no live recording was read",
    RequestCallbacks: "no request named a webhook URL",
    ResourceStep: "no resource or batch was followed",
    SpeechDelivery: "no delivery was judged",
}
"""The reason why the rules for a class of subjects judged nothing."""
CoverageKind = Literal["operation", "status", "state", "constraint", "rule"]


class CoverageEntry(Record, frozen=True, kw_only=True):
    """How often one statement of a contract, or one rule, was tried."""

    kind: CoverageKind
    operation: str
    """<provider>/<operation>; the provider for a rule."""
    name: str
    """A status, a state, "<location> <keyword>" of a constraint, or the id of a rule."""
    inside: int = 0
    """Requests to the operation, or to the constraint, that are valid; responses with the status; polls that saw the
    state; subjects that follow the rule."""
    outside: int = 0
    """Requests that are not valid; responses with a status, and polls with a state, that is not documented; subjects
    that break the rule."""
    applies: bool = True
    """False for a rule that cannot be applied to the provider, and for statuses and states that are not documented:
    they do not count in the percentage."""
    reason: str | None = None
    """Why the entry was not tried, or only one side of the constraint; `None` if all was tried."""

    @property
    def tried(self) -> int:
        """The number of sides that were tried. A constraint has two sides, inside and outside; others have one."""
        if self.kind == "constraint":
            return (self.inside > 0) + (self.outside > 0)
        return int(self.inside + self.outside > 0)

    @property
    def side_count(self) -> int:
        """The number of sides that can be tried."""
        return 2 if self.kind == "constraint" else 1


class CoverageTotal(NamedTuple):
    """The number of entries of one kind."""

    inside: int
    outside: int
    total: int


def coverage_percent(entries: Iterable[CoverageEntry]) -> float | None:
    """Return the tried share of everything that applies, in percent; `None` if nothing applies."""
    applied = [entry for entry in entries if entry.applies]
    side_count = sum(entry.side_count for entry in applied)
    return round(100 * sum(entry.tried for entry in applied) / side_count, 1) if side_count else None


def coverage_totals(entries: Iterable[CoverageEntry]) -> dict[CoverageKind, CoverageTotal]:
    """Return by kind how many of the entries that apply were tried inside and outside."""
    totals: dict[CoverageKind, CoverageTotal] = {}
    for entry in entries:
        if entry.applies:
            inside, outside, total = totals.get(entry.kind, (0, 0, 0))
            tried = (inside + (entry.inside > 0), outside + (entry.outside > 0), total + 1)
            totals[entry.kind] = CoverageTotal(*tried)
    return totals


class CoverageCounter:
    """Counts, exchange by exchange, what a check tries."""

    def __init__(self) -> None:
        """Begin with no contract and nothing counted."""
        self._contracts: dict[str, Contract] = {}
        self._rules: set[str] = set()
        self._left_out: frozenset[str] = frozenset()
        self._inside: Counter[tuple[str, ...]] = Counter()
        self._outside: Counter[tuple[str, ...]] = Counter()
        self._rules_by_class: dict[type[CheckSubject], tuple[Rule, ...]] = {}
        # Dozens of rules judge each subject: subjects are counted, and divided among rules in the report.
        self._judged: Counter[tuple[type[CheckSubject], Operation]] = Counter()
        self._broken: Counter[tuple[type[CheckSubject], Operation, str]] = Counter()
        self._statuses: Counter[int] = Counter()

    def add_contract(self, contract: Contract, rules: Iterable[str]) -> None:
        """List everything that `contract` states; `rules` are the ids of the rules that are applied."""
        self._contracts[contract.id] = contract
        self._rules |= set(rules)

    def leave_out(self, operations: Iterable[str]) -> None:
        """Exclude operations, as <provider>/<operation id>, from the entries, because the check does not cover them."""
        self._left_out = frozenset(operations)

    def add_exchange(self, exchange: Exchange) -> None:
        """Count what one exchange tries; downloads from undocumented hosts are not counted."""
        contract = self._contracts.get(exchange.provider)
        operation = contract.operations.get(exchange.operation) if contract is not None else None
        if operation is None:
            return
        call = Call(operation, exchange)
        self._statuses[call.status] += 1
        documented = call.documented_response
        self._count(documented is not None, "status", operation, documented.status if documented else str(call.status))
        self._count_states(call)
        constraints, request = request_constraints(operation), ConstrainedRequest(call)
        violated = request.violated_pointers()
        for name, is_inside in constraints.find_sides(request, violated).items():
            self._count(is_inside, "constraint", operation, name)
        is_valid = not violated and not constraints.lacks_parameter(request)
        self._count(is_valid, "operation", operation, operation.id)

    def add_subject(self, subject: CheckSubject, broken_rule_ids: Collection[str]) -> None:
        """Count a judged subject for each rule that applies to it. `broken_rule_ids`: rules that it violated."""
        operation, subject_class = subject.operation, type(subject)
        self._judged[subject_class, operation] += 1
        for rule in self._rules_for_subject(subject_class):
            if rule.id in broken_rule_ids:
                self._broken[subject_class, operation, rule.id] += 1

    @property
    def statuses(self) -> Mapping[int, int]:
        """The number of responses by status."""
        return self._statuses

    def entries(self) -> Iterator[CoverageEntry]:
        """Yield the entries of every contract."""
        for contract in self._contracts.values():
            for operation in self._covered_operations(contract):
                yield from self._operation_entries(operation)
            yield from self._rule_entries(contract)

    def _covered_operations(self, contract: Contract) -> Iterator[Operation]:
        return (one for one in contract.operations.values() if _full_name(one) not in self._left_out)

    def _count(self, is_inside: bool, kind: CoverageKind, operation: Operation, name: str) -> None:
        side = self._inside if is_inside else self._outside
        side[kind, _full_name(operation), name] += 1

    def _count_states(self, call: Call) -> None:
        """Count the state that a poll, or the response to a submit, reports."""
        operation = call.operation
        location = operation.job.state if operation.job is not None else None
        if operation.speech is not None and operation.speech.response.job is not None:
            operation = operation.contract.operation(operation.speech.response.job)
            location = operation.job.submit.state if operation.job is not None else None
        state = call.read_response(location) if call.ok else None
        if operation.job is not None and isinstance(state, str):
            self._count(state in operation.job.states, "state", operation, state)

    def _rules_for_subject(self, subject_class: type[CheckSubject]) -> tuple[Rule, ...]:
        if subject_class not in self._rules_by_class:
            self._rules_by_class[subject_class] = tuple(_rules_for_subject(subject_class))
        return self._rules_by_class[subject_class]

    def _judged_by_rule(self, contract: Contract) -> tuple[Counter[str], Counter[str]]:
        """Return by rule how many subjects followed it, and how many broke it."""
        followed, broken = Counter[str](), Counter[str]()
        for (subject_class, operation), count in self._judged.items():
            if operation.contract.id != contract.id:
                continue
            applicable = {rule.id for rule in applicable_rules(operation)}
            for rule in self._rules_for_subject(subject_class):
                broke = self._broken[subject_class, operation, rule.id]
                broken[rule.id] += broke
                followed[rule.id] += count - broke if rule.id in applicable else 0
        return followed, broken

    def _operation_entries(self, operation: Operation) -> Iterator[CoverageEntry]:
        name = _full_name(operation)
        called = self._inside["operation", name, operation.id] + self._outside["operation", name, operation.id]
        unused = None if called else "no request was sent to the operation"
        yield self._entry("operation", name, operation.id, unused)
        for status in operation.responses:
            yield self._entry("status", name, status, unused or "no response had this status")
        yield from self._undocumented("status", name, operation.responses)
        if operation.job is not None:
            for state in operation.job.states:
                yield self._entry("state", name, state, unused or "no job was seen in this state")
            yield from self._undocumented("state", name, operation.job.states)
        for constraint in request_constraints(operation).names:
            yield self._entry("constraint", name, constraint, unused)

    def _undocumented(self, kind: CoverageKind, operation: str, documented: Collection[str]) -> Iterator[CoverageEntry]:
        for (of_kind, of_operation, name), count in list(self._outside.items()):
            if (of_kind, of_operation) == (kind, operation) and name not in documented:
                yield CoverageEntry(kind=kind, operation=operation, name=name, outside=count, applies=False)

    def _rule_entries(self, contract: Contract) -> Iterator[CoverageEntry]:
        operations = list(self._covered_operations(contract))
        stated = {rule.id for operation in operations for rule in applicable_rules(operation)}
        if not any(operation.resource is not None for operation in operations):
            # An operation may accept the id of a resource that the check does not create.
            stated -= {rule.id for rule in RULES.values() if rule.subject is ResourceStep}
        followed, broken = self._judged_by_rule(contract)
        for rule in RULES.values():
            inside, outside = followed[rule.id], broken[rule.id]
            reason, applies = None, True
            if not inside + outside:
                reason = _NO_SUBJECT.get(rule.subject, "it had nothing to judge")
                if rule.id not in self._rules:
                    reason, applies = "the rule was not selected", False
                elif rule.id not in stated:
                    reason, applies = f"the contract states nothing that it needs: {rule.basis}", False
            yield CoverageEntry(
                kind="rule",
                operation=contract.id,
                name=rule.id,
                inside=inside,
                outside=outside,
                applies=applies,
                reason=reason,
            )

    def _entry(self, kind: CoverageKind, operation: str, name: str, reason: str | None) -> CoverageEntry:
        inside, outside = self._inside[kind, operation, name], self._outside[kind, operation, name]
        if kind == "constraint":
            reason = reason or _missing_side(inside, outside)
        elif inside or outside:
            reason = None
        return CoverageEntry(kind=kind, operation=operation, name=name, inside=inside, outside=outside, reason=reason)


def _missing_side(inside: int, outside: int) -> str | None:
    if inside and outside:
        return None
    if inside:
        return "no request violated it"
    return "no request had a valid value" if outside else "no request had a value that it limits"


def _rules_for_subject(subject: type[CheckSubject]) -> Iterator[Rule]:
    # A response that broke off has a subject of its own; every complete one follows the rules over those.
    classes = (*subject.__mro__, IncompleteResponse) if issubclass(subject, Call) else subject.__mro__
    return (rule for rule in RULES.values() if rule.subject in classes)


def _full_name(operation: Operation) -> str:
    return f"{operation.contract.id}/{operation.id}"

"""Counts what a check has tried of each contract: operations, statuses, states, constraints and rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from voicegauge.conformance.reporting.constraints import Constraint, list_constraints, violated_pointers
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
"""The reason to report if no subject of a class was judged, for each class of subjects."""
CoverageKind = Literal["operation", "status", "state", "constraint", "rule"]


class CoverageEntry(Record, frozen=True, kw_only=True):
    """How often one statement of a contract, or one rule, was tried."""

    kind: CoverageKind
    operation: str
    """Name of the operation as <provider>/<operation>; for a rule, the id of the provider."""
    name: str
    """A status, a state, "<location> <keyword>" of a constraint, or the id of a rule."""
    inside: int = 0
    """Number of observations inside the contract. According to `kind`, they are valid requests to the operation,
    responses with a documented status, polls with a documented state, requests that satisfy the constraint, or subjects
    that follow the rule."""
    outside: int = 0
    """Number of observations outside the contract. According to `kind`, they are invalid requests to the operation,
    responses with an undocumented status, polls with an undocumented state, requests that violate the constraint, or
    subjects that break the rule."""
    applies: bool = True
    """Whether the entry counts in the percentage. It is false for a rule that cannot be applied to the provider, and
    for statuses and states that are not documented."""
    reason: str | None = None
    """Why the entry was not tried, or why a constraint was tried on one side only; `None` if there is nothing to
    explain."""

    @property
    def tried(self) -> int:
        """Number of parts of the entry that were tried. Inside and outside of a constraint are two parts."""
        if self.kind == "constraint":
            return (self.inside > 0) + (self.outside > 0)
        return int(self.inside + self.outside > 0)

    @property
    def parts(self) -> int:
        """Number of parts of the entry that can be tried."""
        return 2 if self.kind == "constraint" else 1


class CoverageTotal(NamedTuple):
    """Number of entries of one kind that were tried inside, tried outside, and that exist."""

    inside: int
    outside: int
    total: int


def coverage_percent(entries: Iterable[CoverageEntry]) -> float | None:
    """Return the percentage of all applicable parts that were tried; `None` if no entry applies."""
    applied = [entry for entry in entries if entry.applies]
    parts = sum(entry.parts for entry in applied)
    return round(100 * sum(entry.tried for entry in applied) / parts, 1) if parts else None


def coverage_totals(entries: Iterable[CoverageEntry]) -> dict[CoverageKind, CoverageTotal]:
    """Return, for each kind, how many of the entries that apply were tried inside and outside."""
    totals: dict[CoverageKind, CoverageTotal] = {}
    for entry in entries:
        if entry.applies:
            inside, outside, total = totals.get(entry.kind, (0, 0, 0))
            tried = (inside + (entry.inside > 0), outside + (entry.outside > 0), total + 1)
            totals[entry.kind] = CoverageTotal(*tried)
    return totals


class CoverageCounter:
    """Counts what the exchanges of a check try."""

    def __init__(self) -> None:
        """Begin without contracts."""
        self._contracts: dict[str, Contract] = {}
        self._rules: set[str] = set()
        self._inside: Counter[tuple[str, ...]] = Counter()
        self._outside: Counter[tuple[str, ...]] = Counter()
        self._constraints: dict[str, Sequence[Constraint]] = {}
        self._applicable: dict[str, frozenset[str]] = {}
        self._statuses: Counter[int] = Counter()

    def add_contract(self, contract: Contract, rules: Iterable[str]) -> None:
        """Add `contract`, so that all of its statements are in the entries; `rules` are the ids of applied rules."""
        self._contracts[contract.id] = contract
        self._rules |= set(rules)

    def add_exchange(self, exchange: Exchange) -> None:
        """Count what one exchange tries. An exchange that belongs to no operation, such as a download, is ignored."""
        contract = self._contracts.get(exchange.provider)
        operation = contract.operations.get(exchange.operation) if contract is not None else None
        if operation is None:
            return
        call = Call(operation, exchange)
        self._statuses[call.status] += 1
        documented = call.documented_response
        self._count(documented is not None, "status", operation, documented.status if documented else str(call.status))
        self._count_states(call)
        constraints = self._constraints_of(operation)
        violated = violated_pointers(call)
        sides: dict[str, bool] = {}  # parts of an allOf can repeat a keyword at one location
        for constraint in constraints:
            for is_inside in constraint.observe(call, violated):
                sides[constraint.name] = sides.get(constraint.name, True) and is_inside
        for name, is_inside in sides.items():
            self._count(is_inside, "constraint", operation, name)
        is_valid = not violated and not any(c.is_missing(call) for c in constraints)
        self._count(is_valid, "operation", operation, operation.id)

    def add_subject(self, subject: CheckSubject, broken: Collection[str]) -> None:
        """Count a judged subject for each rule that can be applied to it; `broken` are the ids of the broken rules."""
        operation = subject.operation
        key = f"{operation.contract.id}/{operation.id}"
        if key not in self._applicable:
            self._applicable[key] = frozenset(rule.id for rule in applicable_rules(operation))
        for rule in _rules_of(type(subject)):
            if rule.id in self._applicable[key] or rule.id in broken:
                side = self._outside if rule.id in broken else self._inside
                side["rule", operation.contract.id, rule.id] += 1

    @property
    def statuses(self) -> Mapping[int, int]:
        """Number of responses with each status."""
        return self._statuses

    def entries(self) -> Iterator[CoverageEntry]:
        """Yield the entries of every contract."""
        for contract in self._contracts.values():
            for operation in contract.operations.values():
                yield from self._operation_entries(operation)
            yield from self._rule_entries(contract)

    def _count(self, is_inside: bool, kind: CoverageKind, operation: Operation, name: str) -> None:
        side = self._inside if is_inside else self._outside
        side[kind, _full_name(operation), name] += 1

    def _count_states(self, call: Call) -> None:
        """Count the state that is reported by a poll or by the response to a submit."""
        operation = call.operation
        location = operation.job.state if operation.job is not None else None
        if operation.speech is not None and operation.speech.response.job is not None:
            operation = operation.contract.operation(operation.speech.response.job)
            location = operation.job.submit.state if operation.job is not None else None
        state = call.read_response(location) if call.ok else None
        if operation.job is not None and isinstance(state, str):
            self._count(state in operation.job.states, "state", operation, state)

    def _constraints_of(self, operation: Operation) -> Sequence[Constraint]:
        name = _full_name(operation)
        if name not in self._constraints:
            self._constraints[name] = tuple(list_constraints(operation))
        return self._constraints[name]

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
        # Two media types of one body have most constraints in common.
        for constraint in dict.fromkeys(constraint.name for constraint in self._constraints_of(operation)):
            yield self._entry("constraint", name, constraint, unused)

    def _undocumented(self, kind: CoverageKind, operation: str, documented: Collection[str]) -> Iterator[CoverageEntry]:
        for (of_kind, of_operation, name), count in list(self._outside.items()):
            if (of_kind, of_operation) == (kind, operation) and name not in documented:
                yield CoverageEntry(kind=kind, operation=operation, name=name, outside=count, applies=False)

    def _rule_entries(self, contract: Contract) -> Iterator[CoverageEntry]:
        stated = {rule.id for operation in contract.operations.values() for rule in applicable_rules(operation)}
        for rule in RULES.values():
            entry = self._entry("rule", contract.id, rule.id, _NO_SUBJECT.get(rule.subject, "it had nothing to judge"))
            if not entry.tried:
                reason, applies = entry.reason, True
                if rule.id not in self._rules:
                    reason, applies = "the rule was not selected", False
                elif rule.id not in stated:
                    reason, applies = f"the contract states nothing that it needs: {rule.basis}", False
                entry = CoverageEntry(kind="rule", operation=contract.id, name=rule.id, applies=applies, reason=reason)
            yield entry

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


def _rules_of(subject: type[CheckSubject]) -> Iterator[Rule]:
    # An incomplete response is a subject of its own. Every complete response follows the rules about incomplete ones.
    classes = (*subject.__mro__, IncompleteResponse) if issubclass(subject, Call) else subject.__mro__
    return (rule for rule in RULES.values() if rule.subject in classes)


def _full_name(operation: Operation) -> str:
    return f"{operation.contract.id}/{operation.id}"

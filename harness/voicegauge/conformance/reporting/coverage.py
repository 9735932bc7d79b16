"""What a check has tried of each contract: operations, statuses, states, constraints and rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from voicegauge.checks import (
    RULE_BY_ID,
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
    find_applicable_rules,
)
from voicegauge.conformance.reporting.constraints import ConstrainedRequest, TriedConstraints, get_request_constraints
from voicegauge.contract import Contract, Operation
from voicegauge.model import Exchange, Record

_NO_SUBJECT_REASON_BY_CLASS: dict[type, str] = {
    AudioInputCall: "no audio was sent to be transcribed or converted",
    Callback: "no callback was received",
    JobHistory: "no job was followed",
    JobSet: "no jobs were submitted next to each other (--fuzz does)",
    RecordingAge: "no live recording was read",
    RequestCallbacks: "no request named a webhook URL",
    ResourceStep: "no resource or batch was followed",
    SpeechDelivery: "no delivery was judged",
}
"""For each class of subjects: the reason to state for its rules if a check had no such subject."""
CoverageKind = Literal["operation", "status", "state", "constraint", "rule"]


class CoverageEntry(Record, frozen=True, kw_only=True):
    """How often one statement of a contract, or one rule, was tried."""

    kind: CoverageKind
    operation: str
    """<provider>/<operation>; the provider for a rule."""
    name: str
    """A status, a state, "<location> <keyword>" of a constraint, or the id of a rule."""
    inside: int = 0
    """Number of times that the statement was tried from inside: valid requests to the operation or constraint,
    responses with the status, polls that saw the state, or subjects that follow the rule."""
    outside: int = 0
    """Number of times that the statement was tried from outside: invalid requests, responses or polls with an
    undocumented status or state, or subjects that break the rule."""
    applies: bool = True
    """False for a rule that cannot be applied to the provider, and for statuses and states that are not documented:
    they do not count in the percentage."""
    reason: str | None = None
    """Why the entry was not tried, or only one side of the constraint; `None` if all was tried."""

    @property
    def tried_side_count(self) -> int:
        """The number of sides that were tried. A constraint has two sides, inside and outside; others have one."""
        if self.kind == "constraint":
            return (self.inside > 0) + (self.outside > 0)
        return int(self.inside + self.outside > 0)

    @property
    def side_count(self) -> int:
        """The number of sides that can be tried."""
        return 2 if self.kind == "constraint" else 1


class CoverageTotal(NamedTuple):
    """How many entries of one kind there are, and how many of them were tried."""

    inside: int
    """Number of entries that were tried from inside."""
    outside: int
    """Number of entries that were tried from outside."""
    total: int
    """Number of all entries that apply."""


def compute_coverage_percent(entries: Iterable[CoverageEntry]) -> float | None:
    """Return the share of what applies that was tried, in percent; `None` if nothing applies."""
    applied = [entry for entry in entries if entry.applies]
    side_count = sum(entry.side_count for entry in applied)
    return round(100 * sum(entry.tried_side_count for entry in applied) / side_count, 1) if side_count else None


def count_coverage_by_kind(entries: Iterable[CoverageEntry]) -> dict[CoverageKind, CoverageTotal]:
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
        self._rules_by_class: dict[type[CheckSubject], tuple[Rule, ...]] = {}
        # A request tries a dozen constraints, and dozens of rules judge each subject. So equal requests and subjects
        # are only counted, and divided among constraints and rules in the report.
        self._requests: Counter[tuple[Operation, TriedConstraints, frozenset[str]]] = Counter()
        """The last part of the key: pointers to the violated keywords."""
        self._responses: Counter[tuple[Operation, int]] = Counter()
        self._states: Counter[tuple[Operation, str]] = Counter()
        self._judged: Counter[tuple[type[CheckSubject], Operation]] = Counter()
        self._broken: Counter[tuple[type[CheckSubject], Operation, str]] = Counter()

    def add_contract(self, contract: Contract, rules: Iterable[str]) -> None:
        """List everything that `contract` states; `rules` are the ids of the rules that are applied."""
        self._contracts[contract.id] = contract
        self._rules |= set(rules)

    def exclude_operations(self, operations: Iterable[str]) -> None:
        """Exclude operations, as <provider>/<operation id>, from the entries, because the check does not cover them."""
        self._left_out = frozenset(operations)

    def add_exchange(self, exchange: Exchange) -> None:
        """Count what one exchange tries; downloads from undocumented hosts are not counted."""
        contract = self._contracts.get(exchange.provider)
        operation = contract.operations.get(exchange.operation) if contract is not None else None
        if operation is None:
            return
        call = Call(operation, exchange)
        request = ConstrainedRequest(call)
        tried = get_request_constraints(operation).find_tried_constraints(request)
        self._requests[operation, tried, request.list_violated_pointers()] += 1
        self._responses[operation, call.status] += 1
        self._count_reported_state(call)

    def add_subject(self, subject: CheckSubject, broken_rule_ids: Collection[str]) -> None:
        """Count a judged subject for each rule that applies to it. `broken_rule_ids`: rules that it violated."""
        operation, subject_class = subject.operation, type(subject)
        self._judged[subject_class, operation] += 1
        for rule_id in broken_rule_ids:
            self._broken[subject_class, operation, rule_id] += 1

    @property
    def response_count_by_status(self) -> Mapping[int, int]:
        """The number of responses by status."""
        statuses = Counter[int]()
        for (_, status), count in self._responses.items():
            statuses[status] += count
        return statuses

    def iterate_entries(self) -> Iterator[CoverageEntry]:
        """Yield the entries of every contract."""
        counts = self._count_sides()
        for contract in self._contracts.values():
            for operation in self._iterate_covered_operations(contract):
                yield from _iterate_operation_entries(operation, counts)
            yield from self._iterate_rule_entries(contract)

    def _iterate_covered_operations(self, contract: Contract) -> Iterator[Operation]:
        return (one for one in contract.operations.values() if _build_operation_name(one) not in self._left_out)

    def _count_sides(self) -> _SideCounts:
        counts = _SideCounts(Counter(), Counter())
        for (operation, status), count in self._responses.items():
            documented = operation.find_response(status)
            name = documented.status if documented is not None else str(status)
            counts.add_count(documented is not None, "status", operation, name, count)
        for (operation, state), count in self._states.items():
            is_documented = operation.job is not None and state in operation.job.states
            counts.add_count(is_documented, "state", operation, state, count)
        for (operation, tried, violated_pointers), count in self._requests.items():
            is_valid = not violated_pointers and not tried.lacks_parameter
            counts.add_count(is_valid, "operation", operation, operation.id, count)
            for name, is_inside in tried.determine_sides(violated_pointers).items():
                counts.add_count(is_inside, "constraint", operation, name, count)
        return counts

    def _count_reported_state(self, call: Call) -> None:
        """Count the state that a poll, or the response to a submit, reports."""
        operation = call.operation
        location = operation.job.state if operation.job is not None else None
        if operation.speech is not None and operation.speech.response.job is not None:
            operation = operation.contract.find_operation(operation.speech.response.job)
            location = operation.job.submit.state if operation.job is not None else None
        state = call.read_response(location) if call.is_accepted else None
        if operation.job is not None and isinstance(state, str):
            self._states[operation, state] += 1

    def _find_rules_for_subject_class(self, subject_class: type[CheckSubject]) -> tuple[Rule, ...]:
        if subject_class not in self._rules_by_class:
            self._rules_by_class[subject_class] = tuple(_find_rules_for_subject(subject_class))
        return self._rules_by_class[subject_class]

    def _count_subjects_by_rule(self, contract: Contract) -> tuple[Counter[str], Counter[str]]:
        """Return by rule how many subjects followed it, and how many broke it."""
        followed, broken = Counter[str](), Counter[str]()
        for (subject_class, operation), count in self._judged.items():
            if operation.contract.id != contract.id:
                continue
            applicable = {rule.id for rule in find_applicable_rules(operation)}
            for rule in self._find_rules_for_subject_class(subject_class):
                broke = self._broken[subject_class, operation, rule.id]
                broken[rule.id] += broke
                followed[rule.id] += count - broke if rule.id in applicable else 0
        return followed, broken

    def _iterate_rule_entries(self, contract: Contract) -> Iterator[CoverageEntry]:
        operations = list(self._iterate_covered_operations(contract))
        stated = {rule.id for operation in operations for rule in find_applicable_rules(operation)}
        if not any(operation.resource is not None for operation in operations):
            # An operation may accept the id of a resource that the check does not create.
            stated -= {rule.id for rule in RULE_BY_ID.values() if rule.subject_class is ResourceStep}
        followed, broken = self._count_subjects_by_rule(contract)
        for rule in RULE_BY_ID.values():
            inside, outside = followed[rule.id], broken[rule.id]
            reason, applies = None, True
            if not inside + outside:
                reason = _NO_SUBJECT_REASON_BY_CLASS.get(rule.subject_class, "it had nothing to judge")
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


class _SideCounts(NamedTuple):
    """How often each statement was tried, by kind, operation and name."""

    inside_counts: Counter[tuple[str, str, str]]
    outside_counts: Counter[tuple[str, str, str]]

    def add_count(self, is_inside: bool, kind: CoverageKind, operation: Operation, name: str, count: int) -> None:
        side = self.inside_counts if is_inside else self.outside_counts
        side[kind, _build_operation_name(operation), name] += count

    def build_entry(self, kind: CoverageKind, operation: Operation, name: str, reason: str | None) -> CoverageEntry:
        key = kind, _build_operation_name(operation), name
        inside, outside = self.inside_counts[key], self.outside_counts[key]
        if kind == "constraint":
            reason = reason or _describe_untested_side(inside, outside)
        elif inside or outside:
            reason = None
        return CoverageEntry(kind=kind, operation=key[1], name=name, inside=inside, outside=outside, reason=reason)

    def build_undocumented_entries(
        self, entry_kind: CoverageKind, operation: Operation, documented_names: Collection[str]
    ) -> Iterator[CoverageEntry]:
        full_name = _build_operation_name(operation)
        for (counted_kind, counted_operation, name), count in self.outside_counts.items():
            if (counted_kind, counted_operation) == (entry_kind, full_name) and name not in documented_names:
                yield CoverageEntry(kind=entry_kind, operation=full_name, name=name, outside=count, applies=False)


def _iterate_operation_entries(operation: Operation, counts: _SideCounts) -> Iterator[CoverageEntry]:
    called = counts.build_entry("operation", operation, operation.id, None)
    unused = None if called.tried_side_count else "no request was sent to the operation"
    yield counts.build_entry("operation", operation, operation.id, unused)
    for status in operation.responses:
        yield counts.build_entry("status", operation, status, unused or "no response had this status")
    yield from counts.build_undocumented_entries("status", operation, operation.responses)
    if operation.job is not None:
        for state in operation.job.states:
            yield counts.build_entry("state", operation, state, unused or "no job was seen in this state")
        yield from counts.build_undocumented_entries("state", operation, operation.job.states)
    for constraint in get_request_constraints(operation).names:
        yield counts.build_entry("constraint", operation, constraint, unused)


def _describe_untested_side(inside: int, outside: int) -> str | None:
    if inside and outside:
        return None
    if inside:
        return "no request violated it"
    return "no request had a valid value" if outside else "no request had a value that it limits"


def _find_rules_for_subject(subject: type[CheckSubject]) -> Iterator[Rule]:
    # A response that broke off has a subject of its own; every complete one follows the rules over those.
    classes = (*subject.__mro__, IncompleteResponse) if issubclass(subject, Call) else subject.__mro__
    return (rule for rule in RULE_BY_ID.values() if rule.subject_class in classes)


def _build_operation_name(operation: Operation) -> str:
    return f"{operation.contract.id}/{operation.id}"

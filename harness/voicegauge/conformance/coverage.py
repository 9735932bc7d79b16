"""Measures how much of a contract was tried: its operations, statuses, states, constraints and the rules about it.

Every request of a check is compared with all constraints of its operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from voicegauge.conformance._request_constraints import (
    ComparedRequests,
    TriedConstraints,
    get_request_constraints,
)
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange
from voicegauge.rules.call import Call, CheckSubject, IncompleteResponse, RecordingAge
from voicegauge.rules.registry import RULE_BY_ID, Rule, find_applicable_rules
from voicegauge.rules.subjects import AudioInputCall, ConcurrentJobs, JobHistory, ResourceStep, SpeechDelivery
from voicegauge.rules.webhooks import Callback, RequestCallbacks

_NO_SUBJECT_REASON_BY_CLASS: dict[type, str] = {
    AudioInputCall: "no audio was sent to be transcribed or converted",
    Callback: "no callback was received",
    JobHistory: "no job was followed",
    ConcurrentJobs: "no jobs were submitted next to each other (--fuzz does)",
    RecordingAge: "no live recording was read",
    RequestCallbacks: "no request named a webhook URL",
    ResourceStep: "no resource or batch was followed",
    SpeechDelivery: "no delivery was judged",
}
"""By class of subjects: why the rules for this class judged nothing if the check had no subject of the class."""
CoverageKind = Literal["operation", "status", "state", "constraint", "rule"]
"""The kind of thing that was tried: an operation, one of its statuses, a job state, a constraint, or a rule."""


class CoverageEntry(Record, frozen=True, kw_only=True):
    """How often a check tried one operation, status, state or constraint of a contract, or applied one rule."""

    kind: CoverageKind
    """Whether an operation, one of its statuses, states or constraints, or a rule was tried."""
    operation_or_provider: str
    """The operation that was tried: <provider>/<operation>; for a rule, the provider alone."""
    name: str
    """What was tried: an operation id, a status, a state, "<location> <keyword>" of a constraint, or a rule id."""
    conforming_count: int = 0
    """For an operation: number of valid requests that were sent to it. For a constraint: number of requests that
    satisfy it. For a documented status or state: how often the service returned it. For a rule: how often the service
    followed it."""
    violating_count: int = 0
    """For an operation: number of invalid requests that were sent to it. For a constraint: number of requests that
    violate it. For an undocumented status or state: how often the service returned it. For a rule: how often the
    service broke it."""
    is_applicable: bool = True
    """Whether the entry counts in the percentage. It is false for a rule that cannot be applied to the provider, and
    for a status or state that is not documented."""
    untried_reason: str | None = None
    """Why a goal was not reached (see `reached_goal_count`); `None` if all goals were reached."""

    @property
    def reached_goal_count(self) -> int:
        """The number of goals that the check reached.

        A constraint has two goals: a request that satisfies it, and a request that violates it. Any other entry has one
        goal: to be tried at least once.
        """
        if self.kind == "constraint":
            return (self.conforming_count > 0) + (self.violating_count > 0)
        return int(self.conforming_count + self.violating_count > 0)

    @property
    def goal_count(self) -> int:
        """The number of goals that a check can reach: 2 for a constraint, 1 for any other entry."""
        return 2 if self.kind == "constraint" else 1


class CoverageTotal(NamedTuple):
    """How many applicable entries of one kind there are, and how many of them were tried (see `CoverageEntry`)."""

    conforming_entry_count: int
    """Number of applicable entries whose `conforming_count` is not 0."""
    violating_entry_count: int
    """Number of applicable entries whose `violating_count` is not 0."""
    entry_count: int
    """Number of applicable entries, tried or not."""


def compute_coverage_percent(entries: Iterable[CoverageEntry]) -> float | None:
    """Return how many percent of the goals of all applicable entries were reached; `None` if no entry is applicable."""
    applied = [entry for entry in entries if entry.is_applicable]
    goal_count = sum(entry.goal_count for entry in applied)
    return round(100 * sum(entry.reached_goal_count for entry in applied) / goal_count, 1) if goal_count else None


def count_coverage_by_kind(entries: Iterable[CoverageEntry]) -> dict[CoverageKind, CoverageTotal]:
    """Return, by kind of entry, how many applicable entries there are, and how many of them were tried."""
    totals: dict[CoverageKind, CoverageTotal] = {}
    for entry in entries:
        if entry.is_applicable:
            conforming, violating, total = totals.get(entry.kind, (0, 0, 0))
            tried = (conforming + (entry.conforming_count > 0), violating + (entry.violating_count > 0), total + 1)
            totals[entry.kind] = CoverageTotal(*tried)
    return totals


class CountedRequests(Record, frozen=True, kw_only=True):
    """Equal requests to one operation, and the constraints that they try."""

    operation: str
    """The operation: <provider>/<operation>."""
    is_valid: bool
    """Whether the requests fit the documented schemas and have every required parameter."""
    satisfied_constraints: tuple[str, ...] = ()
    """Names of the constraints that the requests satisfy."""
    violated_constraints: tuple[str, ...] = ()
    count: int
    """Number of such requests."""


class CoverageCounts(Record, frozen=True, kw_only=True):
    """What one case adds to the coverage, in a form that can be saved. Operations are named <provider>/<operation>."""

    requests: tuple[CountedRequests, ...] = ()
    """The requests, one entry for all that are equal."""
    responses: tuple[tuple[str, int, int], ...] = ()
    """Each operation and status, with the number of such responses."""
    states: tuple[tuple[str, str, int], ...] = ()
    """Each operation and job state, with the number of responses that reported it."""
    judged_subjects: tuple[tuple[str, str, int], ...] = ()
    """Each class of subjects and operation, with the number of such subjects that were judged."""
    broken_rule_counts: tuple[tuple[str, str, str, int], ...] = ()
    """Each class of subjects, operation and rule id, with the number of such subjects that broke the rule."""


class _CoverageCounters(NamedTuple):
    """The counters of a `CoverageCounter`, or copies of them."""

    requests: Counter[tuple[Operation, TriedConstraints, frozenset[str]]]
    """Number of equal requests. The last item of the key is the set of JSON pointers to the violated keywords."""
    responses: Counter[tuple[Operation, int]]
    """Number of responses by operation and status."""
    states: Counter[tuple[Operation, str]]
    """Number of reports of a state by operation and state."""
    judged_subjects: Counter[tuple[type[CheckSubject], Operation]]
    """Number of judged subjects by class and operation."""
    broken_rule_counts: Counter[tuple[type[CheckSubject], Operation, str]]
    """Number of subjects that broke a rule, by class, operation and rule id."""

    def subtract(self, earlier_counters: _CoverageCounters) -> _CoverageCounters:
        """Return these counts minus those of `earlier_counters`, an older copy of the same counters."""
        return _CoverageCounters(
            self.requests - earlier_counters.requests,
            self.responses - earlier_counters.responses,
            self.states - earlier_counters.states,
            self.judged_subjects - earlier_counters.judged_subjects,
            self.broken_rule_counts - earlier_counters.broken_rule_counts,
        )


class CoverageCounter:
    """Counts, exchange by exchange, which parts of the contracts a check tries; see `CoverageEntry`."""

    def __init__(self) -> None:
        """Create a counter without contracts and counts."""
        self._contracts: dict[str, Contract] = {}
        self._selected_rule_ids: set[str] = set()
        self._excluded_operation_names: frozenset[str] = frozenset()
        self._rules_by_subject_class: dict[type[CheckSubject], tuple[Rule, ...]] = {}
        # A request tries a dozen constraints, and dozens of rules judge each subject. So equal requests and subjects
        # are only counted, and divided among constraints and rules in the report.
        self._counters = _CoverageCounters(Counter(), Counter(), Counter(), Counter(), Counter())
        self._compared_requests = ComparedRequests()
        self._saved_requests: Counter[CountedRequests] = Counter()
        """Number of equal requests in the counts that were added from a journal, which names constraints instead of
        having the objects."""

    def add_contract(self, contract: Contract, rule_ids: Iterable[str]) -> None:
        """Add a contract for which coverage is counted, and the ids of the rules that are applied to its provider."""
        self._contracts[contract.id] = contract
        self._selected_rule_ids |= set(rule_ids)

    def exclude_operations(self, operation_names: Iterable[str]) -> None:
        """Exclude operations (<provider>/<operation id>), which the check does not cover, from the entries."""
        self._excluded_operation_names = frozenset(operation_names)

    def add_exchange(self, exchange: Exchange, call: Call | None = None) -> None:
        """Count the operation, constraints, status and state that one exchange tries.

        An exchange without a documented operation, such as a download from another host, is not counted.

        Args:
            exchange: the exchange.
            call: the exchange as a call, if the caller has it already; `None` to make it from `exchange`.
        """
        contract = self._contracts.get(exchange.provider)
        operation = contract.operations.get(exchange.operation) if contract is not None else None
        if operation is None:
            return
        if call is None:
            call = Call(operation, exchange)
        tried, violated_pointers = self._compared_requests.find_tried_and_violated_constraints(call)
        self._counters.requests[operation, tried, violated_pointers] += 1
        self._counters.responses[operation, call.status] += 1
        self._count_reported_state(call)

    def add_subject(self, subject: CheckSubject, broken_rule_ids: Collection[str]) -> None:
        """Count a judged subject for each rule that applies to it; `broken_rule_ids` are the rules that it violates."""
        operation, subject_class = subject.operation, type(subject)
        self._counters.judged_subjects[subject_class, operation] += 1
        for rule_id in broken_rule_ids:
            self._counters.broken_rule_counts[subject_class, operation, rule_id] += 1

    def copy_counters(self) -> _CoverageCounters:
        """Return a copy of the counters, to be passed to `build_counts_since` later."""
        return self._counters.subtract(_CoverageCounters(Counter(), Counter(), Counter(), Counter(), Counter()))

    def build_counts_since(self, earlier_counters: _CoverageCounters) -> CoverageCounts:
        """Return what was counted since `copy_counters` returned `earlier_counters`."""
        added = self._counters.subtract(earlier_counters)
        requests = []
        for (operation, tried, violated_pointers), count in added.requests.items():
            satisfaction = tried.find_satisfaction_by_name(violated_pointers)
            requests.append(
                CountedRequests(
                    operation=_build_operation_name(operation),
                    is_valid=not violated_pointers and not tried.lacks_required_parameter,
                    satisfied_constraints=tuple(name for name, satisfied in satisfaction.items() if satisfied),
                    violated_constraints=tuple(name for name, satisfied in satisfaction.items() if not satisfied),
                    count=count,
                )
            )
        name = _build_operation_name
        return CoverageCounts(
            requests=tuple(requests),
            responses=tuple((name(one), status, count) for (one, status), count in added.responses.items()),
            states=tuple((name(one), state, count) for (one, state), count in added.states.items()),
            judged_subjects=tuple(
                (one.__name__, name(where), count) for (one, where), count in added.judged_subjects.items()
            ),
            broken_rule_counts=tuple(
                (one.__name__, name(where), rule, count)
                for (one, where, rule), count in added.broken_rule_counts.items()
            ),
        )

    def add_counts(self, counts: CoverageCounts) -> None:
        """Add counts that a journal has kept. Those of operations that no contract has are left out."""
        by_name = {
            _build_operation_name(operation): operation
            for contract in self._contracts.values()
            for operation in contract.operations.values()
        }
        for request in counts.requests:
            if request.operation in by_name:
                self._saved_requests[msgspec.structs.replace(request, count=0)] += request.count
        for name, status, count in counts.responses:
            if name in by_name:
                self._counters.responses[by_name[name], status] += count
        for name, state, count in counts.states:
            if name in by_name:
                self._counters.states[by_name[name], state] += count
        self._add_judged_counts(counts, by_name)

    def _add_judged_counts(self, counts: CoverageCounts, operation_by_name: Mapping[str, Operation]) -> None:
        """Add saved counts of judged subjects and broken rules, except those of unknown classes and operations."""
        classes = _find_subject_classes()
        for class_name, name, count in counts.judged_subjects:
            if name in operation_by_name and class_name in classes:
                self._counters.judged_subjects[classes[class_name], operation_by_name[name]] += count
        for class_name, name, rule, count in counts.broken_rule_counts:
            if name in operation_by_name and class_name in classes:
                self._counters.broken_rule_counts[classes[class_name], operation_by_name[name], rule] += count

    @property
    def response_count_by_status(self) -> Mapping[int, int]:
        """The number of responses by their HTTP status."""
        statuses = Counter[int]()
        for (_, status), count in self._counters.responses.items():
            statuses[status] += count
        return statuses

    def iterate_entries(self) -> Iterator[CoverageEntry]:
        """Yield the coverage entries of every contract: those of its operations, then one for each rule."""
        counts = self._count_observations()
        for contract in self._contracts.values():
            for operation in self._iterate_covered_operations(contract):
                yield from _iterate_operation_entries(operation, counts)
            yield from self._iterate_rule_entries(contract)

    def _iterate_covered_operations(self, contract: Contract) -> Iterator[Operation]:
        return (
            one
            for one in contract.operations.values()
            if _build_operation_name(one) not in self._excluded_operation_names
        )

    def _count_observations(self) -> _ObservationCounts:
        """Divide what was counted for equal requests and responses among the entries of their operations."""
        counts = _ObservationCounts(Counter(), Counter())
        for (operation, status), count in self._counters.responses.items():
            documented = operation.find_response(status)
            name = documented.status if documented is not None else str(status)
            counts.add_count(documented is not None, "status", operation, name, count)
        for (operation, state), count in self._counters.states.items():
            is_documented = operation.job is not None and state in operation.job.states
            counts.add_count(is_documented, "state", operation, state, count)
        for (operation, tried, violated_pointers), count in self._counters.requests.items():
            is_valid = not violated_pointers and not tried.lacks_required_parameter
            counts.add_count(is_valid, "operation", operation, operation.id, count)
            for name, is_satisfied in tried.find_satisfaction_by_name(violated_pointers).items():
                counts.add_count(is_satisfied, "constraint", operation, name, count)
        for request, count in self._saved_requests.items():
            operation_id = request.operation.partition("/")[2]
            counts.add_named_count(request.is_valid, ("operation", request.operation, operation_id), count)
            for name in request.satisfied_constraints:
                counts.add_named_count(True, ("constraint", request.operation, name), count)
            for name in request.violated_constraints:
                counts.add_named_count(False, ("constraint", request.operation, name), count)
        return counts

    def _count_reported_state(self, call: Call) -> None:
        """Count the state that a poll, or the response to a submit, reports."""
        status = call.operation.started_job_operation or call.operation
        if status.job is None or not call.is_accepted:
            return
        read_state = status.job.read_state if status is call.operation else status.job.read_submit_state
        state = read_state(call.read_response_value)
        if isinstance(state, str):
            self._counters.states[status, state] += 1

    def _find_rules_for_subject_class(self, subject_class: type[CheckSubject]) -> tuple[Rule, ...]:
        if subject_class not in self._rules_by_subject_class:
            # A response that broke off has a subject of its own; every complete one follows the rules over those.
            broken_off = (IncompleteResponse,) if issubclass(subject_class, Call) else ()
            classes = (*subject_class.__mro__, *broken_off)
            self._rules_by_subject_class[subject_class] = tuple(
                rule for rule in RULE_BY_ID.values() if rule.subject_class in classes
            )
        return self._rules_by_subject_class[subject_class]

    def _count_subjects_by_rule(self, contract: Contract) -> tuple[Counter[str], Counter[str]]:
        """Return two counters by rule id: how many subjects followed the rule, and how many broke it."""
        followed, broken = Counter[str](), Counter[str]()
        for (subject_class, operation), count in self._counters.judged_subjects.items():
            if operation.contract.id != contract.id:
                continue
            applicable = {rule.id for rule in find_applicable_rules(operation)}
            for rule in self._find_rules_for_subject_class(subject_class):
                broke = self._counters.broken_rule_counts[subject_class, operation, rule.id]
                broken[rule.id] += broke
                followed[rule.id] += count - broke if rule.id in applicable else 0
        return followed, broken

    def _iterate_rule_entries(self, contract: Contract) -> Iterator[CoverageEntry]:
        # Operations over WebSockets are covered only if they were called: a check of HTTP targets opens none.
        judged = {operation for _, operation in self._counters.judged_subjects}
        sockets = [operation for operation in contract.socket_operations.values() if operation in judged]
        operations = [*self._iterate_covered_operations(contract), *sockets]
        stated = {rule.id for operation in operations for rule in find_applicable_rules(operation)}
        if not any(operation.resource is not None for operation in operations):
            # An operation may accept the id of a resource that the check does not create.
            stated -= {rule.id for rule in RULE_BY_ID.values() if rule.subject_class is ResourceStep}
        followed, broken = self._count_subjects_by_rule(contract)
        for rule in RULE_BY_ID.values():
            conforming_count, violating_count = followed[rule.id], broken[rule.id]
            reason, applies = None, True
            if not conforming_count + violating_count:
                reason = _NO_SUBJECT_REASON_BY_CLASS.get(rule.subject_class, "it had nothing to judge")
                if rule.id not in self._selected_rule_ids:
                    reason, applies = "the rule was not selected", False
                elif rule.id not in stated:
                    reason, applies = f"the contract states nothing that it needs: {rule.contract_condition}", False
            yield CoverageEntry(
                kind="rule",
                operation_or_provider=contract.id,
                name=rule.id,
                conforming_count=conforming_count,
                violating_count=violating_count,
                is_applicable=applies,
                untried_reason=reason,
            )


class _ObservationCounts(NamedTuple):
    """The conforming and the violating counts of the entries about operations.

    The keys are the kind of the entry, the operation (<provider>/<operation id>), and the name of what was tried: the
    operation id, a status, a state, or the name of a constraint.
    """

    conforming_counts: Counter[tuple[str, str, str]]
    """Counts that become `CoverageEntry.conforming_count`."""
    violating_counts: Counter[tuple[str, str, str]]
    """Counts that become `CoverageEntry.violating_count`."""

    def add_count(
        self, is_conforming: bool, entry_kind: CoverageKind, operation: Operation, entry_name: str, count: int
    ) -> None:
        """Add to the count of one entry.

        Args:
            is_conforming: whether to add to the conforming count instead of the violating count.
            entry_kind: the kind of the entry.
            operation: the operation that the entry is about.
            entry_name: the operation id, the status, the state, or the name of the constraint.
            count: the number to add.
        """
        self.add_named_count(is_conforming, (entry_kind, _build_operation_name(operation), entry_name), count)

    def add_named_count(self, is_conforming: bool, key: tuple[CoverageKind, str, str], count: int) -> None:
        """Add `count` to the entry with a key: its kind, <provider>/<operation id>, and its name; see `add_count`."""
        counts = self.conforming_counts if is_conforming else self.violating_counts
        counts[key] += count

    def build_entry(
        self, entry_kind: CoverageKind, operation: Operation, entry_name: str, untried_reason: str | None
    ) -> CoverageEntry:
        """Return an entry with its counts.

        Args:
            entry_kind: the kind of the entry.
            operation: the operation that the entry is about.
            entry_name: the operation id, the status, the state, or the name of the constraint.
            untried_reason: why both counts are 0; ignored if one of them is not, except for a constraint. `None` if no
                reason is known: then the entry of a constraint says which goal was not reached.
        """
        key = entry_kind, _build_operation_name(operation), entry_name
        conforming_count, violating_count = self.conforming_counts[key], self.violating_counts[key]
        if entry_kind == "constraint":
            untried_reason = untried_reason or _describe_unreached_goal(conforming_count, violating_count)
        elif conforming_count or violating_count:
            untried_reason = None
        return CoverageEntry(
            kind=entry_kind,
            operation_or_provider=key[1],
            name=entry_name,
            conforming_count=conforming_count,
            violating_count=violating_count,
            untried_reason=untried_reason,
        )

    def build_undocumented_entries(
        self, entry_kind: CoverageKind, operation: Operation, documented_names: Collection[str]
    ) -> Iterator[CoverageEntry]:
        """Yield an entry for each status or state that the service returned and `documented_names` lacks."""
        full_name = _build_operation_name(operation)
        for (counted_kind, counted_operation, name), count in self.violating_counts.items():
            if (counted_kind, counted_operation) == (entry_kind, full_name) and name not in documented_names:
                yield CoverageEntry(
                    kind=entry_kind,
                    operation_or_provider=full_name,
                    name=name,
                    violating_count=count,
                    is_applicable=False,
                )


def _iterate_operation_entries(operation: Operation, observation_counts: _ObservationCounts) -> Iterator[CoverageEntry]:
    """Yield the entries of an operation: itself, its statuses, the states of its jobs, and its constraints."""
    called = observation_counts.build_entry("operation", operation, operation.id, None)
    unused = None if called.reached_goal_count else "no request was sent to the operation"
    yield observation_counts.build_entry("operation", operation, operation.id, unused)
    for status in operation.responses:
        yield observation_counts.build_entry("status", operation, status, unused or "no response had this status")
    yield from observation_counts.build_undocumented_entries("status", operation, operation.responses)
    if operation.job is not None:
        for state in operation.job.states:
            yield observation_counts.build_entry("state", operation, state, unused or "no job was seen in this state")
        yield from observation_counts.build_undocumented_entries("state", operation, operation.job.states)
    for constraint in get_request_constraints(operation).names:
        yield observation_counts.build_entry("constraint", operation, constraint, unused)


def _describe_unreached_goal(conforming_count: int, violating_count: int) -> str | None:
    """Return which goal of a constraint was not reached, in words; `None` if both were."""
    if conforming_count and violating_count:
        return None
    if conforming_count:
        return "no request violated it"
    return "no request had a valid value" if violating_count else "no request had a value that it limits"


def _find_subject_classes() -> dict[str, type[CheckSubject]]:
    """Return all classes of what rules judge, the subclasses of `CheckSubject`, by the name of the class."""
    found: dict[str, type[CheckSubject]] = {}
    waiting: list[type[CheckSubject]] = [CheckSubject]
    while waiting:
        for one in waiting.pop().__subclasses__():
            found[one.__name__] = one
            waiting.append(one)
    return found


def _build_operation_name(operation: Operation) -> str:
    return f"{operation.contract.id}/{operation.id}"

"""Measures how much of a contract was tried.

Every request of a check is compared with all constraints of its operation. A request tries a constraint if it has a
value that the constraint limits, or lacks a parameter that the constraint requires. Which constraints it tries depends
only on its shape, that is on the names and types in it. So the tried constraints are found once for each shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

from voicegauge.contract.contract import Contract, Operation
from voicegauge.contract.document_parts import Parameter, ParsedText
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange
from voicegauge.rules.applicability import find_applicable_rules
from voicegauge.rules.call import Call, CheckSubject, IncompleteResponse, RecordingAge
from voicegauge.rules.callbacks import Callback, RequestCallbacks
from voicegauge.rules.registry import RULE_BY_ID, Rule
from voicegauge.rules.subjects import AudioInputCall, ConcurrentJobs, JobHistory, ResourceStep, SpeechDelivery

# Lists the constraints that a contract states for requests, and finds which of them a request satisfies or
# violates.


MAX_CACHED_REQUEST_SHAPES = 10_000
"""Maximum number of shapes remembered per operation. A plan has hundreds; a search can generate any number."""
MAX_SCHEMA_DEPTH = 4
"""Maximum depth of nested objects and lists whose constraints are listed, because schemas can be recursive."""
_TEXT, _NUMBER, _LIST, _OBJECT, _ANY = (str,), (int, float), (list,), (dict,), (object,)
_CONSTRAINED_TYPES_BY_KEYWORD: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern"), _TEXT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems"), _LIST),
    **dict.fromkeys(("minProperties", "maxProperties", "additionalProperties"), _OBJECT),
    **dict.fromkeys(("type", "enum", "const", "oneOf", "anyOf", "not"), _ANY),
}
"""Types of the values that each keyword limits (JSON Schema 2020-12, validation, section 6). The schemas inside oneOf,
anyOf and not are not listed: which of them a value should match is not known."""


ConstraintResult = Literal["satisfied", "violated", "violated if reported"]
"""Whether a request satisfies a constraint. `satisfied`: it does. `violated`: it does not. `violated if reported`: it
does not if schema validation reports an error at the keyword of the constraint."""


@dataclass(frozen=True)
class Constraint:
    """One keyword of the schema of a request body or parameter; for `required`, one name."""

    name: str
    """Location and keyword: "body#/text maxLength"."""
    keyword_pointer: str
    """JSON pointer to the keyword."""
    value_path: tuple[str, ...]
    """Keys that lead from the body or parameter to the limited value; "*" stands for every item of a list."""
    constrained_types: tuple[type, ...]
    """Types of the values that the keyword limits."""
    media_type: str | None = None
    """Media type of the request body; `None` for a parameter."""
    parameter: Parameter | None = None
    """The parameter that has the schema; `None` for a request body."""
    required_name: str | None = None
    """For `required`: the name that must be present in the object at `value_path`, or the parameter itself."""

    def determine_result(self, values: Sequence[Any]) -> ConstraintResult | None:
        """Return whether a request satisfies the constraint; `None` if it has no value that the constraint limits.

        Args:
            values: the values in the request at `value_path`.
        """
        if self.required_name is not None:
            if self.requires_parameter:
                return "satisfied" if values else "violated"
            objects = [value for value in values if isinstance(value, dict)]
            if not objects:
                return None
            return "satisfied" if all(self.required_name in value for value in objects) else "violated"
        if any(
            isinstance(value, self.constrained_types) and not _is_boolean_as_number(value, self.constrained_types)
            for value in values
        ):
            return "violated if reported"
        return None

    @property
    def requires_parameter(self) -> bool:
        """Whether the constraint requires the parameter itself, not a member of an object in it."""
        return self.parameter is not None and self.keyword_pointer == f"{self.parameter.pointer}/required"


class ConstrainedRequest:
    """The values of one request that constraints limit, each read once."""

    def __init__(self, call: Call) -> None:
        """Read the request of `call`."""
        self.call = call
        self._media_type = call.exchange.request.media_type
        self.parameters: list[ParsedText | None] = [call.read_parameter(p) for p in call.operation.parameters]
        """The parameters in the order of the operation; `None` for one that was not sent."""

    def read_root_value(self, constraint: Constraint) -> Any:
        """Return the whole body or parameter whose schema contains `constraint`; `MISSING` if it was not sent."""
        if constraint.parameter is None:
            return self.call.request_value if self._media_type == constraint.media_type else MISSING
        parsed = self.parameters[self.call.operation.parameters.index(constraint.parameter)]
        return MISSING if parsed is None else parsed.value

    @property
    def request_shape(self) -> Hashable:
        """The names and types in the request. Requests with the same shape try the same constraints."""
        parameters = tuple(
            [None if parsed is None else _compute_json_shape(parsed.value) for parsed in self.parameters]
        )
        return self._media_type, _compute_json_shape(self.call.request_value), parameters


class TriedConstraints:
    """The constraints that apply to all requests with the same fields and types, and whether these satisfy them."""

    def __init__(self, constraint_results: Iterable[tuple[Constraint, ConstraintResult]]) -> None:
        """Store each constraint that applies to the requests, with its result for them."""
        self._constraint_results = tuple(constraint_results)

    def find_satisfaction_by_name(self, violated_pointers: Collection[str]) -> dict[str, bool]:
        """Return, by the name of each constraint, whether a request satisfies it.

        Args:
            violated_pointers: JSON pointers to the keywords that the request violates.
        """
        satisfied: dict[str, bool] = {}  # parts of an allOf can repeat a keyword for one location
        for constraint, constraint_result in self._constraint_results:
            is_satisfied = constraint_result == "satisfied" or (
                constraint_result != "violated" and constraint.keyword_pointer not in violated_pointers
            )
            satisfied[constraint.name] = is_satisfied and satisfied.get(constraint.name, True)
        return satisfied

    @property
    def lacks_required_parameter(self) -> bool:
        """Whether a required parameter is missing in the requests of the shape."""
        return any(
            constraint_result == "violated" and constraint.requires_parameter
            for constraint, constraint_result in self._constraint_results
        )


class RequestConstraints:
    """All constraints of the requests to one operation. Use `get_request_constraints` to share them."""

    def __init__(self, operation: Operation) -> None:
        """List the constraints of `operation`."""
        constraints = tuple(iterate_constraints(operation))
        self.names = tuple(dict.fromkeys(constraint.name for constraint in constraints))
        """The name of each constraint once, because the media types of one body share most constraints."""
        groups: dict[Any, list[Constraint]] = {}
        for constraint in constraints:
            parameter = constraint.parameter.pointer if constraint.parameter is not None else None
            groups.setdefault((parameter, constraint.media_type, constraint.value_path), []).append(constraint)
        self._groups = tuple(groups.values())
        self._body_pointer, self._requires_body = f"{operation.pointer}/requestBody", _requires_body(operation)
        self._tried_by_shape: dict[Hashable, TriedConstraints] = {}

    def find_tried_constraints(self, request: ConstrainedRequest) -> TriedConstraints:
        """Return the constraints that `request` tries: the same object for all requests of its shape."""
        shape = request.request_shape
        tried = self._tried_by_shape.get(shape)
        if tried is None:
            if len(self._tried_by_shape) >= MAX_CACHED_REQUEST_SHAPES:
                self._tried_by_shape.clear()
            tried = self._tried_by_shape[shape] = TriedConstraints(self._iterate_tried_constraints(request))
        return tried

    def list_violated_pointers(self, request: ConstrainedRequest) -> frozenset[str]:
        """Return JSON pointers to the keywords that `request` violates.

        A missing or unreadable body violates `requestBody`.
        """
        body = request.call.request_body
        violated = body.violated_keywords
        if (body.media_type is None or body.value is MISSING) and (
            self._requires_body or request.call.exchange.request.body
        ):
            violated |= {self._body_pointer}
        for parsed in request.parameters:
            if parsed is not None and parsed.violations:
                violated |= {error.keyword_pointer for error in parsed.violations}
        return violated

    def _iterate_tried_constraints(self, request: ConstrainedRequest) -> Iterator[tuple[Constraint, ConstraintResult]]:
        for group in self._groups:
            found = _read_values(request.read_root_value(group[0]), group[0].value_path)
            for constraint in group:
                constraint_result = constraint.determine_result(found)
                if constraint_result is not None:
                    yield constraint, constraint_result


_CONSTRAINTS_BY_OPERATION: WeakKeyDictionary[Operation, RequestConstraints] = WeakKeyDictionary()
"""A cache for `get_request_constraints`."""


def get_request_constraints(operation: Operation) -> RequestConstraints:
    """Return the constraints of the requests to `operation`; they are listed once."""
    found = _CONSTRAINTS_BY_OPERATION.get(operation)
    if found is None:
        found = _CONSTRAINTS_BY_OPERATION[operation] = RequestConstraints(operation)
    return found


def iterate_constraints(operation: Operation) -> Iterator[Constraint]:
    """Yield the constraints of every request body and parameter of `operation`."""
    for media in operation.request_media.values():
        if media.schema_pointer is not None:
            for keyword in _iterate_schema_constraints(operation, media.part_data["schema"], media.schema_pointer, ()):
                prefix = "body" + "".join(f"/{escape_pointer_token(token)}" for token in keyword.value_path).replace(
                    "/", "#/", 1
                )
                yield _add_name_prefix(keyword, prefix, media_type=media.name)
    for parameter in operation.parameters:
        if parameter.message_part == "cookie":
            continue
        prefix = f"{parameter.message_part}.{parameter.name}"
        if parameter.is_required and parameter.message_part != "path":
            pointer = f"{parameter.pointer}/required"
            yield Constraint(f"{prefix} required", pointer, (), _ANY, parameter=parameter, required_name=parameter.name)
        for keyword in _iterate_schema_constraints(
            operation, parameter.part_data.get("schema", {}), f"{parameter.pointer}/schema", ()
        ):
            yield _add_name_prefix(keyword, prefix, parameter=parameter)


def _requires_body(operation: Operation) -> bool:
    body, _ = operation.contract.schemas.resolve_reference(operation.part_data.get("requestBody", {}))
    return isinstance(body, dict) and body.get("required") is True


def _add_name_prefix(
    constraint: Constraint, name_prefix: str, *, media_type: str | None = None, parameter: Parameter | None = None
) -> Constraint:
    suffix = (
        f"/{escape_pointer_token(constraint.required_name)} required"
        if constraint.required_name is not None
        else f" {constraint.name}"
    )
    if constraint.required_name is not None and "#" not in name_prefix:
        suffix = f"#{suffix}"
    return replace(constraint, name=f"{name_prefix}{suffix}", media_type=media_type, parameter=parameter)


def _iterate_schema_constraints(
    operation: Operation, schema: Any, schema_pointer: str, value_path: tuple[str, ...]
) -> Iterator[Constraint]:
    schema, schema_pointer = operation.contract.schemas.resolve_reference(schema, schema_pointer)
    if not isinstance(schema, dict):
        return
    for keyword, types in _CONSTRAINED_TYPES_BY_KEYWORD.items():
        # `additionalProperties: true` limits nothing.
        if keyword in schema and (keyword, schema[keyword]) != ("additionalProperties", True):
            yield Constraint(keyword, f"{schema_pointer}/{keyword}", value_path, types)
    for name in schema.get("required", ()):
        yield Constraint("required", f"{schema_pointer}/required", value_path, _OBJECT, required_name=name)
    for index, part in enumerate(schema.get("allOf", ())):
        yield from _iterate_schema_constraints(operation, part, f"{schema_pointer}/allOf/{index}", value_path)
    if len(value_path) < MAX_SCHEMA_DEPTH:
        for name, inner in schema.get("properties", {}).items():
            yield from _iterate_schema_constraints(
                operation, inner, f"{schema_pointer}/properties/{escape_pointer_token(name)}", (*value_path, name)
            )
        if isinstance(schema.get("items"), dict):
            yield from _iterate_schema_constraints(
                operation, schema["items"], f"{schema_pointer}/items", (*value_path, "*")
            )


def _compute_json_shape(value: Any) -> Any:
    """Return the keys and types of a JSON value. The order and number of a list's items do not matter."""
    if isinstance(value, dict):
        return tuple([(key, _compute_json_shape(inner)) for key, inner in value.items()])
    if isinstance(value, list):
        return frozenset(map(_compute_json_shape, value))
    return MISSING if value is MISSING else type(value)


def _read_values(root_value: Any, value_path: Sequence[str]) -> list[Any]:
    """Return every value at `value_path`, in which "*" stands for all items of a list."""
    values = [] if root_value is MISSING else [root_value]
    for key in value_path:
        if key == "*":
            values = [item for value in values if isinstance(value, list) for item in value]
        else:
            values = [value[key] for value in values if isinstance(value, dict) and key in value]
    return values


def _is_boolean_as_number(value: Any, constrained_types: tuple[type, ...]) -> bool:
    """Whether `value` is a boolean, which is an `int` in Python but not a number in JSON."""
    return isinstance(value, bool) and constrained_types == _NUMBER


# Counts what a check has tried of each contract: operations, statuses, states, constraints and rules.


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
"""What a coverage entry is about."""


class CoverageEntry(Record, frozen=True, kw_only=True):
    """How often a check tried one operation, status, state or constraint of a contract, or applied one rule."""

    kind: CoverageKind
    operation_or_provider: str
    """<provider>/<operation>; for a rule, the provider alone."""
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


class CoverageCounter:
    """Counts, exchange by exchange, which parts of the contracts a check tries; see `CoverageEntry`."""

    def __init__(self) -> None:
        """Begin with no contract and nothing counted."""
        self._contracts: dict[str, Contract] = {}
        self._rules: set[str] = set()
        self._left_out: frozenset[str] = frozenset()
        self._rules_by_class: dict[type[CheckSubject], tuple[Rule, ...]] = {}
        # A request tries a dozen constraints, and dozens of rules judge each subject. So equal requests and subjects
        # are only counted, and divided among constraints and rules in the report.
        self._requests: Counter[tuple[Operation, TriedConstraints, frozenset[str]]] = Counter()
        """Number of equal requests. The last item of the key is the set of JSON pointers to the violated keywords."""
        self._responses: Counter[tuple[Operation, int]] = Counter()
        self._states: Counter[tuple[Operation, str]] = Counter()
        self._judged: Counter[tuple[type[CheckSubject], Operation]] = Counter()
        self._broken: Counter[tuple[type[CheckSubject], Operation, str]] = Counter()

    def add_contract(self, contract: Contract, rule_ids: Iterable[str]) -> None:
        """Add a contract for which coverage is counted, and the ids of the rules that are applied to its provider."""
        self._contracts[contract.id] = contract
        self._rules |= set(rule_ids)

    def exclude_operations(self, operation_names: Iterable[str]) -> None:
        """Yield no entries for these operations (<provider>/<operation id>), because the check does not cover them."""
        self._left_out = frozenset(operation_names)

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
        constraints, request = get_request_constraints(operation), ConstrainedRequest(call)
        tried, violated = constraints.find_tried_constraints(request), constraints.list_violated_pointers(request)
        self._requests[operation, tried, violated] += 1
        self._responses[operation, call.status] += 1
        self._count_reported_state(call)

    def add_subject(self, subject: CheckSubject, broken_rule_ids: Collection[str]) -> None:
        """Count a judged subject for each rule that applies to it; `broken_rule_ids` are the rules that it violates."""
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
        """Yield the coverage entries of every contract: those of its operations, then one for each rule."""
        counts = self._count_observations()
        for contract in self._contracts.values():
            for operation in self._iterate_covered_operations(contract):
                yield from _iterate_operation_entries(operation, counts)
            yield from self._iterate_rule_entries(contract)

    def _iterate_covered_operations(self, contract: Contract) -> Iterator[Operation]:
        return (one for one in contract.operations.values() if _build_operation_name(one) not in self._left_out)

    def _count_observations(self) -> _ObservationCounts:
        counts = _ObservationCounts(Counter(), Counter())
        for (operation, status), count in self._responses.items():
            documented = operation.find_response(status)
            name = documented.status if documented is not None else str(status)
            counts.add_count(documented is not None, "status", operation, name, count)
        for (operation, state), count in self._states.items():
            is_documented = operation.job is not None and state in operation.job.states
            counts.add_count(is_documented, "state", operation, state, count)
        for (operation, tried, violated_pointers), count in self._requests.items():
            is_valid = not violated_pointers and not tried.lacks_required_parameter
            counts.add_count(is_valid, "operation", operation, operation.id, count)
            for name, is_satisfied in tried.find_satisfaction_by_name(violated_pointers).items():
                counts.add_count(is_satisfied, "constraint", operation, name, count)
        return counts

    def _count_reported_state(self, call: Call) -> None:
        """Count the state that a poll, or the response to a submit, reports."""
        operation = call.operation
        location = operation.job.state_location if operation.job is not None else None
        if operation.speech is not None and operation.speech.response.status_operation_id is not None:
            operation = operation.contract.find_operation(operation.speech.response.status_operation_id)
            location = operation.job.submit_response.state_location if operation.job is not None else None
        state = call.read_response_value(location) if call.is_accepted else None
        if operation.job is not None and isinstance(state, str):
            self._states[operation, state] += 1

    def _find_rules_for_subject_class(self, subject_class: type[CheckSubject]) -> tuple[Rule, ...]:
        if subject_class not in self._rules_by_class:
            self._rules_by_class[subject_class] = tuple(_iterate_rules_for_subject_class(subject_class))
        return self._rules_by_class[subject_class]

    def _count_subjects_by_rule(self, contract: Contract) -> tuple[Counter[str], Counter[str]]:
        """Return two counters by rule id: how many subjects followed the rule, and how many broke it."""
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
            conforming_count, violating_count = followed[rule.id], broken[rule.id]
            reason, applies = None, True
            if not conforming_count + violating_count:
                reason = _NO_SUBJECT_REASON_BY_CLASS.get(rule.subject_class, "it had nothing to judge")
                if rule.id not in self._rules:
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
    violating_counts: Counter[tuple[str, str, str]]

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
        counts = self.conforming_counts if is_conforming else self.violating_counts
        counts[entry_kind, _build_operation_name(operation), entry_name] += count

    def build_entry(
        self, entry_kind: CoverageKind, operation: Operation, entry_name: str, untried_reason: str | None
    ) -> CoverageEntry:
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
    if conforming_count and violating_count:
        return None
    if conforming_count:
        return "no request violated it"
    return "no request had a valid value" if violating_count else "no request had a value that it limits"


def _iterate_rules_for_subject_class(subject_class: type[CheckSubject]) -> Iterator[Rule]:
    # A response that broke off has a subject of its own; every complete one follows the rules over those.
    classes = (*subject_class.__mro__, IncompleteResponse) if issubclass(subject_class, Call) else subject_class.__mro__
    return (rule for rule in RULE_BY_ID.values() if rule.subject_class in classes)


def _build_operation_name(operation: Operation) -> str:
    return f"{operation.contract.id}/{operation.id}"

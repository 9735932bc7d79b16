"""Registers rules with everything that is known about them, and tells which can apply to a contract.

A rule is declared in one place. Its function registers itself, with what it requires, why that matters, and which fault
of the emulator shows it:

    @register_rule(
        "empty-body",
        subject_class=Call,
        description="A response with a documented body has a body.",
        contract_condition="responses/*/content",
        explanation=Explanation(consequence="...", conforming_example="...", violating_example="..."),
        shown_by=(FaultExample("empty-body"),),
    )
    def _check_empty_body(call: Call) -> Iterator[Violation]:
        ...

A rule is applied to one class of subjects and yields violations. Severity, disputes and masking are added by
`voicegauge.rules.checker`, which turns violations into findings.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from voicegauge.contract.extension.jobs import ResourceSpec
from voicegauge.contract.extension.speech import ConversionSpec, TranscriptionSpec
from voicegauge.contract.operation import Operation
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.model.base import Record, Severity
from voicegauge.model.exchange import Exchange

SubjectT = TypeVar("SubjectT")
"""The class of the subjects that a rule judges."""
ASSIGNABLE_SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.INFO)
"""Severities that a user can set. "disputed" is not among them, because it follows from the documents."""
_RULE_ID_PATTERN = re.compile(r"^[a-z]+(-[a-z]+)*$")
"""Matches words of lower-case letters with hyphens between them."""


class Violation(NamedTuple):
    """A violation of the contract, as a rule reports it."""

    message: str
    """What the contract expects and what the provider did instead, in one sentence."""
    contract_pointer: str
    """JSON pointer to the part of the contract that is violated."""
    value_pointer: str | None = None
    """JSON pointer to the wrong value in the body; `None` if the violation is not about one value."""
    evidence: str | None = None
    """An excerpt of the exchange that shows the violation, or `None`; the checker shortens and masks it."""
    exchange: Exchange | None = None
    """The exchange that shows the violation; `None` if it is `CheckSubject.exchange` of the subject."""
    cause_rule_id: str | None = None
    """Id of another rule whose violation, by the same subject, causes this violation; `None` without such a cause."""
    common_cause: str | None = None
    """What the provider does, without what is documented for this operation or target; see `Finding.common_cause`."""
    audio_start_s: float | None = None
    """Time in the delivered audio at which the violation is audible, in seconds; `None` for no particular time."""
    is_warning: bool = False
    """Whether this violation of a rule about errors is only a warning, because no document forbids what the provider
    did."""


class Explanation(Record, frozen=True, kw_only=True):
    """Why a rule matters, with an example that follows the rule and one that breaks it."""

    consequence: str
    """What goes wrong for a client if the rule is broken."""
    conforming_example: str
    """An example of traffic that follows the rule."""
    violating_example: str
    """An example of traffic that breaks the rule."""


FaultTraffic = Literal[
    "speech",
    "speeds",
    "valid",
    "invalid",
    "authentication",
    "rejection-reason",
    "list",
    "lifecycle",
    "upload",
    "transcription",
    "webhook",
    "socket",
    "timed-stream",
    "job-sequence",
    "turns",
]
"""The traffic in which a fault is seen.

Cases of a check: deliveries of speech, also at several speeds; requests whose `ExpectedResponse.case_kind` has the
same name; requests with filters ("list"); lifecycles of resources and batches; uploads of audio; callbacks. Others:
connections that break off, which only an emulator on a socket has; a stream that is received in real time; several jobs
at once, or one that is cancelled or polled late, as `--fuzz` tries them ("job-sequence"); turns of WebSockets
("turns").
"""


class FaultExample(Record, frozen=True):
    """A fault of the emulator that breaks a rule. A test checks that this rule finds it, and no unexpected one."""

    fault_id: str
    """Name of the fault, as for `--fault`."""
    target_id: str | None = None
    """Id of a provider or target that has violations with the fault; `None` for the first that can have the fault."""
    found_in: FaultTraffic = "speech"
    """The traffic in which the rule finds the fault."""
    also_found_by: tuple[str, ...] = ()
    """Ids of rules that may find the fault as well, because one mistake contradicts several statements."""


RuleNeed = Literal["request", "response", "headers"]
"""The part of an exchange that a rule cannot do without. Documented examples of requests have no response, and no
documented example has headers."""


@dataclass(frozen=True)
class Rule:
    """What a provider must do, with the function that finds violations of it."""

    id: str
    """Id in kebab-case, which names what is wrong if the rule is broken: "empty-body"."""
    severity: Severity
    """Severity of its findings, unless documents dispute the violated fact or only public traffic shows it."""
    description: str
    """A sentence that states what the rule requires."""
    contract_condition: str
    """What a contract must state so that the rule can find a violation: "x-job.charge_location and x-pricing".
    Commas separate alternatives. " and " joins the statements of one alternative."""
    subject_class: type[Any]
    """Class of the subjects that the rule judges; instances of derived classes are judged too."""
    check: Callable[[Any], Iterator[Violation]]
    """Function that yields the violations of the rule by a subject."""
    explanation: Explanation
    needs: RuleNeed
    shown_by: tuple[FaultExample, ...]
    """Faults of the emulator that break the rule, the one that shows it best first; empty if none does."""
    unshown_reason: str | None
    """Why no fault of the emulator breaks the rule, as a sentence; `None` if one does."""


RULE_BY_ID: dict[str, Rule] = {}
"""All rules by id."""


def register_rule(
    rule_id: str,
    *,
    subject_class: type[SubjectT],
    description: str,
    contract_condition: str,
    explanation: Explanation,
    needs: RuleNeed = "response",
    shown_by: tuple[FaultExample, ...] = (),
    unshown_reason: str | None = None,
    severity: Severity = Severity.ERROR,
) -> Callable[[Callable[[SubjectT], Iterator[Violation]]], Callable[[SubjectT], Iterator[Violation]]]:
    """Register the decorated function as a rule.

    Args:
        rule_id: the id of the rule, in kebab-case.
        subject_class: the class of the subjects that the rule is applied to.
        description: a sentence that states what the rule requires.
        contract_condition: what a contract must state so that the rule can find a violation (see
            `Rule.contract_condition`).
        explanation: why the rule matters, with examples.
        needs: the part of an exchange that the rule cannot do without.
        shown_by: the faults of the emulator that break the rule, the one that shows it best first.
        unshown_reason: why no fault breaks the rule, as a sentence; `None` if `shown_by` names one. Either this or
            `shown_by` must be given.
        severity: the severity of the rule's findings.
    """

    def register_check(
        check_function: Callable[[SubjectT], Iterator[Violation]],
    ) -> Callable[[SubjectT], Iterator[Violation]]:
        # When it is imported, so that a mistake in a declaration cannot be overlooked.
        assert _RULE_ID_PATTERN.match(rule_id), f"{rule_id!r} is not kebab-case"
        assert rule_id not in RULE_BY_ID, f"rule {rule_id!r} is registered twice"
        assert bool(shown_by) != bool(unshown_reason), f"rule {rule_id!r} needs a fault that shows it, or a reason"
        RULE_BY_ID[rule_id] = Rule(
            id=rule_id,
            severity=severity,
            description=description,
            contract_condition=contract_condition,
            subject_class=subject_class,
            check=check_function,
            explanation=explanation,
            needs=needs,
            shown_by=shown_by,
            unshown_reason=unshown_reason,
        )
        return check_function

    return register_check


def select_rules(
    selected_ids: tuple[str, ...] = (),
    ignored_ids: tuple[str, ...] = (),
    severity_by_rule_id: Mapping[str, Severity] | None = None,
) -> dict[str, Rule]:
    """Return the selected rules by id.

    Args:
        selected_ids: ids of the rules to select; empty for all rules.
        ignored_ids: ids of the rules to remove from the selection.
        severity_by_rule_id: severities that replace those of the selected rules, by rule id; `None` to replace none.

    Raises:
        UnknownNameError: a given id is not the id of a rule; the message suggests the most similar one.
        UsageError: no rule is left, or a severity cannot be set.
    """
    overrides = {name: read_severity(name, text) for name, text in (severity_by_rule_id or {}).items()}
    for name in (*selected_ids, *ignored_ids, *overrides):
        if name not in RULE_BY_ID:
            raise UnknownNameError("rule", name, RULE_BY_ID, listing_command="voicegauge rules")
    chosen = [name for name in RULE_BY_ID if (not selected_ids or name in selected_ids) and name not in ignored_ids]
    if not chosen:
        raise UsageError("--select and --ignore leave no rule: select at least one")
    return {name: replace(RULE_BY_ID[name], severity=overrides.get(name, RULE_BY_ID[name].severity)) for name in chosen}


def read_severity(rule_id: str, severity: str) -> Severity:
    """Return the severity with the name `severity`, which a user sets for a rule.

    Raises:
        UsageError: no severity has this name, or it cannot be set.
    """
    if not rule_id or severity not in ASSIGNABLE_SEVERITIES:
        raise UsageError(f"{f'{rule_id}={severity}'!r}: write RULE=error, RULE=warning or RULE=info")
    return Severity(severity)


_STATEMENT_PATTERN = re.compile(r"(x-[a-z]+|callbacks|parameters|requestBody|responses|security|webhooks)([./]\S+)?")

ContractStatement = tuple[str, str]
"""A statement of a contract that a rule needs: a key such as "x-job", and the path below it, such as ".charged"."""

StatementConjunction = tuple[ContractStatement, ...]
"""Statements that a contract must all have."""

_APPLICABILITY_CACHE: WeakKeyDictionary[Operation, dict[str, bool]] = WeakKeyDictionary()
"""Cache of `is_rule_applicable`: by operation and `Rule.contract_condition`, whether the contract meets it."""
_EXTENSION_VALUES_CACHE: WeakKeyDictionary[Operation, dict[str, list[Any]]] = WeakKeyDictionary()
"""The results of `_collect_extension_values`: some eighty conditions ask for the same few values."""


def find_applicable_rules(operation: Operation) -> tuple[Rule, ...]:
    """Return the rules that can find a violation in traffic of `operation`, or of the job to which the traffic belongs.

    Those are the rules whose `Rule.contract_condition` the contract meets.
    """
    return select_applicable_rules(RULE_BY_ID.values(), operation)


def is_rule_applicable(rule: Rule, operation: Operation) -> bool:
    """Whether `rule` can find a violation in traffic of `operation`, or of the job to which the traffic belongs."""
    return bool(select_applicable_rules((rule,), operation))


def select_applicable_rules(rules: Iterable[Rule], operation: Operation) -> tuple[Rule, ...]:
    """Return those of `rules` that `find_applicable_rules` returns for `operation`, in the order of `rules`."""
    # By condition and not by rule: a hundred rules share a few conditions, and are asked for with every subject.
    stated = _APPLICABILITY_CACHE.setdefault(operation, {})
    selected = []
    for rule in rules:
        if rule.contract_condition not in stated:
            stated[rule.contract_condition] = any(
                all(_is_stated_by_operation(operation, *statement) for statement in statements)
                for statements in parse_contract_condition(rule.contract_condition)
            )
        if stated[rule.contract_condition]:
            selected.append(rule)
    return tuple(selected)


@functools.cache
def parse_contract_condition(contract_condition: str) -> tuple[StatementConjunction, ...]:
    """Parse `Rule.contract_condition`, and return its alternatives.

    A contract meets the condition if it has all statements of at least one alternative. Alternatives are separated by a
    comma and a space, statements by " and ".

    Raises:
        ValueError: a part of `contract_condition` does not name a statement of a contract.
    """
    return tuple(
        tuple(_parse_statement(text) for text in alternative.split(" and "))
        for alternative in contract_condition.split(", ")
    )


def _parse_statement(text: str) -> ContractStatement:
    found = _STATEMENT_PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a statement of a contract")
    return found[1], found[2] or ""


def _is_stated_by_operation(operation: Operation, statement_key: str, statement_path: str) -> bool:
    """Whether a contract makes a statement of a condition about `operation`, or about the job that it is part of."""
    if statement_key.startswith("x-"):
        names = [name for name in statement_path.split(".") if name]
        if operation not in _EXTENSION_VALUES_CACHE:
            _EXTENSION_VALUES_CACHE[operation] = _collect_extension_values(operation)
        return any(_has_value_at(value, names) for value in _EXTENSION_VALUES_CACHE[operation][statement_key])
    if statement_key == "responses":
        return _documents_response(operation, statement_path)
    return {
        "callbacks": "callbacks" in operation.part_data or operation.webhook is not None,
        # A document does not say which operations its webhooks belong to.
        "webhooks": operation.webhook is not None or bool(operation.contract.document.data.get("webhooks")),
        "parameters": bool(operation.parameters),
        "requestBody": bool(operation.request_media),
        "security": operation.needs_key,
    }[statement_key]


def _collect_extension_values(operation: Operation) -> dict[str, list[Any]]:
    """Return the parsed values in the contract that concern `operation`, by `x-` key, such as "x-job".

    They are empty where the contract does not have the key for this operation.
    """
    contract, use = operation.contract, operation.audio_input
    status = operation.started_job_operation
    found: dict[str, Iterable[Any]] = {
        "x-provider": [contract.provider],
        "x-limits": [operation.limits],
        # A target may have request fields of its own.
        "x-speech": [operation.speech, *(operation.speech.targets.values() if operation.speech else ())],
        "x-stream": [operation.stream],
        "x-webhook": [operation.webhook],
        "x-job": [operation.job, status.job if status else None],
        "x-batch": [other.batch for other in contract.operations.values() if _submits_or_polls_batch(operation, other)],
        "x-resource": find_resources(operation),
        "x-chat": [operation.chat],
        "x-transcription": [use] if isinstance(use, TranscriptionSpec) else [],
        "x-conversion": [use] if isinstance(use, ConversionSpec) else [],
        "x-socket": [operation.socket.spec] if operation.socket is not None else [],
        "x-pricing": _list_price_specs(operation),
    }
    return {key: [value for value in values if value is not None] for key, values in found.items()}


def _submits_or_polls_batch(operation: Operation, submit_operation: Operation) -> bool:
    """Whether `operation` submits batches of requests to `submit_operation`, or polls such batches."""
    job = submit_operation.speech.response.status_operation_id if submit_operation.speech else None
    return submit_operation.batch is not None and (operation is submit_operation or operation.id == job)


def find_resources(operation: Operation) -> list[ResourceSpec]:
    """Return the resources that an operation creates, lists, changes, deletes or uses."""
    found = []
    for creating_operation in operation.contract.operations.values():
        resource = creating_operation.resource
        if resource is None:
            continue
        named = {
            creating_operation.id,
            *(setting.operation_id for setting in resource.transitions),
            *(use.operation_id for use in resource.uses),
        }
        named |= {part.operation_id for part in (resource.listing, resource.deletion) if part is not None}
        found += [resource] if operation.id in named else []
    return found


def _list_price_specs(operation: Operation) -> list[Any]:
    """Return the prices of `operation`, of its targets, and of the targets whose jobs it polls."""
    targets = operation.contract.targets.values() if operation.job is not None else ()
    started = (target for target in targets if target.job_operation is operation)
    return [operation.pricing, *(target.pricing for target in (*operation.targets, *started))]


def _has_value_at(document_value: Any, path_tokens: list[str]) -> bool:
    """Whether `document_value` contains a value at the path `path_tokens`, in which "*" matches any key or item."""
    if not path_tokens:
        return document_value is not None and document_value not in ((), {})  # an empty list or map states nothing
    name, rest = path_tokens[0], path_tokens[1:]
    if name == "*":
        items = document_value.values() if isinstance(document_value, Mapping) else document_value
        return any(_has_value_at(item, rest) for item in items)
    if isinstance(document_value, Mapping):
        return name in document_value and _has_value_at(document_value[name], rest)
    if isinstance(document_value, tuple):  # conditions name members of list items without a "*" for the list
        return any(_has_value_at(item, path_tokens) for item in document_value)
    inner = getattr(document_value, name, None) if isinstance(document_value, Record) else None
    return inner is not None and inner is not False and _has_value_at(inner, rest)


def _documents_response(operation: Operation, statement_path: str) -> bool:
    """Whether `operation` documents a part of a response, named as in "/4XX/headers/Retry-After"."""
    if operation.socket is not None:
        return not statement_path  # the messages of a WebSocket are its responses
    statuses, part, name = (*statement_path.split("/")[1:4], "*", "*", "*")[:3]
    matching = [
        response
        for status, response in operation.responses.items()
        if any(one in ("*", status) or (one.endswith("XX") and one[0] == status[0]) for one in statuses.split(","))
    ]
    if part == "headers":
        return any(name == "*" or name.lower() == known.lower() for response in matching for known in response.headers)
    return any(part != "content" or response.media_types for response in matching)

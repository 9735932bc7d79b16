"""Tells which rules can apply to a contract."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from voicegauge.contract.contract import Operation
from voicegauge.contract.document_parts import ResponseSpec
from voicegauge.contract.extension.audio_input import ConversionSpec, TranscriptionSpec
from voicegauge.contract.extension.resources import ResourceSpec
from voicegauge.model.base import Record
from voicegauge.rules.registry import RULE_BY_ID, Rule

_STATEMENT_PATTERN = re.compile(r"(x-[a-z]+|callbacks|parameters|requestBody|responses|security|webhooks)([./]\S+)?")

ContractStatement = tuple[str, str]
"""A statement of a contract that a rule needs: a key such as "x-job", and the path below it, such as ".charged"."""

StatementConjunction = tuple[ContractStatement, ...]
"""Statements that a contract must all have."""

_APPLICABILITY_CACHE: WeakKeyDictionary[Operation, dict[str, bool]] = WeakKeyDictionary()
"""Cache of `is_rule_applicable`: by operation and `Rule.contract_condition`, whether the contract meets it."""


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
    if statement_key.startswith("x-"):
        names = [name for name in statement_path.split(".") if name]
        return any(_has_value_at(value, names) for value in _iterate_extension_values(operation, statement_key))
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


def _iterate_extension_values(operation: Operation, extension_key: str) -> Iterable[Any]:
    """Return the parsed values of an `x-` key in the contract, such as "x-job", that concern `operation`.

    The result is empty if the contract does not have the key for this operation.
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
        "x-pricing": _list_price_specs(operation),
    }
    return [value for value in found[extension_key] if value is not None]


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
        return document_value is not None and document_value not in ((), {})
    name, rest = path_tokens[0], path_tokens[1:]
    if name == "*":
        items = document_value.values() if isinstance(document_value, Mapping) else document_value
        return any(_has_value_at(item, rest) for item in items)
    if isinstance(document_value, Mapping):
        return name in document_value and _has_value_at(document_value[name], rest)
    if isinstance(document_value, tuple):
        return any(_has_value_at(item, path_tokens) for item in document_value)
    inner = getattr(document_value, name, None) if isinstance(document_value, Record) else None
    return inner is not None and inner is not False and _has_value_at(inner, rest)


def _documents_response(operation: Operation, statement_path: str) -> bool:
    """Whether `operation` documents a part of a response, named as in "/4XX/headers/Retry-After"."""
    statuses, part, name = (*statement_path.split("/")[1:4], "*", "*", "*")[:3]
    matching = [
        r for status, r in operation.responses.items() if any(_matches_status(status, s) for s in statuses.split(","))
    ]
    return any(_has_header_or_body(response, part, name) for response in matching)


def _matches_status(status: str, status_pattern: str) -> bool:
    return status_pattern in ("*", status) or (status_pattern.endswith("XX") and status[:1] == status_pattern[:1])


def _has_header_or_body(response: ResponseSpec, response_part: str, member_name: str) -> bool:
    if response_part == "headers":
        return any(member_name == "*" or member_name.lower() == known.lower() for known in response.headers)
    return response_part != "content" or bool(response.media_types)

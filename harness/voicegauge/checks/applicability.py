"""Which rules have something to look at in an operation: those whose basis the contract states for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from voicegauge.checks.registry import RULES, Rule
from voicegauge.contract import Operation, ResponseSpec
from voicegauge.contract.extension import ConversionSpec, ResourceSpec, TranscriptionSpec

_STATEMENT = re.compile(r"(x-[a-z]+|callbacks|parameters|requestBody|responses|security|webhooks)(\S*)")


def applicable_rules(operation: Operation) -> tuple[Rule, ...]:
    """The rules that rest on a statement which the contract makes of `operation`, or of the job it is part of."""
    return tuple(rule for rule in RULES.values() if any(_stands(operation, *s) for s in _statements(rule.basis)))


def _statements(basis: str) -> Iterator[tuple[str, str]]:
    """The statements of a basis, split after their key; "responses/4XX,5XX/..." stays one."""
    for text in re.split(r",\s+", basis):
        found = _STATEMENT.match(text)
        if found:
            yield found[1], found[2]


def _stands(operation: Operation, key: str, rest: str) -> bool:
    if key.startswith("x-"):
        names = [name for name in rest.split(".") if name]
        return any(_has(said, names) for said in _said(operation, key))
    if key == "responses":
        return _responds(operation, rest)
    return {
        "callbacks": "callbacks" in operation.data or operation.webhook is not None,
        "webhooks": operation.webhook is not None,
        "parameters": bool(operation.parameters),
        "requestBody": bool(operation.request_media),
        "security": operation.needs_key,
    }[key]


def _said(operation: Operation, key: str) -> Iterable[Any]:
    """What the contract says under `key` of an operation."""
    contract, use = operation.contract, operation.audio_input
    status = contract.operations.get(operation.speech.response.job or "") if operation.speech else None
    found: dict[str, Iterable[Any]] = {
        "x-provider": [contract.provider],
        "x-limits": [operation.limits],
        "x-speech": [operation.speech],
        "x-stream": [operation.stream],
        "x-webhook": [operation.webhook],
        "x-job": [operation.job, status.job if status else None],
        "x-batch": [other.batch for other in contract.operations.values() if _takes_part(operation, other)],
        "x-resource": resources_of(operation),
        "x-chat": [operation.chat],
        "x-transcription": [use] if isinstance(use, TranscriptionSpec) else [],
        "x-conversion": [use] if isinstance(use, ConversionSpec) else [],
        "x-pricing": _prices(operation),
    }
    return [said for said in found[key] if said is not None]


def _takes_part(operation: Operation, submit: Operation) -> bool:
    """Whether `operation` submits a batch of `submit`, or is asked for it."""
    job = submit.speech.response.job if submit.speech else None
    return submit.batch is not None and (operation is submit or operation.id == job)


def resources_of(operation: Operation) -> list[ResourceSpec]:
    """The kinds of things that an operation makes, lists, changes, deletes or uses."""
    found = []
    for maker in operation.contract.operations.values():
        resource = maker.resource
        if resource is None:
            continue
        named = {
            maker.id,
            *(setting.operation for setting in resource.transitions),
            *(use.operation for use in resource.uses),
        }
        named |= {part.operation for part in (resource.list, resource.delete) if part is not None}
        found += [resource] if operation.id in named else []
    return found


def _prices(operation: Operation) -> list[Any]:
    return [operation.pricing, *(one.pricing for one in operation.targets)]


def _has(said: Any, names: list[str]) -> bool:
    """Whether something is said under `names`, where "*" stands for any of several."""
    if not names:
        return said is not None and said not in ((), {})
    name, rest = names[0], names[1:]
    if name == "*":
        items = said.values() if isinstance(said, Mapping) else said
        return any(_has(item, rest) for item in items)
    if isinstance(said, Mapping):
        return name in said and _has(said[name], rest)
    if isinstance(said, tuple):
        return any(_has(item, names) for item in said)
    inner = getattr(said, name, None)
    return inner is not None and inner is not False and _has(inner, rest)


def _responds(operation: Operation, rest: str) -> bool:
    """Whether a response is documented at "/<statuses>/<part>/...", as far as its first part."""
    statuses, part, name = (*rest.split("/")[1:4], "*", "*", "*")[:3]
    fitting = [r for status, r in operation.responses.items() if any(_same(status, s) for s in statuses.split(","))]
    return any(_has_part(response, part, name) for response in fitting)


def _same(status: str, wanted: str) -> bool:
    return wanted in ("*", status) or (wanted.endswith("XX") and status[:1] == wanted[:1])


def _has_part(response: ResponseSpec, part: str, name: str) -> bool:
    if part == "headers":
        return any(name in ("*", known) for known in response.headers)
    return part != "content" or bool(response.media)

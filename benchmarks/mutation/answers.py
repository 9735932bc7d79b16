"""Faults of answers: fields, enumerations, status codes, headers, errors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mutation.mutant import AnswerKind, Mutant, kind_of, on_reply
from voicegauge.contract import MediaType, Operation, ResponseSpec, read_pointer
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.formats.bodies import is_json, read_json
from voicegauge.model import Exchange

MAX_DEPTH = 4
"""Of a field inside its body."""
SUCCESS_RULES = frozenset({"response-schema"})
OUTPUT_RULES = frozenset({"response-schema", "job-completed-without-output", "audio-missing"})
UNDOCUMENTED = (203, 418)
"""A success and a refusal that no speech API documents."""


class Answer(NamedTuple):
    """One kind of answer that a correct provider gives."""

    operation: Operation
    kind: AnswerKind
    body: Any
    headers: tuple[str, ...]

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self.kind.status

    @property
    def state(self) -> str | None:
        """Of the job, in a status answer."""
        return self.kind.state

    @property
    def name(self) -> str:
        """As in "<provider>/<operation> 200 COMPLETED"."""
        state = f" {self.state}" if self.state else ""
        return f"{self.operation.contract.id}/{self.operation.id} {self.status}{state}"

    def is_in(self, reply: EmulatedResponse) -> bool:
        """Whether `reply` is an answer of this kind."""
        if reply.operation is None or reply.operation.id != self.operation.id or reply.status != self.status:
            return False
        job = reply.operation.job
        if job is None or self.state is None:
            return True
        return bool(job.state.read_body(reply.body) == self.state)


def answers_of(operation: Operation, exchanges: list[Exchange]) -> list[Answer]:
    """One answer of each kind, by the first exchange that shows it."""
    found: dict[AnswerKind, Answer] = {}
    for exchange in exchanges:
        response, kind = exchange.response, kind_of(operation, exchange)
        body = read_json(response.body) if is_json(response.media_type) else None
        headers = tuple(name.lower() for name, _ in response.headers)
        found.setdefault(kind, Answer(operation, kind, body, headers))
    return list(found.values())


def answer_mutants(answer: Answer) -> Iterator[Mutant]:
    """Every fault of one kind of answer."""
    spec = answer.operation.response(answer.status)
    if spec is None:
        return
    yield from _status_mutants(answer, spec)
    yield from _header_mutants(answer, spec)
    media = next((media for media in spec.media.values() if is_json(media.name)), None)
    if media is None or answer.body is None:
        return
    if answer.status < 400:
        yield from _field_mutants(answer, media)
    else:
        yield from _error_mutants(answer, media)


def _mutant(
    answer: Answer, kind: str, says: str, rules: frozenset[str], change: Callable[[EmulatedResponse], None]
) -> Mutant:
    def here(reply: EmulatedResponse) -> None:
        if answer.is_in(reply):
            change(reply)

    return Mutant(
        kind=kind,
        id=f"{answer.name}: {says}",
        operation=answer.operation.id,
        rules=rules,
        contract=answer.operation.contract,
        faults=(on_reply(says, here),),
        answer=answer.kind,
    )


# Fields


def _field_mutants(answer: Answer, media: MediaType) -> Iterator[Mutant]:
    """Every change of one field that the document forbids."""
    for path in _fields(answer.body, ()):
        for kind, change in _CHANGES.items():
            spoiled = _changed(answer.body, path, change)
            if spoiled != answer.body and _forbids(answer, media, spoiled):
                says = f"{'/'.join(path)} {kind.partition(' ')[2]}"
                rules = OUTPUT_RULES | {"job-state-unknown", "job-failed-without-reason"}
                yield _mutant(answer, kind, says, rules, _body_change(path, change))
        yield from _value_mutants(answer, media, path)


def _value_mutants(answer: Answer, media: MediaType, path: tuple[str, ...]) -> Iterator[Mutant]:
    """A value that is none of a field's documented ones, where it is an enumeration."""
    if not isinstance(read_pointer(answer.body, list(path)), str):
        return

    def change(parent: Any, key: Any) -> None:
        parent[key] = f"{parent[key]}-2"

    errors = list(media.errors(_changed(answer.body, path, change)))
    if any(error.keyword in ("enum", "const") for error in errors):
        rules = SUCCESS_RULES | {"job-state-unknown"}
        says = f"{'/'.join(path)} has an undocumented value"
        yield _mutant(answer, "answer: value added", says, rules, _body_change(path, change))


def _body_change(path: tuple[str, ...], change: Callable[[Any, Any], None]) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        if reply.is_json:
            reply.body = _changed(reply.body, path, change)

    return apply


def _changed(body: Any, path: tuple[str, ...], change: Callable[[Any, Any], None]) -> Any:
    body = copy.deepcopy(body)
    parent = read_pointer(body, list(path[:-1]))
    key: Any = path[-1]
    if isinstance(parent, dict) and key in parent:
        change(parent, key)
    return body


def _forbids(answer: Answer, media: MediaType, body: Any) -> bool:
    if next(media.errors(body), None) is not None:
        return True
    job = answer.operation.job
    state = job.states.get(answer.state or "") if job is not None else None
    carried = [place.read_body(body) for place in state.required] if state else []
    return any(not isinstance(value, int | float | bool) and not value for value in carried)


def _fields(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if len(path) >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _fields(item, (*path, key))
    elif isinstance(value, list) and value:
        yield from _fields(value[0], (*path, "0"))


def _remove(parent: Any, key: Any) -> None:
    del parent[key]


def _rename(parent: Any, key: Any) -> None:
    parent[f"{key}_"] = parent.pop(key)


def _retype(parent: Any, key: Any) -> None:
    parent[key] = 12345 if isinstance(parent[key], str) else {"value": parent[key]}


def _nullify(parent: Any, key: Any) -> None:
    parent[key] = None


_CHANGES: dict[str, Callable[[Any, Any], None]] = {
    "field removed": _remove,
    "field renamed": _rename,
    "field retyped": _retype,
    "field nulled": _nullify,
}


# Status codes, headers, errors


def _status_mutants(answer: Answer, spec: ResponseSpec) -> Iterator[Mutant]:
    def become(status: int) -> Callable[[EmulatedResponse], None]:
        def apply(reply: EmulatedResponse) -> None:
            reply.status = status

        return apply

    surprise = UNDOCUMENTED[answer.status >= 400]
    if answer.operation.response(surprise) is None:
        says, rules = f"answered as {surprise}", frozenset({"status-undocumented"})
        yield _mutant(answer, "status changed", says, rules, become(surprise))
    if answer.status < 400:
        return
    rules = frozenset({"wrong-error-status", "server-error", "status-undocumented"})
    others = [int(status) for status in answer.operation.responses if status.isdecimal()]
    for other in others:
        if other >= 400 and other != answer.status:
            yield _mutant(answer, "status changed", f"answered as {other}", rules, become(other))
    del spec


def _header_mutants(answer: Answer, spec: ResponseSpec) -> Iterator[Mutant]:
    for name, header in spec.headers.items():
        if name.lower() in answer.headers and (header.required or name.lower() == "retry-after"):
            rules = frozenset({"header-missing", "retry-after-missing"})
            yield _mutant(answer, "header dropped", f"without {name}", rules, _without(name))
    if spec.media and answer.body is not None:
        yield _mutant(answer, "header dropped", "without Content-Type", frozenset({"content-type"}), _untyped)


def _without(name: str) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        reply.headers = {own: value for own, value in reply.headers.items() if own.lower() != name.lower()}

    return apply


def _untyped(reply: EmulatedResponse) -> None:
    reply.media_type = None


def _error_mutants(answer: Answer, media: MediaType) -> Iterator[Mutant]:
    shapes: dict[str, Any] = {"a list": ["something went wrong"], "an empty object": {}, "a text": "wrong"}
    for says, body in shapes.items():
        if next(media.errors(body), None) is not None:
            rules = frozenset({"error-shape"})
            yield _mutant(answer, "error shape changed", f"an error that is {says}", rules, _with_body(body))
    raw = {"HTML": (b"<html>Bad Gateway</html>", "body-not-json"), "empty": (b"", "empty-body")}
    for says, (data, rule) in raw.items():
        rules = frozenset({rule})
        yield _mutant(answer, "error shape changed", f"an error whose body is {says}", rules, _with_raw(data))


def _with_body(body: Any) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        reply.body = body

    return apply


def _with_raw(data: bytes) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        reply.raw = data

    return apply

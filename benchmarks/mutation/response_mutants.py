"""Faults of responses: fields, enums, statuses, headers and error bodies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mutation.mutant import Mutant, ResponseKind, response_fault, response_kind
from voicegauge.contract.document_parts import MediaType, ResponseSpec
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.formats.bodies import is_json, read_json
from voicegauge.formats.locations import read_pointer
from voicegauge.model.exchange import Exchange

MAX_DEPTH = 4
"""Maximum depth of a field in its body."""
SUCCESS_RULES = frozenset({"response-schema"})
OUTPUT_RULES = frozenset({"response-schema", "job-completed-without-output", "audio-missing"})
UNDOCUMENTED_STATUSES = (203, 418)
"""A success and an error status that no speech API documents."""


class CorrectResponse(NamedTuple):
    """A response of a correct provider, as an example of its kind."""

    operation: Operation
    kind: ResponseKind
    body: Any
    headers: tuple[str, ...]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    @property
    def state(self) -> str | None:
        """The job state, in a status response."""
        return self.kind.state

    @property
    def name(self) -> str:
        """The kind of response: "<provider>/<operation> 200 COMPLETED"."""
        state = f" {self.state}" if self.state else ""
        return f"{self.operation.contract.id}/{self.operation.id} {self.status}{state}"

    def matches(self, reply: EmulatedResponse) -> bool:
        """Whether `reply` is a response of the same kind."""
        if reply.operation is None or reply.operation.id != self.operation.id or reply.status != self.status:
            return False
        job = reply.operation.job
        if job is None or self.state is None:
            return True
        return bool(job.state_location.read_body(reply.body) == self.state)


def correct_responses(operation: Operation, exchanges: list[Exchange]) -> list[CorrectResponse]:
    """Return the first response of each kind."""
    found: dict[ResponseKind, CorrectResponse] = {}
    for exchange in exchanges:
        response, kind = exchange.response, response_kind(operation, exchange)
        # Some services send several JSON texts, one after another, as application/json: a stream has no body to edit.
        is_stream = operation.stream is not None and response.status < 300
        body = read_json(response.body) if is_json(response.media_type) and not is_stream else None
        headers = tuple(name.lower() for name, _ in response.headers)
        found.setdefault(kind, CorrectResponse(operation, kind, body, headers))
    return list(found.values())


def response_mutants(correct: CorrectResponse) -> Iterator[Mutant]:
    """Iterate over the faults of one kind of response."""
    spec = correct.operation.find_response(correct.status)
    if spec is None:
        return
    yield from _status_mutants(correct, spec)
    yield from _header_mutants(correct, spec)
    media = next((media for media in spec.media_types.values() if is_json(media.name)), None)
    if media is None or correct.body is None:
        return
    if correct.status < 400:
        yield from _field_mutants(correct, media)
    else:
        yield from _error_mutants(correct, media)


def _mutant(
    correct: CorrectResponse,
    kind: str,
    description: str,
    rules: frozenset[str],
    change: Callable[[EmulatedResponse], None],
) -> Mutant:
    def change_matching(reply: EmulatedResponse) -> None:
        if correct.matches(reply):
            change(reply)

    return Mutant(
        kind=kind,
        id=f"{correct.name}: {description}",
        operation=correct.operation.id,
        rules=rules,
        contract=correct.operation.contract,
        faults=(response_fault(description, change_matching),),
        affected_response=correct.kind,
    )


# Fields


def _field_mutants(correct: CorrectResponse, media: MediaType) -> Iterator[Mutant]:
    """Iterate over the changes of single fields that the document forbids."""
    for path in _fields(correct.body, ()):
        for kind, change in _CHANGES.items():
            affected = _changed(correct.body, path, change)
            if affected != correct.body and _forbids(correct, media, affected):
                description = f"{'/'.join(path)} {kind.partition(' ')[2]}"
                rules = OUTPUT_RULES | {"job-state-unknown", "job-failed-without-reason"}
                yield _mutant(correct, kind, description, rules, _body_change(path, change))
        yield from _value_mutants(correct, media, path)


def _value_mutants(correct: CorrectResponse, media: MediaType, path: tuple[str, ...]) -> Iterator[Mutant]:
    """Yield an undocumented value for a field with an enum."""
    if not isinstance(read_pointer(correct.body, list(path)), str):
        return

    def change(parent: Any, key: Any) -> None:
        parent[key] = f"{parent[key]}-2"

    errors = list(media.iterate_violations(_changed(correct.body, path, change)))
    if any(error.keyword in ("enum", "const") for error in errors):
        rules = SUCCESS_RULES | {"job-state-unknown"}
        description = f"{'/'.join(path)} has an undocumented value"
        yield _mutant(correct, "response: value added", description, rules, _body_change(path, change))


def _body_change(path: tuple[str, ...], change: Callable[[Any, Any], None]) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        if reply.is_body_text_or_json:
            reply.body = _changed(reply.body, path, change)

    return apply


def _changed(body: Any, path: tuple[str, ...], change: Callable[[Any, Any], None]) -> Any:
    body = copy.deepcopy(body)
    parent = read_pointer(body, list(path[:-1]))
    key: Any = path[-1]
    if isinstance(parent, dict) and key in parent:
        change(parent, key)
    return body


def _forbids(correct: CorrectResponse, media: MediaType, body: Any) -> bool:
    if next(media.iterate_violations(body), None) is not None:
        return True
    job = correct.operation.job
    state = job.states.get(correct.state or "") if job is not None else None
    required = [place.read_body(body) for place in state.required_locations] if state else []
    return any(not isinstance(value, int | float | bool) and not value for value in required)


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


def _status_mutants(correct: CorrectResponse, spec: ResponseSpec) -> Iterator[Mutant]:
    def with_status(status: int) -> Callable[[EmulatedResponse], None]:
        def apply(reply: EmulatedResponse) -> None:
            reply.status = status

        return apply

    undocumented = UNDOCUMENTED_STATUSES[correct.status >= 400]
    if correct.operation.find_response(undocumented) is None:
        description, rules = f"has status {undocumented}", frozenset({"status-undocumented"})
        yield _mutant(correct, "status changed", description, rules, with_status(undocumented))
    if correct.status < 400:
        return
    rules = frozenset({"wrong-error-status", "server-error", "status-undocumented"})
    others = [int(status) for status in correct.operation.responses if status.isdecimal()]
    for other in others:
        if other >= 400 and other != correct.status:
            yield _mutant(correct, "status changed", f"has status {other}", rules, with_status(other))
    del spec


def _header_mutants(correct: CorrectResponse, spec: ResponseSpec) -> Iterator[Mutant]:
    for name, header in spec.headers.items():
        if name.lower() in correct.headers and (header.is_required or name.lower() == "retry-after"):
            rules = frozenset({"header-missing", "retry-after-missing"})
            yield _mutant(correct, "header dropped", f"without {name}", rules, _without(name))
    if spec.media_types and correct.body is not None:
        yield _mutant(correct, "header dropped", "without Content-Type", frozenset({"content-type"}), _untyped)


def _without(name: str) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        reply.headers = {own: value for own, value in reply.headers.items() if own.lower() != name.lower()}

    return apply


def _untyped(reply: EmulatedResponse) -> None:
    reply.media_type = None


def _error_mutants(correct: CorrectResponse, media: MediaType) -> Iterator[Mutant]:
    shapes: dict[str, Any] = {"a list": ["something went wrong"], "an empty object": {}, "a text": "wrong"}
    for description, body in shapes.items():
        if next(media.iterate_violations(body), None) is not None:
            rules = frozenset({"error-shape"})
            yield _mutant(correct, "error shape changed", f"an error that is {description}", rules, _with_body(body))
    raw = {"HTML": (b"<html>Bad Gateway</html>", "body-not-json"), "empty": (b"", "empty-body")}
    for description, (data, rule) in raw.items():
        rules = frozenset({rule})
        yield _mutant(correct, "error shape changed", f"an error whose body is {description}", rules, _with_raw(data))


def _with_body(body: Any) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        reply.body = body

    return apply


def _with_raw(data: bytes) -> Callable[[EmulatedResponse], None]:
    def apply(reply: EmulatedResponse) -> None:
        reply.replacement_body_bytes = data

    return apply

"""Recording against contract: what traffic shows that no document says, and what no traffic shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract import MISSING, MediaType, SchemaError, fit_text
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, FilePosition, make_change, make_report
from voicegauge.drift.traffic.disputes import is_disputed
from voicegauge.drift.traffic.reading import (
    ANY,
    LocatedSchema,
    ObservedExchange,
    RecordedTraffic,
    enumerated_values,
    job_states,
    media_type_schemas,
    stated,
    undocumented_properties,
)
from voicegauge.drift.traffic.requests import request_changes
from voicegauge.drift.traffic.uncovered import uncovered_changes
from voicegauge.formats import escape, read_pointer, unescape
from voicegauge.recording import MASK

USUAL_HEADERS = frozenset(
    (
        *("accept-ranges", "access-control-allow-origin", "age", "allow", "alt-svc", "cache-control", "connection"),
        *("content-disposition", "content-encoding", "content-language", "content-length", "content-type", "date"),
        *("etag", "expires", "keep-alive", "last-modified", "location", "pragma", "retry-after", "server"),
        *("strict-transport-security", "transfer-encoding", "vary", "via", "www-authenticate"),
    )
)
"""Of HTTP itself (RFC 9110, 9111, 6797): no API document describes them, unless they mean something there."""
_MAX_ERRORS = 20
"""Of one body."""


def compare_traffic_with_contract(traffic: RecordedTraffic) -> DriftReport:
    """What `traffic` shows and its contract does not say, and what the contract says and no traffic shows."""
    contract = traffic.contract
    old = ComparedInput(file=str(contract.document.path), title=contract.provider.title, version=contract.version)
    return make_report("recording-contract", old, traffic.side, _once(_changes(traffic)))


def _once(changes: Iterator[DriftChange]) -> Iterator[DriftChange]:
    """The same in the same place is told once, by the first answer that shows it."""
    told = set()
    for found in changes:
        key = (found.rule, found.operation, found.location, found.old_position, found.new_value)
        if key not in told:
            told.add(key)
            yield found


def _changes(traffic: RecordedTraffic) -> Iterator[DriftChange]:
    for seen in traffic.seen:
        if seen.operation is None:
            if not seen.name.startswith("("):
                yield make_change(
                    "observed-operation-undocumented", location="request", operation=seen.name, new=seen.position()
                )
            continue
        yield from _answer_changes(seen)
        yield from request_changes(seen)
    for conversation in traffic.conversations:
        yield from _job_changes(conversation)
    yield from uncovered_changes(traffic)


def _documented(seen: ObservedExchange, pointer: str) -> FilePosition:
    document = seen.contract.document
    return FilePosition(file=str(document.path), line=document.line(pointer), pointer=pointer)


def _answer_changes(seen: ObservedExchange) -> Iterator[DriftChange]:
    assert seen.operation is not None
    if seen.spec is None:
        pointer = f"{seen.operation.pointer}/responses"
        yield _change(seen, "observed-status-undocumented", "status", pointer, "/response/status", seen.status)
        return
    yield from _header_changes(seen)
    if seen.spec.media and seen.exchange.response.body and seen.media is None:
        media_type = seen.exchange.response.media_type
        pointer = f"{seen.spec.pointer}/content"
        location = f"{seen.status} content-type"
        yield _change(seen, "observed-media-type-undocumented", location, pointer, "/response/content", media_type)
    if seen.media is not None and seen.value is not MISSING:
        yield from _body_changes(seen, seen.media)


def _change(seen: ObservedExchange, rule: str, location: str, pointer: str, part: str, value: Any) -> DriftChange:
    """A change at `pointer` of the contract, or the note that the contract knows of this reading."""
    if is_disputed(seen, rule, pointer):
        rule = "observed-disputed-reading"
    return make_change(
        rule,
        location=location,
        operation=seen.name,
        old=_documented(seen, pointer),
        new=seen.position(part),
        values={"new": value},
    )


def _header_changes(seen: ObservedExchange) -> Iterator[DriftChange]:
    assert seen.spec is not None
    contract, spec = seen.contract, seen.spec
    documented = {name.lower(): header for name, header in spec.headers.items()}
    limits = {name.lower() for name in contract.limits.headers.values()}
    for name, text in seen.exchange.response.headers:
        header = documented.get(name.lower())
        location, part = f"{seen.status} header.{name}", f"/response/headers#{name}"
        if header is None:
            if name.lower() not in USUAL_HEADERS | limits:
                yield _change(seen, "observed-header-undocumented", location, spec.pointer, part, text)
        elif MASK not in text:
            errors = header.errors(fit_text(contract.schemas, header.schema, text))
            if next(errors, None) is not None:
                yield _change(seen, "observed-header-value-undocumented", location, header.pointer, part, text)


def _body_changes(seen: ObservedExchange, media: MediaType) -> Iterator[DriftChange]:
    for extra in undocumented_properties(seen.contract.schemas, seen.value, media_type_schemas(media)):
        location = f"{seen.status} body#{extra.path}"
        pointer = next(s.pointer for s in extra.around if "properties" in s.schema)
        part = f"/response/content/text#{extra.path}"
        yield _change(seen, "observed-field-undocumented", location, pointer, part, extra.value)
    for error, _ in zip(media.errors(seen.value), range(_MAX_ERRORS), strict=False):
        yield from _error_change(seen, error)


def _error_change(seen: ObservedExchange, error: SchemaError) -> Iterator[DriftChange]:
    tokens = [unescape(token) for token in error.pointer.split("/")[1:]]
    value = read_pointer(seen.value, tokens)
    if error.keyword in ("additionalProperties", "unevaluatedProperties", "patternProperties", "false"):
        return  # told as undocumented fields
    rule = _rule_of(seen, error, value)
    if isinstance(value, str) and MASK in value and rule != "observed-type-undocumented":
        return  # of what was masked, only the type is the provider's: it was a text
    path = _general(seen.value, tokens)
    yield _change(
        seen,
        rule,
        f"{seen.status} body#{path}",
        error.schema_pointer,
        f"/response/content/text#{error.pointer}",
        error.message if rule == "observed-field-missing" else value,
    )


def _rule_of(seen: ObservedExchange, error: SchemaError, value: Any) -> str:
    simple = {
        "type": "observed-type-undocumented",
        "enum": "observed-value-undocumented",
        "const": "observed-value-undocumented",
        "required": "observed-field-missing",
    }
    if error.keyword in simple:
        return simple[error.keyword]
    if error.keyword not in ("anyOf", "oneOf"):
        return "observed-value-out-of-bounds"
    around = _at(seen, error.schema_pointer.rpartition("/")[0])
    types = {kind for one in around for kind in _types(one.schema)}
    if types and not _holds(value, types):
        return "observed-type-undocumented"
    return "observed-value-undocumented" if enumerated_values(around) else "observed-value-out-of-bounds"


def _at(seen: ObservedExchange, pointer: str) -> list[LocatedSchema]:
    tokens = [unescape(token) for token in pointer.split("/")[1:]]
    schema = read_pointer(seen.contract.document.data, tokens)
    return [] if schema is MISSING else stated(seen.contract.schemas, schema, pointer)


def _types(schema: dict[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _holds(value: Any, types: set[str]) -> bool:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    kind = names.get(type(value), "number")
    return kind in types or (kind == "number" and "integer" in types)


def _general(value: Any, tokens: list[str]) -> str:
    """The path that `tokens` lead along, with `*` for indices."""
    path = ""
    for index, token in enumerate(tokens):
        around = read_pointer(value, tokens[:index])
        path += f"/{ANY}" if isinstance(around, list) else f"/{escape(token)}"
    return path


def _job_changes(conversation: tuple[ObservedExchange, ...]) -> Iterator[DriftChange]:
    last: str | None = None
    for seen, state in job_states(conversation):
        assert seen.job is not None
        assert seen.operation is not None
        known, status = seen.job.states, _status_operation(seen)
        location = f"{seen.status} {seen.state_place}"
        pointer = f"{status}/x-job/states"
        part = "/response/content/text"
        if state not in known:
            yield _change(seen, "observed-state-undocumented", location, pointer, part, state)
        elif last in known and not _reaches(seen, last, state):
            value = f"{last} -> {state}"
            pointer = f"{pointer}/{last}"
            yield _change(seen, "observed-transition-undocumented", location, pointer, part, value)
        last = state


def _status_operation(seen: ObservedExchange) -> str:
    operation = seen.operation
    assert operation is not None
    if operation.job is None and operation.speech is not None and operation.speech.answer.job:
        operation = seen.contract.operation(operation.speech.answer.job)
    return operation.pointer


def _reaches(seen: ObservedExchange, first: str, last: str) -> bool:
    """Whether `last` may follow `first`, with states in between that no poll met."""
    assert seen.job is not None
    known_states, reached, waiting = seen.job.states, set(), [first]
    while waiting:
        for state in known_states[waiting.pop()].next:
            if state not in reached and state in known_states:
                reached.add(state)
                waiting.append(state)
    return last in reached

"""Changes to inject into recordings: each alters every response that it affects, as a changed service would."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.formats.bodies import is_json
from voicegauge.formats.locations import read_pointer, write_value_at_pointer
from voicegauge.model.exchange import DOWNLOAD_OPERATION, Exchange, Response
from voicegauge.speech.containers import sniff_container
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode

Exchanges = Sequence[Exchange]


class Injected(NamedTuple):
    """A changed recording, and what is to be found."""

    exchanges: tuple[Exchange, ...]
    rule: str
    location: str
    """Part of the place that the report must name."""


class NotApplicableError(Exception):
    """The recording has nothing that this injection could change."""


Injection = Callable[[Contract, Exchanges, random.Random], Injected]
INJECTIONS: dict[str, Injection] = {}


def _injection(function: Injection) -> Injection:
    INJECTIONS[function.__name__] = function
    return function


def with_response(exchange: Exchange, **changes: Any) -> Exchange:
    return msgspec.structs.replace(exchange, response=msgspec.structs.replace(exchange.response, **changes))


def with_json(exchange: Exchange, value: Any) -> Exchange:
    return with_response(exchange, body=json.dumps(value, ensure_ascii=False).encode())


def _json_responses(exchanges: Exchanges) -> list[Exchange]:
    return [e for e in exchanges if is_json(e.response.media_type) and _is_one_value(e.response.body)]


def _is_one_value(body: bytes) -> bool:
    """Whether a body is one JSON value, rather than empty or a stream of lines of JSON."""
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _choose(options: Sequence[Any], rng: random.Random) -> Any:
    if not options:
        raise NotApplicableError
    return rng.choice(options)


def _same_kind(one: Exchange) -> Callable[[Exchange], bool]:
    return lambda other: (one.operation, one.response.status) == (other.operation, other.response.status)


def _edit_all(exchanges: Exchanges, one: Exchange, edit: Callable[[Any], Any]) -> tuple[Exchange, ...]:
    alike = _same_kind(one)
    return tuple(with_json(e, edit(json.loads(e.response.body))) if alike(e) else e for e in exchanges)


def _fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Fields of mappings, lists stepped over: there only their first entry counts."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key)
            yield from _fields(part, (*path, key))


def _state_and_charge(contract: Contract, operation: str) -> set[str]:
    found: set[str] = set()
    spec = contract.operations.get(operation)
    for owner in contract.operations.values():
        if owner.job:
            locations = (owner.job.state_location, owner.job.charge_location, owner.job.submit_response.state_location)
            found |= {str(location).rpartition("/")[2] for location in locations if location}
    if spec is not None and spec.speech is not None and spec.speech.response.charge_location:
        found.add(str(spec.speech.response.charge_location).rpartition("/")[2])
    return found


@_injection
def field_gone(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    one = _choose(_json_responses(exchanges), rng)
    skip = _state_and_charge(contract, one.operation) | {"id", "job_id", "request_id", "uuid", "polling_url"}
    paths = [p for p in _fields(json.loads(one.response.body)) if p[-1] not in skip]
    path = _choose(paths, rng)

    def remove(value: Any) -> Any:
        around = read_pointer(value, list(path[:-1]))
        if isinstance(around, dict):
            around.pop(path[-1], None)
        return value

    return Injected(_edit_all(exchanges, one, remove), "recorded-field-gone", "/".join(path))


@_injection
def field_new(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    one = _choose([e for e in _json_responses(exchanges) if isinstance(json.loads(e.response.body), dict)], rng)
    added = {"trace": {"node": "a7"}}
    return Injected(_edit_all(exchanges, one, lambda value: {**value, **added}), "recorded-field-new", "/trace")


@_injection
def type_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    one = _choose(_json_responses(exchanges), rng)
    skip = _state_and_charge(contract, one.operation) | {"id", "job_id", "request_id", "uuid", "polling_url"}
    value = json.loads(one.response.body)
    simple = (str, int, float, bool)
    paths = [p for p in _fields(value) if p[-1] not in skip and isinstance(read_pointer(value, list(p)), simple)]
    path = _choose(paths, rng)

    def wrap(body: Any) -> Any:
        held = read_pointer(body, list(path))
        if isinstance(held, simple):
            write_value_at_pointer(body, list(path), {"value": held})
        return body

    return Injected(_edit_all(exchanges, one, wrap), "recorded-type-changed", "/".join(path))


@_injection
def null_now(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    found = type_changed(contract, exchanges, rng)
    pointer_tokens = found.location.split("/")

    def empty(value: Any) -> Any:
        held = read_pointer(value, pointer_tokens)
        if isinstance(held, dict) and "value" in held:
            write_value_at_pointer(value, pointer_tokens, None)
        return value

    changed = [e for e, old in zip(found.exchanges, exchanges, strict=True) if e is not old]
    return Injected(_edit_all(found.exchanges, changed[0], empty), found.rule, found.location)


@_injection
def value_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    """A word that several responses share is replaced: the name of a model, a code, a media type."""
    words: dict[tuple[str, int, tuple[str, ...]], list[Any]] = {}
    for e in _json_responses(exchanges):
        value = json.loads(e.response.body)
        for path in _fields(value):
            words.setdefault((e.operation, e.response.status, path), []).append(read_pointer(value, list(path)))
    shared = [
        key
        for key, held in words.items()
        if len(held) > 1
        and len(set(map(str, held))) == 1
        and isinstance(held[0], str)
        and key[2][-1] not in _state_and_charge(contract, key[0])
        and not held[0][:4].isdecimal()
    ]
    operation, status, path = _choose(shared, rng)
    one = next(e for e in exchanges if (e.operation, e.response.status) == (operation, status))

    def rename(value: Any) -> Any:
        if isinstance(read_pointer(value, list(path)), str):
            write_value_at_pointer(value, list(path), "renamed-2")
        return value

    return Injected(_edit_all(exchanges, one, rename), "recorded-value-new", "/".join(path))


@_injection
def entry_gone(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    """A list loses an entry: a model or a voice is withdrawn."""
    options = []
    for e in _json_responses(exchanges):
        value = json.loads(e.response.body)
        for path in [(), *_fields(value)]:
            held = read_pointer(value, list(path))
            if isinstance(held, list) and len(held) > 2:
                options.append((e, path))
    one, path = _choose(options, rng)

    def shorten(value: Any) -> Any:
        held = read_pointer(value, list(path))
        del held[-1]
        return value

    return Injected(_edit_all(exchanges, one, shorten), "recorded-value-gone", "/".join(path))


def _job_responses(contract: Contract, exchanges: Exchanges) -> Iterator[tuple[int, Exchange, list[str]]]:
    for index, e in enumerate(exchanges):
        operation = contract.operations.get(e.operation)
        if operation is None or e.response.status >= 300:
            continue
        place = operation.job.state_location if operation.job else None
        if operation.speech and operation.speech.response.status_operation_id:
            place = contract.find_operation(
                operation.speech.response.status_operation_id
            ).job.submit_response.state_location  # type: ignore[union-attr]
        if place is not None:
            yield index, e, place.pointer_tokens


@_injection
def state_renamed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    responses = list(_job_responses(contract, exchanges))
    _, one, pointer_tokens = _choose(responses, rng)
    state = read_pointer(json.loads(one.response.body), pointer_tokens)
    changed = list(exchanges)
    for index, e, place in responses:
        value = json.loads(e.response.body)
        if read_pointer(value, place) == state:
            changed[index] = with_json(e, write_value_at_pointer(value, place, "rendering"))
    return Injected(tuple(changed), "recorded-state-new", "status")


@_injection
def states_swapped(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    responses = list(_job_responses(contract, exchanges))
    shown = list(dict.fromkeys(read_pointer(json.loads(e.response.body), place) for _, e, place in responses))
    if len(shown) < 3:
        raise NotApplicableError
    swap = {shown[0]: shown[1], shown[1]: shown[0]}
    changed = list(exchanges)
    for index, e, place in responses:
        value = json.loads(e.response.body)
        state = read_pointer(value, place)
        changed[index] = with_json(e, write_value_at_pointer(value, place, swap.get(state, state)))
    return Injected(tuple(changed), "recorded-state-order-changed", "status")


@_injection
def header_gone(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    framing = ("content-type", "content-length", "date", "transfer-encoding", "connection")
    one = _choose(exchanges, rng)
    name = _choose([n for n, _ in one.response.headers if n.lower() not in framing], rng)
    alike = _same_kind(one)

    def drop(e: Exchange) -> Exchange:
        return with_response(e, headers=tuple(pair for pair in e.response.headers if pair[0] != name))

    return Injected(tuple(drop(e) if alike(e) else e for e in exchanges), "recorded-header-gone", name)


@_injection
def header_new(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    alike = _same_kind(_choose(exchanges, rng))

    def add(e: Exchange) -> Exchange:
        return with_response(e, headers=(*e.response.headers, ("X-Region", f"eu-{rng.randrange(3)}")))

    return Injected(tuple(add(e) if alike(e) else e for e in exchanges), "recorded-header-new", "x-region")


@_injection
def header_value(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    def move(e: Exchange) -> Exchange:
        headers = tuple((n, "another/2" if n.lower() == "server" else v) for n, v in e.response.headers)
        return with_response(e, headers=headers)

    return Injected(tuple(map(move, exchanges)), "recorded-header-value-new", "server")


@_injection
def status_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    one = _choose(exchanges, rng)
    alike = _same_kind(one)
    other = {200: 203, 401: 403, 404: 410}.get(one.response.status, 418)
    changed = tuple(with_response(e, status=other) if alike(e) else e for e in exchanges)
    return Injected(changed, "recorded-status-changed", "status")


@_injection
def media_type_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    alike = _same_kind(_choose(_json_responses(exchanges), rng))

    def retype(e: Exchange) -> Exchange:
        headers = tuple(
            (n, "application/vnd.api+json" if n.lower() == "content-type" else v) for n, v in e.response.headers
        )
        return with_response(e, headers=headers)

    changed = tuple(retype(e) if alike(e) else e for e in exchanges)
    return Injected(changed, "recorded-media-type-changed", "content-type")


@_injection
def body_broken(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    alike = _same_kind(_choose(_json_responses(exchanges), rng))
    cut = tuple(with_response(e, body=e.response.body[:-2]) if alike(e) else e for e in exchanges)
    return Injected(cut, "recorded-body-unreadable", "body")


def _audio(exchanges: Exchanges) -> list[Exchange]:
    return [e for e in exchanges if sniff_container(e.response.body)]


def _with_audio(exchanges: Exchanges, make: Callable[[bytes], bytes]) -> tuple[Exchange, ...]:
    found = [id(e) for e in _audio(exchanges)]
    if not found:
        raise NotApplicableError
    return tuple(with_response(e, body=make(e.response.body)) if id(e) in found else e for e in exchanges)


@_injection
def container_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    def other(body: bytes) -> bytes:
        decoded = decode(body)
        name = "flac" if decoded.container != "flac" else "wav"
        return encode(decoded.samples, decoded.sample_rate_hz, name)[0]

    return Injected(_with_audio(exchanges, other), "recorded-audio-container-changed", "body")


@_injection
def rate_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    def slower(body: bytes) -> bytes:
        decoded = decode(body)
        rate = 16000 if decoded.sample_rate_hz != 16000 else 24000
        name = decoded.container if decoded.container in ("wav", "flac") else "mp3"
        return encode(decoded.samples[::2], 32000 if name == "mp3" else rate, name)[0]

    before = {decode(e.response.body).sample_rate_hz for e in _audio(exchanges)}
    after = _with_audio(exchanges, slower)
    if before & {decode(e.response.body).sample_rate_hz for e in _audio(after)}:
        raise NotApplicableError
    return Injected(after, "recorded-audio-format-changed", "body")


@_injection
def charge_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    changed, found = list(exchanges), False
    for index, e in enumerate(exchanges):
        operation = contract.operations.get(e.operation)
        if operation is None or e.response.status >= 300 or e not in _json_responses([e]):
            continue
        places = [operation.speech.response.charge_location] if operation.speech else []
        places += [operation.job.charge_location] if operation.job else []
        value = json.loads(e.response.body)
        for place in filter(None, places):
            pointer_tokens = place.pointer_tokens
            held = read_pointer(value, pointer_tokens)
            if isinstance(held, int | float):
                changed[index], found = with_json(e, write_value_at_pointer(value, pointer_tokens, held * 2)), True
    if not found:
        raise NotApplicableError
    return Injected(tuple(changed), "recorded-charge-changed", "body")


@_injection
def host_changed(contract: Contract, exchanges: Exchanges, rng: random.Random) -> Injected:
    """Audio moves to another host: its URL in responses, and the requests that fetch it."""
    urls = {e.request.url for e in exchanges if e.operation == DOWNLOAD_OPERATION}
    if not urls:
        raise NotApplicableError
    moved = {url: url.replace(url.split("/")[2], "cdn2.example", 1) for url in urls}

    def move(e: Exchange) -> Exchange:
        body = e.response.body
        for old, new in moved.items():
            body = body.replace(old.encode(), new.encode())
        request = msgspec.structs.replace(e.request, url=moved.get(e.request.url, e.request.url))
        return msgspec.structs.replace(with_response(e, body=body), request=request)

    return Injected(tuple(map(move, exchanges)), "recorded-value-new", "scheme and host")


def json_response(status: int, body: Any, **headers: str) -> Response:
    """Return a JSON response, for handwritten recordings."""
    pairs = (
        ("Content-Type", "application/json"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    )
    return Response(status=status, headers=pairs, body=json.dumps(body).encode())

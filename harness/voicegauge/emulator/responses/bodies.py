"""Bodies of answers out of the contract's examples, and out of its schemas where there are none."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from voicegauge.contract import MISSING, Example, MediaType, Operation, ResponseSpec, parse_location, read_pointer
from voicegauge.emulator.http import Refusal, Shaper, schemas_at
from voicegauge.emulator.responses.reply import Reply
from voicegauge.formats import is_json

STATUSES: Mapping[str, tuple[int, ...]] = {
    "invalid": (400, 422),
    "unauthorized": (401,),
    "no-credit": (402,),
    "forbidden": (403,),
    "not-found": (404,),
    "expired": (410, 404),
    "too-large": (413, 400, 422),
    "rate-limited": (429,),
    "internal": (500,),
    "busy": (503,),
}
"""The usual status codes of a situation, the first one documented being taken."""


class Draft(NamedTuple):
    """A body to start from."""

    value: Any
    example: Example | None


def error_reply(operation: Operation, refusal: Refusal) -> Reply:
    """The documented error whose `x-when` fits best, else one under the usual status code."""
    found = _fitting_error(operation, refusal.situation, refusal.about)
    if found is not None:
        spec, media, example = found
        status = int(spec.status) if spec.status.isdecimal() else _usual(refusal.situation, spec.status)
        return _error(operation, refusal, status, spec, media, copy.deepcopy(example.value))
    return _unmarked_error(operation, refusal)


def _unmarked_error(operation: Operation, refusal: Refusal) -> Reply:
    """The error documented under the situation's usual status code, whatever its examples are for."""
    usual = STATUSES.get(refusal.situation, (400,))
    status = next((code for code in usual if str(code) in operation.responses), usual[0])
    spec = operation.response(status)
    media = _json_media(spec)
    if media is None:
        value = _borrowed_error(operation, refusal) if spec is None else b""
        return _error(operation, refusal, status, spec, None, value)
    unmarked = next((example for example in media.examples if example.when is None), None)
    value = copy.deepcopy(unmarked.value) if unmarked else _sampled(media, refusal.detail)
    return _error(operation, refusal, status, spec, media, value)


@functools.lru_cache(maxsize=256)
def _fitting_error(
    operation: Operation, situation: str, about: str | None
) -> tuple[ResponseSpec, MediaType, Example] | None:
    return next(_fitting_errors(operation, situation, about), None)


def _fitting_errors(
    operation: Operation, situation: str, about: str | None
) -> Iterator[tuple[ResponseSpec, MediaType, Example]]:
    wanted = [f"{situation}:{about}"] if about else []
    wanted.append(situation)
    usual = [str(code) for code in STATUSES.get(situation, ())]
    if situation == "too-large":
        wanted += [f"invalid:{about}", "invalid"]
    if situation == "expired":
        wanted.append("not-found")
    for when in wanted:
        for status, spec in sorted(operation.responses.items(), key=lambda item: item[0] not in usual):
            if not status.startswith("2"):
                for media in spec.media.values():
                    yield from ((spec, media, example) for example in media.examples if example.when == when)


def _usual(situation: str, status_class: str) -> int:
    codes = STATUSES.get(situation, (400,))
    return next((code for code in codes if str(code)[0] == status_class[0]), codes[0])


def _error(
    operation: Operation, refusal: Refusal, status: int, spec: ResponseSpec | None, media: MediaType | None, value: Any
) -> Reply:
    name = media.name if media is not None else (None if value == b"" else "application/json")
    return Reply(
        kind="error",
        status=status,
        body=value,
        media_type=name,
        spec=spec,
        media=media,
        operation=operation,
        situation=refusal.situation,
    )


def _sampled(media: MediaType, text: str) -> Any:
    shaper = Shaper(media.contract.schemas, text)
    return shaper.sample(media.data.get("schema", {}), media.schema_pointer or media.pointer)


def _borrowed_error(operation: Operation, refusal: Refusal) -> Any:
    """A body for an error that the operation does not document, in the shape of one that it does."""
    for response in operation.responses.values():
        media = _json_media(response)
        if media is not None and not response.status.startswith("2"):
            return _sampled(media, refusal.detail)
    return {"error": refusal.detail}


def _json_media(response: ResponseSpec | None) -> MediaType | None:
    if response is None:
        return None
    return next((media for media in response.media.values() if is_json(media.name)), None)


def success_reply(operation: Operation, kind: Any, draft: Callable[[MediaType], Draft]) -> Reply:
    """The first documented success, with the body that `draft` makes for its JSON media type."""
    spec = operation.success
    status = int(spec.status) if spec.status.isdecimal() else 200
    media = _json_media(spec)
    if media is not None:
        return Reply(kind, status, draft(media).value, media.name, spec=spec, media=media, operation=operation)
    other = next(iter(spec.media.values()), None)
    if other is None:
        return Reply(kind, status, spec=spec, operation=operation)
    example = next(iter(other.examples), None)
    text = example.value if example is not None and isinstance(example.value, str) else ""
    return Reply(kind, status, text.encode(), other.name, spec=spec, media=other, operation=operation)


def plain_draft(media: MediaType) -> Draft:
    """The example there for the emulator, else the first that fits its schema, else the least that fits."""
    return best_draft(media, lambda _: ())


def best_draft(
    media: MediaType, rank: Callable[[Example], Iterable[Any] | None], seed: Mapping[str, Any] | None = None
) -> Draft:
    """The example that `rank` puts highest.

    Args:
        media: whose examples are meant.
        rank: what speaks for an example, the weightiest first; `None` rules it out.
        seed: values by place of the body, laid down before a body is made out of the schema.
    """
    ranked: list[tuple[Any, ...]] = []
    for example in media.examples:
        weights = rank(example)
        if weights is not None:
            ranked.append((_fits(media, example), *weights, example.inferred, -len(ranked), example))
    if ranked:
        example = max(ranked, key=lambda entry: entry[:-1])[-1]
        return Draft(copy.deepcopy(example.value), example)
    value: Any = None
    for place, item in (seed or {}).items():
        value = put(value, place, item)
    shaper = Shaper(media.contract.schemas)
    schema, pointer = media.data.get("schema", {}), media.schema_pointer or media.pointer
    value = shaper.sample(schema, pointer) if value is None else shaper.complete(schema, pointer, value)
    return Draft(value, None)


@functools.lru_cache(maxsize=256)
def _fits(media: MediaType, example: Example) -> bool:
    return next(media.errors(example.value), None) is None


def get(body: Any, place: str | None) -> Any:
    """The value at a body place; `MISSING` where there is none."""
    if place is None or not place.startswith("body"):
        return MISSING
    return read_pointer(body, parse_location(place).tokens)


def put(body: Any, place: str, value: Any) -> Any:
    """`body` with `value` at a body place, whatever stood in the way."""
    return _put(body, parse_location(place).tokens, value)


def _put(body: Any, tokens: list[str], value: Any) -> Any:
    if not tokens:
        return value
    token, rest = tokens[0], tokens[1:]
    if isinstance(body, list) and token.isdecimal():
        index = int(token)
        body.extend(None for _ in range(index + 1 - len(body)))
        body[index] = _put(body[index], rest, value)
        return body
    if not isinstance(body, dict):
        if token.isdecimal():
            return _put([], tokens, value)
        body = {}
    body[token] = _put(body.get(token), rest, value)
    return body


def known(media: MediaType | None, body: Any, place: str) -> bool:
    """Whether a body has a value at `place`, or its schema has one there."""
    if media is None or not place.startswith("body"):
        return False
    tokens = parse_location(place).tokens
    return read_pointer(body, tokens) is not MISSING or bool(
        next(schemas_at(media.contract.schemas, media.schema, tokens), None) is not None
    )


def localise(value: Any, replacements: Mapping[str, str]) -> Any:
    """`value` with every text that begins with a key of `replacements` led to its value instead."""
    if isinstance(value, dict):
        return {key: localise(item, replacements) for key, item in value.items()}
    if isinstance(value, list):
        return [localise(item, replacements) for item in value]
    if isinstance(value, str):
        for old, new in replacements.items():
            if value == old or value.startswith(f"{old}/"):
                return new + value[len(old) :]
    return value

"""Collects the values that all recordings have at one location of a response, so that an addition fits all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from voicegauge.contract import MISSING
from voicegauge.drift.traffic.preparation import ANY_INDEX, RecordedExchange, RecordedTraffic


def list_exchanges_with_same_documented_response(
    traffic: RecordedTraffic, recorded_exchange: RecordedExchange
) -> list[RecordedExchange]:
    """Return the exchanges whose responses the contract describes in the same place as that of `recorded_exchange`.

    If the contract does not describe that response, return the exchanges of the same operation with the same status.
    """
    return [other for other in traffic.exchanges if _get_response_key(other) == _get_response_key(recorded_exchange)]


def _get_response_key(recorded_exchange: RecordedExchange) -> tuple[str, str | int]:
    spec = recorded_exchange.response_spec
    return recorded_exchange.operation_id, recorded_exchange.status if spec is None else spec.pointer


def list_json_bodies(exchanges: Sequence[RecordedExchange], media_type: str) -> list[Any]:
    """Return the parsed bodies of the responses with this media type."""
    return [
        one.json_body
        for one in exchanges
        if one.json_body is not MISSING and one.exchange.response.media_type == media_type
    ]


def list_header_values(exchanges: Sequence[RecordedExchange]) -> dict[str, list[str]]:
    """Return the values of all response headers by name, which is spelled as in the first response with the header."""
    name_by_key: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    for one in exchanges:
        for name, text in one.exchange.response.headers:
            values.setdefault(name_by_key.setdefault(name.lower(), name), []).append(text)
    return values


def list_body_values(exchanges: Sequence[RecordedExchange], pointer_tokens: Sequence[str]) -> list[Any]:
    """Return the values at a path in the response bodies. In the path, `ANY_INDEX` stands for every index of a list."""
    return [value for one in exchanges for value in _iterate_values(one.json_body, pointer_tokens)]


def _iterate_values(value: Any, pointer_tokens: Sequence[str]) -> Iterator[Any]:
    if not pointer_tokens:
        yield value
    elif pointer_tokens[0] == ANY_INDEX and isinstance(value, list):
        for item in value:
            yield from _iterate_values(item, pointer_tokens[1:])
    elif isinstance(value, dict) and pointer_tokens[0] in value:
        yield from _iterate_values(value[pointer_tokens[0]], pointer_tokens[1:])
    elif isinstance(value, list) and pointer_tokens[0].isdecimal() and int(pointer_tokens[0]) < len(value):
        yield from _iterate_values(value[int(pointer_tokens[0])], pointer_tokens[1:])

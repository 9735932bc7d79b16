"""An exchange is parsed once for all of its readers, and freed with its last reference."""

from __future__ import annotations

import gc

import pytest
from msgspec.structs import replace

from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.formats.locations import parse_location
from voicegauge.model.exchange import Exchange, Request, Response


def exchange_with(body: bytes) -> Exchange:
    return Exchange(
        provider="p",
        operation="o",
        request=Request(method="POST", url="http://provider.test/?speed=1&speed=2", body=b'{"text": "hi"}'),
        response=Response(status=200, body=body),
    )


def test_an_exchange_is_parsed_once() -> None:
    exchange = exchange_with(b'{"state": "done"}')
    first, second = parse_exchange(exchange), parse_exchange(exchange)
    assert first.response_json is second.response_json
    assert first.request_json is second.request_json
    assert first.query_parameters is second.query_parameters
    assert first.query_parameters == {"speed": "2"}


def test_audio_is_not_parsed_as_json_to_read_a_header(monkeypatch) -> None:
    exchange = exchange_with(b"ID3 audio")
    response = replace(exchange.response, headers=(("X-Credits-Charged", "12.5"),))
    parsed = parse_exchange(replace(exchange, response=response))
    monkeypatch.setattr("voicegauge.contract.parsed_exchange.read_json", lambda _: pytest.fail("parsed as JSON"))
    assert parsed.read_response_number(parse_location("header.X-Credits-Charged")) == 12.5


def test_a_parsed_exchange_is_freed_with_its_last_reference() -> None:
    gc.disable()
    gc.collect(0)
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        exchange = exchange_with(b'{"state": "done"}')
        parsed = parse_exchange(exchange)
        assert parsed.response_json == {"state": "done"}
        assert parsed.query_parameters
        assert parsed.request_form is None
        kind = type(parsed)
        del exchange, parsed
        # A reference cycle would keep the bodies, which may be megabytes of audio, until a full collection.
        gc.collect(0)  # the exchange is as young as this test
        assert [found for found in gc.garbage if isinstance(found, kind)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

"""Speech that is streamed as events: assembled as it comes, and a failure with its kind where it is not whole."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from voicegauge.client.client import Client
from voicegauge.contract.contract import Contract
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery
from voicegauge.transport.http import MAX_READ_AFTER_STREAM_END_S, Transport
from voicegauge.transport.timing import Timeouts

from ..builders.servers import serving
from ..builders.virtual_time import run_in_virtual_time

SPEECH = b"RIFF and more of it" * 20
TYPE = "text/event-stream"


def _stream(document: dict[str, Any]) -> None:
    say = document["paths"]["/say"]["post"]
    say["x-speech"]["response"] = {
        "audio": {"location": "body", "delivery_method": "stream"},
        "charge_location": "header.X-Charged",
    }
    say["x-stream"] = {
        "event_type_location": "data#/type",
        "events": {
            "begin": {"successor_names": ["audio", "oops"], "data_schema": {"type": "object"}},
            "audio": {"successor_names": ["audio", "end", "oops"], "data_schema": {"type": "object"}},
            "end": {"terminal_outcome": "success", "data_schema": {"type": "object"}},
            "oops": {"terminal_outcome": "failure", "data_schema": {"type": "object"}},
        },
        "audio": {"event_type": "audio", "location": "data#/pcm"},
        "failure_reason_location": "data#/why",
        "end_marker": "[DONE]",
    }
    say["responses"]["200"]["content"] = {TYPE: {"schema": {"type": "string"}}}


@pytest.fixture(scope="session")
def streaming(contract) -> Contract:
    return contract(_stream)


def _event(kind: str, **more: Any) -> bytes:
    return b"data: " + json.dumps({"type": kind, **more}).encode() + b"\n\n"


def _audio(data: bytes) -> bytes:
    return _event("audio", pcm=base64.b64encode(data).decode())


WHOLE = _event("begin") + _audio(SPEECH[:9]) + _audio(SPEECH[9:]) + _event("end") + b"data: [DONE]\n\n"


def _speak(contract: Contract, script: Any, *, max_wait_s: float | None = None, **limits: float) -> Delivery:
    async def speak() -> Delivery:
        async with serving(script) as url, Transport(timeouts=Timeouts(**limits)) as transport:
            client = Client(contract, transport, base_urls={"": url}, max_wait_s=max_wait_s)
            return await client.speak(contract.find_target_by_name("sync"), SpeechRequest(text="Hello."))

    return run_in_virtual_time(speak())


def _pieces(*pieces: bytes | float) -> Any:
    """Return a response of `pieces`; numbers are pauses in seconds."""

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                await asyncio.sleep(piece)

    async def answer(_: Any) -> Response:
        return StreamingResponse(body(), media_type=TYPE, headers={"X-Charged": "3"})

    return answer


def test_the_audio_of_all_events_is_delivered(streaming, script) -> None:
    script.on("POST /say", _pieces(WHOLE))
    delivery = _speak(streaming, script)
    assert delivery.failure is None
    assert delivery.audio == SPEECH
    assert delivery.charged_usd == 3
    assert (delivery.audio_exchange_index, delivery.submit_exchange_index) == (0, 0)


def test_pieces_may_be_cut_anywhere_and_comments_stand_between(streaming, script) -> None:
    whole = (b": ping\n\n" + WHOLE).replace(b"\n", b"\r\n")
    cut = [piece for i in range(0, len(whole), 7) for piece in (whole[i : i + 7], 0.0005)]
    delivery = _speak(streaming, script.on("POST /say", _pieces(*cut)))
    assert delivery.audio == SPEECH
    timing = delivery.exchanges[0].timing
    assert timing is not None
    assert len(timing.chunk_arrivals) > 10
    assert sum(size for _, size in timing.chunk_arrivals) == len(whole)


def test_a_connection_that_stays_open_after_the_end_is_left(streaming, script) -> None:
    delivery = _speak(streaming, script.on("POST /say", _pieces(WHOLE, 20.0)))
    assert delivery.audio == SPEECH
    timing = delivery.exchanges[0].timing
    assert timing is not None
    assert timing.total_ms < MAX_READ_AFTER_STREAM_END_S * 1000, "the wait after the end is not the provider's time"


def test_what_comes_after_the_end_is_seen(streaming, script) -> None:
    delivery = _speak(
        streaming, script.on("POST /say", _pieces(WHOLE, MAX_READ_AFTER_STREAM_END_S / 5, _audio(b"more")))
    )
    assert delivery.exchanges[0].response.body.endswith(_audio(b"more"))


BAD: dict[str, tuple[tuple[bytes | float, ...], str, str]] = {
    "failed": ((_event("begin"), _event("oops", why="No voice left.")), "failed", "oops: No voice left."),
    "failed without a word": ((_event("oops", why=7),), "failed", "no reason given"),
    "truncated": (
        (_event("begin"), _audio(SPEECH)),
        "protocol",
        "without an event that ends it: the last of 2 is 'audio'",
    ),
    "without its marker": ((WHOLE.removesuffix(b"data: [DONE]\n\n"),), "protocol", "broke off"),
    "empty": ((), "protocol", "it has no events"),
    "no events": ((b"<html>" * 100,), "protocol", "it has no events"),
    "no base64": (
        (_event("audio", pcm="!"), _event("end"), b"data: [DONE]\n\n"),
        "protocol",
        "no valid base64 at data#/pcm",
    ),
    "no audio in it": ((_event("audio"), _event("end"), b"data: [DONE]\n\n"), "protocol", "no text at data#/pcm"),
    "no audio at all": ((_event("begin"), _event("end"), b"data: [DONE]\n\n"), "protocol", "is empty"),
    "stalled": ((_event("begin"), 5.0, WHOLE), "timeout", "nothing for 0.4 s"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_stream_that_is_not_whole_is_a_failure_with_its_kind(name, streaming, script) -> None:
    pieces, kind, message = BAD[name]
    delivery = _speak(streaming, script.on("POST /say", _pieces(*pieces)), read_s=0.4)
    assert delivery.audio is None
    assert delivery.failure is not None
    assert delivery.failure.kind == kind
    assert message in delivery.failure.message


def test_a_stream_of_slow_events_is_cut_off(streaming, script) -> None:
    events = [piece for _ in range(100_000) for piece in (_event("begin"), 0.01)]
    delivery = _speak(streaming, script.on("POST /say", _pieces(*events)), max_wait_s=0.3)
    assert delivery.failure is not None
    assert delivery.failure.kind == "timeout"
    assert "not done after 0.3 s in total" in delivery.failure.message


def test_a_broken_connection_is_the_network(streaming, script) -> None:
    async def breaks(_: Any) -> Any:
        async def answer(_scope: Any, _receive: Any, send: Any) -> None:
            head = [(b"content-type", TYPE.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": _event("begin"), "more_body": True})

        return answer

    delivery = _speak(streaming, script.on("POST /say", breaks))
    assert delivery.failure is not None
    assert delivery.failure.kind == "network"
    assert "may have been charged" in delivery.failure.message


def test_a_response_that_is_not_a_stream_is_a_protocol_failure(streaming, script) -> None:
    delivery = _speak(streaming, script.on("POST /say", JSONResponse({"note": "later"})))
    assert delivery.failure is not None
    assert delivery.failure.kind == "protocol"
    assert "is not an event stream" in delivery.failure.message


def test_a_rejection_is_not_a_stream_failure(streaming, script) -> None:
    delivery = _speak(streaming, script.on("POST /say", JSONResponse({"error": "text"}, 400)))
    assert delivery.failure is not None
    assert delivery.failure.kind == "rejected"

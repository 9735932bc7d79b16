"""Texts that quote a response have its undocumented words only if they cannot be a secret."""

from __future__ import annotations

import json

import msgspec
import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.model.exchange import Exchange, Request, Response, SocketMessage, SocketMessageLog
from voicegauge.recording.quoted_words import MAX_COMPARED_BYTES, mask_quoted_bytes, mask_undocumented_words

DEEPGRAM = load_catalogue().find_provider("deepgram")
LARGE = "x" * MAX_COMPARED_BYTES


def build_exchange(body: object, media_type: str = "application/json", **headers: str) -> Exchange:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(
        provider="deepgram",
        operation="speak",
        request=Request(
            method="POST",
            url="https://api.deepgram.com/v1/speak?model=aura-2-thalia-en",
            headers=(("Content-Type", "application/json"),),
            body=b'{"text": "Call 5551234567."}',
        ),
        response=Response(status=400, headers=(("Content-Type", media_type), *headers.items()), body=content),
    )


def quote(exchange: Exchange, text: str | None = None) -> str:
    quoted = exchange.response.body.decode(errors="replace") if text is None else text
    return mask_undocumented_words(DEEPGRAM, [exchange], quoted)


@pytest.mark.parametrize(
    "words",
    [
        "voice not found",
        "invalid_request_error: maxNewTokens must be less than 4096 (see /docs/errors)",
        "text/html; charset=utf",
        "<h1>use 'mp3', tts-1, whisper-large-v3 or large-v3-turbo",
        "Use GET /v1/models, or /api/v2/audio/voices.",
        "模型不存在,请检查参数后重试并联系管理员获取更多的帮助信息",
        "Die Stimme wurde nicht gefunden: bitte prüfen.",
        "aura-2-thalia-en cannot say 5551234567",  # the request has them
        "",
    ],
)
def test_ordinary_words_and_words_of_the_request_stay(words: str) -> None:
    exchange = build_exchange({"detail": words})
    assert quote(exchange, words) == words


@pytest.mark.parametrize(
    ("undocumented", "shown"),
    [
        ({"detail": "no a1b2c3d4e5 here"}, '{"detail": "no [redacted] here"}'),
        ({"password": "hunter"}, '{"password": "[redacted]"}'),
        ({"deep": [{"session": "swordfish"}]}, '{"deep": [{"session": "[redacted]"}]}'),
        ({"n": 991827364551}, '{"n": [redacted]}'),
        ({"x": "AbCdEfGhIj"}, '{"x": "[redacted]"}'),
        ({"x": "abcdefghijklmnopqrstuvwxyz"}, '{"x": "[redacted]"}'),
        ({"err_msg": "trace a1b2c3d4e5"}, '{"err_msg": "trace a1b2c3d4e5"}'),  # documented
    ],
)
def test_undocumented_words_that_could_be_secrets_are_masked(undocumented: object, shown: str) -> None:
    assert quote(build_exchange(undocumented)) == shown


@pytest.mark.parametrize("media_type", ["text/html", "application/xml", "application/json"])
def test_texts_without_structure_are_undocumented(media_type: str) -> None:
    assert quote(build_exchange(b"<Token>swordfish</Token> at a1b2c3 <br", media_type)) == (
        "<Token>[redacted]</Token> at [redacted] <br"
    )


STREAMED = "a1b2c3d4e5"
EVENTS_WITHOUT_JSON = {
    ("ttsai", "streamSpeech", "text/event-stream"): [
        f"data: one {STREAMED}",
        f": {STREAMED}",
        f"id: {STREAMED}",
        STREAMED,
        f"note: {STREAMED}",
        f'data: {{"audio": {STREAMED}',
    ],
    ("inworld", "synthesizeSpeechStream", "application/json"): [STREAMED, f"{{}}\n{STREAMED} {{}}"],
}


@pytest.mark.parametrize(
    ("provider", "operation", "media_type", "body"),
    [(*where, body) for where, bodies in EVENTS_WITHOUT_JSON.items() for body in bodies],
)
def test_events_that_are_not_json_are_undocumented(provider: str, operation: str, media_type: str, body: str) -> None:
    contract = load_catalogue().find_provider(provider)
    exchange = build_exchange(f"{body}\n\n".encode(), media_type)
    streamed = msgspec.structs.replace(
        exchange,
        provider=provider,
        operation=operation,
        response=msgspec.structs.replace(exchange.response, status=200),
    )
    assert STREAMED not in mask_undocumented_words(contract, [streamed], body)


def test_headers_and_escapes_are_found_too() -> None:
    exchange = build_exchange({"a": "one\na1b2c3d4e5"}, **{"X-Trace": "z9y8x7w6"})
    assert quote(exchange, "X-Trace: z9y8x7w6 / one\na1b2c3d4e5") == "X-Trace: [redacted] / one\n[redacted]"


@pytest.mark.parametrize("padding", ["", LARGE])
def test_slashes_may_be_escaped(padding: str) -> None:
    exchange = build_exchange(f'{{"a": "{padding}", "b": "ab\\/cd12ef34"}}'.encode())
    assert quote(exchange, "got ab/cd12ef34") == "got [redacted]"


@pytest.mark.parametrize("end", ["", "...", "…"])
def test_the_beginning_of_a_word_that_was_cut_off_is_masked(end: str) -> None:
    exchange = build_exchange({"a": "a1b2c3d4e5f6"})
    assert "a1b2" not in quote(exchange, f"got a1b2c3d4{end}")


@pytest.mark.parametrize(
    ("body", "quoted", "shown"),
    [
        ({"a": LARGE, "b": "no voice a1b2c3d4"}, "no voice a1b2c3d4", "no voice [redacted]"),
        (
            {"a": LARGE, "b": "no voice a1b2c3d4"},
            "262178 bytes, 98.71% of aB3dE5: a1b2",
            "262178 bytes, 98.71% of aB3dE5: [redacted]",
        ),
        ({"a": LARGE + " xa1b2c3d4"}, "no voice a1b2c3d4", "no voice a1b2c3d4"),
        ({"a": LARGE + "\na1b2c3d4é"}, "no voice a1b2c3d4é", "no voice [redacted]"),
        (f'{{"a": "{LARGE}", "b": "\\u0061\\u0031b2c3d4"}}'.encode(), "got a1b2c3d4", "got [redacted]"),
        (
            f'{{"a": "{LARGE}", "password": "hunter"}}'.encode(),
            'password: "hunter", 70000',
            'password: "[redacted]", 70000',
        ),
        (b'"' + b"\\u0061" * MAX_COMPARED_BYTES + b'"', "70000 a1b2c3d4", "[redacted] [redacted]"),
        (b'"' + b"\\/+" * MAX_COMPARED_BYTES + b' a1b2c3d4"', "70000 a1b2c3d4", "70000 [redacted]"),
        (LARGE.encode(), "model 5551234567 a1b2c3d4", "model 5551234567 a1b2c3d4"),
    ],
)
def test_of_a_body_too_large_to_compare_words_that_it_has_are_masked_and_ours_stay(
    body: object, quoted: str, shown: str
) -> None:
    assert quote(build_exchange(body), quoted) == shown


def test_with_a_large_body_words_of_headers_are_masked_and_those_of_the_request_stay() -> None:
    exchange = build_exchange(f"{LARGE} 5551234567".encode(), **{"X-Trace": "z9y8x7w6"})
    assert quote(exchange, "5551234567: z9y8x7w6 in 262144 bytes") == "5551234567: [redacted] in 262144 bytes"


@pytest.mark.parametrize("text", ["", LARGE])
def test_the_audio_of_a_websocket_hides_no_number_of_a_finding(text: str) -> None:
    messages = (
        SocketMessage(sender="client", at_ms=0, data=b'{"text": "Call 5551234567."}', is_binary=False),
        SocketMessage(sender="server", at_ms=1, data=b"\0\1" * MAX_COMPARED_BYTES, is_binary=True),
        SocketMessage(sender="server", at_ms=1, data=f"{text} error a1b2c3d4".encode(), is_binary=False),
    )
    exchange = msgspec.structs.replace(build_exchange(b""), socket=SocketMessageLog(messages=messages))
    quoted = "the turn has 524288 bytes of 5551234567, then: error a1b2c3d4"
    assert quote(exchange, quoted) == quoted.replace("a1b2c3d4", "[redacted]")


def test_only_words_of_the_exchange_are_masked() -> None:
    assert quote(build_exchange({"a": "a1b2c3d4"}), "HTTP 400, deepgram/aura-2") == "HTTP 400, deepgram/aura-2"
    assert mask_undocumented_words(DEEPGRAM, [], "a1b2c3d4") == "a1b2c3d4"
    empty = msgspec.structs.replace(build_exchange(b""), operation="unknown")
    assert quote(empty, "a1b2c3d4") == "a1b2c3d4"


def test_bytes_that_a_protocol_error_quotes_are_masked() -> None:
    error = "127.0.0.1:8080: connection lost: illegal status line: bytearray(b'HTTP/1.1 2OO a1b2c3 is wrong')"
    assert mask_quoted_bytes(error) == (
        "127.0.0.1:8080: connection lost: illegal status line: bytearray(b'HTTP/1.1 [redacted] [redacted] is wrong')"
    )

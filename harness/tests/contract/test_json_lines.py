"""Streams of lines of JSON, however they are split into chunks."""

from __future__ import annotations

import pytest

from voicegauge.formats import json_text as json_lines
from voicegauge.formats.bodies import UnreadableBodyError
from voicegauge.formats.json_text import JsonLinesParser

BODY = b'{"a": 1}\n\r\n{"b": "\xc3\xa9"}\r\n{"c": 3}'


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_lines_are_messages_wherever_the_stream_is_split(size) -> None:
    parser = JsonLinesParser()
    messages = [message for start in range(0, len(BODY), size) for message in parser.feed(BODY[start : start + size])]
    assert parser.has_partial_message
    messages += parser.finish()
    assert [message.text for message in messages] == ['{"a": 1}', '{"b": "é"}', '{"c": 3}']
    assert [BODY[: message.end_offset].count(b"{") for message in messages] == [1, 2, 3]
    assert messages[-1].end_offset == len(BODY)
    assert not parser.has_partial_message


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert JsonLinesParser().feed(b'"\xff"\n')[0].text == '"\ufffd"'


@pytest.mark.parametrize(
    ("limit", "chunk", "message"),
    [
        ("MAX_MESSAGE_BYTES", b"x" * 11, "a line of more than 10 bytes"),
        ("MAX_MESSAGE_BYTES", b"x" * 11 + b"\n", "a line of more than 10 bytes"),
        ("MAX_STREAM_BYTES", b"1\n" * 6, "a stream of more than 10 bytes"),
        ("MAX_STREAM_MESSAGES", b"1\n" * 11, "more than 10 messages"),
    ],
)
def test_a_stream_is_limited(limit, chunk, message, monkeypatch) -> None:
    monkeypatch.setattr(json_lines, limit, 10)
    with pytest.raises(UnreadableBodyError, match=message):
        JsonLinesParser().feed(chunk)

"""Messages are the same wherever chunks are split: server-sent events as WHATWG HTML specifies, and JSON Lines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicegauge.formats import message_streams
from voicegauge.formats.bodies import UnreadableBodyError
from voicegauge.formats.message_streams import JsonLinesParser, SseParser, StreamMessage


def read(*pieces: bytes) -> list[StreamMessage]:
    parser = SseParser()
    return [message for piece in pieces for message in parser.feed(piece)]


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ("data: a\n\n", [("message", "a")]),
        ("data:a\ndata: b\ndata\n\n", [("message", "a\nb\n")]),
        ("event: x\ndata: 1\n\ndata: 2\n\n", [("x", "1"), ("message", "2")]),
        ("event: x\n\ndata: 2\n\n", [("message", "2")]),
        (": a comment\n\n:\n\ndata: 1\n\n", [("message", "1")]),
        ("id: 7\nretry: 10\nunknown: y\ndata: 1\n\n", [("message", "1")]),
        ("data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("message", "a"), ("message", "b"), ("message", "c")]),
        ("data: a\r\ndata: b\r\n\r\n", [("message", "a\nb")]),
        ("data:  two spaces\n\n", [("message", " two spaces")]),
        ("data: a: b\n\n", [("message", "a: b")]),
        ("data:\n\n", [("message", "")]),
        ("\ufeffdata: a\n\n", [("message", "a")]),
        ("data: \u2028not a line\x0bend\n\n", [("message", "\u2028not a line\x0bend")]),
        ("data: never ended\n", []),
        ("", []),
    ],
)
def test_messages(body, messages) -> None:
    assert [(message.event_type, message.text) for message in read(body.encode())] == messages


LINES = st.sampled_from(["data: a", "data", "event: x", ": c", "id: 1", "", "data: \u00e9\u2028", "nonsense"])
ENDS = st.sampled_from(["\n", "\r", "\r\n"])
BODIES = st.lists(st.tuples(LINES, ENDS), max_size=20).map(lambda pairs: "".join(a + b for a, b in pairs).encode())


@given(BODIES, st.lists(st.integers(0, 200)))
@example(b"data: a\r\n\r\ndata: b\n\n", [9, 10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_chunks_may_be_split_anywhere(body, cuts) -> None:
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(bounds)]
    assert read(*pieces) == read(body)


@given(BODIES)
def test_a_message_is_returned_exactly_at_its_end(body) -> None:
    for number, message in enumerate(read(body), 1):
        assert len(read(body[: message.end_offset])) == number
        assert len(read(body[: message.end_offset - 1])) == number - 1


@given(st.binary(max_size=300))
def test_any_bytes_can_be_parsed(body) -> None:
    read(body)


def test_a_stream_that_ends_inside_a_message_is_recognized() -> None:
    parser = SseParser()
    parser.feed(b"data: a\n")
    assert parser.has_partial_message
    parser.feed(b"\n")
    assert not parser.has_partial_message


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_endless_message_exceeds_a_limit(monkeypatch, end) -> None:
    monkeypatch.setattr(message_streams, "MAX_MESSAGE_BYTES", 1000)
    with pytest.raises(UnreadableBodyError, match="more than 1000 bytes"):
        read(*([b"data: " + b"x" * 50 + end] * 100))


def test_empty_fields_exceed_a_limit(monkeypatch) -> None:
    monkeypatch.setattr(message_streams, "MAX_MESSAGE_BYTES", 1000)
    with pytest.raises(UnreadableBodyError, match="a message of more than 1000 bytes"):
        read(b"data\n" * 100)


def test_an_endless_stream_exceeds_a_limit(monkeypatch) -> None:
    monkeypatch.setattr(message_streams, "MAX_STREAM_BYTES", 1000)
    with pytest.raises(UnreadableBodyError, match="an event stream of more than 1000 bytes"):
        read(*([b"data: 1\n\n"] * 1000))


def test_invalid_utf_8_is_replaced() -> None:
    assert [message.text for message in read(b"data: a\xffb\n\n")] == ["a\ufffdb"]


def test_endless_messages_exceed_a_limit(monkeypatch) -> None:
    monkeypatch.setattr(message_streams, "MAX_STREAM_MESSAGES", 10)
    with pytest.raises(UnreadableBodyError, match="more than 10 messages"):
        read(b"data: 1\n\n" * 11)


BODY = b'{"a": 1}\n\r\n{"b": "\xc3\xa9"}\r\n{"c": 3}'


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_lines_of_json_are_messages_wherever_the_stream_is_split(size) -> None:
    parser = JsonLinesParser()
    messages = [message for start in range(0, len(BODY), size) for message in parser.feed(BODY[start : start + size])]
    assert parser.has_partial_message
    messages += parser.finish()
    assert [message.text for message in messages] == ['{"a": 1}', '{"b": "é"}', '{"c": 3}']
    assert [BODY[: message.end_offset].count(b"{") for message in messages] == [1, 2, 3]
    assert messages[-1].end_offset == len(BODY)
    assert not parser.has_partial_message


def test_bytes_in_lines_of_json_that_are_not_utf_8_are_replaced() -> None:
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
def test_lines_of_json_are_limited(limit, chunk, message, monkeypatch) -> None:
    monkeypatch.setattr(message_streams, limit, 10)
    with pytest.raises(UnreadableBodyError, match=message):
        JsonLinesParser().feed(chunk)

"""Splits streamed bodies into messages: server-sent events, and JSON Lines.

No library is used, because none reports where a message ends, which is needed to time the arrival of the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.formats.bodies import UnreadableBodyError, is_utf8

EVENT_STREAM_MEDIA_TYPE = "text/event-stream"
"""Media type of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
MAX_MESSAGE_BYTES = 16 * 2**20
"""Maximum size of a message: six minutes of 16-bit speech at 16 kHz in base64. A real message has only a chunk of
the speech."""
MAX_STREAM_MESSAGES = 100_000
"""Maximum number of messages in a stream. It is more than a stream of speech has, because an hour in chunks of 50 ms is
72,000 messages."""
MAX_STREAM_BYTES = 32 * 2**20
"""Maximum size of a stream, the same as for JSON: eight minutes of 16-bit speech at 24 kHz in base64."""
_MIN_FIELD_BYTES = 64
"""Minimum number of bytes that a field counts towards the size of its message, because even an empty field takes about
as much memory."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StreamMessage(NamedTuple):
    """One message of a streamed response: a server-sent event, or a line of JSON Lines."""

    event_type: str
    """The event field; "message" if there is none, as the standard specifies."""
    data: bytes
    """The data fields, joined with line feeds, or a line of JSON Lines; UTF-8, as a `str` may be four times larger."""
    end_offset: int
    """Number of bytes of the body up to the end of the message."""

    @property
    def text(self) -> str:
        """`data` as a `str`."""
        return self.data.decode()


class SseParser:
    """Parses a stream of server-sent events, which may be split into chunks anywhere."""

    def __init__(self) -> None:
        """Create a parser that has received nothing."""
        self._buffer = bytearray()
        self._searched = 0
        self._read = 0
        self._count = 0
        self._at_start, self._after_cr = True, False
        self._event, self._data = "", list[bytes]()
        self._size = 0

    @property
    def has_partial_message(self) -> bool:
        """Whether the last message is incomplete."""
        return bool(self._buffer or self._data or self._event)

    def feed(self, chunk: bytes) -> list[StreamMessage]:
        """Return the messages that `chunk` completes.

        Raises:
            UnreadableBodyError: a message is larger than `MAX_MESSAGE_BYTES`, the stream is larger than
                `MAX_STREAM_BYTES`, or there are more than `MAX_STREAM_MESSAGES`.
        """
        if self._read + len(self._buffer) + len(chunk) > MAX_STREAM_BYTES:
            raise UnreadableBodyError(f"is an event stream of more than {MAX_STREAM_BYTES} bytes")
        self._buffer += chunk
        if self._at_start and not self._skip_byte_order_mark():
            return []
        found: list[StreamMessage] = []
        start = 0
        for end_offset in self._iterate_line_ends():
            message = self._parse_line(bytes(self._buffer[start:end_offset]), self._read + end_offset + 1)
            start = end_offset + 1
            if message is not None:
                found.append(message)
        del self._buffer[:start]
        self._read += start
        self._searched = len(self._buffer)
        self._check_size_limits(len(self._buffer))
        return found

    def finish(self) -> list[StreamMessage]:
        """Return an empty list: a message without an empty line after it is incomplete, as the standard specifies."""
        return []

    def _check_size_limits(self, added_bytes: int) -> None:
        if self._size + added_bytes > MAX_MESSAGE_BYTES:
            raise UnreadableBodyError(f"has a message of more than {MAX_MESSAGE_BYTES} bytes")

    def _skip_byte_order_mark(self) -> bool:
        """Remove a byte order mark; return `False` while more bytes are needed to recognize it."""
        if len(self._buffer) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BYTE_ORDER_MARK):
            del self._buffer[: len(_BYTE_ORDER_MARK)]
            self._read += len(_BYTE_ORDER_MARK)
        self._at_start = False
        return True

    def _iterate_line_ends(self) -> Iterator[int]:
        """Yield the offset of each line end in the buffer, which is a CR or an LF."""
        # One after the other, because a search for a single byte is much faster than a search for one of two. Each is
        # searched for again only after it was reached, so that no byte is searched more than twice.
        at, received = self._searched, len(self._buffer)
        line_feed = carriage_return = -1
        while True:
            if line_feed < at:
                line_feed = self._find_byte_or_end(b"\n", at)
            if carriage_return < at:
                carriage_return = self._find_byte_or_end(b"\r", at)
            line_end = min(line_feed, carriage_return)
            if line_end == received:
                return
            yield line_end
            at = line_end + 1

    def _find_byte_or_end(self, byte: bytes, start: int) -> int:
        """Return the offset of the first `byte` in the buffer from `start` on; the size of the buffer without one."""
        found = self._buffer.find(byte, start)
        return len(self._buffer) if found < 0 else found

    def _parse_line(self, line: bytes, end_offset: int) -> StreamMessage | None:
        """Parse one line without its line end; return the message that it completes, or `None`."""
        follows_cr, self._after_cr = self._after_cr, self._buffer[end_offset - 1 - self._read] == ord("\r")
        if not line and follows_cr and not self._after_cr:
            return None  # the LF of CR LF
        if line:
            self._parse_field(line)
            return None
        event, data = self._event or "message", self._data
        self._event, self._data, self._size = "", [], 0
        if not data:
            return None
        self._count += 1
        if self._count > MAX_STREAM_MESSAGES:
            raise UnreadableBodyError(f"has more than {MAX_STREAM_MESSAGES} messages")
        return StreamMessage(event, b"\n".join(data), end_offset)

    def _parse_field(self, line: bytes) -> None:
        self._size += max(len(line), _MIN_FIELD_BYTES)
        self._check_size_limits(0)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(_replace_invalid_utf8(value.removeprefix(b" ")))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode(errors="replace")


def _replace_invalid_utf8(data: bytes) -> bytes:
    """Return UTF-8, with invalid bytes replaced as the standard specifies."""
    return data if is_utf8(data) else data.decode(errors="replace").encode()


# JSON Lines, also called NDJSON: one JSON value per line, each of which is one message.


JSON_LINES_MEDIA_TYPE = "application/x-ndjson"
"""The usual media type of JSON Lines; services also use application/jsonl, application/stream+json and
application/json."""


class JsonLinesParser:
    """Parses a stream of JSON Lines, which may be split into chunks anywhere. Empty lines are skipped."""

    def __init__(self) -> None:
        """Create a parser that has received nothing."""
        self._line = bytearray()
        self._read = 0
        self._count = 0

    @property
    def has_partial_message(self) -> bool:
        """Whether the last line is incomplete."""
        return bool(self._line.strip())

    def feed(self, chunk: bytes) -> list[StreamMessage]:
        """Return the messages that `chunk` completes.

        Raises:
            UnreadableBodyError: a line is larger than `MAX_MESSAGE_BYTES`, the stream is larger than
                `MAX_STREAM_BYTES`, or there are more than `MAX_STREAM_MESSAGES`.
        """
        if self._read + len(self._line) + len(chunk) > MAX_STREAM_BYTES:
            raise UnreadableBodyError(f"is a stream of more than {MAX_STREAM_BYTES} bytes")
        *lines, rest = chunk.split(b"\n")
        found: list[StreamMessage] = []
        for line in lines:
            self._line += line
            found += self._finish_line(line_end_bytes=1)
        self._line += rest
        if len(self._line) > MAX_MESSAGE_BYTES:
            raise UnreadableBodyError(f"has a line of more than {MAX_MESSAGE_BYTES} bytes")
        return found

    def finish(self) -> list[StreamMessage]:
        """Return the last message in a list if the stream ended without a line feed; otherwise an empty list."""
        return self._finish_line(line_end_bytes=0)

    def _finish_line(self, line_end_bytes: int) -> list[StreamMessage]:
        data = bytes(self._line).strip()
        self._read += len(self._line) + line_end_bytes
        self._line.clear()
        if not data:
            return []
        self._count += 1
        if self._count > MAX_STREAM_MESSAGES:
            raise UnreadableBodyError(f"has more than {MAX_STREAM_MESSAGES} messages")
        if len(data) > MAX_MESSAGE_BYTES:
            raise UnreadableBodyError(f"has a line of more than {MAX_MESSAGE_BYTES} bytes")
        return [StreamMessage("message", _replace_invalid_utf8(data), self._read)]

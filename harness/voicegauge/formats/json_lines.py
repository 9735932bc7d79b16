"""Parses JSON Lines, also called NDJSON: one JSON value per line, each of which is one message of a stream."""

from __future__ import annotations

from voicegauge.formats.bodies import UnreadableBodyError, is_utf8
from voicegauge.formats.sse import MAX_MESSAGE_BYTES, MAX_STREAM_BYTES, MAX_STREAM_MESSAGES, Message

JSON_LINES_MEDIA_TYPE = "application/x-ndjson"
"""The usual media type; services also use application/jsonl, application/stream+json and application/json."""


class JsonLinesParser:
    """Parses a stream incrementally. The stream may be split into chunks anywhere. Empty lines are skipped."""

    def __init__(self) -> None:
        """Start with an empty stream."""
        self._line = bytearray()
        self._read = 0
        self._count = 0

    @property
    def has_partial_message(self) -> bool:
        """Whether the last line is incomplete."""
        return bool(self._line.strip())

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that `chunk` completes.

        Raises:
            UnreadableBodyError: a line is larger than `MAX_MESSAGE_BYTES`, the stream is larger than
                `MAX_STREAM_BYTES`, or there are more than `MAX_STREAM_MESSAGES`.
        """
        if self._read + len(self._line) + len(chunk) > MAX_STREAM_BYTES:
            raise UnreadableBodyError(f"is a stream of more than {MAX_STREAM_BYTES} bytes")
        *lines, rest = chunk.split(b"\n")
        found: list[Message] = []
        for line in lines:
            self._line += line
            found += self._finish_line(line_end_bytes=1)
        self._line += rest
        if len(self._line) > MAX_MESSAGE_BYTES:
            raise UnreadableBodyError(f"has a line of more than {MAX_MESSAGE_BYTES} bytes")
        return found

    def finish(self) -> list[Message]:
        """Return the last message, if the stream ended without a line feed."""
        return self._finish_line(line_end_bytes=0)

    def _finish_line(self, line_end_bytes: int) -> list[Message]:
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
        text = data if is_utf8(data) else data.decode(errors="replace").encode()
        return [Message("message", text, self._read)]

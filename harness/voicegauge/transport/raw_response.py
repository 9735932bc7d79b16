"""Parses one HTTP/1.1 response while it arrives, with the parser of Node.js (llhttp)."""

from __future__ import annotations

import httpcore
import httptools

RawHeaders = list[tuple[bytes, bytes]]
"""Names and values of headers, unchanged as they were received."""
MAX_RESPONSE_HEAD_BYTES = 100 * 2**10
"""Maximum size of a status line with its headers, and of the trailer after a chunked body."""


class ResponseParser:
    """Parses the response to one request while it arrives. Raises the same errors as httpcore."""

    def __init__(self, method: bytes) -> None:
        """Prepare to parse the response to a request with `method`."""
        self._has_body = method != b"HEAD"
        self._parser = httptools.HttpResponseParser(self)
        # A body in chunks may have a length as well, which does not count then (RFC 9112, section 6.3).
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._parts: list[bytes] = []
        self._bytes_without_part = 0
        self._error: httpcore.RemoteProtocolError | None = None
        self.status = 0
        """The status; 0 until the headers are complete."""
        self.headers: RawHeaders = []
        self.is_complete = False
        self.keeps_connection = False
        """Whether another request can be sent on the connection."""

    def feed(self, data: bytes) -> None:
        """Parse bytes that arrived; empty bytes mean that the connection has ended.

        Raises:
            httpcore.RemoteProtocolError: `data` is not valid HTTP. If a part of the body comes before the invalid
                bytes, this part is kept, and the next call raises the error.
        """
        if self._error is not None:
            raise self._error
        if not data:
            self._handle_connection_end()
            return
        self._bytes_without_part += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._reject_response(f"the response is not valid HTTP: {error}")
        except httptools.HttpParserUpgrade:
            self._reject_response("the server switched to another protocol, which was not requested")
        if self._bytes_without_part > MAX_RESPONSE_HEAD_BYTES:
            self._reject_response("the headers are too large")

    def take_body_parts(self) -> list[bytes]:
        """Return the parts of the body that were parsed since the last call."""
        parts, self._parts = self._parts, []
        return parts

    def _handle_connection_end(self) -> None:
        if not self.status:
            raise httpcore.RemoteProtocolError("the server closed the connection without a response")
        has_end = any(
            name.lower() == b"content-length" or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self.headers
        )
        if has_end:
            raise httpcore.RemoteProtocolError("the server closed the connection before the end of the body")
        self.is_complete = True

    def _reject_response(self, reason: str) -> None:
        self.keeps_connection = False
        if self.is_complete:
            return
        self._error = httpcore.RemoteProtocolError(reason)
        if not self._parts:
            raise self._error

    def on_message_begin(self) -> None:
        """Note the start of a message. The parser calls this method."""
        if self.is_complete:
            self.keeps_connection = False  # the server sends what nobody requested

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header. The parser calls this method for each header."""
        if not self.status:  # later ones follow the body
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the end of the headers. The parser calls this method."""
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim response, such as 100 Continue
            self.headers.clear()
            return
        self.status = status
        self._bytes_without_part = 0
        if not self._has_body:
            self.on_message_complete()

    def on_body(self, body_part: bytes) -> None:
        """Store a part of the body. The parser calls this method."""
        if self.is_complete:
            self.keeps_connection = False
            return
        self._parts.append(body_part)
        self._bytes_without_part = 0

    def on_message_complete(self) -> None:
        """Note the end of the message. The parser calls this method."""
        if self.status and not self.is_complete:
            self.is_complete = True
            self.keeps_connection = self._parser.should_keep_alive()

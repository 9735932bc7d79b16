"""Requests, responses and their timing."""

from __future__ import annotations

from voicegauge.model.base import Record

DOWNLOAD = "(download)"
"""The `operation` of an exchange that downloaded audio from a URL without a documented operation."""
Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header `name`, ignoring case; `None` if it is absent."""
    wanted = name.lower()
    for key, value in headers:
        if key.lower() == wanted:
            return value
    return None


class Request(Record, frozen=True, kw_only=True):
    """An HTTP request as it was sent."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`, ignoring case; `None` if it is absent."""
        return header(self.headers, name)


class Response(Record, frozen=True, kw_only=True):
    """An HTTP response as it was received; any content encoding of `body` is decoded."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`, ignoring case; `None` if it is absent."""
        return header(self.headers, name)

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case; empty if there is none."""
        return (self.header("content-type") or "").split(";")[0].strip().lower()


class UploadedFile(Record, frozen=True, kw_only=True):
    """A file in a multipart body."""

    filename: str
    media_type: str
    data: bytes


class Timing(Record, frozen=True, kw_only=True):
    """The phases of one exchange, in milliseconds of a monotonic clock."""

    started_at: float
    """Unix time in seconds at the start of the exchange."""
    started_ms: float
    """The monotonic clock at the start, so that exchanges of one run can be ordered."""
    wait_ms: float
    """Time spent waiting for a free connection of the pool."""
    connect_ms: float | None
    """DNS lookup and TCP connect; `None` on a reused connection."""
    tls_ms: float | None
    """TLS handshake; `None` on a reused connection and without TLS."""
    send_ms: float
    """Time to send the request."""
    ttfb_ms: float
    """From the last byte of the request to the first byte of the response."""
    receive_ms: float
    """From the first byte of the response to its last byte."""
    total_ms: float
    """From the start to the last byte, including the wait for a connection."""
    chunks: tuple[tuple[float, int], ...] = ()
    """The chunks of the body as (milliseconds after the start, number of bytes)."""


class Exchange(Record, frozen=True, kw_only=True, dict=True):  # the parsed bodies are cached in its `__dict__`
    """One request and its response.

    `operation` is an operation id of the contract. `timing` is `None` if it was not measured, as for a documented
    example or an imported cassette.
    """

    provider: str
    operation: str
    request: Request
    response: Response
    timing: Timing | None = None
    group: str | None = None
    """Shared by exchanges that belong together in a recording: the submit, polls and download of one job."""

"""One request and its response, with the times that the wire gave."""

from __future__ import annotations

from voicegauge.model.base import Record

DOWNLOAD = "(download)"
"""Stands for the operation of an exchange that fetched audio from a URL no document describes."""
Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str | None:
    """The first value of the header `name`, compared without case; `None` where absent."""
    wanted, length = name.lower(), len(name)
    for key, value in headers:
        # Rules look up dozens of headers per exchange; comparing lengths first spares most of the conversions.
        if len(key) == length and key.lower() == wanted:
            return value
    return None


class Request(Record, frozen=True, kw_only=True):
    """A request as it goes over the wire."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, compared without case."""
        return header(self.headers, name)


class Response(Record, frozen=True, kw_only=True):
    """A response as it came over the wire; `body` is decoded from any content encoding."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, compared without case."""
        return header(self.headers, name)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty where none was sent."""
        return (self.header("content-type") or "").split(";")[0].strip().lower()


class UploadedFile(Record, frozen=True, kw_only=True):
    """A file in a multipart body."""

    filename: str
    media_type: str
    data: bytes


class Timing(Record, frozen=True, kw_only=True):
    """The split of one exchange, in milliseconds of a monotonic clock."""

    started_at: float
    """Unix time, in seconds, at which the call began."""
    started_ms: float
    """The monotonic clock at that moment, so that exchanges of one run can be ordered."""
    wait_ms: float
    """Waiting for a free connection of the pool."""
    connect_ms: float | None
    """Name look-up and TCP connect; `None` on a warm connection."""
    tls_ms: float | None
    """TLS handshake; `None` on a warm connection and over plain HTTP."""
    send_ms: float
    """Writing the request."""
    ttfb_ms: float
    """From the request's last byte sent to the response's first byte."""
    receive_ms: float
    """From the response's first byte to its last."""
    total_ms: float
    """From the call to the last byte, waiting included."""
    chunks: tuple[tuple[float, int], ...] = ()
    """Each piece of the body as (milliseconds after the call, bytes)."""


class Exchange(Record, frozen=True, kw_only=True, dict=True):  # the parsed bodies are cached in its `__dict__`
    """One request and its response.

    `operation` is the contract's operation id; `timing` is `None` where nobody
    measured (a documented example, an imported cassette).
    """

    provider: str
    operation: str
    request: Request
    response: Response
    timing: Timing | None = None
    group: str | None = None
    """What belongs together in a recording shares it: the submit, the polls and the download of one job."""

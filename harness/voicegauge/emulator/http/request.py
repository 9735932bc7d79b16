"""A request as it came, and as the contract reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicegauge.contract import MISSING, MediaType, Operation, parse_location, read_pointer


class Rejection(Exception):  # noqa: N818 - an answer, not an error: the request is turned down
    """A request that is answered with an error."""

    def __init__(self, reason: str, field: str | None, detail: str) -> None:
        """Name the situation, the field or parameter it is about, and what is wrong in one sentence."""
        super().__init__(detail)
        self.reason, self.field, self.detail = reason, field, detail


@dataclass(frozen=True)
class IncomingRequest:
    """A request to a provider; `path` is the provider's own, still escaped."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    base_url: str
    """"http://host:port/provider", by the Host header."""
    client: str
    """Address of who asks."""

    def header(self, name: str) -> str | None:
        """The header `name`, compared without case."""
        return self.headers.get(name.lower())


@dataclass(frozen=True)
class ParsedRequest:
    """A request read as one of the contract's operations."""

    incoming: IncomingRequest
    operation: Operation
    path: Mapping[str, Any]
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    """By name in lower case."""
    body: Any = MISSING
    """A JSON value, or form fields by name; `MISSING` where none was sent."""
    media: MediaType | None = None

    def read(self, location: str) -> Any:
        """The value at `location`; `MISSING` where nothing is there."""
        parsed = parse_location(location)
        kind, key = parsed.kind, parsed.name
        if kind == "body":
            return read_pointer(self.body, parse_location(location).tokens)
        if kind == "header":
            return self.headers.get(key.lower(), MISSING)
        return (self.query if kind == "query" else self.path).get(key, MISSING)

"""Defines incoming requests, before and after they are parsed according to the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicegauge.contract import MISSING, MediaType, Operation
from voicegauge.formats import Location, MultipartReader


class Rejection(Exception):  # noqa: N818 - part of normal operation: it selects the error response
    """Raised when a request must get an error response."""

    def __init__(self, reason: str, field_name: str | None, detail: str) -> None:
        """Store why the request is rejected.

        Args:
            reason: the rejection reason, for example "invalid" or "not-found".
            field_name: name of the field or parameter that caused the rejection; `None` if none did.
            detail: one sentence about what is wrong.
        """
        super().__init__(detail)
        self.reason, self.field_name, self.detail = reason, field_name, detail


@dataclass
class IncomingRequest:
    """A request as it was received."""

    method: str
    path: str
    """Path below the provider's prefix, with its percent-escapes."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Headers of the request, with names in lower case."""
    body: bytes
    """The body; empty for a form that `form_reader` parsed, and after `parse_request`, to free memory."""
    base_url: str
    """The provider's URL in this emulator, such as "http://host:port/provider", built from the Host header."""
    client_address: str
    """Network address of the client."""
    raw_query: str = ""
    """The query as it was received, with its percent-escapes."""
    body_size_bytes: int = 0
    """Size of the body that was received."""
    form_reader: MultipartReader | None = None
    """Reader that parsed a form while it was received; `None` for any other body, and after `parse_request`."""

    def find_header(self, name: str) -> str | None:
        """Return the value of the header `name` in any letter case; `None` if the request has no such header."""
        return self.headers.get(name.lower())


@dataclass(frozen=True)
class ParsedRequest:
    """A request parsed as one of the contract's operations."""

    incoming_request: IncomingRequest
    operation: Operation
    path_parameters: Mapping[str, Any]
    query_parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Headers of the request, with names in lower case."""
    body: Any = MISSING
    """JSON value, or form fields by name; `MISSING` if the request has no body."""
    documented_media_type: MediaType | None = None
    """Documented media type that matches the Content-Type; `None` if the request has no documented body."""

    def read_value(self, location: Location) -> Any:
        """Return the value at `location`, for example "body#/text"; `MISSING` if there is none."""
        return location.read_request(self)

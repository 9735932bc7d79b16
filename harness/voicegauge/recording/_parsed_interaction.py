"""Defines the common form to which all foreign formats are parsed, and functions that convert single values.

"Interaction" is the term of VCR for a request with its response, as another tool recorded them.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from voicegauge.formats.dates import parse_http_date
from voicegauge.model.exchange import Request, Response, Timing
from voicegauge.model.socket_messages import SocketMessages


class NotImportedError(Exception):
    """Raised with the reason why an interaction cannot be imported. The import continues with the next interaction."""


class ParsedInteraction(NamedTuple):
    """One request with its response, in a form that does not depend on the tool that recorded them."""

    request: Request
    """The request as it is stored in the file. Its body may still be compressed, as that of the response."""
    response: Response
    recorded_at: dt.datetime | None = None
    timing: Timing | None = None
    """The measured times; `None` if there are none. The arrival times of chunks are missing in all foreign formats."""
    socket: SocketMessages | None = None
    """The messages of a WebSocket, whose handshake the request is; `None` for any other request."""
    notes: tuple[str, ...] = ()
    """Notes on information that is missing in the file."""


class UnparsedInteraction(NamedTuple):
    """An interaction that has not been parsed yet. Parsing it may fail."""

    method: str
    url: str
    """URL of the request for messages; "?" if it cannot be read."""
    parse: Callable[[], ParsedInteraction]
    """Function that parses the interaction. Raises `NotImportedError` if the interaction cannot be imported."""


class InteractionFile(NamedTuple):
    """The content of a file of another tool whose format was recognized."""

    file_format: str
    """Description of the file format for messages, such as "a cassette of vcrpy"."""
    interactions: Iterator[UnparsedInteraction]


def require_mapping(value: Any, value_name: str) -> dict[str, Any]:
    """Return `value` if it is a mapping.

    Raises:
        NotImportedError: `value` is not a mapping. The message contains `value_name`.
    """
    if isinstance(value, dict):
        return value
    raise NotImportedError(f"has no {value_name}" if value is None else f"its {value_name} is not a mapping")


def require_text(value: Any, value_name: str) -> str:
    """Return `value` if it is text; bytes are decoded as UTF-8.

    Raises:
        NotImportedError: `value` is neither text nor bytes. The message contains `value_name`.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise NotImportedError(f"has no {value_name}" if value is None else f"its {value_name} is not text")


def parse_status_code(value: Any) -> int:
    """Return a status code that is stored as a number or as text.

    Raises:
        NotImportedError: no response was received, or `value` is not a status code.
    """
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise NotImportedError("has no status code") from None
    if status == 0:  # browsers and proxies write 0 for a request without a response
        raise NotImportedError("no response was received: the request was blocked or aborted")
    if not 100 <= status <= 599:
        raise NotImportedError(f"its status code {status} is not valid")
    return status


def encode_text(text: str, encoding: str | None = None) -> bytes:
    """Encode `text` in `encoding`; if that is unknown or cannot represent `text`, encode it in UTF-8."""
    if encoding:
        try:
            return text.encode(codecs.lookup(encoding).name)
        except (LookupError, UnicodeError, ValueError):
            pass
    return text.encode("utf-8", "surrogatepass")


def parse_base64(text: Any, value_name: str) -> bytes:
    """Decode base64, ignoring line breaks.

    Raises:
        NotImportedError: `text` is not valid base64. The message contains `value_name`.
    """
    try:
        return base64.b64decode("".join(require_text(text, value_name).split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotImportedError(f"its {value_name} is not valid base64") from None


def parse_time(text: Any) -> dt.datetime | None:
    """Parse an ISO 8601 or HTTP date and convert it to UTC; `None` if `text` is neither."""
    if not isinstance(text, str):
        return None
    try:
        time = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return parse_http_date(text)
    try:
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    except OverflowError:
        return None

"""What every foreign format comes to: one request, its answer, and what the file does not say."""

from __future__ import annotations

import base64
import binascii
import codecs
import datetime as dt
import email.utils
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from voicegauge.model import Headers, Timing


class NotImportedError(Exception):
    """Why one interaction of a file is left out; the others are imported."""


class ParsedInteraction(NamedTuple):
    """One request and its answer, whatever tool wrote them down."""

    method: str
    url: str
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes
    """As the file holds it: perhaps still compressed."""
    recorded_at: dt.datetime | None = None
    timing: Timing | None = None
    """As far as the file has it: when the pieces of a body came is in none."""
    notes: tuple[str, ...] = ()
    """What the file lost, one sentence each."""


class UnparsedInteraction(NamedTuple):
    """One interaction that is not read yet."""

    method: str
    url: str
    """As far as it can be told without reading the rest; for messages."""
    read: Callable[[], ParsedInteraction]
    """Raises `NotImportedError`."""


class InteractionFile(NamedTuple):
    """A file by its format."""

    format: str
    """In words: "a cassette of vcrpy"."""
    entries: Iterator[UnparsedInteraction]


def as_mapping(value: Any, what: str) -> dict[str, Any]:
    """`value` where it is a mapping.

    Raises:
        NotImportedError: it is none.
    """
    if isinstance(value, dict):
        return value
    raise NotImportedError(f"has no {what}" if value is None else f"its {what} is no mapping")


def as_text(value: Any, what: str) -> str:
    """`value` as one line of text: bytes are read as UTF-8.

    Raises:
        NotImportedError: it is neither.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise NotImportedError(f"has no {what}" if value is None else f"its {what} is no text")


def as_status(value: Any) -> int:
    """A status code, written as a number or as text.

    Raises:
        NotImportedError: there was no answer, or it is no status code.
    """
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise NotImportedError("has no status code") from None
    if status == 0:
        raise NotImportedError("no answer was received: the request was blocked or broken off")
    if not 100 <= status <= 599:
        raise NotImportedError(f"its status code {status} is none")
    return status


def to_bytes(text: str, encoding: str | None = None) -> bytes:
    """`text` in `encoding`, else in UTF-8, as the tool that decoded it did."""
    if encoding:
        try:
            return text.encode(codecs.lookup(encoding).name)
        except (LookupError, UnicodeError, ValueError):
            pass
    return text.encode("utf-8", "surrogatepass")


def from_base64(text: Any, what: str) -> bytes:
    """What `text` stands for, line breaks left out.

    Raises:
        NotImportedError: it is no base64.
    """
    try:
        return base64.b64decode("".join(as_text(text, what).split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotImportedError(f"its {what} is no base64") from None


def to_time(text: Any) -> dt.datetime | None:
    """An ISO 8601 or HTTP date, in UTC; `None` where it is neither."""
    if not isinstance(text, str):
        return None
    try:
        found = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            found = email.utils.parsedate_to_datetime(text.strip())
        except ValueError:
            return None
    try:
        return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except OverflowError:
        return None

"""Places in a request or a response, written as one word.

- `body`: the whole body
- `body#/output/url/0`: a JSON pointer (RFC 6901) into a JSON body, or a form field
- `query.NAME`: a query parameter
- `path.NAME`: a path parameter
- `header.NAME`: a header
"""

from __future__ import annotations

import functools
import re
from typing import Any, Literal, NamedTuple, cast

from voicegauge.formats.located_yaml import unescape

LocationKind = Literal["body", "query", "path", "header"]
MISSING: Any = object()
"""Stands for "nothing there", since `None` is a value that JSON can carry."""
MAX_INDEX = 9_999
"""Into a list that is written: a place that asks for more is a slip."""
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class Location(NamedTuple):
    """A parsed place: where it lies, and the pointer (body) or name (elsewhere) in it."""

    kind: LocationKind
    key: str

    def __str__(self) -> str:
        """The place as it is written."""
        if self.kind == "body":
            return f"body#{self.key}" if self.key else "body"
        return f"{self.kind}.{self.key}"

    @property
    def tokens(self) -> list[str]:
        """The keys of a body place, outermost first."""
        return list(_tokens(self.key))


@functools.lru_cache(maxsize=4096)
def _tokens(pointer: str) -> tuple[str, ...]:
    return tuple(unescape(token) for token in pointer.split("/")[1:])


@functools.lru_cache(maxsize=4096)
def parse_location(text: str) -> Location:
    """Parse a place.

    Raises:
        ValueError: `text` is none of the forms above.
    """
    if text == "body":
        return Location("body", "")
    if text.startswith("body#/") and not re.search("~(?![01])", text):
        return Location("body", text[len("body#") :])
    kind, _, name = text.partition(".")
    if kind in ("query", "path", "header") and name:
        return Location(cast("LocationKind", kind), name)
    raise ValueError(f"{text!r} is no place: write body, body#/pointer, query.NAME, path.NAME or header.NAME")


def read_pointer(value: Any, tokens: list[str]) -> Any:
    """The value that `tokens` lead to, or `MISSING`."""
    for token in tokens:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return MISSING
    return value


def write_pointer(root: Any, tokens: list[str], new: Any) -> Any:
    """`root` with `new` at `tokens`; missing mappings and lists on the way are made.

    `root` is changed in place where it is a mapping or a list; the root to use is returned.

    Raises:
        ValueError: the way leads through a text or a number, or names no index of a list.
    """
    if not tokens:
        return new
    token, rest = tokens[0], tokens[1:]
    if root is None:
        root = [] if _INDEX.fullmatch(token) else {}
    if isinstance(root, list):
        index = int(token) if _INDEX.fullmatch(token) else None
        if index is None or index > MAX_INDEX:
            raise ValueError(f"{token!r} is no index of a list: it must be a number up to {MAX_INDEX}")
        root.extend(None for _ in range(index + 1 - len(root)))
        root[index] = write_pointer(root[index], rest, new)
    elif isinstance(root, dict):
        root[token] = write_pointer(root.get(token), rest, new)
    else:
        raise ValueError(f"{token!r} leads through a value that is no mapping and no list")  # noqa: TRY004
    return root

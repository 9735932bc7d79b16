"""Writes values as YAML or JSON for people to read: on one line if they fit, and without needless quotes.

PyYAML's dumper writes all of a document either on one line or on many, and cannot write comments. ruamel.yaml needs
the same decision for each mapping, and its own types for mappings with comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INDENT_SPACES = 2
MAX_LINE_WIDTH = 120
"""Largest number of characters in a line with a mapping. A longer mapping is written on several lines."""
_PLAIN_SCALAR_PATTERN = re.compile(r"[A-Za-z_/$](?:[A-Za-z0-9_./* -]|(?<! )#)*(?<! )")
"""Matches strings that need no quotes in any YAML version. Others are written as JSON, which is valid YAML."""
_RESERVED_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})
"""Words that YAML 1.1 or 1.2 reads as another type than a string unless they are in quotes."""


@dataclass(frozen=True)
class CommentedValue:
    """A value with a comment at the end of its first line. The mappings around it are written on several lines."""

    value: Any
    comment: str
    """One line without "#"."""


def format_scalar(value: Any, *, writes_json: bool = False) -> str:
    """Return a string, number, boolean or `None` as YAML, or as JSON if `writes_json` is true."""
    is_plain = (
        isinstance(value, str) and _PLAIN_SCALAR_PATTERN.fullmatch(value) and value.lower() not in _RESERVED_WORDS
    )
    if is_plain and not writes_json:
        return str(value)
    # YAML forbids unescaped control characters, but letters such as umlauts should stay readable.
    has_control_characters = isinstance(value, str) and not value.isprintable()
    return json.dumps(value, ensure_ascii=has_control_characters)


def format_on_one_line(value: Any, *, writes_json: bool = False) -> str:
    """Return a value on one line, with braces and brackets and without comments."""
    if isinstance(value, CommentedValue):
        return format_on_one_line(value.value, writes_json=writes_json)
    if isinstance(value, Mapping):
        members = (
            f"{format_scalar(str(key), writes_json=writes_json)}: {format_on_one_line(member, writes_json=writes_json)}"
            for key, member in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(format_on_one_line(item, writes_json=writes_json) for item in value) + "]"
    return format_scalar(value, writes_json=writes_json)


def iterate_entry_lines(key: str, value: Any, margin: str, *, writes_json: bool = False) -> Iterator[str]:
    """Yield the lines of `key: value`, each with `margin` before it and a line break after it.

    A mapping is written on one line if it fits and contains no comment.
    """
    comment = f"  # {value.comment}" if isinstance(value, CommentedValue) else ""
    value = value.value if isinstance(value, CommentedValue) else value
    name, on_one_line = format_scalar(key, writes_json=writes_json), format_on_one_line(value, writes_json=writes_json)
    width = len(margin) + len(name) + len(on_one_line) + len(comment) + 2
    is_short = width <= MAX_LINE_WIDTH and not _contains_comment(value)
    if not isinstance(value, Mapping) or not value or is_short:
        yield f"{margin}{name}: {on_one_line}{comment}\n"
        return
    yield f"{margin}{name}:{comment}\n"
    for child_key, child in value.items():
        yield from iterate_entry_lines(child_key, child, margin + " " * INDENT_SPACES, writes_json=writes_json)


def format_list_item(value: Any, margin: str, *, writes_json: bool = False) -> str:
    """Return the lines of an item of a list that is not in brackets, each with `margin` before it."""
    on_one_line = format_on_one_line(value, writes_json=writes_json)
    is_short = len(margin) + len(on_one_line) + 2 <= MAX_LINE_WIDTH and not _contains_comment(value)
    if not isinstance(value, Mapping) or not value or is_short:
        return f"{margin}- {on_one_line}\n"
    inner_margin = margin + " " * INDENT_SPACES
    lines = (
        line
        for key, member in value.items()
        for line in iterate_entry_lines(key, member, inner_margin, writes_json=writes_json)
    )
    return f"{margin}- " + "".join(lines).removeprefix(inner_margin)


def _contains_comment(value: Any) -> bool:
    if isinstance(value, CommentedValue):
        return True
    return isinstance(value, Mapping) and any(map(_contains_comment, value.values()))

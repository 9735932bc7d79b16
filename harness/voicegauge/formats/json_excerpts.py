"""Quotes the beginning of a JSON value in a message, without creating the text of the whole value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def quote_json(value: Any, max_characters: int, *, is_compact: bool = False) -> str:
    """Return the first `max_characters` characters of a value's JSON text.

    No ellipsis marks the cut, so that a secret that is cut off at the end can still be recognized.

    Args:
        value: a JSON value.
        max_characters: maximum length of the result.
        is_compact: whether to leave out the spaces after commas and colons.
    """
    comma, colon = (",", ":") if is_compact else (", ", ": ")
    text = ""
    for token in _generate_tokens(value, max_characters, comma, colon):
        text += token
        if len(text) >= max_characters:
            break
    return text[:max_characters]


def _generate_tokens(value: Any, max_characters: int, comma_text: str, colon_text: str) -> Iterator[str]:
    if isinstance(value, str):
        yield json.dumps(value[:max_characters], ensure_ascii=False)
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield comma_text if index else ""
            yield from _generate_tokens(item, max_characters, comma_text, colon_text)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield comma_text if index else ""
            yield json.dumps(key[:max_characters], ensure_ascii=False) + colon_text
            yield from _generate_tokens(item, max_characters, comma_text, colon_text)
        yield "}"
    else:
        yield json.dumps(value)

"""Shortens large JSON values, so that it costs little memory to say why one does not fit its schema.

The validator copies the value of each violation, and of each branch of `anyOf` below it: 31 MiB of a hostile body that
lacks twenty keys would take gigabytes.
"""

from __future__ import annotations

from typing import Any

MAX_NODES = 20_000
"""Number of values of a shortened value. A transcript with the times of its characters may have more, in which case its
start is explained."""
MAX_TEXT_CHARACTERS = 200_000
"""Number of characters of each text. It is above every documented limit of a text, so that a violation names that
limit, and a multiple of four, so that shortened base64 is base64."""
MAX_ALL_CHARACTERS = 400_000
"""Number of characters of all texts and keys."""


def shorten_value(value: Any) -> Any:
    """Return `value` if it is within the limits of this module, otherwise a copy of its start that is.

    Texts and lists are cut, and keys that are too long or too many are left out. The nesting of `value` is not limited:
    `read_json` does that.
    """
    shortening = _Shortening()
    shortened = shortening.shorten(value)
    return shortened if shortening.is_shortened else value


class _Shortening:
    """What may still be copied of one value."""

    def __init__(self) -> None:
        self._nodes, self._characters = MAX_NODES, MAX_ALL_CHARACTERS
        self.is_shortened = False

    def shorten(self, value: Any) -> Any:
        """Return a copy of `value` without what exceeds the limits."""
        self._nodes -= 1
        if isinstance(value, str):
            return self._cut(value)
        if isinstance(value, list):
            items = []
            for item in value:
                if self._is_full():
                    break
                items.append(self.shorten(item))
            return items
        if isinstance(value, dict):
            members = {}
            for key, member in value.items():
                if self._is_full():
                    break
                if len(key) > MAX_TEXT_CHARACTERS:
                    self.is_shortened = True
                    continue
                self._characters -= len(key)
                members[key] = self.shorten(member)
            return members
        return value

    def _cut(self, text: str) -> str:
        length = max(min(len(text), MAX_TEXT_CHARACTERS, self._characters), 0)
        self._characters -= length
        if length == len(text):
            return text
        self.is_shortened = True
        return text[:length]

    def _is_full(self) -> bool:
        """Whether no more values are copied, which shortens what is read now."""
        if self._nodes > 0 and self._characters > 0:
            return False
        self.is_shortened = True
        return True

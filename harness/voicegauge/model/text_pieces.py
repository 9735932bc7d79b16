"""Splits a text as a language model writes it: in pieces of a few letters, with their times."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from voicegauge.model.base import Record

_TOKEN_PATTERN = re.compile(r"\s*\S+\s*$|\s*\S+")
_MAX_TOKEN_CHARACTERS = 6
"""Maximum length of a piece of a word. English words of up to six letters are usually one token of a language model."""


class TextPacing(Record, frozen=True, kw_only=True):
    """How fast and in which pieces the text of a turn is sent."""

    pieces_per_s: float | None = None
    """Pieces per second; `None` if all pieces are sent at once."""
    burst: int = 1
    """Number of pieces that arrive together, as when a network delays some of them."""
    seed: int = 0
    """Seed of the random positions at which words are split."""

    def describe(self) -> str:
        """Return the pacing as a note: "30 pieces/s, 2 at a time"."""
        rate = "pieces at once" if self.pieces_per_s is None else f"{self.pieces_per_s:g} pieces/s"
        return f"{rate}, {self.burst} at a time" if self.burst > 1 else rate

    def split_text(self, text: str) -> Iterator[tuple[float, str]]:
        """Yield the pieces with the time of each, in seconds after the first. Joined they are the text."""
        pieces = list(split_into_tokens(text, self.seed))
        for index in range(0, len(pieces), max(self.burst, 1)):
            due_s = 0.0 if self.pieces_per_s is None else index / self.pieces_per_s
            yield due_s, "".join(pieces[index : index + max(self.burst, 1)])


def split_into_tokens(text: str, seed: int) -> Iterator[str]:
    """Yield pieces of a text: words with the blank before them, and parts of long words. Joined they are the text."""
    generator = random.Random(f"{seed} {text}")  # noqa: S311 - pieces of a text, not a secret
    for word in _TOKEN_PATTERN.findall(text):
        while len(word) > _MAX_TOKEN_CHARACTERS:
            length = generator.randint(3, _MAX_TOKEN_CHARACTERS)
            yield word[:length]
            word = word[length:]
        if word:
            yield word

"""How long it can take to say a text.

The bounds are wide on purpose: outside them lies no unusual voice but a broken answer
(cut short, another text, a loop). Across seventeen languages speech carries 39 bits a
second, at 5 to 8 syllables a second (Coupé et al., Science Advances 5(9), 2019); a
syllable is written with one character in Chinese and Korean, with one to three in
Japanese, and with about two and a half in alphabets.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class Rate(NamedTuple):
    """Characters a second between which any voice speaks."""

    slowest: float
    fastest: float


ALPHABET = Rate(slowest=4.0, fastest=45.0)
"""English is read at about 15 characters a second: a quarter of that is dictation, three
times that is faster than speech that can be followed (it is lost near 400 words a minute)."""
SYLLABIC = Rate(slowest=1.2, fastest=16.0)
"""Chinese and Korean are read at 4 to 5 characters a second, Japanese at up to 8."""
SYLLABIC_LANGUAGES = frozenset({"zh", "ja", "ko", "cmn", "yue"})
DIGIT_WEIGHT = 6
"""A digit is read as a word or more ("70" as "seventy"): as long as six letters at most."""
PAUSE_S = 1.0
"""The longest pause that a mark of punctuation is read with."""
_OPENING, _CLOSING = "([\uff08", ")]\uff09"
PADDING_S = 4.0
"""Silence before and after the speech that is still no other text."""


def spoken_range_s(text: str, language: str | None, speed: float = 1.0) -> tuple[float, float]:
    """The shortest and the longest plausible time to say `text`, in seconds.

    Args:
        text: what was to be said.
        language: its code, with or without a region; the script decides where it is `None`.
        speed: the factor that was asked for.
    """
    letters = digits = marks = syllabic = 0
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind == "N":
            digits += 1
        elif kind in "LM":
            letters += 1
            syllabic += _is_syllabic(character)
        elif kind in "PS":
            marks += 1
    code = (language or "").lower().replace("_", "-").partition("-")[0]
    rate = SYLLABIC if code in SYLLABIC_LANGUAGES or syllabic * 2 > letters else ALPHABET
    # What is in parentheses may be a direction to the voice that is not spoken.
    low = max(letters - _in_parentheses(text), 0) / (rate.fastest * speed)
    high = (letters + DIGIT_WEIGHT * digits) / (rate.slowest * speed) + PAUSE_S * marks / speed + PADDING_S
    return low, high


def _is_syllabic(character: str) -> bool:
    point = ord(character)
    return 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF or 0xAC00 <= point <= 0xD7AF


def _in_parentheses(text: str) -> int:
    depth = count = 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        count += depth > 0 and character.isalpha()
    return count

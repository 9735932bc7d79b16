"""Estimates plausible durations of spoken text.

The bounds are wide on purpose. A duration outside of them is not caused by an unusual voice but by a defect (audio cut
off, another text, a loop). Across seventeen languages speech carries about 39 bits per second, at 5 to 8 syllables per
second (Coupé et al., Science Advances 5(9), 2019). A syllable is written with one character in Chinese and Korean, with
one to three in Japanese, and with about two and a half in alphabets.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class SpeakingRateRange(NamedTuple):
    """The slowest and the fastest plausible rate, in characters per second."""

    slowest_characters_per_s: float
    fastest_characters_per_s: float


ALPHABETIC_SPEAKING_RATE_RANGE = SpeakingRateRange(slowest_characters_per_s=4.0, fastest_characters_per_s=45.0)
"""Plausible speaking rates in alphabetic scripts. English is read at about 15 characters per second. A quarter of that
rate is dictation, and three times that rate is not intelligible (the limit is near 400 words per minute)."""
SYLLABIC_SPEAKING_RATE_RANGE = SpeakingRateRange(slowest_characters_per_s=1.2, fastest_characters_per_s=16.0)
"""Plausible speaking rates in scripts in which a character stands for about a syllable. Chinese and Korean are read at
4 to 5 characters per second, Japanese at up to 8."""
SYLLABIC_LANGUAGES = frozenset({"zh", "ja", "ko", "cmn", "yue"})
"""Codes of the languages that are written in such scripts: Chinese, Japanese and Korean."""
CHARACTERS_PER_DIGIT = 6
"""Number of letters that a digit counts as, because it is read as a word ("7" as "seven", "70" as "seventy")."""
MAX_PAUSE_PER_PUNCTUATION_MARK_S = 1.0
"""The longest pause at a punctuation mark, in seconds."""
_OPENING, _CLOSING = "([\uff08", ")]\uff09"
MAX_SILENCE_AROUND_SPEECH_S = 4.0
"""The longest silence before and after the speech together, in seconds."""


def compute_plausible_duration_range_s(text: str, language: str | None, speed: float = 1.0) -> tuple[float, float]:
    """Return the shortest and the longest plausible duration of `text`, in seconds.

    Args:
        text: the spoken text.
        language: language code of the text, with or without a region; `None` to decide by the script.
        speed: the requested speed factor.
    """
    letters = digits = marks = syllabic = 0
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind == "N":
            digits += 1
        elif kind in "LM":
            letters += 1
            syllabic += _stands_for_syllable(character)
        elif kind in "PS":
            marks += 1
    code = (language or "").lower().replace("_", "-").partition("-")[0]
    rate = (
        SYLLABIC_SPEAKING_RATE_RANGE
        if code in SYLLABIC_LANGUAGES or syllabic * 2 > letters
        else ALPHABETIC_SPEAKING_RATE_RANGE
    )
    # Text in parentheses may be a direction to the voice, such as "(whispering)", which is not spoken.
    low = max(letters - _count_characters_in_parentheses(text), 0) / (rate.fastest_characters_per_s * speed)
    high = (
        (letters + CHARACTERS_PER_DIGIT * digits) / (rate.slowest_characters_per_s * speed)
        + MAX_PAUSE_PER_PUNCTUATION_MARK_S * marks / speed
        + MAX_SILENCE_AROUND_SPEECH_S
    )
    return low, high


def _stands_for_syllable(character: str) -> bool:
    """Whether a character is spoken as about one syllable: kana, Chinese characters, Hangul."""
    point = ord(character)
    return 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF or 0xAC00 <= point <= 0xD7AF


def _count_characters_in_parentheses(text: str) -> int:
    depth = count = 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        count += depth > 0 and character.isalpha()
    return count

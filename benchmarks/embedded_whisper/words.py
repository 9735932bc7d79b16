"""Defines the vocabulary of the embedded Whisper: the English words of the suites and the most common English words."""

from __future__ import annotations

import re
from functools import cache

from wordfreq import top_n_list

from voicegauge.bench.suites import load_suite

COMMON = 1500
"""Number of common words in addition to those of the suites, by the order of wordfreq."""
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "thirtieth",
]
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MEASURES = [
    "hundred",
    "thousand",
    "million",
    "billion",
    "point",
    "percent",
    "dollars",
    "dollar",
    "cents",
    "euros",
    "pounds",
    "degrees",
    "o'clock",
    "oh",
]
NUMBER_WORDS = [*ONES, *TEENS, *TENS, *ORDINALS, *MONTHS, *DAYS, *MEASURES]
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


@cache
def suite_words() -> tuple[str, ...]:
    """Return every English word of the suites, in lower case, sorted."""
    found: set[str] = set()
    for name in ("smoke", "standard"):
        for text in load_suite(name).texts:
            if text.language == "en":
                spelled = re.sub(r"\d+(?:st|nd|rd|th)\b", " ", text.text.lower().replace("\u2019", "'"))
                found.update(_WORD.findall(spelled))
    return tuple(sorted(found))


@cache
def common_words() -> tuple[str, ...]:
    """Return the most common English words that are spoken as words, not letter by letter."""
    listed = top_n_list("en", 3 * COMMON)
    spoken = [word for word in listed if _WORD.fullmatch(word) and (len(word) > 2 or word in _SHORT)]
    return tuple(spoken[:COMMON])


_SHORT = frozenset(
    [
        "a",
        "i",
        "am",
        "an",
        "as",
        "at",
        "be",
        "by",
        "do",
        "go",
        "he",
        "hi",
        "if",
        "in",
        "is",
        "it",
        "me",
        "my",
        "no",
        "of",
        "oh",
        "ok",
        "on",
        "or",
        "so",
        "to",
        "up",
        "us",
        "we",
    ]
)


@cache
def vocabulary() -> tuple[str, ...]:
    """Return all words of the vocabulary, sorted."""
    return tuple(sorted({*suite_words(), *common_words(), *NUMBER_WORDS}))

"""English for a recogniser that must be told which words may occur, and how each sounds."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

_ONES = (  # noqa: SIM905 - twenty words read better in two lines than in twenty
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905 - as above
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred"))
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_SYMBOLS = {
    "$": "dollars cents and",
    "€": "euros cents and",
    "£": "pounds pence and",
    "%": "percent",
    "&": "and",
    "+": "plus",
    "=": "equals",
    "@": "at",
    "°": "degrees",
}
_ABBREVIATIONS = {
    "dr": "doctor",
    "mr": "mister",
    "mrs": "missus",
    "ms": "miz",
    "prof": "professor",
    "st": "saint street",
    "vs": "versus",
    "etc": "et cetera",
    "km": "kilometers",
    "kg": "kilograms",
    "am": "a m",
    "pm": "p m",
}
_TOKEN = re.compile(
    r"(?P<number>[0-9][0-9,]*(?:\.[0-9]+)?)(?P<suffix>st|nd|rd|th)?|(?P<word>[a-z]+(?:'[a-z]+)*)|(?P<sign>\S)"
)
_DOTTED = re.compile(r"\b([a-z])\.([a-z])\b\.?")
_MAX_DIGITS = 15
"""Longer numbers are read digit by digit."""

# Letters to the phones of the CMU dictionary, longest first; rough, and only for words that the
# dictionary lacks: a wrong sound costs a deletion, a missing word would cost it always.
_SOUNDS = {
    "tion": "SH AH N",
    "igh": "AY",
    "tch": "CH",
    "ch": "CH",
    "sh": "SH",
    "th": "TH",
    "ph": "F",
    "wh": "W",
    "ng": "NG",
    "ck": "K",
    "qu": "K W",
    "ee": "IY",
    "ea": "IY",
    "oo": "UW",
    "ou": "AW",
    "ow": "OW",
    "oa": "OW",
    "oi": "OY",
    "oy": "OY",
    "ai": "EY",
    "ay": "EY",
    "au": "AO",
    "aw": "AO",
    "ie": "IY",
    "er": "ER",
    "ir": "ER",
    "ur": "ER",
    "ar": "AA R",
    "or": "AO R",
    "a": "AE",
    "b": "B",
    "c": "K",
    "d": "D",
    "e": "EH",
    "f": "F",
    "g": "G",
    "h": "HH",
    "i": "IH",
    "j": "JH",
    "k": "K",
    "l": "L",
    "m": "M",
    "n": "N",
    "o": "AA",
    "p": "P",
    "q": "K",
    "r": "R",
    "s": "S",
    "t": "T",
    "u": "AH",
    "v": "V",
    "w": "W",
    "x": "K S",
    "y": "IY",
    "z": "Z",
}


def count_spoken_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words that may be heard when `texts` are read aloud, in lower case.

    A number counts in each way it may be read: 1984 as a cardinal and as a year.
    """
    return Counter(word for text in texts for word in _spoken_words(text))


def _spoken_words(text: str) -> Iterator[str]:
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    settled = _DOTTED.sub(r"\1\2", plain.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    for token in _TOKEN.finditer(settled):
        if token["number"]:
            yield from _number_words(token["number"].replace(",", ""), ordinal=bool(token["suffix"]))
        elif token["word"]:
            yield from _ABBREVIATIONS.get(token["word"], token["word"]).split()
        else:
            yield from _SYMBOLS.get(token["sign"], "").split()


def _number_words(number: str, *, ordinal: bool) -> Iterator[str]:
    whole, _, decimals = number.partition(".")
    words = cardinal(int(whole)) if len(whole) <= _MAX_DIGITS else [_ONES[int(digit)] for digit in whole]
    yield from words
    if ordinal:
        yield _ordinal(words[-1])
    if len(whole) == 4:  # a year: nineteen eighty four, twenty oh five
        yield from (*cardinal(int(whole[:2])), *cardinal(int(whole[2:])), "oh")
    if decimals:
        yield from ("point", "and", *(_ONES[int(digit)] for digit in decimals), *cardinal(int(decimals[:_MAX_DIGITS])))


def cardinal(value: int) -> list[str]:
    """Spell a number from 0 up to a thousand trillion: 212 as two, hundred, twelve."""
    if value < 20:
        return [_ONES[value]]
    if value < 100:
        return [_TENS[value // 10 - 2], *(cardinal(value % 10) if value % 10 else [])]
    size, name = next((size, name) for size, name in _SCALES if value >= size)
    return [*cardinal(value // size), name, *(cardinal(value % size) if value % size else [])]


def _ordinal(word: str) -> str:
    if word in _IRREGULAR_ORDINALS:
        return _IRREGULAR_ORDINALS[word]
    return f"{word[:-1]}ieth" if word.endswith("y") else f"{word}th"


def guess_sounds(word: str) -> str:
    """Guess the phones of a word that no dictionary has, from its letters; "" where it has none."""
    phones: list[str] = []
    at = 0
    while at < len(word):
        for length in (4, 3, 2, 1):
            found = _SOUNDS.get(word[at : at + length]) if len(word) - at >= length else None
            if found:
                phones += found.split()
                at += length
                break
        else:
            at += 1
    return " ".join(phones)

"""Normalizes reference texts and transcripts before they are compared, depending on the language.

The version of a normalizer is increased whenever the output of the normalizer changes, because error rates of different
versions are not comparable.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

ErrorUnit = Literal["word", "character"]

CHARACTER_LANGUAGES = frozenset({"zh", "cmn", "yue", "ja", "ko", "th", "lo", "km", "my", "bo"})
"""Languages whose errors are counted in characters. They are written without spaces between words. Korean is included
because its spacing varies in practice."""
VOWEL_MARK_LANGUAGES = frozenset({"as", "bn", "gu", "hi", "kn", "ml", "mr", "ne", "or", "pa", "sa", "si", "ta", "te"})
"""Languages whose vowels are combining marks. Whisper's basic normalizer replaces marks with spaces, which would split
the words of these languages into consonants."""


class TextNormalizer(NamedTuple):
    """A function that normalizes text, with its id and the unit in which errors of normalized text are counted."""

    id: str
    """Name and version, such as "whisper-english/1"."""
    error_unit: ErrorUnit
    """Whether errors in normalized texts are counted in words or in characters."""
    normalize: Callable[[str], str]

    def __call__(self, text: str) -> str:
        """Normalize `text` to words separated by single spaces, or to characters without spaces."""
        return self.normalize(text)


def get_base_language(language_tag: str) -> str:
    """The language in a tag, without script and region, such as "en" for "en-GB"."""
    return language_tag.replace("_", "-").split("-")[0].lower()


def choose_normalizer(language: str) -> TextNormalizer:
    """The normalizer for `language`, a tag such as "en", "en-GB" or "zh-CN".

    - English: Whisper's English normalizer (numbers as digits, uniform contractions and spellings).
    - `CHARACTER_LANGUAGES`: NFKC and case folding; spaces, punctuation and symbols are removed.
    - `VOWEL_MARK_LANGUAGES`: the same, but words remain separated by spaces.
    - All other languages: Whisper's basic normalizer, after combining marks are removed. Otherwise it would split words
      at the dot of a lower-case "İ" and at Arabic and Hebrew vowel points, which only some texts contain.
    """
    base = get_base_language(language)
    if base == "en":
        return TextNormalizer("whisper-english/1", "word", _normalize_english)
    if base in CHARACTER_LANGUAGES:
        return TextNormalizer("characters/1", "character", _normalize_to_characters)
    if base in VOWEL_MARK_LANGUAGES:
        return TextNormalizer("words-and-marks/1", "word", _normalize_to_words)
    return TextNormalizer("whisper-basic/2", "word", _normalize_basic)


@cache
def _load_whisper_english_normalizer() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize: Callable[[str], str] = EnglishTextNormalizer()
    return normalize


@cache
def _load_whisper_basic_normalizer() -> Callable[[str], str]:
    from whisper_normalizer.basic import BasicTextNormalizer

    normalize: Callable[[str], str] = BasicTextNormalizer()
    return normalize


def _normalize_english(text: str) -> str:
    return _normalize_spaces(_load_whisper_english_normalizer()(text))


def _normalize_basic(text: str) -> str:
    letters = unicodedata.normalize("NFKC", text.lower())
    return _normalize_spaces(
        _load_whisper_basic_normalizer()("".join(char for char in letters if unicodedata.category(char)[0] != "M"))
    )


def _normalize_to_characters(text: str) -> str:
    return _normalize_to_words(text).replace(" ", "")


def _normalize_to_words(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Separators, punctuation, symbols and controls separate words; invisible joiners inside a word (Cf) are removed.
    characters = (
        "" if unicodedata.category(char) == "Cf" else " " if unicodedata.category(char)[0] in "ZPSC" else char
        for char in folded
    )
    return _normalize_spaces("".join(characters))


def _normalize_spaces(text: str) -> str:
    return " ".join(text.split())

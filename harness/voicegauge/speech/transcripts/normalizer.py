"""Text and transcript brought to one form before they are compared, by language and version.

A normaliser's version is raised whenever its output changes: error rates under another
version are not comparable.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

Unit = Literal["word", "character"]

UNSPACED = frozenset({"zh", "cmn", "yue", "ja", "ko", "th", "lo", "km", "my", "bo"})
"""Languages written without spaces between words, and Korean, whose spacing is free in practice:
their errors are counted in characters."""
MARKED = frozenset({"as", "bn", "gu", "hi", "kn", "ml", "mr", "ne", "or", "pa", "sa", "si", "ta", "te"})
"""Languages whose vowels are combining marks. Whisper's basic normaliser turns marks into spaces,
which would cut their words into consonants."""


class TextNormalizer(NamedTuple):
    """One way to bring text to a comparable form."""

    id: str
    """Name and version, such as "whisper-english/1"."""
    unit: Unit
    """What errors are counted in after it."""
    apply: Callable[[str], str]

    def __call__(self, text: str) -> str:
        """Give `text` in comparable form: words parted by single spaces, or characters alone."""
        return self.apply(text)


def base_language(tag: str) -> str:
    """Give the language of a tag without script and region: "en" of "en-GB"."""
    return tag.replace("_", "-").split("-")[0].lower()


def normalizer_for(language: str) -> TextNormalizer:
    """Give the normaliser of `language`, a tag such as "en", "en-GB" or "zh-CN".

    - English: Whisper's English one (numbers as digits, contractions and spellings settled).
    - Languages counted in characters: NFKC, case folded; spaces, punctuation and symbols removed.
    - Languages written with vowel marks: the same, with words kept apart.
    - All others: Whisper's basic one, without the marks that have no place in a letter: it would cut words at
      Arabic and Hebrew vowel points, which some write and others leave out, and at the dot of "İ" in small letters.
    """
    base = base_language(language)
    if base == "en":
        return TextNormalizer("whisper-english/1", "word", _english)
    if base in UNSPACED:
        return TextNormalizer("characters/1", "character", _characters)
    if base in MARKED:
        return TextNormalizer("words-and-marks/1", "word", _words_and_marks)
    return TextNormalizer("whisper-basic/2", "word", _basic)


@cache
def _whisper_english() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    made: Callable[[str], str] = EnglishTextNormalizer()
    return made


@cache
def _whisper_basic() -> Callable[[str], str]:
    from whisper_normalizer.basic import BasicTextNormalizer

    made: Callable[[str], str] = BasicTextNormalizer()
    return made


def _english(text: str) -> str:
    return _single_spaced(_whisper_english()(text))


def _basic(text: str) -> str:
    letters = unicodedata.normalize("NFKC", text.lower())
    return _single_spaced(_whisper_basic()("".join(char for char in letters if unicodedata.category(char)[0] != "M")))


def _characters(text: str) -> str:
    return _words_and_marks(text).replace(" ", "")


def _words_and_marks(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Separators, punctuation, symbols and controls part words; joiners inside a word (Cf) vanish.
    kept = (
        "" if unicodedata.category(char) == "Cf" else " " if unicodedata.category(char)[0] in "ZPSC" else char
        for char in folded
    )
    return _single_spaced("".join(kept))


def _single_spaced(text: str) -> str:
    return " ".join(text.split())

"""How texts are pronounced: sequences of phonemes, with the words that they belong to.

espeak-ng converts the text, so numbers and abbreviations are read as its voices read them. Only English is supported,
because the phoneme network was trained with it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from voicegauge.speech.espeak import transcribe_phonemes

PHONEMES = tuple("abdefhijklmnopstuvwzæðŋɐɑɒɔəɚɛɜɡɪɹɾʃʊʌʒʔθᵻ")  # noqa: RUF001
"""The phonemes that the network distinguishes: letters of the International Phonetic Alphabet as espeak-ng uses them
for English. Marks of stress, length and syllables are left out."""
BLANK = 0
"""Index of the symbol that stands for no phoneme (Graves et al., "Connectionist Temporal Classification", 2006). The
index of a phoneme is one more than its position in `PHONEMES`."""
SYMBOL_COUNT = len(PHONEMES) + 1
_INDEX_BY_PHONEME = {phoneme: index for index, phoneme in enumerate(PHONEMES, start=1)}
SUPPORTED_LANGUAGES = ("en",)
"""Codes of the languages whose speech can be aligned with its text."""


class Pronunciation(NamedTuple):
    """The phonemes of a text."""

    phonemes: tuple[int, ...]
    """Indices of the phonemes, in the order of speech."""
    word_starts: tuple[int, ...]
    """For each word, as espeak-ng divides the text, the position of its first phoneme in `phonemes`."""


@functools.lru_cache(maxsize=1024)
def pronounce(text: str, language: str = "en") -> Pronunciation:
    """Return how `text` is pronounced.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot convert the text, or does not speak the language.
    """
    phonemes: list[int] = []
    starts: list[int] = []
    for clause in transcribe_phonemes(text, language=language):
        for word in clause.split():
            encoded = encode_phonemes([word])
            if encoded:
                starts.append(len(phonemes))
                phonemes += encoded
    return Pronunciation(tuple(phonemes), tuple(starts))


def encode_phonemes(clauses: Iterable[str]) -> list[int]:
    """Return the indices of the phonemes in a transcription of espeak-ng, without stress and word boundaries."""
    text = re.sub(r"\(.*?\)", "", " ".join(clauses))  # "(en)" marks a change of language
    return [_INDEX_BY_PHONEME[letter] for letter in text if letter in _INDEX_BY_PHONEME]


def supports_language(language: str | None) -> bool:
    """Whether speech in `language` can be aligned with its text; `None` stands for an unknown language."""
    return language is not None and language.lower().replace("_", "-").partition("-")[0] in SUPPORTED_LANGUAGES

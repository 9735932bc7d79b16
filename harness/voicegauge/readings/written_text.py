"""Prepares written text for reading: digits, letters and Chinese characters in one form, and plain words."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

from voicegauge.readings.spoken_alternatives import fold_letters

CHARACTER_LANGUAGES = frozenset({"zh", "ja", "ko", "th", "lo", "km", "my", "bo"})
"""Languages that are compared character by character."""
_ARABIC_LETTERS = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي", "ـ": None}
)
"""Arabic letters that are written in several ways: forms of alef, hamza, final yeh and teh marbuta; without tatweel."""
_FRACTION_SIGN_PATTERN = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_NOTE_PATTERN = re.compile(r"[\[(][^)\]\d]*[)\]]|♪[^♪]*♪?")
"""Matches what a transcript says about sounds: "(music)". Text in parentheses with digits is spoken."""
_HESITATION_PATTERN = re.compile(r"\b(?:h+m+|m+hm+|m{2,}|u+h+|u+m+)\b", re.IGNORECASE)
_CHINESE_LANGUAGES = frozenset({"zh", "cmn", "yue", "wuu"})


def choose_reading_language(language_tag: str) -> str:
    """Return the language of a tag without its region; "zh" for all Chinese languages."""
    base = language_tag.replace("_", "-").split("-")[0].lower()
    return "zh" if base in _CHINESE_LANGUAGES else base


def prepare_text(text: str, language: str, *, is_transcript: bool) -> str:
    """Return `text` with compatible characters, digits and Chinese characters in one form.

    Args:
        text: text as it is written.
        language: code of the language, without region.
        is_transcript: whether notes in parentheses say nothing, because nobody speaks them.
    """
    text = _FRACTION_SIGN_PATTERN.sub(" ", text)
    text = unicodedata.normalize("NFKC", text).replace("\N{FRACTION SLASH}", "/")
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = "".join(_convert_digit(char) for char in text)
    if is_transcript:
        text = _NOTE_PATTERN.sub(" ", text)
    if language == "en":
        text = _HESITATION_PATTERN.sub(" ", text)
    if language == "zh":
        text = _load_chinese_converter()(text)
    return text


def _convert_digit(char: str) -> str:
    if char.isascii():
        return char
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


@functools.cache
def _load_chinese_converter() -> Callable[[str], str]:
    """Return the conversion of traditional into simplified Chinese characters."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC("t2s").convert
    return convert


def split_plain_words(text: str, language: str) -> list[str]:
    """Return the words of a text without entities, in one spelling; characters for `CHARACTER_LANGUAGES`."""
    if language == "en":
        text = _unify_english(text)
    if language in CHARACTER_LANGUAGES:
        folded = unicodedata.normalize("NFKC", text).casefold()
        return [char for char in folded if unicodedata.category(char)[0] in "LNM"]
    if language in ("ar", "fa", "ur"):
        text = text.translate(_ARABIC_LETTERS)
    if re.search(r"[ऀ-෿]", text):  # vowels are marks in the scripts of India
        marked = "".join(
            char if unicodedata.category(char)[0] in "LNM" else " "
            for char in text
            if unicodedata.category(char) != "Cf"
        )
        return marked.split()
    return re.findall(r"[^\W_]+", fold_letters(text))


def _unify_english(text: str) -> str:
    replacers, unify_spelling = _load_english_rules()
    text = text.lower()
    for pattern, replacement in replacers:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\bper cent\b", "percent", text)
    words = re.findall(r"[^\W_]+", fold_letters(text))
    return " ".join(unify_spelling(word) for word in words)


@functools.cache
def _load_english_rules() -> tuple[list[tuple[re.Pattern[str], str]], Callable[[str], str]]:
    """Return the contractions and the spellings of Whisper's English normalizer, without its numbers."""
    from whisper_normalizer.english import EnglishTextNormalizer

    normalizer = EnglishTextNormalizer()
    contractions = [(re.compile(pattern), to) for pattern, to in normalizer.replacers.items() if "'" in pattern]
    unify: Callable[[str], str] = normalizer.standardize_spellings
    return contractions, unify

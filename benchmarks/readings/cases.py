"""Cases of accepted readings: written by hand in `cases.txt`, and numbers generated with num2words.

num2words is an independent implementation of number words: it was not used to write `voicegauge.readings`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CASES_PATH = Path(__file__).with_name("cases.txt")
GENERATED_LANGUAGES = ("en", "de", "es", "fr", "it", "pt")
NUMBERS_PER_LANGUAGE = 60
ORDINALS = range(1, 32)
SENTENCE_BY_LANGUAGE = {
    "en": ("The clerk wrote down", "before lunch"),
    "de": ("Der Beamte notierte", "vor dem Essen"),
    "es": ("El empleado anotó", "antes de comer"),
    "fr": ("Le guichetier a noté", "avant de manger"),
    "it": ("L'impiegato ha scritto", "prima di pranzo"),
    "pt": ("O funcionário anotou", "antes do almoço"),
    "zh": ("职员写下了", "然后离开"),
}
"""What stands before and after an entity in a sentence."""


class ReadingCase(NamedTuple):
    """A written text and one of its accepted readings."""

    language: str
    kind: str
    written: str
    reading: str


def read_cases() -> list[ReadingCase]:
    """Return the cases written by hand."""
    cases = []
    for line in CASES_PATH.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            language, kind, written, *readings = (part.strip() for part in line.split(" | "))
            cases += [ReadingCase(language, kind, written, reading) for reading in readings]
    return cases


def generate_cases(seed: int = 7) -> list[ReadingCase]:
    """Return numbers and ordinals whose words num2words has written.

    Args:
        seed: decides which numbers are chosen.
    """
    from num2words import num2words

    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    cases = []
    for language in GENERATED_LANGUAGES:
        for _ in range(NUMBERS_PER_LANGUAGE):
            number = rng.randrange(10 ** rng.randint(1, 6))
            words = num2words(number, lang=language)
            cases.append(ReadingCase(language, "number", str(number), _repair_words(words, language)))
    for number in ORDINALS:
        words = num2words(number, lang="en", to="ordinal")
        cases.append(ReadingCase("en", "ordinal", f"{number}{_find_english_ending(number)}", words))
    return cases


def _repair_words(words: str, language: str) -> str:
    """Correct two mistakes of num2words: "einhunderteinstausend" and "centodicotto"."""
    if language == "de":
        return words.replace("einstausend", "eintausend")
    return words.replace("dicotto", "diciotto") if language == "it" else words


def _find_english_ending(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def change_one_digit(text: str, rng: random.Random) -> str | None:
    """Return `text` with another digit in one place; `None` if it has no digits."""
    places = [index for index, char in enumerate(text) if char.isdecimal()]
    if not places:
        return None
    place = rng.choice(places)
    old = int(text[place])
    new = rng.choice([digit for digit in range(10) if digit != old])
    return f"{text[:place]}{new}{text[place + 1 :]}"


def iterate_sentences(cases: list[ReadingCase]) -> Iterator[ReadingCase]:
    """Yield each case inside a sentence of its language."""
    for case in cases:
        if case.language in SENTENCE_BY_LANGUAGE:
            before, after = SENTENCE_BY_LANGUAGE[case.language]
            space = "" if case.language == "zh" else " "
            yield case._replace(
                written=f"{before}{space}{case.written}{space}{after}",
                reading=f"{before}{space}{case.reading}{space}{after}",
            )

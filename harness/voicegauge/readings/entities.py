"""Finds entities in a text (numbers, money, dates, times, telephone numbers, codes, units, names, addresses).

Each entity has its accepted readings as an expression. The text between entities consists of plain words.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

from voicegauge.readings import _entity_readings as entity_readings
from voicegauge.readings import _number_readings as numbers
from voicegauge.readings._entity_readings import iterate_chinese_entities
from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.spoken_alternatives import SILENCE, Expression, WordSequence, choice, phrase, sequence

EntityKind = Literal[
    "number", "ordinal", "fraction", "range", "percent", "money", "unit", "date", "time", "phone", "code", "address",
    "abbreviation", "name", "sign",
]  # fmt: skip
"""What an entity is. "address" is an address on the internet; the parts of a postal address are numbers, codes,
abbreviations and names."""
ENTITY_KINDS: tuple[EntityKind, ...] = get_args(EntityKind)
READ_LANGUAGES = frozenset(WORDS_BY_LANGUAGE) | {"zh", "ja"}
"""Languages in which numbers have readings in words. In other languages, a number in a text only equals the same
digits."""
_SIGN = r"(?P<minus>(?<![\w.,)])[-−+])?"
"""Regular expression of a sign before a number, which may be missing."""
_END = r"(?![\w])"
"""Regular expression of the end of a word."""
_PHONE_PATTERN = r"(?:\+\s?)?(?:\(\d{1,4}\)[\s.-]?|\d+[\s./-])\d[\d\s().\-/]{3,}\d(?!\w)"
"""Regular expression of what may be a telephone number."""
MIN_PHONE_DIGITS = 7
"""Smallest number of digits of a telephone number."""
_WEB_ADDRESS_PATTERN = (
    r"(?:https?://)?(?:www\.)?(?:[A-Za-z][\w-]*\.)+(?:com|org|net|edu|gov|io|de|fr|es|it|pt|eu|uk|br)\b(?:/[\w/-]*\w)?"
)
"""Regular expression of a web address."""
_SHORT_DATE_PATTERN = r"\b(?P<one>\d{1,2})(?P<sep>[./-])(?P<two>\d{1,2})(?P=sep)(?P<year>\d{4}|\d{2})\b"
"""Regular expression of a date in digits, such as 3/4/2026."""
_FRACTION_PATTERN = r"(?<![\w/])(?:(?P<whole>\d+) )?(?P<top>\d{1,2})/(?P<bottom>\d{1,3})(?![\w/])"
"""Regular expression of a fraction, which a whole number may precede."""


class Entity(NamedTuple):
    """A part of a text that can be read in several ways."""

    kind: EntityKind
    start: int
    """Index of the entity's first character in the text."""
    end: int
    """Index after the entity's last character."""
    readings: Expression


class _Pattern(NamedTuple):
    """A pattern for one kind of entity, and the function that reads its matches."""

    kind: EntityKind
    pattern: re.Pattern[str]
    read_match: Callable[[re.Match[str], str], Expression | None]
    """Returns the readings of a match in a language; `None` if it is another kind of entity."""


def iterate_entities(text: str, language: str) -> Iterator[Entity]:
    """Yield the entities of `text` in order.

    Args:
        text: text with ASCII digits.
        language: code of the language, without region.
    """
    if language in ("zh", "ja"):
        for start, end, kind, readings in iterate_chinese_entities(text, language):
            yield Entity(_convert_to_entity_kind(kind), start, end, readings)
        return
    if language not in WORDS_BY_LANGUAGE:
        for match in re.finditer(r"\d{1,3}(?:[,.٬]\d{3})+(?!\d)|\d+(?:[.,٫]\d+)?", text):
            yield Entity("number", match.start(), match.end(), _read_unknown_number(match[0]))
        return
    yield from _iterate_matches(text, language)


def _convert_to_entity_kind(kind: str) -> EntityKind:
    return next(one for one in ENTITY_KINDS if one == kind)


def _read_unknown_number(written: str) -> Expression:
    """Return a number as its digits, for languages whose number words are not known."""
    if re.fullmatch(r"\d{1,3}(?:[,.٬]\d{3})+", written):
        return WordSequence((re.sub(r"\D", "", written),))
    return WordSequence((re.sub(r"[,٫]", ".", written),))


def _iterate_matches(text: str, language: str) -> Iterator[Entity]:
    """Yield the earliest match at each position; if several patterns match there, the first of them counts."""
    patterns = _build_patterns(language)
    upcoming = [one.pattern.search(text) for one in patterns]
    at = 0
    while True:
        for index, match in enumerate(upcoming):
            if match is not None and match.start() < at:
                upcoming[index] = patterns[index].pattern.search(text, at)
        found = [(match.start(), index, match) for index, match in enumerate(upcoming) if match is not None]
        if not found:
            return
        start, index, match = min(found, key=lambda one: one[:2])
        readings = patterns[index].read_match(match, language)
        if readings is None:
            upcoming[index] = patterns[index].pattern.search(text, start + 1)
            continue
        yield Entity(patterns[index].kind, start, match.end(), readings)
        at = match.end()


@functools.cache
def _build_patterns(language: str) -> tuple[_Pattern, ...]:
    words = WORDS_BY_LANGUAGE[language]
    number = numbers.build_number_pattern(language)
    currency = "|".join(map(re.escape, sorted(words.currencies, key=len, reverse=True)))
    unit = "|".join(map(re.escape, sorted(words.units, key=len, reverse=True)))
    scale = r"(?:\s?(?P<scale>[tT]housand|[mMbB]il\w+|[tT]rillion|mrd|Mrd|Mio|mln|mld|bn|mn|[kKMB])\.?(?![\w]))?"
    month = "|".join(sorted(_list_month_names(language), key=len, reverse=True))
    abbreviation = "|".join(sorted(entity_readings.ABBREVIATIONS[language], key=len, reverse=True))
    signs = "".join(map(re.escape, words.signs))

    def pattern(
        kind: EntityKind, expression: str, read: Callable[[re.Match[str], str], Expression | None], flags: int = 0
    ) -> _Pattern:
        return _Pattern(kind, re.compile(expression, flags), read)

    return (
        pattern("address", r"[\w.+-]*\w@\w[\w-]*(?:\.\w[\w-]*)+", _read_address),
        pattern("address", _WEB_ADDRESS_PATTERN, _read_address),
        pattern("date", r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b", _read_iso_date),
        pattern("date", _SHORT_DATE_PATTERN, _read_short_date),
        *_build_month_patterns(language, month, pattern),
        *_build_time_patterns(language, pattern),
        pattern("code", r"\b\d{1,3}(?:\.\d{1,3}){2,}\b", _read_dotted_numbers),
        pattern("phone", _PHONE_PATTERN, _read_phone),
        pattern("phone", r"\+\d{7,}|\b\d{7,}\b(?![.,]\d)", _read_phone),
        pattern("money", rf"{_SIGN}(?P<sign>{currency})\s?(?P<number>{number}){scale}", _read_money),
        pattern("money", rf"{_SIGN}\b(?P<number>{number}){scale}\s?(?P<sign>{currency}){_END}", _read_money),
        pattern("range", rf"\b(?P<one>{number})\s?[-–—]\s?(?P<two>{number})(?P<percent>\s?%)?(?![\w-])", _read_range),
        pattern("percent", rf"{_SIGN}(?P<number>{number})\s?%", _read_percent),
        pattern("number", r"\b(?P<century>\d{2})?(?P<decade>\d)0'?s\b", _read_decade),
        pattern("unit", rf"{_SIGN}(?<![\w.])(?P<number>{number})\s?(?P<unit>{unit}){_END}", _read_quantity),
        *_build_ordinal_patterns(language, pattern),
        pattern("fraction", _FRACTION_PATTERN, _read_fraction),
        pattern("code", r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z\d]+(?:-[A-Za-z\d]+)*\b", _read_code),
        pattern("code", r"\b(?=[\dA-Z-]*\d)[\dA-Z]+(?:-[\dA-Z]+)+\b", _read_code),
        pattern("number", rf"{_SIGN}(?<![\w])(?P<number>{number}){_END}", _read_plain_number),
        pattern("number", r"(?<=\w )[IVX]{2,5}\b|(?<=[a-z] )[VX]\b", _read_roman),
        pattern("abbreviation", rf"\b(?:{abbreviation})(?:\.|(?![\w'])(?=\s[A-ZÀ-Ý\d])|$)", _read_abbreviation),
        pattern("name", entity_readings.NAME_PATTERN, _read_name),
        pattern("abbreviation", r"\b[A-Z]{2,6}\b", _read_acronym),
        pattern("sign", rf"[{signs}]", _read_sign),
    )  # fmt: skip


_PatternBuilder = Callable[..., _Pattern]


def _list_month_names(language: str) -> list[str]:
    names = [one for names in WORDS_BY_LANGUAGE[language].months for one in names.split("|")]
    return [
        *names,
        *(f"{one[:3]}\\." for one in names),
        *([f"{one[:3]}\\b" for one in names] if language == "en" else []),
        "Sept\\.?",
    ]


def _build_month_patterns(language: str, month: str, pattern: _PatternBuilder) -> list[_Pattern]:
    year = r"(?:,?\s+(?P<year>\d{4})\b)?"
    if language == "en":
        day = r"(?:the\s+)?(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
        month_first = rf"\b(?P<month>{month})\s+{day}\b(?![:.,]?\d){year}"
        day_first = rf"\b{day}\s+(?:of\s+)?(?P<month>{month})(?!\w){year}"
        return [pattern("date", one, _read_month_date) for one in (month_first, day_first)]
    link = r"(?:\s+(?:de|del|do))?\s+"
    day = r"\b(?P<day>[0-3]?\d)(?:\.|er|o|°)?"
    date = rf"{day}{link}(?P<month>{month})(?!\w)(?:{link}(?P<year>\d{{4}})\b)?"
    return [pattern("date", date, _read_month_date, re.IGNORECASE)]


def _build_time_patterns(language: str, pattern: _PatternBuilder) -> list[_Pattern]:
    half = r"(?:\s?(?P<half>[ap])\.?\s?m\b\.?)"
    clock = r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?![\d:])"
    hour_letter = {"fr": r"h(?:eures?)?", "es": "h(?:oras|rs?)?", "pt": "h(?:oras|rs?)?", "de": "Uhr", "it": "h"}.get(
        language
    )
    built = [pattern("time", rf"(?<![\d:.]){clock}{half}?", _read_time, re.IGNORECASE)]
    if hour_letter:
        suffixed = rf"(?<![\d:.]){clock}\s?{hour_letter}\b\.?"
        built.insert(0, pattern("time", suffixed, _read_time))
        dotted = rf"(?<![\d:.])(?P<hour>[01]?\d|2[0-4])\.(?P<minute>[0-5]\d)\s?{hour_letter}\b"
        built.append(pattern("time", dotted, _read_time))
        if language != "de":
            built.append(pattern("time", r"\b(?P<hour>[01]?\d|2[0-4])\s?h\s?(?P<minute>[0-5]\d)\b", _read_time))
    built.append(pattern("time", rf"(?<![\d:.,])(?P<hour>0?[1-9]|1[0-2]){half}", _read_time, re.IGNORECASE))
    return built


def _build_ordinal_patterns(language: str, pattern: _PatternBuilder) -> list[_Pattern]:
    ending = {
        "en": "(?:st|nd|rd|th)",
        "fr": "(?:ers?|res?|ères?|èmes?|emes?|es?|nde?)",
        "es": r"(?:\.?[oa]|er)",
        "it": r"\.?[oa]",
        "pt": r"\.?[oa]",
    }.get(language)
    return [pattern("ordinal", rf"\b(?P<number>\d+){ending}\b", _read_ordinal)] if ending else []


def _read_address(match: re.Match[str], language: str) -> Expression:
    return entity_readings.read_internet_address(match[0], language)


def _read_iso_date(match: re.Match[str], language: str) -> Expression | None:
    return _read_valid_date(int(match["day"]), int(match["month"]), match["year"], language)


def _read_short_date(match: re.Match[str], language: str) -> Expression | None:
    one, two = int(match["one"]), int(match["two"])
    day, month = (one, two) if WORDS_BY_LANGUAGE[language].day_first or match["sep"] == "." else (two, one)
    if month > 12 and day <= 12 and match["sep"] == "/":
        day, month = month, day
    return _read_valid_date(day, month, match["year"], language)


def _read_valid_date(day: int, month: int, year: str, language: str) -> Expression | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return entity_readings.read_numeric_date(day, month, year, language)


def _read_month_date(match: re.Match[str], language: str) -> Expression | None:
    month, day = entity_readings.find_month(match["month"], language), int(match["day"])
    return entity_readings.read_date(day, month, match["year"], language) if month and 1 <= day <= 31 else None


def _read_time(match: re.Match[str], language: str) -> Expression | None:
    groups = match.groupdict()
    half = (groups.get("half") or "").lower()
    hour, minute, second = int(match["hour"]), int(groups.get("minute") or 0), groups.get("second")
    return entity_readings.read_time(
        hour, minute, int(second) if second is not None else None, f"{half}m" if half else "", language
    )


def _read_dotted_numbers(match: re.Match[str], language: str) -> Expression | None:
    if language != "en" and re.fullmatch(r"\d{1,3}(?:\.\d{3})+", match[0]):
        return None
    return entity_readings.read_dotted_numbers(match[0], language)


def _read_phone(match: re.Match[str], language: str) -> Expression | None:
    written = match[0]
    digit_count = sum(map(str.isdigit, written))
    is_grouped_number = re.fullmatch(r"[1-9]\d{0,2}(?:[ .]\d{3})+", written) and language != "en"
    if digit_count < MIN_PHONE_DIGITS or (is_grouped_number and "." in written):
        return None
    reading = numbers.read_telephone_number(written, language)
    return choice([numbers.read_number(written, language), reading]) if is_grouped_number else reading


def _read_money(match: re.Match[str], language: str) -> Expression:
    reading = numbers.read_money(match["number"], match["sign"], match["scale"], language)
    return numbers.read_signed(match["minus"] or "", reading, language)


def _read_range(match: re.Match[str], language: str) -> Expression:
    words = WORDS_BY_LANGUAGE[language]
    ends = [numbers.read_number(match[name], language) for name in ("one", "two")]
    percent = phrase(words.percent) if match["percent"] else SILENCE
    links = choice([phrase(words.range_word), SILENCE, *([phrase("minus|dash")] if language == "en" else [])])
    return sequence(ends[0], links, ends[1], percent)


def _read_percent(match: re.Match[str], language: str) -> Expression:
    reading = sequence(numbers.read_number(match["number"], language), phrase(WORDS_BY_LANGUAGE[language].percent))
    return numbers.read_signed(match["minus"] or "", reading, language)


def _read_quantity(match: re.Match[str], language: str) -> Expression:
    reading = numbers.read_quantity(match["number"], match["unit"], language)
    return numbers.read_signed(match["minus"] or "", reading, language)


def _read_decade(match: re.Match[str], language: str) -> Expression | None:
    """Return the readings of a decade, such as "the 1990s"; `None` in other languages than English."""
    if language != "en":
        return None
    decade = {0: "hundreds|ohs", 1: "tens", 2: "twenties", 3: "thirties", 4: "forties", 5: "fifties", 6: "sixties",
              7: "seventies", 8: "eighties", 9: "nineties"}[int(match["decade"])]  # fmt: skip
    century = numbers.read_whole_number(match["century"], "en") if match["century"] else SILENCE
    return sequence(century, phrase(decade))


def _read_ordinal(match: re.Match[str], language: str) -> Expression:
    return numbers.read_ordinal(int(match["number"]), language)


def _read_fraction(match: re.Match[str], language: str) -> Expression:
    fraction = numbers.read_fraction(match["top"], match["bottom"], language)
    if not match["whole"]:
        return fraction
    link = phrase({"en": "and", "de": "(und)", "es": "y", "fr": "et", "it": "e", "pt": "e"}[language])
    return sequence(numbers.read_number(match["whole"], language), link, fraction)


def _read_code(match: re.Match[str], language: str) -> Expression:
    scaled = re.fullmatch(r"(\d+)([kKM])", match[0])
    scale = WORDS_BY_LANGUAGE[language].scales.get(scaled[2].lower()) if scaled else None
    reading = entity_readings.read_code(match[0], language)
    if scaled is None or scale is None:
        return reading
    return choice([sequence(numbers.read_whole_number(scaled[1], language), phrase(scale)), reading])


def _read_plain_number(match: re.Match[str], language: str) -> Expression:
    return numbers.read_signed(match["minus"] or "", numbers.read_number(match["number"], language), language)


def _read_roman(match: re.Match[str], language: str) -> Expression | None:
    return entity_readings.read_roman_number(match[0], language)


def _read_abbreviation(match: re.Match[str], language: str) -> Expression:
    return entity_readings.read_abbreviation(match[0], language)


def _read_name(match: re.Match[str], _language: str) -> Expression:
    return entity_readings.read_name(match[0])


def _read_acronym(match: re.Match[str], _language: str) -> Expression:
    return entity_readings.read_letters(match[0])


def _read_sign(match: re.Match[str], language: str) -> Expression:
    return entity_readings.read_sign(match[0], language)

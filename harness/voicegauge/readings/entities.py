"""Finds entities in a text (numbers, money, dates, times, telephone numbers, codes, units, names, addresses).

Each entity has its accepted readings as an expression. The text between entities consists of plain words.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from voicegauge.readings import _entity_readings as entity_readings
from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.spoken_words import (
    MAX_READ_NUMBER,
    SILENCE,
    Expression,
    WordSequence,
    choice,
    optional,
    phrase,
    read_cardinal,
    read_digits,
    sequence,
)

EntityKind = Literal[
    "number", "ordinal", "fraction", "range", "percent", "money", "unit", "date", "time", "phone", "code", "address",
    "abbreviation", "name", "sign",
]  # fmt: skip
"""What an entity is. "address" is an address on the internet; the parts of a postal address are numbers, codes,
abbreviations and names."""
READ_LANGUAGES = frozenset(WORDS_BY_LANGUAGE) | {"zh", "ja"}
"""Languages in which numbers have readings in words. In other languages, a number in a text only equals the same
digits."""
_SIGN_BEFORE_NUMBER = r"(?P<minus>(?<![\w.,)])[-−+])?"
"""Regular expression of an optional sign before a number."""
_WORD_END = r"(?![\w])"
"""Regular expression of the end of a word."""
_PHONE_NUMBER_PATTERN = r"(?:\+\s?)?(?:\(\d{1,4}\)[\s.-]?|\d+[\s./-])\d[\d\s().\-/]{3,}\d(?!\w)"
"""Regular expression of what may be a telephone number."""
MIN_DIGITS_OF_PHONE_NUMBER = 7
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


_MatchReader = Callable[[re.Match[str], str], Expression | None]
"""Function (match, language) that returns the readings of the match; `None` if it is another kind of entity."""


class _EntityPattern(NamedTuple):
    """A pattern for one kind of entity, and the function that reads its matches."""

    kind: EntityKind
    pattern: re.Pattern[str]
    read_match: _MatchReader


def iterate_entities(text: str, language: str) -> Iterator[Entity]:
    """Yield the entities of `text` in order.

    Args:
        text: text with ASCII digits.
        language: code of the language, without region.
    """
    if language not in READ_LANGUAGES:
        # Without number words, a number has one reading: its digits. Separators differ between languages and between
        # engines, so groups of thousands are joined, and every decimal sign becomes a point.
        for number in re.finditer(r"\d{1,3}(?:[,.٬]\d{3})+(?!\d)|\d+(?:[.,٫]\d+)?", text):
            is_grouped = re.fullmatch(r"\d{1,3}(?:[,.٬]\d{3})+", number[0])
            digits = re.sub(r"\D", "", number[0]) if is_grouped else re.sub(r"[,٫]", ".", number[0])
            yield Entity("number", number.start(), number.end(), WordSequence((digits,)))
        return
    patterns = _build_patterns(language) if language in WORDS_BY_LANGUAGE else _HAN_PATTERNS
    upcoming = [one.pattern.search(text) for one in patterns]
    at = 0
    while True:
        # A pattern is searched for again only when its last match is passed, so that each reads the text about once.
        # One expression of all patterns is impossible, because their groups have equal names.
        for index, match in enumerate(upcoming):
            if match is not None and match.start() < at:
                upcoming[index] = patterns[index].pattern.search(text, at)
        next_matches = [(match.start(), index, match) for index, match in enumerate(upcoming) if match is not None]
        if not next_matches:
            return
        # The earliest match counts; of several at one position, that of the first pattern.
        start, index, match = min(next_matches, key=lambda one: one[:2])
        readings = patterns[index].read_match(match, language)
        if readings is None:
            upcoming[index] = patterns[index].pattern.search(text, start + 1)
            continue
        yield Entity(patterns[index].kind, start, match.end(), readings)
        at = match.end()


@functools.cache
def _build_patterns(language: str) -> tuple[_EntityPattern, ...]:
    """Return the patterns of a European language, in the order in which they are tried at one position."""
    words = WORDS_BY_LANGUAGE[language]
    number = entity_readings.build_number_pattern(language)
    currency = "|".join(map(re.escape, sorted(words.currencies, key=len, reverse=True)))
    unit = "|".join(map(re.escape, sorted(words.units, key=len, reverse=True)))
    scale = r"(?:\s?(?P<scale>[tT]housand|[mMbB]il\w+|[tT]rillion|mrd|Mrd|Mio|mln|mld|bn|mn|[kKMB])\.?(?![\w]))?"
    abbreviations, spellings_by_name = entity_readings.ABBREVIATIONS[language], entity_readings.SPELLINGS_BY_NAME
    abbreviated = rf"\b(?:{'|'.join(sorted(abbreviations, key=len, reverse=True))})(?:\.|(?![\w'])(?=\s[A-ZÀ-Ý\d])|$)"
    signs = "".join(map(re.escape, words.signs))

    def build_pattern(entity_kind: EntityKind, regex: str, reader: _MatchReader, flags: int = 0) -> _EntityPattern:
        return _EntityPattern(entity_kind, re.compile(regex, flags), reader)

    def build_signed_pattern(entity_kind: EntityKind, regex: str, reader: _MatchReader) -> _EntityPattern:
        """Build a pattern of a number before which a plus or minus sign may stand."""
        return _EntityPattern(entity_kind, re.compile(_SIGN_BEFORE_NUMBER + regex), _build_signed_match_reader(reader))

    def build_whole_match_pattern(
        entity_kind: EntityKind, regex: str, reader: Callable[[str, str], Expression | None]
    ) -> _EntityPattern:
        """Build a pattern whose matches `reader` reads as a whole, as (matched text, language)."""
        return _EntityPattern(entity_kind, re.compile(regex), lambda match, language: reader(match[0], language))

    # What contains numbers comes before numbers, and the longer form before the shorter: at "3/4/2026" there is a date
    # and not the fraction 3/4, at "5%" a percentage and not the number 5, and at "12 km" a length.
    return (
        build_whole_match_pattern(
            "address", r"[\w.+-]*\w@\w[\w-]*(?:\.\w[\w-]*)+", entity_readings.read_internet_address
        ),
        build_whole_match_pattern("address", _WEB_ADDRESS_PATTERN, entity_readings.read_internet_address),
        build_pattern(
            "date",
            r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b",
            lambda match, language: _read_valid_date(int(match["day"]), int(match["month"]), match["year"], language),
        ),
        build_pattern("date", _SHORT_DATE_PATTERN, _read_short_date),
        *_build_month_patterns(language, build_pattern),
        *_build_time_patterns(language, build_pattern),
        build_pattern("code", r"\b\d{1,3}(?:\.\d{1,3}){2,}\b", _read_dotted_numbers),
        build_pattern("phone", _PHONE_NUMBER_PATTERN, _read_phone),
        build_pattern("phone", r"\+\d{7,}|\b\d{7,}\b(?![.,]\d)", _read_phone),
        build_signed_pattern("money", rf"(?P<sign>{currency})\s?(?P<number>{number}){scale}", _read_money),
        build_signed_pattern("money", rf"\b(?P<number>{number}){scale}\s?(?P<sign>{currency}){_WORD_END}", _read_money),
        build_pattern(
            "range", rf"\b(?P<one>{number})\s?[-–—]\s?(?P<two>{number})(?P<percent>\s?%)?(?![\w-])", _read_range
        ),
        build_signed_pattern(
            "percent",
            rf"(?P<number>{number})\s?%",
            lambda match, language: sequence(_read_number(match, language), phrase(words.percent)),
        ),
        build_pattern("number", r"\b(?P<century>\d{2})?(?P<decade>\d)0'?s\b", _read_decade),
        build_signed_pattern("unit", rf"(?<![\w.])(?P<number>{number})\s?(?P<unit>{unit}){_WORD_END}", _read_quantity),
        *_build_ordinal_patterns(language, build_pattern),
        build_pattern("fraction", _FRACTION_PATTERN, _read_fraction),
        build_pattern("code", r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z\d]+(?:-[A-Za-z\d]+)*\b", _read_code),
        build_pattern("code", r"\b(?=[\dA-Z-]*\d)[\dA-Z]+(?:-[\dA-Z]+)+\b", _read_code),
        build_signed_pattern("number", rf"(?<![\w])(?P<number>{number}){_WORD_END}", _read_number),
        build_whole_match_pattern(
            "number", r"(?<=\w )[IVX]{2,5}\b|(?<=[a-z] )[VX]\b", entity_readings.read_roman_number
        ),
        build_pattern("abbreviation", abbreviated, lambda match, _: phrase(abbreviations[match[0].rstrip(".")])),
        build_pattern("name", entity_readings.NAME_PATTERN, lambda match, _: phrase(spellings_by_name[match[0]])),
        build_pattern("abbreviation", r"\b[A-Z]{2,6}\b", lambda match, _: entity_readings.read_letters(match[0])),
        build_pattern("sign", rf"[{signs}]", lambda match, _: optional(phrase(words.signs[match[0]]))),
    )  # fmt: skip


_EntityPatternBuilder = Callable[..., _EntityPattern]
"""Function (kind of the entity, regular expression, function that reads its matches, flags) that builds a pattern."""


def _build_month_patterns(language: str, build_pattern: _EntityPatternBuilder) -> list[_EntityPattern]:
    """Return the patterns of dates with the name of a month in `language`."""
    names = [one for names in WORDS_BY_LANGUAGE[language].months for one in names.split("|")]
    # Names that are cut to three letters need a full stop, or "mar" would be a month in Spanish texts; in
    # English, where months begin with capital letters, the end of the word is enough.
    cut_names = [f"{one[:3]}{end}" for end in (r"\.", *([r"\b"] if language == "en" else [])) for one in names]
    month = "|".join(sorted([*names, *cut_names, r"Sept\.?"], key=len, reverse=True))
    year = r"(?:,?\s+(?P<year>\d{4})\b)?"
    if language == "en":
        day = r"(?:the\s+)?(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
        month_first = rf"\b(?P<month>{month})\s+{day}\b(?![:.,]?\d){year}"
        day_first = rf"\b{day}\s+(?:of\s+)?(?P<month>{month})(?!\w){year}"
        return [build_pattern("date", one, _read_month_date) for one in (month_first, day_first)]
    link = r"(?:\s+(?:de|del|do))?\s+"
    day = r"\b(?P<day>[0-3]?\d)(?:\.|er|o|°)?"
    date = rf"{day}{link}(?P<month>{month})(?!\w)(?:{link}(?P<year>\d{{4}})\b)?"
    return [build_pattern("date", date, _read_month_date, re.IGNORECASE)]


def _build_time_patterns(language: str, build_pattern: _EntityPatternBuilder) -> list[_EntityPattern]:
    half = r"(?:\s?(?P<half>[ap])\.?\s?m\b\.?)"
    clock = r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?![\d:])"
    hour_letter = {"fr": r"h(?:eures?)?", "es": "h(?:oras|rs?)?", "pt": "h(?:oras|rs?)?", "de": "Uhr", "it": "h"}.get(
        language
    )
    built = [build_pattern("time", rf"(?<![\d:.]){clock}{half}?", _read_time, re.IGNORECASE)]
    if hour_letter:
        suffixed = rf"(?<![\d:.]){clock}\s?{hour_letter}\b\.?"
        built.insert(0, build_pattern("time", suffixed, _read_time))
        dotted = rf"(?<![\d:.])(?P<hour>[01]?\d|2[0-4])\.(?P<minute>[0-5]\d)\s?{hour_letter}\b"
        built.append(build_pattern("time", dotted, _read_time))
        if language != "de":
            built.append(build_pattern("time", r"\b(?P<hour>[01]?\d|2[0-4])\s?h\s?(?P<minute>[0-5]\d)\b", _read_time))
    built.append(build_pattern("time", rf"(?<![\d:.,])(?P<hour>0?[1-9]|1[0-2]){half}", _read_time, re.IGNORECASE))
    return built


def _build_ordinal_patterns(language: str, build_pattern: _EntityPatternBuilder) -> list[_EntityPattern]:
    ending = {
        "en": "(?:st|nd|rd|th)",
        "fr": "(?:ers?|res?|ères?|èmes?|emes?|es?|nde?)",
        "es": r"(?:\.?[oa]|er)",
        "it": r"\.?[oa]",
        "pt": r"\.?[oa]",
    }.get(language)

    def read_ordinal(match: re.Match[str], language: str) -> Expression:
        return entity_readings.read_ordinal(int(match["number"]), language)

    return [build_pattern("ordinal", rf"\b(?P<number>\d+){ending}\b", read_ordinal)] if ending else []


def _read_short_date(match: re.Match[str], language: str) -> Expression | None:
    one, two = int(match["one"]), int(match["two"])
    # With points, the day is first in English too: "4.3.2026" is written so in Europe only.
    day, month = (one, two) if WORDS_BY_LANGUAGE[language].is_day_first or match["sep"] == "." else (two, one)
    # The other order where only that is a date: 13/4/2026 in an English text, 4/13/2026 in a French one.
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
        return None  # a number with points between its thousands, which a later pattern reads
    return entity_readings.read_dotted_numbers(match[0], language)


def _read_phone(match: re.Match[str], language: str) -> Expression | None:
    written = match[0]
    digit_count = sum(map(str.isdigit, written))
    # Outside English, "12 345 678" may be a number too: it has both readings. With points it is a number only.
    is_grouped_number = re.fullmatch(r"[1-9]\d{0,2}(?:[ .]\d{3})+", written) and language != "en"
    if digit_count < MIN_DIGITS_OF_PHONE_NUMBER or (is_grouped_number and "." in written):
        return None
    reading = entity_readings.read_telephone_number(written, language)
    return choice([entity_readings.read_number(written, language), reading]) if is_grouped_number else reading


def _build_signed_match_reader(read_unsigned: _MatchReader) -> _MatchReader:
    """Return a function that puts the sign of a match, if it has one, before what `read_unsigned` returns."""

    def read_with_sign(match: re.Match[str], language: str) -> Expression | None:
        reading, sign = read_unsigned(match, language), match["minus"]
        if reading is None or not sign:
            return reading
        words = WORDS_BY_LANGUAGE[language]
        return sequence(phrase(words.plus if sign == "+" else words.minus), reading)

    return read_with_sign


def _read_number(match: re.Match[str], language: str) -> Expression:
    return entity_readings.read_number(match["number"], language)


def _read_money(match: re.Match[str], language: str) -> Expression:
    return entity_readings.read_money(match["number"], match["sign"], match["scale"], language)


def _read_quantity(match: re.Match[str], language: str) -> Expression:
    one, many = WORDS_BY_LANGUAGE[language].units[match["unit"]]
    forms = f"{one}|{many}" if match["number"] == "1" else f"{many}|{one}"
    return sequence(_read_number(match, language), phrase(forms))


def _read_range(match: re.Match[str], language: str) -> Expression:
    words = WORDS_BY_LANGUAGE[language]
    ends = [entity_readings.read_number(match[name], language) for name in ("one", "two")]
    percent = phrase(words.percent) if match["percent"] else SILENCE
    links = choice([phrase(words.range_word), SILENCE, *([phrase("minus|dash")] if language == "en" else [])])
    return sequence(ends[0], links, ends[1], percent)


def _read_decade(match: re.Match[str], language: str) -> Expression | None:
    """Return the readings of a decade, such as "the 1990s"; `None` in other languages than English."""
    if language != "en":
        return None
    decade = {0: "hundreds|ohs", 1: "tens", 2: "twenties", 3: "thirties", 4: "forties", 5: "fifties", 6: "sixties",
              7: "seventies", 8: "eighties", 9: "nineties"}[int(match["decade"])]  # fmt: skip
    century = entity_readings.read_whole_number(match["century"], "en") if match["century"] else SILENCE
    return sequence(century, phrase(decade))


def _read_fraction(match: re.Match[str], language: str) -> Expression:
    fraction = entity_readings.read_fraction(match["top"], match["bottom"], language)
    if not match["whole"]:
        return fraction
    link = phrase({"en": "and", "de": "(und)", "es": "y", "fr": "et", "it": "e", "pt": "e"}[language])
    return sequence(entity_readings.read_number(match["whole"], language), link, fraction)


def _read_code(match: re.Match[str], language: str) -> Expression:
    # "5k" and "20M" look like codes, and may be said as numbers.
    scaled = re.fullmatch(r"(\d+)([kKM])", match[0])
    scale = WORDS_BY_LANGUAGE[language].scales.get(scaled[2].lower()) if scaled else None
    reading = entity_readings.read_code(match[0], language)
    if scaled is None or scale is None:
        return reading
    return choice([sequence(entity_readings.read_whole_number(scaled[1], language), phrase(scale)), reading])


# Entities in Chinese and Japanese texts.


_CHINESE_CURRENCIES = {"¥": "元|块|块钱", "￥": "元|块|块钱", "$": "美元|元", "€": "欧元", "£": "英镑"}
"""Chinese readings of currencies, by sign."""
_CHINESE_UNITS = {
    "km/h": "公里每小时",
    "km": "公里|千米",
    "kg": "公斤|千克",
    "cm": "厘米|公分",
    "mm": "毫米",
    "mg": "毫克",
    "ml": "毫升",
    "mL": "毫升",
    "m": "米|公尺",
    "g": "克",
    "L": "升",
    "°C": "摄氏度|度",
    "°": "度",
}
"""Chinese readings of units, by abbreviation."""
_HAN_NUMBER_REGEX = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
"""Regular expression of a number in Chinese and Japanese texts."""


def _read_han_number(written_number: str, language: str) -> Expression:
    whole, _, decimals = written_number.replace(",", "").partition(".")
    readings = []
    if int(whole) <= MAX_READ_NUMBER and (whole[0] != "0" or len(whole) == 1):
        readings.append(read_cardinal(int(whole), language))
    if len(whole) >= 3 or not readings:
        readings.append(read_digits(whole, language))
    point = "点|てん" if language == "ja" else "点"
    rest = sequence(phrase(point), read_digits(decimals, language)) if decimals else SILENCE
    return sequence(choice(readings), rest)


def _read_han_date(match: re.Match[str], language: str) -> Expression:
    year, month, day = match["year"], int(match["month"]), int(match["day"])
    years = sequence(read_digits(year, language), phrase("年")) if year else SILENCE
    return sequence(
        years,
        read_cardinal(month, language),
        phrase("月"),
        read_cardinal(day, language),
        phrase("日|号" if language == "zh" else "日"),
    )


def _read_han_time(match: re.Match[str], language: str) -> Expression:
    hour, minute = int(match["hour"]), int(match["minute"])
    readings = [_read_han_clock_time(hour, minute, language)]
    if hour > 12 and language == "zh":
        readings.append(sequence(phrase("下午|晚上"), _read_han_clock_time(hour - 12, minute, language)))
    return choice(readings)


def _read_han_clock_time(hour: int, minute: int, language: str) -> Expression:
    if language == "ja":
        minutes = sequence(read_cardinal(minute, "ja"), phrase("分")) if minute else SILENCE
        return sequence(
            read_cardinal(hour, "ja"), phrase("時"), choice([minutes, phrase("半")]) if minute == 30 else minutes
        )
    hours = sequence(
        choice([phrase("两"), phrase("二")]) if hour == 2 else read_cardinal(hour, "zh"), phrase("点|点钟")
    )
    if minute == 0:
        return sequence(hours, optional(phrase("整")))
    number = read_cardinal(minute, "zh")
    minutes = choice([sequence(phrase("零"), number), number]) if minute < 10 else number
    readings = [sequence(minutes, optional(phrase("分")))]
    readings += [phrase({30: "半", 15: "一刻", 45: "三刻"}[minute])] if minute in (15, 30, 45) else []
    return sequence(hours, choice(readings))


def _read_han_percent(match: re.Match[str], language: str) -> Expression:
    number = _read_han_number(match["number"], language)
    return sequence(number, phrase("パーセント|%")) if language == "ja" else sequence(phrase("百分之"), number)


def _read_han_money(match: re.Match[str], language: str) -> Expression:
    names = (
        {"¥": "円", "￥": "円", "$": "ドル", "€": "ユーロ", "£": "ポンド"} if language == "ja" else _CHINESE_CURRENCIES
    )
    return sequence(_read_han_number(match["number"], language), phrase(names[match["sign"]]))


def _read_han_minus(match: re.Match[str], language: str) -> Expression:
    minus = phrase("负|零下" if language == "zh" else "マイナス")
    unit = phrase(_CHINESE_UNITS[match["unit"]]) if match["unit"] else SILENCE
    return sequence(minus, _read_han_number(match["number"], language), unit)


_CHINESE_UNIT = "|".join(map(re.escape, sorted(_CHINESE_UNITS, key=len, reverse=True)))
"""Regular expression of the abbreviations of units."""
_HAN_PATTERNS = (
    _EntityPattern(
        "date", re.compile(r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?P<day>\d{1,2})[日号]"), _read_han_date
    ),
    _EntityPattern(
        "date",
        re.compile(r"(?P<year>\d{4})[-/.](?P<month>0?[1-9]|1[0-2])[-/.](?P<day>0?[1-9]|[12]\d|3[01])(?!\d)"),
        _read_han_date,
    ),
    _EntityPattern(
        "date",
        re.compile(r"\d{4}(?=年)"),
        lambda match, language: choice([read_digits(match[0], language), read_cardinal(int(match[0]), language)]),
    ),
    _EntityPattern("time", re.compile(r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)"), _read_han_time),
    _EntityPattern(
        "phone",
        re.compile(r"\+?\d[\d -]{5,}\d(?!\d)"),
        lambda match, language: sequence(*(read_digits(one, language) for one in re.findall(r"\d+", match[0]))),
    ),
    _EntityPattern("percent", re.compile(rf"(?P<number>{_HAN_NUMBER_REGEX})%"), _read_han_percent),
    _EntityPattern("money", re.compile(rf"(?P<sign>[¥￥$€£])\s?(?P<number>{_HAN_NUMBER_REGEX})"), _read_han_money),
    _EntityPattern(
        "number",
        re.compile(rf"(?<![\d.])[-−](?P<number>{_HAN_NUMBER_REGEX})(?P<unit>{_CHINESE_UNIT})?"),
        _read_han_minus,
    ),
    _EntityPattern(
        "unit",
        re.compile(rf"(?P<number>{_HAN_NUMBER_REGEX})\s?(?P<unit>{_CHINESE_UNIT})(?![A-Za-z])"),
        lambda match, language: sequence(
            _read_han_number(match["number"], language), phrase(_CHINESE_UNITS[match["unit"]])
        ),
    ),
    _EntityPattern(
        "number", re.compile(_HAN_NUMBER_REGEX), lambda match, language: _read_han_number(match[0], language)
    ),
)
"""Patterns of entities in Chinese and Japanese texts, in the order in which they are tried."""

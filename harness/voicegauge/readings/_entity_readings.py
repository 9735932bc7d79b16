"""Readings of codes, names and signs, of dates and times of day; and of numbers, dates and units in Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from voicegauge.readings._number_readings import read_number, read_ordinal, read_whole_number
from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.number_words import MAX_READ_NUMBER, read_cardinal, read_digits
from voicegauge.readings.spoken_alternatives import (
    SILENCE,
    Expression,
    WordSequence,
    choice,
    fold_case_and_accents,
    iterate_readings,
    optional,
    phrase,
    sequence,
)

_INTERNET_SIGNS = {
    "en": {".": "dot|point", "@": "at", "-": "(dash)(hyphen)", "_": "(underscore)", "/": "(slash)"},
    "de": {".": "Punkt|dot", "@": "at|ät", "-": "(minus)(Bindestrich)", "_": "(Unterstrich)", "/": "(Schrägstrich)"},
    "es": {".": "punto", "@": "arroba", "-": "(guion)", "_": "(guion bajo)", "/": "(barra)"},
    "fr": {".": "point", "@": "arobase", "-": "(tiret)", "_": "(tiret bas)", "/": "(slash)"},
    "it": {".": "punto", "@": "chiocciola", "-": "(trattino)", "_": "(trattino basso)", "/": "(barra)"},
    "pt": {".": "ponto", "@": "arroba", "-": "(hífen)(traço)", "_": "(sublinhado)", "/": "(barra)"},
}
"""Readings of the signs in internet addresses and codes, by language."""
ABBREVIATIONS = {
    "en": {
        "Mr": "mister|mr", "Mrs": "missus|mrs", "Ms": "miss|ms", "Dr": "doctor|drive|dr", "Prof": "professor|prof",
        "St": "street|saint|st", "Ave": "avenue|ave", "Rd": "road|rd", "Blvd": "boulevard|blvd", "Ln": "lane|ln",
        "Apt": "apartment|apt", "Ste": "suite|ste", "No": "number|no", "vs": "versus|vs",
        "etc": "et cetera|etcetera|etc",
        "Jr": "junior|jr", "Sr": "senior|sr", "Capt": "captain|capt", "Sgt": "sergeant|sgt", "Mt": "mount|mt",
        "Ft": "fort|ft", "Inc": "incorporated|inc", "Ltd": "limited|ltd", "approx": "approximately|approx",
        "Hwy": "highway|hwy",
    },
    "de": {
        "Str": "Straße|str", "Nr": "Nummer|nr", "Dr": "Doktor|dr", "Prof": "Professor|prof", "Hr": "Herr|hr",
        "Fr": "Frau|fr", "bzw": "beziehungsweise|bzw", "usw": "und so weiter|usw", "ca": "circa|zirka|ca",
        "St": "Sankt|st", "Tel": "Telefon|tel", "Abs": "Absatz|abs", "inkl": "inklusive|inkl",
        "ggf": "gegebenenfalls|ggf",
    },
    "es": {
        "Sr": "señor|sr", "Sra": "señora|sra", "Dr": "doctor|dr", "Dra": "doctora|dra", "Avda": "avenida|avda",
        "Av": "avenida|av", "Ud": "usted|ud", "Núm": "número|núm", "tel": "teléfono|tel", "etc": "etcétera|etc",
    },
    "fr": {
        "M": "monsieur|m", "Mme": "madame|mme", "Mlle": "mademoiselle|mlle", "Dr": "docteur|dr", "Bd": "boulevard|bd",
        "Av": "avenue|av", "St": "saint|st", "Ste": "sainte|ste", "etc": "et cetera|etcetera|etc",
        "tél": "téléphone|tél",
    },
    "it": {
        "Sig": "signor|signore|sig", "Dott": "dottor|dottore|dott", "Prof": "professor|professore|prof",
        "ecc": "eccetera|ecc", "Avv": "avvocato|avv", "Ing": "ingegner|ingegnere|ing", "tel": "telefono|tel",
    },
    "pt": {
        "Sr": "senhor|sr", "Sra": "senhora|sra", "Dr": "doutor|dr", "Dra": "doutora|dra", "Av": "avenida|av",
        "etc": "et cetera|etcétera|etc", "tel": "telefone|tel",
    },
}  # fmt: skip
"""Readings of abbreviations by language. They are recognized with or without a full stop."""
_NAME_SPELLINGS = (
    "Aaron Aron", "Alan Allan Allen", "Ann Anne", "Brian Bryan", "Carl Karl", "Catherine Katherine Kathryn Catharine",
    "Cathy Kathy", "Chris Kris", "Christine Kristine", "Cindy Cyndi", "Clare Claire Clair", "Craig Kraig",
    "Deborah Debra", "Eric Erik Erich", "Geoff Jeff", "Geoffrey Jeffrey Jeffery", "Graham Graeme", "Hannah Hanna",
    "Isabel Isabelle Isobel", "Jaime Jamie", "Joe Jo", "John Jon", "Jonathan Johnathan Jonathon", "Julia Giulia",
    "Karen Karin", "Katie Katy", "Kelly Kelley", "Laura Lora", "Laurence Lawrence", "Leigh Lee Li", "Lewis Louis",
    "Lindsay Lindsey", "Lisa Liza", "Luke Luc", "Mark Marc", "Marcus Markus", "Maria Mariah", "Matthew Mathew",
    "Megan Meghan Meagan", "Michelle Michele", "Mohammed Muhammad Mohamed Mohammad", "Neil Neal", "Nicholas Nicolas",
    "Nicole Nichole", "Olivia Alivia", "Patrick Patric", "Peterson Petersen", "Philip Phillip", "Rachel Rachael",
    "Rebecca Rebekah", "Reed Reid Read", "Robyn Robin", "Sara Sarah", "Sean Shawn Shaun", "Smith Smyth Smythe",
    "Sophia Sofia", "Sophie Sofie", "Steven Stephen", "Stuart Stewart", "Susan Suzanne", "Teresa Theresa",
    "Thomson Thompson",
    "Tracy Tracey", "Vivian Vivien", "Zoe Zoey", "Gonzalez Gonzales", "Rodriguez Rodrigues", "Clark Clarke",
    "Brown Browne", "Davis Davies", "Johnson Johnston Jonson", "Meyer Maier Mayer Meier", "Schmidt Schmitt Schmid",
    "Anderson Andersen", "Hansen Hanson", "Nielsen Nielson", "Fischer Fisher", "Hoffmann Hofmann Hoffman",
    "Philipp Filip",
    "Mathias Matthias", "Christoph Christof", "Stefan Stephan", "Günther Günter Gunther", "Walter Walther",
    "Jakob Jacob",
)  # fmt: skip
"""Names that sound alike, in groups. A transcript cannot tell how they are spelled."""
_SPELLINGS_BY_NAME = {
    name: "|".join([name, *(other for other in group.split() if other != name)])
    for group in _NAME_SPELLINGS
    for name in group.split()
}
"""All spellings of each name, separated by "|"; the name itself comes first."""
NAME_PATTERN = rf"\b(?:{'|'.join(sorted(_SPELLINGS_BY_NAME, key=len, reverse=True))})\b"
"""Regular expression of the names with several spellings."""
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
"""Values of Roman digits."""
_ROMAN_PATTERN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")


def read_letters(letters: str) -> Expression:
    """Return the readings of letters: as a word, or one by one."""
    folded = fold_case_and_accents(letters)
    return choice([WordSequence((folded,)), WordSequence(tuple(folded))])


def read_code(written: str, language: str) -> Expression:
    """Return the readings of a code of letters and digits, such as "AB-1204"."""
    parts: list[Expression] = []
    for piece in re.findall(r"[^\W\d_]+|\d+|[-_/.]", written):
        if piece.isdigit():
            parts.append(choice([read_whole_number(piece, language), read_digits(piece, language)]))
        elif piece.isalpha():
            parts.append(read_letters(piece))
        else:
            parts.append(_read_sign_in_code(piece, language))
    return sequence(*parts)


def _read_sign_in_code(sign: str, language: str) -> Expression:
    spoken = _INTERNET_SIGNS[language][sign]
    return optional(phrase(spoken)) if sign == "." else phrase(spoken)


def read_internet_address(written: str, language: str) -> Expression:
    """Return the readings of an e-mail address or of a web address without its scheme."""
    signs = _INTERNET_SIGNS[language]
    parts: list[Expression] = []
    for piece in re.findall(r"[^\W\d_]+|\d+|[-_/.@]", re.sub(r"^https?://", "", written)):
        if piece in signs:
            parts.append(phrase(signs[piece]))
        elif piece.isdigit():
            parts.append(choice([read_whole_number(piece, language), read_digits(piece, language)]))
        else:
            parts.append(read_letters(piece) if len(piece) <= 4 else phrase(piece))
    return sequence(*parts)


def read_dotted_numbers(written: str, language: str) -> Expression:
    """Return the readings of numbers with points between them, such as a version or an IP address."""
    numbers = [choice([read_whole_number(one, language), read_digits(one, language)]) for one in written.split(".")]
    point = phrase("|".join(dict.fromkeys(["point" if language == "en" else _INTERNET_SIGNS[language]["."], "dot"])))
    parts = [numbers[0]]
    for number in numbers[1:]:
        parts += [point, number]
    return sequence(*parts)


def read_abbreviation(written: str, language: str) -> Expression:
    """Return the readings of an abbreviation, which is a key of `ABBREVIATIONS`."""
    return phrase(ABBREVIATIONS[language][written.rstrip(".")])


def read_name(written: str) -> Expression:
    """Return the spellings of a name that is matched by `NAME_PATTERN`."""
    return phrase(_SPELLINGS_BY_NAME[written])


def read_roman_number(written: str, language: str) -> Expression | None:
    """Return the readings of a Roman number up to 39; `None` if it is not one."""
    if not _ROMAN_PATTERN.fullmatch(written):
        return None
    values = [_ROMAN_VALUES[letter] for letter in written]
    pairs = zip(values, [*values[1:], 0], strict=True)
    number = sum(-value if value < following else value for value, following in pairs)
    ordinal = sequence(
        phrase({"en": "(the)", "de": "(der)(die)(das)"}.get(language, "")), read_ordinal(number, language)
    )
    return choice([read_cardinal(number, language), ordinal, read_letters(written)])


def read_sign(sign: str, language: str) -> Expression:
    """Return the readings of a sign such as "&", which a transcript may leave out."""
    return optional(phrase(WORDS_BY_LANGUAGE[language].signs[sign]))


def find_month(name: str, language: str) -> int | None:
    """Return the number of a month from its name or the start of its name; `None` if there is none."""
    wanted = name.casefold().rstrip(".")
    for number, names in enumerate(WORDS_BY_LANGUAGE[language].months, 1):
        if any(
            one.casefold() == wanted or (len(wanted) >= 3 and one.casefold().startswith(wanted))
            for one in names.split("|")
        ):
            return number
    return None


def read_date(day: int, month: int, year: str | None, language: str) -> Expression:
    """Return the readings of a date, with the name of its month.

    Args:
        day: day of the month.
        month: number of the month, from 1.
        year: its digits; `None` without a year.
        language: one of `WORDS_BY_LANGUAGE`.
    """
    words = WORDS_BY_LANGUAGE[language]
    name = phrase(words.months[month - 1])
    link = optional(phrase(words.date_link)) if words.date_link else SILENCE
    after = sequence(link, _read_year(year, language)) if year else SILENCE
    if language == "en":
        days = choice([read_ordinal(day, "en"), read_cardinal(day, "en")])
        return choice(
            [sequence(name, phrase("(the)"), days, after), sequence(phrase("(the)"), days, phrase("(of)"), name, after)]
        )
    return sequence(_read_day(day, language), link, name, after)


def read_numeric_date(day: int, month: int, year: str, language: str) -> Expression:
    """Return the readings of a date in digits: with the name of its month, or as numbers in the usual order."""
    words = WORDS_BY_LANGUAGE[language]
    numbers = [read_cardinal(day, language), read_cardinal(month, language)]
    in_order = numbers if words.day_first else numbers[::-1]
    slash = phrase("(slash)|de|del" if words.date_link else "(slash)")
    readings = [
        read_date(day, month, year, language),
        sequence(in_order[0], slash, in_order[1], slash, _read_year(year, language)),
    ]
    if language == "de":
        readings.append(sequence(read_ordinal(day, "de"), read_ordinal(month, "de"), _read_year(year, "de")))
    return choice(readings)


def _read_day(day: int, language: str) -> Expression:
    if language == "de":
        return choice([read_ordinal(day, "de"), read_cardinal(day, "de")])
    first = WORDS_BY_LANGUAGE[language].first_day
    number = read_cardinal(day, language)
    return choice([phrase(first), number]) if day == 1 and first else number


def _read_year(year: str, language: str) -> Expression:
    return read_whole_number(year, language)


def read_time(hour: int, minute: int, second: int | None, half_of_day: str, language: str) -> Expression:
    """Return the readings of a time of day.

    Args:
        hour: 0 to 24.
        minute: 0 to 59.
        second: 0 to 59; `None` without seconds.
        half_of_day: "am", "pm", or "" without either.
        language: one of `WORDS_BY_LANGUAGE`.
    """
    words = WORDS_BY_LANGUAGE[language]
    after = {"am": phrase(words.morning), "pm": phrase(words.afternoon)}.get(half_of_day, SILENCE)
    seconds = _read_seconds(second, language)
    readings = [sequence(_read_clock(hour, minute, language), seconds, after)]
    if not half_of_day and second is None:
        is_afternoon = hour >= 12
        part = optional(phrase(words.afternoon if is_afternoon else words.morning))
        if hour > 12 or hour == 0:
            readings.append(sequence(_read_clock(hour - 12 if hour else 12, minute, language), part))
        else:
            readings.append(sequence(_read_clock(hour, minute, language), part))
    return choice(readings)


def _read_seconds(second: int | None, language: str) -> Expression:
    if second is None:
        return SILENCE
    many = WORDS_BY_LANGUAGE[language].units["s"][1]
    number = read_number(f"{second:02d}", language) if second < 10 else read_cardinal(second, language)
    link = {"en": "(and)", "de": "(und)", "es": "(y)", "fr": "(et)", "it": "(e)", "pt": "(e)"}[language]
    return sequence(phrase(link), choice([number, read_cardinal(second, language)]), phrase(f"({many.split('|')[0]})"))


def _read_clock(hour: int, minute: int, language: str) -> Expression:
    """Return the readings of an hour and a minute, without a half of the day."""
    words = WORDS_BY_LANGUAGE[language]
    hours = read_cardinal(hour, language)
    hour_word = phrase("|".join(words.hour))
    if minute == 0:
        whole = [sequence(hours, optional(hour_word))]
        if language == "en":
            whole.append(sequence(hours, phrase("hundred"), phrase("(hours)")))
        return choice(whole)
    number = read_cardinal(minute, language)
    minutes = choice([read_digits(f"{minute:02d}", language), number]) if minute < 10 else number
    link = {"es": "(y)", "it": "(e)", "pt": "(e)"}.get(language, "")
    minute_word = phrase(f"({words.minute})") if words.minute else SILENCE
    readings = [sequence(hours, optional(hour_word), phrase(link), minutes, minute_word)]
    if language == "en" or hour == 24:
        readings = [sequence(hours, minutes)]
    return choice([*readings, *_list_spoken_clock_readings(hour, minute, language)])


def _list_spoken_clock_readings(hour: int, minute: int, language: str) -> list[Expression]:
    """Return readings such as "half past ten"."""
    words = WORDS_BY_LANGUAGE[language]
    patterns = {30: words.half_past, 15: words.quarter_past, 45: words.quarter_to}.get(minute, "")
    patterns = "|".join(filter(None, [patterns, words.minutes_past, words.minutes_to]))
    this_hour = "|".join(" ".join(one) for one in iterate_readings(read_cardinal(hour, language)))
    next_hour = "|".join(
        " ".join(one)
        for one in iterate_readings(read_cardinal(hour % 12 + 1 if hour <= 12 else (hour + 1) % 24, language))
    )
    past = "|".join(" ".join(one) for one in iterate_readings(read_cardinal(minute, language)))
    to = "|".join(" ".join(one) for one in iterate_readings(read_cardinal(60 - minute, language)))
    return [
        _fill_template(pattern, {"hour": this_hour, "next": next_hour, "minutes": to if "{next}" in pattern else past})
        for pattern in patterns.split("|")
        if pattern
    ]


def _fill_template(pattern: str, readings: dict[str, str]) -> Expression:
    """Return the expression of `pattern`, in which the readings replace their names in braces."""
    pieces = pattern.replace("{", "\0{").replace("}", "}\0").split("\0")
    return sequence(*(phrase(readings[piece[1:-1]]) if piece.startswith("{") else phrase(piece) for piece in pieces))


_CURRENCIES = {"¥": "元|块|块钱", "￥": "元|块|块钱", "$": "美元|元", "€": "欧元", "£": "英镑"}
"""Chinese readings of currencies, by sign."""
_UNITS = {
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
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
"""Regular expression of a number in Chinese and Japanese texts."""


class ChinesePattern(NamedTuple):
    """A pattern for one kind of entity, and the function that returns the readings of a match in a language."""

    kind: str
    pattern: re.Pattern[str]
    read_match: Callable[[re.Match[str], str], Expression]


def _read_number(written: str, language: str) -> Expression:
    whole, _, decimals = written.replace(",", "").partition(".")
    readings = []
    if int(whole) <= MAX_READ_NUMBER and (whole[0] != "0" or len(whole) == 1):
        readings.append(read_cardinal(int(whole), language))
    if len(whole) >= 3 or not readings:
        readings.append(read_digits(whole, language))
    point = {"ja": "点|てん"}.get(language, "点")
    rest = sequence(phrase(point), read_digits(decimals, language)) if decimals else SILENCE
    return sequence(choice(readings), rest)


def _read_date(match: re.Match[str], language: str) -> Expression:
    year, month, day = match["year"], int(match["month"]), int(match["day"])
    years = sequence(read_digits(year, language), phrase("年")) if year else SILENCE
    return sequence(
        years,
        read_cardinal(month, language),
        phrase("月"),
        read_cardinal(day, language),
        phrase("日|号" if language == "zh" else "日"),
    )


def _read_chinese_year(match: re.Match[str], language: str) -> Expression:
    return choice([read_digits(match[0], language), read_cardinal(int(match[0]), language)])


def _read_time(match: re.Match[str], language: str) -> Expression:
    hour, minute = int(match["hour"]), int(match["minute"])
    readings = [_read_chinese_clock(hour, minute, language)]
    if hour > 12 and language == "zh":
        readings.append(sequence(phrase("下午|晚上"), _read_chinese_clock(hour - 12, minute, language)))
    return choice(readings)


def _read_chinese_clock(hour: int, minute: int, language: str) -> Expression:
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


def _read_percent(match: re.Match[str], language: str) -> Expression:
    if language == "ja":
        return sequence(_read_number(match["number"], language), phrase("パーセント|%"))
    return sequence(phrase("百分之"), _read_number(match["number"], language))


def _read_money(match: re.Match[str], language: str) -> Expression:
    names = {"¥": "円", "￥": "円", "$": "ドル", "€": "ユーロ", "£": "ポンド"} if language == "ja" else _CURRENCIES
    return sequence(_read_number(match["number"], language), phrase(names[match["sign"]]))


def _read_quantity(match: re.Match[str], language: str) -> Expression:
    return sequence(_read_number(match["number"], language), phrase(_UNITS[match["unit"]]))


def _read_long_number(match: re.Match[str], language: str) -> Expression:
    return sequence(*(read_digits(group, language) for group in re.findall(r"\d+", match[0])))


def _read_plain_number(match: re.Match[str], language: str) -> Expression:
    return _read_number(match[0], language)


def _read_minus(match: re.Match[str], language: str) -> Expression:
    minus = phrase("负|零下" if language == "zh" else "マイナス")
    unit = phrase(_UNITS[match["unit"]]) if match["unit"] else SILENCE
    return sequence(minus, _read_number(match["number"], language), unit)


_UNIT_PATTERN = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
"""Regular expression of the abbreviations of units."""
CHINESE_PATTERNS = (
    ChinesePattern("date", re.compile(r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?P<day>\d{1,2})[日号]"), _read_date),
    ChinesePattern(
        "date",
        re.compile(r"(?P<year>\d{4})[-/.](?P<month>0?[1-9]|1[0-2])[-/.](?P<day>0?[1-9]|[12]\d|3[01])(?!\d)"),
        _read_date,
    ),
    ChinesePattern("date", re.compile(r"\d{4}(?=年)"), _read_chinese_year),
    ChinesePattern("time", re.compile(r"(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)"), _read_time),
    ChinesePattern("phone", re.compile(r"\+?\d[\d -]{5,}\d(?!\d)"), _read_long_number),
    ChinesePattern("percent", re.compile(rf"(?P<number>{_NUMBER})%"), _read_percent),
    ChinesePattern("money", re.compile(rf"(?P<sign>[¥￥$€£])\s?(?P<number>{_NUMBER})"), _read_money),
    ChinesePattern(
        "number", re.compile(rf"(?<![\d.])[-−](?P<number>{_NUMBER})(?P<unit>{_UNIT_PATTERN})?"), _read_minus
    ),
    ChinesePattern(
        "unit", re.compile(rf"(?P<number>{_NUMBER})\s?(?P<unit>{_UNIT_PATTERN})(?![A-Za-z])"), _read_quantity
    ),
    ChinesePattern("number", re.compile(_NUMBER), _read_plain_number),
)
"""Patterns of entities in Chinese and Japanese texts, in the order in which they are tried."""


def iterate_chinese_entities(text: str, language: str) -> Iterator[tuple[int, int, str, Expression]]:
    """Yield the start, the end, the kind and the readings of each entity, in the order of the text."""
    at = 0
    while at < len(text):
        found = [
            (match.start(), order, match)
            for order, one in enumerate(CHINESE_PATTERNS)
            if (match := one.pattern.search(text, at))
        ]
        if not found:
            return
        _, order, match = min(found, key=lambda one: one[:2])
        yield (
            match.start(),
            match.end(),
            CHINESE_PATTERNS[order].kind,
            CHINESE_PATTERNS[order].read_match(match, language),
        )
        at = match.end()

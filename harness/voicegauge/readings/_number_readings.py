"""Readings of whole and decimal numbers, ordinals, fractions, amounts of money, units and telephone numbers."""

from __future__ import annotations

import re

from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.number_words import (
    MAX_READ_NUMBER,
    list_german_words,
    read_cardinal,
    read_digit,
    read_digits,
)
from voicegauge.readings.spoken_alternatives import (
    SILENCE,
    Expression,
    choice,
    iterate_readings,
    optional,
    phrase,
    sequence,
)

MIN_DIGITS_READ_SINGLY = 3
"""Number of digits from which a number may be read digit by digit, such as the number of a room."""
_LINK_AFTER_SCALE = {"es": "(de)", "fr": "(de)(d)", "it": "(di)", "pt": "(de)"}
"""What may be read between "million" and the name of a currency."""
_ENGLISH_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
"""English ordinals that do not end in the cardinal number with "th" or "ieth", by the last word of the cardinal
number."""
_ENGLISH_ROUND_ORDINALS = {100: "hundredth", 1000: "thousandth", 10**6: "millionth"}
"""Ordinals of round numbers without "one" before them."""
_ORDINALS_BY_LANGUAGE = {
    "es": "primer|primero|primera segundo|segunda tercer|tercero|tercera cuarto|cuarta quinto|quinta sexto|sexta "
    "séptimo|séptima octavo|octava noveno|novena décimo|décima",
    "it": "primo|prima secondo|seconda terzo|terza quarto|quarta quinto|quinta sesto|sesta settimo|settima "
    "ottavo|ottava nono|nona decimo|decima",
    "pt": "primeiro|primeira segundo|segunda terceiro|terceira quarto|quarta quinto|quinta sexto|sexta sétimo|sétima "
    "oitavo|oitava nono|nona décimo|décima",
}
"""Ordinals from the first one on, separated by spaces; "|" separates their forms."""
_ENGLISH_FRACTION_PARTS = {2: "half/halves", 3: "third/thirds", 4: "quarter|fourth/quarters|fourths"}
"""Names of fractions by denominator: singular and plural, separated by "/"."""
_FRACTIONS_BY_LANGUAGE: dict[str, dict[tuple[int, int], str]] = {
    "de": {(1, 2): "ein halb|ein halber|ein halbes|eine halbe|einhalb", (1, 3): "ein Drittel", (2, 3): "zwei Drittel"}
    | {(1, 4): "ein Viertel", (3, 4): "drei Viertel|dreiviertel"},
    "es": {(1, 2): "un medio|medio|media|la mitad", (1, 3): "un tercio", (2, 3): "dos tercios"}
    | {(1, 4): "un cuarto", (3, 4): "tres cuartos"},
    "fr": {(1, 2): "un demi|demi|demie|une demie", (1, 3): "un tiers", (2, 3): "deux tiers"}
    | {(1, 4): "un quart", (3, 4): "trois quarts"},
    "it": {(1, 2): "un mezzo|mezzo|mezza", (1, 3): "un terzo", (2, 3): "due terzi"}
    | {(1, 4): "un quarto", (3, 4): "tre quarti"},
    "pt": {(1, 2): "um meio|meio|meia", (1, 3): "um terço", (2, 3): "dois terços"}
    | {(1, 4): "um quarto", (3, 4): "três quartos"},
}
"""Readings of usual fractions by numerator and denominator."""
_FRACTION_BAR = {"en": "over|slash", "de": "durch", "es": "sobre", "fr": "sur", "it": "su", "pt": "sobre"}
"""How the bar of a fraction is read, by language."""


def build_number_pattern(language: str) -> str:
    """Return a regular expression of a written number, with groups of thousands and decimals."""
    if language == "en":
        return r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    return r"(?:\d{1,3}(?:[. '’]\d{3})+(?!\d)|\d+)(?:,\d+)?"


def read_number(written: str, language: str) -> Expression:
    """Return the readings of a written number, which may have groups of thousands and decimals."""
    words = WORDS_BY_LANGUAGE[language]
    whole, _, decimals = written.partition(words.decimal_sign)
    digits = re.sub(r"\D", "", whole)
    first = read_whole_number(digits, language, is_grouped=digits != whole)
    if not decimals:
        return first
    if digits == "0" and language == "en":
        first = optional(first)
    return sequence(first, phrase(words.point), _read_decimals(decimals, language))


def _read_decimals(decimals: str, language: str) -> Expression:
    """Return the readings of the digits after a decimal sign: singly, or as a number."""
    number = decimals.lstrip("0")
    zeros = read_digits(decimals[: len(decimals) - len(number)], language)
    if not number or len(number) == 1 or len(number) > MIN_DIGITS_READ_SINGLY:
        return read_digits(decimals, language)
    return choice([read_digits(decimals, language), sequence(zeros, read_cardinal(int(number), language))])


def read_whole_number(digits: str, language: str, *, is_grouped: bool = False) -> Expression:
    """Return the readings of a whole number: as a number, as a year, in pairs, or digit by digit."""
    number = int(digits)
    if len(digits) > 1 and digits[0] == "0":
        rest = digits.lstrip("0")
        zeros = [read_digit("0", language)] * (len(digits) - len(rest))
        as_number = [sequence(*zeros, read_cardinal(int(rest), language))] if 1 < len(rest) <= 4 else []
        return choice([_read_singly(digits, language), *as_number])
    if number > MAX_READ_NUMBER:
        return _read_singly(digits, language)
    readings = [read_cardinal(number, language)]
    if is_grouped:
        return choice(
            [*readings, *(_list_year_readings(digits, "en") if language == "en" and len(digits) == 4 else [])]
        )
    if len(digits) == 4:
        readings = [*_list_year_readings(digits, language), *readings]
    if len(digits) >= MIN_DIGITS_READ_SINGLY:
        readings.append(_read_singly(digits, language))
        readings += _list_pair_readings(digits, language)
    return choice(readings)


def _list_year_readings(digits: str, language: str) -> list[Expression]:
    century, rest = int(digits[:2]), int(digits[2:])
    if language == "en":
        if rest == 0:
            return [sequence(read_cardinal(century, "en"), phrase("hundred"))] if century % 10 else []
        as_hundreds = sequence(
            read_cardinal(century, "en"), phrase("hundred"), phrase("(and)"), read_cardinal(rest, "en")
        )
        return [as_hundreds] if century % 10 else []
    if language == "de" and 11 <= century <= 19:
        hundreds = list_german_words(century)[0] + "hundert"
        links = ["", "und"] if 0 < rest < 100 else [""]
        others = list_german_words(rest) if rest else [""]
        return [phrase("|".join(f"{hundreds}{link}{other}" for link in links for other in others))]
    if language == "fr" and 11 <= century <= 19:
        after = read_cardinal(rest, "fr") if rest else SILENCE
        return [sequence(read_cardinal(century, "fr"), phrase("cent|cents"), after)]
    return []


def _list_pair_readings(digits: str, language: str) -> list[Expression]:
    """Return readings in pairs, such as "four seventeen" and "nineteen oh five"; none if a pair has no words."""
    pairs = [digits[:1], digits[1:]] if len(digits) == 3 else [digits[:2], digits[2:]]
    if len(digits) > 4 or int(pairs[1]) == 0 or language in ("zh", "ja"):
        return []
    return [sequence(*(_read_pair(pair, language) for pair in pairs))]


def _read_pair(pair: str, language: str) -> Expression:
    """Return the readings of two digits; a leading zero is read too."""
    if len(pair) == 2 and pair[0] == "0":
        return read_digits(pair, language)
    return read_cardinal(int(pair), language)


def _read_singly(digits: str, language: str) -> Expression:
    """Return the reading digit by digit; in English, equal digits may be "double" or "triple"."""
    if language != "en":
        return read_digits(digits, language)
    parts: list[Expression] = []
    for run in re.finditer(r"(\d)\1{0,2}", digits):
        digit, count = read_digit(run[1], "en"), len(run[0])
        readings = [sequence(*[digit] * count)]
        if count == 3:
            readings += [
                sequence(phrase("triple"), digit),
                sequence(phrase("double"), digit, digit),
                sequence(digit, phrase("double"), digit),
            ]
        parts.append(choice([*readings, *([sequence(phrase("double"), digit)] if count == 2 else [])]))
    return sequence(*parts)


def read_ordinal(number: int, language: str) -> Expression:
    """Return the readings of an ordinal number; that of the number itself where no ordinal is known."""
    if number > MAX_READ_NUMBER:
        return read_digits(str(number), language)
    if language == "en":
        return _read_english_ordinal(number)
    if language == "de":
        stems = {1: ["erst"], 3: ["dritt"], 7: ["siebt", "siebent"], 8: ["acht"]}.get(number)
        if stems is None:
            ending = "t" if number % 100 and number % 100 < 20 else "st"
            stems = [f"{word}{ending}" for word in list_german_words(number)] if number < 10**6 else []
        return phrase(
            "|".join(f"{stem}{end}" for stem in stems for end in ("e", "er", "en", "es", "em")) or str(number)
        )
    if language == "fr":
        return _read_french_ordinal(number)
    known = _ORDINALS_BY_LANGUAGE[language].split()
    readings = [phrase(known[number - 1])] if 0 < number <= len(known) else []
    if language == "it" and number > len(known):
        words = [one[0] for one in iterate_readings(read_cardinal(number, "it")) if len(one) == 1]
        stems = [one if one.endswith(("tre", "sei")) else one[:-1] for one in words]
        readings += [phrase("|".join(f"{stem}esim{end}" for stem in stems for end in "oa"))] if stems else []
    return choice([*readings, read_cardinal(number, language)])


def _read_english_ordinal(number: int) -> Expression:
    readings = []
    for words in iterate_readings(read_cardinal(number, "en")):
        last = words[-1]
        ordinal = _ENGLISH_ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
        readings.append(phrase(" ".join([*words[:-1], ordinal])))
    readings += [phrase(_ENGLISH_ROUND_ORDINALS[number])] if number in _ENGLISH_ROUND_ORDINALS else []
    return choice(readings)


def _read_french_ordinal(number: int) -> Expression:
    readings = [phrase("premier|première")] if number == 1 else [phrase("second|seconde")] if number == 2 else []
    for words in list(iterate_readings(read_cardinal(number, "fr")))[:64]:
        last = {"cinq": "cinqu", "neuf": "neuv"}.get(words[-1], words[-1])
        last = last[:-1] if last.endswith(("e", "s")) and last != "trois" else last
        readings.append(phrase(" ".join([*words[:-1], f"{last}ième"])))
    return choice(readings)


def read_fraction(numerator: str, denominator: str, language: str) -> Expression:
    """Return the readings of a fraction such as 3/4, or of a ratio that is written like one."""
    over = sequence(
        read_number(numerator, language),
        phrase(f"({_FRACTION_BAR[language].split('|')[0]})"),
        read_number(denominator, language),
    )
    slash = sequence(read_number(numerator, language), phrase("(slash)"), read_number(denominator, language))
    top, bottom = int(numerator), int(denominator)
    named = []
    if language == "en" and bottom > 1:
        one, _, many = _ENGLISH_FRACTION_PARTS.get(bottom, "").partition("/")
        if one:
            parts = phrase(one if top == 1 else many)
        else:
            parts = _read_plural_ordinal(bottom) if top != 1 else read_ordinal(bottom, "en")
        named = [sequence(phrase("one|a") if top == 1 else read_cardinal(top, "en"), parts)]
        named += [parts] if top == 1 else []
    elif (top, bottom) in _FRACTIONS_BY_LANGUAGE.get(language, {}):
        named = [phrase(_FRACTIONS_BY_LANGUAGE[language][top, bottom])]
    return choice([*named, over, slash])


def _read_plural_ordinal(number: int) -> Expression:
    return phrase("|".join(f"{' '.join(words)}s" for words in iterate_readings(read_ordinal(number, "en"))))


def read_money(written: str, sign: str, scale: str | None, language: str) -> Expression:
    """Return the readings of an amount of money.

    Args:
        written: the number as the text has it.
        sign: sign or code of the currency, one of the language's `currencies`.
        scale: word or letter for a large number after the amount, such as "million"; `None` without one.
        language: one of `WORDS_BY_LANGUAGE`.
    """
    words = WORDS_BY_LANGUAGE[language]
    whole, _, decimals = written.partition(words.decimal_sign)
    one, many = words.currencies[sign]
    if scale is not None:
        large = phrase(words.scales.get(scale.lower(), scale))
        return sequence(
            read_number(written, language), large, phrase(_LINK_AFTER_SCALE.get(language, "")), phrase(f"{many}|{one}")
        )
    digits = re.sub(r"\D", "", whole)
    unit = phrase(f"{one}|{many}" if digits == "1" else many)
    amount = read_whole_number(digits, language, is_grouped=digits != whole)
    if not decimals:
        return sequence(amount, unit)
    if len(decimals) != 2:
        return sequence(read_number(written, language), unit)
    if int(decimals) == 0:
        return choice([sequence(amount, unit), sequence(read_number(written, language), unit)])
    cent, cents = words.cents.get(sign, words.cents[""])
    hundredths = read_cardinal(int(decimals), language)
    short = read_digits(decimals, language) if decimals[0] == "0" else hundredths
    cent_word = phrase(cent if decimals == "01" else cents)
    readings = [
        sequence(amount, unit, optional(phrase(words.money_link)), hundredths, optional(cent_word)),
        sequence(amount, unit, short),
        sequence(amount, optional(phrase(words.money_link)), choice([short, hundredths]), optional(unit)),
        sequence(read_number(written, language), unit),
    ]
    if int(digits or "0") == 0:
        readings.insert(0, sequence(hundredths, cent_word))
    return choice(readings)


def read_quantity(written: str, unit: str, language: str) -> Expression:
    """Return the readings of a number with the abbreviation of a unit."""
    one, many = WORDS_BY_LANGUAGE[language].units[unit]
    return sequence(read_number(written, language), phrase(f"{one}|{many}" if written == "1" else f"{many}|{one}"))


def read_signed(sign: str, reading: Expression, language: str) -> Expression:
    """Return a reading with the sign before it; "" for none."""
    words = WORDS_BY_LANGUAGE[language]
    return sequence(phrase(words.plus if sign == "+" else words.minus), reading) if sign else reading


def read_telephone_number(written: str, language: str) -> Expression:
    """Return the readings of a telephone number: digit by digit, or each group as a number."""
    groups = re.findall(r"\d+", written)
    plus = phrase(f"({WORDS_BY_LANGUAGE[language].plus})") if "+" in written else SILENCE
    dash = phrase({"en": "(dash)"}.get(language, "")) if "-" in written else SILENCE
    by_groups = sequence(plus, *(sequence(_read_telephone_group(group, language), dash) for group in groups))
    if len(groups) == 1 and "+" not in written and written[0] != "0" and int(written) <= MAX_READ_NUMBER:
        return choice([by_groups, read_cardinal(int(written), language)])
    return by_groups


def _read_telephone_group(digits: str, language: str) -> Expression:
    readings = [_read_singly(digits, language)]
    if digits[0] == "0" and len(digits) <= 4:
        readings.append(read_whole_number(digits, language))
    if len(digits) <= MIN_DIGITS_READ_SINGLY and digits[0] != "0":
        readings.append(read_cardinal(int(digits), language))
    if len(digits) == 4 and digits[0] != "0":
        readings += [*_list_pair_readings(digits, language), read_cardinal(int(digits), language)]
    elif len(digits) % 2 == 0:
        readings.append(sequence(*(_read_pair(digits[at : at + 2], language) for at in range(0, len(digits), 2))))
    return choice(readings)

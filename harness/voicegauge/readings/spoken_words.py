"""Spoken words with their alternatives, such as "two hundred (and) twelve" or "two one two", and numbers in them.

An expression is a sequence of words, a sequence of expressions or a choice between expressions. It stands for a set of
word sequences without listing them: a telephone number has thousands.

Numbers are read in English, German, Spanish, French, Italian, Portuguese, Chinese and Japanese. Each has its accepted
readings, the usual one first: with and without "and", in both genders, with regional words. Words are written without
spaces where the language writes them so.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

_WORD_PATTERN = re.compile(r"[^\W_]+")
"""Matches a word: letters and digits without anything between them."""


class WordSequence(NamedTuple):
    """A sequence of words without alternatives."""

    words: tuple[str, ...]


class ExpressionSequence(NamedTuple):
    """Expressions that are spoken one after the other."""

    parts: tuple[Expression, ...]


class ExpressionChoice(NamedTuple):
    """A choice between expressions, one of which is spoken; the first is the usual one."""

    alternatives: tuple[Expression, ...]


Expression = WordSequence | ExpressionSequence | ExpressionChoice

SILENCE = WordSequence(())
"""The expression without words, for what is not spoken."""


def fold_case_and_accents(text: str) -> str:
    """Return `text` in lower case without accents: "Février" and "fevrier" are the same word."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return unicodedata.normalize("NFC", "".join(char for char in decomposed if not unicodedata.combining(char)))


@functools.lru_cache(maxsize=512)
def phrase(text: str) -> Expression:
    """Return the expression that `text` describes: "|" separates alternatives, words in parentheses may be left out."""
    alternatives = [_build_phrase_alternative(one) for one in text.split("|")]
    return alternatives[0] if len(alternatives) == 1 else ExpressionChoice(tuple(alternatives))


def _build_phrase_alternative(text: str) -> Expression:
    parts = re.split(r"\(([^)]*)\)", text)
    if len(parts) == 1:
        return WordSequence(tuple(_WORD_PATTERN.findall(fold_case_and_accents(text))))
    return sequence(*(optional(phrase(part)) if index % 2 else phrase(part) for index, part in enumerate(parts)))


def sequence(*parts: Expression) -> Expression:
    """Combine expressions into one whose parts are spoken one after the other."""
    return ExpressionSequence(tuple(part for part in parts if part != SILENCE))


def choice(alternatives: Iterable[Expression]) -> Expression:
    """Return a choice between expressions; the first is the usual one.

    Raises:
        ValueError: there are no alternatives.
    """
    different = tuple(dict.fromkeys(alternatives))
    if not different:
        raise ValueError("no alternatives")
    return different[0] if len(different) == 1 else ExpressionChoice(different)


def optional(expression: Expression) -> Expression:
    """Return a choice between `expression`, the usual alternative, and nothing."""
    return ExpressionChoice((expression, SILENCE))


def split_into_characters(expression: Expression) -> Expression:
    """Return the same alternatives with each word split into its characters, for languages without spaces."""
    match expression:
        case WordSequence(words):
            return WordSequence(tuple("".join(words)))
        case ExpressionSequence(parts):
            return ExpressionSequence(tuple(split_into_characters(part) for part in parts))
        case ExpressionChoice(alternatives):
            return ExpressionChoice(tuple(split_into_characters(one) for one in alternatives))


def list_words(expression: Expression) -> frozenset[str]:
    """Return every word of every alternative of `expression`."""
    match expression:
        case WordSequence(words):
            return frozenset(words)
        case ExpressionSequence(parts):
            return frozenset().union(*map(list_words, parts))
        case ExpressionChoice(alternatives):
            return frozenset().union(*map(list_words, alternatives))


def restrict_to_vocabulary(expression: Expression, vocabulary: frozenset[str]) -> Expression:
    """Return `expression` without the alternatives that cannot be said with the words of `vocabulary` alone.

    Of alternatives that all need other words, the first of those that need the fewest remains.
    """
    return _prune_expression(expression, vocabulary)[0]


def _prune_expression(expression: Expression, vocabulary: frozenset[str]) -> tuple[Expression, int]:
    """Return the expression as `restrict_to_vocabulary` does, and how many words it needs beyond the vocabulary."""
    match expression:
        case WordSequence(words):
            return expression, sum(word not in vocabulary for word in words)
        case ExpressionSequence(parts):
            pruned = [_prune_expression(part, vocabulary) for part in parts]
            return ExpressionSequence(tuple(one for one, _ in pruned)), sum(count for _, count in pruned)
        case ExpressionChoice(alternatives):
            pruned_alternatives = [_prune_expression(one, vocabulary) for one in alternatives]
            # If no alternative consists of known words, keeping one is enough: all of them have errors, and the
            # alignment takes longer with each.
            fewest = min(count for _, count in pruned_alternatives)
            best_alternatives = [one for one, count in pruned_alternatives if count == fewest]
            return choice(best_alternatives if fewest == 0 else best_alternatives[:1]), fewest


def iterate_readings(expression: Expression) -> Iterator[tuple[str, ...]]:
    """Yield every word sequence that an expression stands for, the usual one first."""
    match expression:
        case WordSequence(words):
            yield words
        case ExpressionSequence(parts):
            yield from _iterate_sequence(parts)
        case ExpressionChoice(alternatives):
            for one in alternatives:
                yield from iterate_readings(one)


def _iterate_sequence(parts: tuple[Expression, ...]) -> Iterator[tuple[str, ...]]:
    if not parts:
        yield ()
        return
    for first in iterate_readings(parts[0]):
        for rest in _iterate_sequence(parts[1:]):
            yield first + rest


# Numbers as words.


MAX_READ_NUMBER = 10**12 - 1
"""The largest number that has a reading as a whole; larger numbers are read digit by digit."""

_ENGLISH_WORDS_BELOW_20 = [
    "zero|oh|o|nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
"""Readings of the numbers from 0 to 19, in their order."""
_ENGLISH_WORDS_OF_TENS = ["", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
"""Words for the tens, by the first digit; empty for 0."""
_GERMAN_WORDS_BELOW_20 = [
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf",
    "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
]  # fmt: skip
"""Readings of the numbers from 0 to 19, in their order."""
_GERMAN_TENS = ["", "zehn", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
"""Words for the tens, by the first digit; empty for 0."""
_SPANISH_WORDS_BELOW_30 = [
    "cero", "uno|un|una", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once",
    "doce", "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte",
    "veintiuno|veintiún|veintiuna", "veintidós", "veintitrés", "veinticuatro", "veinticinco", "veintiséis",
    "veintisiete", "veintiocho", "veintinueve",
]  # fmt: skip
"""Readings of the numbers from 0 to 29, in their order."""
_SPANISH_TENS = ["", "diez", "veinte", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"]
"""Words for the tens, by the first digit; empty for 0."""
_SPANISH_WORDS_OF_HUNDREDS = [
    "", "ciento", "doscientos|doscientas", "trescientos|trescientas", "cuatrocientos|cuatrocientas",
    "quinientos|quinientas", "seiscientos|seiscientas", "setecientos|setecientas", "ochocientos|ochocientas",
    "novecientos|novecientas",
]  # fmt: skip
"""Readings of the hundreds, by the first digit; empty for 0."""
_FRENCH_WORDS_BELOW_20 = [
    "zéro", "un|une", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
    "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
]  # fmt: skip
"""Readings of the numbers from 0 to 19, in their order."""
_FRENCH_TENS = ["", "dix", "vingt", "trente", "quarante", "cinquante", "soixante"]
"""Words for the tens up to 60, by the first digit; empty for 0."""
_ITALIAN_WORDS_BELOW_20 = [
    "zero", "uno|un|una", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "undici",
    "dodici", "tredici", "quattordici", "quindici", "sedici", "diciassette", "diciotto", "diciannove",
]  # fmt: skip
"""Readings of the numbers from 0 to 19, in their order."""
_ITALIAN_TENS = ["", "dieci", "venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"]
"""Words for the tens, by the first digit; empty for 0."""
_PORTUGUESE_WORDS_BELOW_20 = [
    "zero", "um|uma", "dois|duas", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "onze", "doze",
    "treze", "catorze|quatorze", "quinze", "dezesseis|dezasseis", "dezessete|dezassete", "dezoito",
    "dezenove|dezanove",
]  # fmt: skip
"""Readings of the numbers from 0 to 19, in their order."""
_PORTUGUESE_TENS = ["", "dez", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"]
"""Words for the tens, by the first digit; empty for 0."""
_PORTUGUESE_WORDS_OF_HUNDREDS = [
    "", "cento", "duzentos|duzentas", "trezentos|trezentas", "quatrocentos|quatrocentas", "quinhentos|quinhentas",
    "seiscentos|seiscentas", "setecentos|setecentas", "oitocentos|oitocentas", "novecentos|novecentas",
]  # fmt: skip
"""Readings of the hundreds, by the first digit; empty for 0."""
_CHINESE_DIGITS = "零〇一二三四五六七八九"
"""Digits from 0 on, the first of them in two forms."""


def read_cardinal(number: int, language: str) -> Expression:
    """Return how a whole number from 0 to `MAX_READ_NUMBER` is spoken as a cardinal number.

    Args:
        number: the number.
        language: one of en, de, es, fr, it, pt, zh, ja.
    """
    return _CARDINAL_BUILDER_BY_LANGUAGE[language](number)


def read_digit(digit: str, language: str) -> Expression:
    """Return how one digit is said in `language`, as in a telephone number."""
    if language == "zh":
        # Digits with a second name, by which nobody confuses them on the telephone: 幺 and 两, meia, zwo.
        return phrase({"0": "零|〇", "1": "一|幺", "2": "二|两"}.get(digit, _CHINESE_DIGITS[int(digit) + 1]))
    if language == "ja":
        return phrase({"0": "零|〇|ゼロ"}.get(digit, _CHINESE_DIGITS[int(digit) + 1]))
    if language == "pt" and digit == "6":
        return phrase("seis|meia")
    if language == "de" and digit == "2":
        return phrase("zwei|zwo")
    return read_cardinal(int(digit), language)


def read_digits(digits: str, language: str) -> Expression:
    """Return how the digits of a number are said one by one in `language`."""
    return sequence(*(read_digit(digit, language) for digit in digits))


def _append_reading_of_rest(
    first: Expression, rest: int, build_reading: Callable[[int], Expression], link: Expression = SILENCE
) -> Expression:
    """Return `first`, then `link` and the reading of the rest of a number, unless the rest is 0."""
    return sequence(first, link, build_reading(rest)) if rest else first


def _build_english_reading(number: int) -> Expression:
    if number >= 1000:
        scale, name = _find_largest_scale(number, ((10**9, "billion"), (10**6, "million"), (1000, "thousand")))
        head, rest = divmod(number, scale)
        first = phrase("one|a") if head == 1 else _build_english_reading(head)
        link = phrase("(and)") if rest < 100 else SILENCE
        return _append_reading_of_rest(sequence(first, phrase(name)), rest, _build_english_reading, link)
    if number >= 100:
        head, rest = divmod(number, 100)
        first = phrase("one|a") if head == 1 else phrase(_ENGLISH_WORDS_BELOW_20[head])
        return _append_reading_of_rest(
            sequence(first, phrase("hundred")), rest, _build_english_reading, phrase("(and)")
        )
    if number < 20:
        return phrase(_ENGLISH_WORDS_BELOW_20[number])
    tens, ones = divmod(number, 10)
    return _append_reading_of_rest(phrase(_ENGLISH_WORDS_OF_TENS[tens]), ones, _build_english_reading)


def _find_largest_scale(number: int, scales: tuple[tuple[int, str], ...]) -> tuple[int, str]:
    """Return the first scale, such as a thousand, that `number` reaches, and its name."""
    return next((scale, name) for scale, name in scales if number >= scale)


def _build_german_reading(number: int) -> Expression:
    if number >= 10**6:
        scale, name = _find_largest_scale(number, ((10**9, "Milliarde"), (10**6, "Million")))
        head, rest = divmod(number, scale)
        plural = f"{name}n" if name.endswith("e") else f"{name}en"
        first = phrase(f"eine {name}") if head == 1 else sequence(_build_german_reading(head), phrase(plural))
        return _append_reading_of_rest(first, rest, _build_german_reading, phrase("(und)"))
    if number == 1:
        return phrase("eins|ein|eine|einen|einem|einer")
    readings = list_german_number_words(number)
    if number >= 1000 and number % 1000:  # long numbers are also written in two words
        head, rest = divmod(number, 1000)
        rests = list_german_number_words(rest)
        split = [f"{one} {other}" for one in list_german_number_words(head * 1000) for other in rests]
        readings = [*readings, *split]
    return phrase("|".join(readings))


def list_german_number_words(number: int) -> list[str]:
    """Return the words for a number below a million, each written as one word."""
    if number < 20:
        return [_GERMAN_WORDS_BELOW_20[number]]
    if number < 100:
        tens, ones = divmod(number, 10)
        one = {0: "", 1: "einund"}.get(ones, f"{_GERMAN_WORDS_BELOW_20[ones]}und")
        return [f"{one}{_GERMAN_TENS[tens]}"]
    scale, name = (1000, "tausend") if number >= 1000 else (100, "hundert")
    head, rest = divmod(number, scale)
    heads = ["ein", ""] if head == 1 else list_german_number_words(head)
    heads = [f"{one[:-1]}" if one.endswith("eins") else one for one in heads]
    if not rest:
        return [f"{one}{name}" for one in heads]
    links = ["", "und"] if rest < 100 else [""]
    return [f"{one}{name}{link}{other}" for one in heads for link in links for other in list_german_number_words(rest)]


def _build_spanish_reading(number: int) -> Expression:
    if number >= 10**6:
        head, rest = divmod(number, 10**6)
        first = phrase("un millón") if head == 1 else sequence(_build_spanish_reading(head), phrase("millones"))
        return _append_reading_of_rest(first, rest, _build_spanish_reading)
    if number >= 1000:
        head, rest = divmod(number, 1000)
        first = SILENCE if head == 1 else _build_spanish_reading(head)
        return _append_reading_of_rest(sequence(first, phrase("mil")), rest, _build_spanish_reading)
    if number == 100:
        return phrase("cien|ciento")
    if number > 100:
        hundreds, rest = divmod(number, 100)
        return _append_reading_of_rest(phrase(_SPANISH_WORDS_OF_HUNDREDS[hundreds]), rest, _build_spanish_reading)
    if number < 30:
        return phrase(_SPANISH_WORDS_BELOW_30[number])
    tens, ones = divmod(number, 10)
    return _append_reading_of_rest(phrase(_SPANISH_TENS[tens]), ones, _build_spanish_reading, phrase("y"))


def _build_french_reading(number: int) -> Expression:
    if number >= 10**6:
        scale, name = _find_largest_scale(number, ((10**9, "milliard"), (10**6, "million")))
        head, rest = divmod(number, scale)
        first = sequence(_build_french_reading(head), phrase(f"{name}|{name}s"))
        return _append_reading_of_rest(first, rest, _build_french_reading)
    if number >= 1000:
        head, rest = divmod(number, 1000)
        first = SILENCE if head == 1 else _build_french_reading(head)
        return _append_reading_of_rest(sequence(first, phrase("mille")), rest, _build_french_reading)
    if number >= 100:
        hundreds, rest = divmod(number, 100)
        first = SILENCE if hundreds == 1 else phrase(_FRENCH_WORDS_BELOW_20[hundreds])
        return _append_reading_of_rest(sequence(first, phrase("cent|cents")), rest, _build_french_reading)
    return _build_french_reading_below_100(number)


def _build_french_reading_below_100(number: int) -> Expression:
    if number < 20:
        return phrase(_FRENCH_WORDS_BELOW_20[number])
    tens, ones = divmod(number, 10)
    if tens < 7:
        link = phrase("et") if ones == 1 else SILENCE
        return _append_reading_of_rest(phrase(_FRENCH_TENS[tens]), ones, _build_french_reading_below_100, link)
    # Belgium and Switzerland count 70, 80 and 90 by tens; France adds to 60 and to 4 times 20.
    regional_tens = phrase({7: "septante", 8: "huitante|octante", 9: "nonante"}[tens])
    optional_link = phrase("(et)") if ones == 1 else SILENCE
    regional = _append_reading_of_rest(regional_tens, ones, _build_french_reading_below_100, optional_link)
    if tens == 7:
        link = phrase("et") if ones == 1 else SILENCE
        usual = _append_reading_of_rest(phrase("soixante"), 10 + ones, _build_french_reading_below_100, link)
    else:
        usual = _append_reading_of_rest(
            phrase("quatre vingt|quatre vingts"), number - 80, _build_french_reading_below_100
        )
    return choice([usual, regional])


def _build_italian_reading(number: int) -> Expression:
    if number >= 10**6:
        scale, one, many = (10**9, "miliardo", "miliardi") if number >= 10**9 else (10**6, "milione", "milioni")
        head, rest = divmod(number, scale)
        first = phrase(f"un {one}") if head == 1 else sequence(_build_italian_reading(head), phrase(many))
        return _append_reading_of_rest(first, rest, _build_italian_reading, phrase("(e)"))
    if number == 1:
        return phrase(_ITALIAN_WORDS_BELOW_20[1])
    together = "|".join(_list_italian_number_words(number))
    if number >= 1000 and number % 1000:
        head, rest = divmod(number, 1000)
        apart = sequence(
            phrase("|".join(_list_italian_number_words(head * 1000))), phrase("(e)"), _build_italian_reading(rest)
        )
        return choice([phrase(together), apart])
    return phrase(together)


def _list_italian_number_words(number: int) -> list[str]:
    if number < 20:
        return _ITALIAN_WORDS_BELOW_20[number].split("|")
    if number < 100:
        tens, ones = divmod(number, 10)
        # Before "uno" and "otto" the last vowel is dropped: ventuno, ventotto.
        stem = _ITALIAN_TENS[tens][:-1] if ones in (1, 8) else _ITALIAN_TENS[tens]
        if ones == 1:
            return [f"{stem}uno", f"{stem}un"]
        return [f"{stem}{_ITALIAN_WORDS_BELOW_20[ones] if ones else ''}"]
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        start = f"{'' if hundreds == 1 else _ITALIAN_WORDS_BELOW_20[hundreds]}cento"
        others = _list_italian_number_words(rest) if rest else [""]
        # Both "centootto" and "centotto" are written.
        elided = [f"{start[:-1]}{one}" for one in others if 80 <= rest < 90 or rest == 8]
        return [*(f"{start}{one}" for one in others), *elided]
    head, rest = divmod(number, 1000)
    starts = ["mille"] if head == 1 else [f"{one}mila" for one in _list_italian_number_words(head)]
    return [f"{start}{one}" for start in starts for one in (_list_italian_number_words(rest) if rest else [""])]


def _build_portuguese_reading(number: int) -> Expression:
    if number >= 10**6:
        scale, one, many = (
            (10**9, "bilhão|bilião", "bilhões|biliões") if number >= 10**9 else (10**6, "milhão", "milhões")
        )
        head, rest = divmod(number, scale)
        count = phrase("um") if head == 1 else _build_portuguese_reading(head)
        first = sequence(count, phrase(one if head == 1 else many))
        return _append_reading_of_rest(first, rest, _build_portuguese_reading, phrase("(e)"))
    if number >= 1000:
        head, rest = divmod(number, 1000)
        first = phrase("(um) mil") if head == 1 else sequence(_build_portuguese_reading(head), phrase("mil"))
        return _append_reading_of_rest(first, rest, _build_portuguese_reading, phrase("(e)"))
    if number == 100:
        return phrase("cem|cento")
    if number > 100:
        hundreds, rest = divmod(number, 100)
        first = phrase(_PORTUGUESE_WORDS_OF_HUNDREDS[hundreds])
        return _append_reading_of_rest(first, rest, _build_portuguese_reading, phrase("e"))
    if number < 20:
        return phrase(_PORTUGUESE_WORDS_BELOW_20[number])
    tens, ones = divmod(number, 10)
    return _append_reading_of_rest(phrase(_PORTUGUESE_TENS[tens]), ones, _build_portuguese_reading, phrase("e"))


def _build_han_reading(number: int, language: str) -> Expression:
    """Return the ways to say a number in Chinese or Japanese."""
    if number == 0:
        return read_digit("0", language)
    if number >= 10**4:  # numbers are grouped by ten thousands, not by thousands
        scale, name = _find_largest_scale(number, ((10**8, "亿|億"), (10**4, "万|萬")))
        head, rest = divmod(number, scale)
        first = _build_han_reading(head, language)
        if head == 2 and language == "zh":
            first = choice([first, phrase("两")])
        # Chinese says 零 where a place is skipped; Japanese says nothing there.
        gap = phrase("零|〇") if rest < scale // 10 and language == "zh" else SILENCE
        return _append_reading_of_rest(
            sequence(first, phrase(name)), rest, partial(_build_han_reading, language=language), gap
        )
    return _build_han_reading_below_10000(number, language)


def _build_han_reading_below_10000(number: int, language: str) -> Expression:
    """Return the readings of a number from 1 to 9,999 in Chinese or Japanese."""
    parts: list[Expression] = []
    is_gap = False
    for scale, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number_left = number // scale % 10, number % scale
        if digit:
            if is_gap and parts and language == "zh":
                parts.append(phrase("零|〇"))
            parts.append(_build_han_place_reading(digit, name, is_first=not parts, language=language))
        is_gap = not digit
        if not number_left:
            break
    return sequence(*parts)


def _build_han_place_reading(digit: int, name: str, *, is_first: bool, language: str) -> Expression:
    """Return the readings of a digit of a number, with the name of its place.

    Args:
        digit: the digit, from 1 to 9.
        name: the name of the place, such as 百 for hundreds; "" for the ones.
        is_first: whether the digit is the first of the number, where 十 needs no 一.
        language: "zh" or "ja".
    """
    word = phrase(_CHINESE_DIGITS[digit + 1])
    if digit == 2 and name != "十" and language == "zh":
        word = phrase("二|两")
    if digit == 1 and name and (language == "ja" or (is_first and name == "十")):
        word = choice([SILENCE, phrase("一")])
    return sequence(word, phrase(name)) if name else word


_CARDINAL_BUILDER_BY_LANGUAGE: dict[str, Callable[[int], Expression]] = {
    "en": _build_english_reading,
    "de": _build_german_reading,
    "es": _build_spanish_reading,
    "fr": _build_french_reading,
    "it": _build_italian_reading,
    "pt": _build_portuguese_reading,
    "zh": partial(_build_han_reading, language="zh"),
    "ja": partial(_build_han_reading, language="ja"),
}

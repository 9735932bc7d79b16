"""Readings of what is written in digits, signs or short forms: numbers, money, codes, names, dates and times of day."""

from __future__ import annotations

import re

from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.spoken_words import (
    MAX_READ_NUMBER,
    SILENCE,
    Expression,
    WordSequence,
    choice,
    fold_case_and_accents,
    iterate_readings,
    list_german_number_words,
    optional,
    phrase,
    read_cardinal,
    read_digit,
    read_digits,
    sequence,
)

# Numbers, amounts of money, units and telephone numbers.


MIN_DIGITS_READ_SINGLY = 3
"""Number of digits from which a number may be read digit by digit, such as the number of a room."""
_LINK_AFTER_SCALE_WORD = {"es": "(de)", "fr": "(de)(d)", "it": "(di)", "pt": "(de)"}
"""What may be read between "million" and the name of a currency, by language."""
_ENGLISH_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
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
_ENGLISH_DENOMINATORS = {2: "half/halves", 3: "third/thirds", 4: "quarter|fourth/quarters|fourths"}
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
_FRACTION_BAR_READINGS = {"en": "over|slash", "de": "durch", "es": "sobre", "fr": "sur", "it": "su", "pt": "sobre"}
"""How the bar of a fraction is read, by language."""


def build_number_pattern(language: str) -> str:
    """Return a regular expression of a written number, with groups of thousands and decimals."""
    if language == "en":
        return r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    return r"(?:\d{1,3}(?:[. '’]\d{3})+(?!\d)|\d+)(?:,\d+)?"


def read_number(written_number: str, language: str) -> Expression:
    """Return the readings of a written number, which may have groups of thousands and decimals."""
    words = WORDS_BY_LANGUAGE[language]
    whole, _, decimals = written_number.partition(words.decimal_sign)
    digits = re.sub(r"\D", "", whole)
    first = read_whole_number(digits, language, is_grouped=digits != whole)
    if not decimals:
        return first
    if digits == "0" and language == "en":  # "point five"
        first = optional(first)
    return sequence(first, phrase(words.decimal_sign_words), _read_decimals(decimals, language))


def _read_decimals(decimals: str, language: str) -> Expression:
    """Return the readings of the digits after a decimal sign: singly, or as a number."""
    # "3.14" may be "three point fourteen". Longer rows of digits are always read singly.
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
        # The zeros of "007" may be read before the number, as in "oh oh seven": usual for short numbers only.
        as_number = [sequence(*zeros, read_cardinal(int(rest), language))] if 1 < len(rest) <= 4 else []
        return choice([_read_digits_singly(digits, language), *as_number])
    if number > MAX_READ_NUMBER:
        return _read_digits_singly(digits, language)
    readings = [read_cardinal(number, language)]
    if is_grouped:  # "1,204" is neither a year nor a code, but may be "twelve hundred four" in English
        return choice(
            [*readings, *(_list_year_readings(digits, "en") if language == "en" and len(digits) == 4 else [])]
        )
    if len(digits) == 4:  # a year, or a number that is read like one
        readings = [*_list_year_readings(digits, language), *readings]
    if len(digits) >= MIN_DIGITS_READ_SINGLY:
        readings.append(_read_digits_singly(digits, language))
        readings += _list_readings_in_digit_pairs(digits, language)
    return choice(readings)


def _list_year_readings(digits: str, language: str) -> list[Expression]:
    century, rest = int(digits[:2]), int(digits[2:])
    if language == "en":
        if rest == 0:
            return [sequence(read_cardinal(century, "en"), phrase("hundred"))] if century % 10 else []
        as_hundreds = sequence(
            read_cardinal(century, "en"), phrase("hundred"), phrase("(and)"), read_cardinal(rest, "en")
        )
        return [as_hundreds] if century % 10 else []  # 2005 is not "twenty hundred five"
    if language == "de" and 11 <= century <= 19:
        hundreds = list_german_number_words(century)[0] + "hundert"
        links = ["", "und"] if 0 < rest < 100 else [""]
        others = list_german_number_words(rest) if rest else [""]
        return [phrase("|".join(f"{hundreds}{link}{other}" for link in links for other in others))]
    if language == "fr" and 11 <= century <= 19:
        after = read_cardinal(rest, "fr") if rest else SILENCE
        return [sequence(read_cardinal(century, "fr"), phrase("cent|cents"), after)]
    return []


def _list_readings_in_digit_pairs(digits: str, language: str) -> list[Expression]:
    """Return readings of 3 or 4 digits in pairs, such as "four seventeen"; none if a pair has no words."""
    pairs = [digits[:1], digits[1:]] if len(digits) == 3 else [digits[:2], digits[2:]]
    if len(digits) > 4 or int(pairs[1]) == 0 or language in ("zh", "ja"):
        return []
    return [sequence(*(_read_digit_pair(pair, language) for pair in pairs))]


def _read_digit_pair(pair: str, language: str) -> Expression:
    """Return the readings of two digits; a leading zero is read too."""
    if len(pair) == 2 and pair[0] == "0":
        return read_digits(pair, language)
    return read_cardinal(int(pair), language)


def _read_digits_singly(digits: str, language: str) -> Expression:
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
        # From 20 on, and for round hundreds, German ordinals end in "-ste", below in "-te".
        stems = {1: ["erst"], 3: ["dritt"], 7: ["siebt", "siebent"], 8: ["acht"]}.get(number)
        if stems is None:
            ending = "t" if number % 100 and number % 100 < 20 else "st"
            stems = [f"{word}{ending}" for word in list_german_number_words(number)] if number < 10**6 else []
        return phrase(
            "|".join(f"{stem}{end}" for stem in stems for end in ("e", "er", "en", "es", "em")) or str(number)
        )
    if language == "fr":
        return _read_french_ordinal(number)
    ordinals = _ORDINALS_BY_LANGUAGE[language].split()
    readings = [phrase(ordinals[number - 1])] if 0 < number <= len(ordinals) else []
    if language == "it" and number > len(ordinals):
        # The last vowel is dropped before "-esimo", except after "tre" and "sei": ventitreesimo, ventiseiesimo.
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
    # A large number has thousands of readings with regional words: the first ones are enough for an ordinal.
    for words in list(iterate_readings(read_cardinal(number, "fr")))[:64]:
        last = {"cinq": "cinqu", "neuf": "neuv"}.get(words[-1], words[-1])
        last = last[:-1] if last.endswith(("e", "s")) and last != "trois" else last
        readings.append(phrase(" ".join([*words[:-1], f"{last}ième"])))
    return choice(readings)


def read_fraction(numerator: str, denominator: str, language: str) -> Expression:
    """Return the readings of a fraction such as 3/4, or of a ratio that is written like one."""
    over = sequence(
        read_number(numerator, language),
        phrase(f"({_FRACTION_BAR_READINGS[language].split('|')[0]})"),
        read_number(denominator, language),
    )
    slash = sequence(read_number(numerator, language), phrase("(slash)"), read_number(denominator, language))
    top, bottom = int(numerator), int(denominator)
    fraction_names: list[Expression] = []
    if language == "en" and bottom > 1:
        one, _, many = _ENGLISH_DENOMINATORS.get(bottom, "").partition("/")
        if one:
            parts = phrase(one if top == 1 else many)
        else:
            ordinal = read_ordinal(bottom, "en")
            plurals = (f"{' '.join(words)}s" for words in iterate_readings(ordinal))
            parts = ordinal if top == 1 else phrase("|".join(plurals))
        fraction_names = [sequence(phrase("one|a") if top == 1 else read_cardinal(top, "en"), parts)]
        fraction_names += [parts] if top == 1 else []
    elif (top, bottom) in _FRACTIONS_BY_LANGUAGE.get(language, {}):
        fraction_names = [phrase(_FRACTIONS_BY_LANGUAGE[language][top, bottom])]
    return choice([*fraction_names, over, slash])


def read_money(written_amount: str, currency_sign: str, scale_word: str | None, language: str) -> Expression:
    """Return the readings of an amount of money.

    Args:
        written_amount: the number as the text has it.
        currency_sign: sign or code of the currency, one of the language's `currencies`.
        scale_word: word or letter for a large number after the amount, such as "million"; `None` without one.
        language: one of `WORDS_BY_LANGUAGE`.
    """
    words = WORDS_BY_LANGUAGE[language]
    whole, _, decimals = written_amount.partition(words.decimal_sign)
    one, many = words.currencies[currency_sign]
    if scale_word is not None:
        large = phrase(words.scales.get(scale_word.lower(), scale_word))
        return sequence(
            read_number(written_amount, language),
            large,
            phrase(_LINK_AFTER_SCALE_WORD.get(language, "")),
            phrase(f"{many}|{one}"),
        )
    digits = re.sub(r"\D", "", whole)
    unit = phrase(f"{one}|{many}" if digits == "1" else many)
    amount = read_whole_number(digits, language, is_grouped=digits != whole)
    if not decimals:
        return sequence(amount, unit)
    if len(decimals) != 2:
        return sequence(read_number(written_amount, language), unit)
    if int(decimals) == 0:
        return choice([sequence(amount, unit), sequence(read_number(written_amount, language), unit)])
    cent, cents = words.hundredths.get(currency_sign, words.hundredths[""])
    hundredths = read_cardinal(int(decimals), language)
    short = read_digits(decimals, language) if decimals[0] == "0" else hundredths
    cent_word = phrase(cent if decimals == "01" else cents)
    readings = [
        sequence(amount, unit, optional(phrase(words.money_link)), hundredths, optional(cent_word)),
        sequence(amount, unit, short),
        sequence(amount, optional(phrase(words.money_link)), choice([short, hundredths]), optional(unit)),
        sequence(read_number(written_amount, language), unit),
    ]
    if int(digits or "0") == 0:
        readings.insert(0, sequence(hundredths, cent_word))
    return choice(readings)


def read_telephone_number(written_number: str, language: str) -> Expression:
    """Return the readings of a telephone number: digit by digit, or each group as a number."""
    groups = re.findall(r"\d+", written_number)
    plus = phrase(f"({WORDS_BY_LANGUAGE[language].plus})") if "+" in written_number else SILENCE
    dash = phrase({"en": "(dash)"}.get(language, "")) if "-" in written_number else SILENCE
    # How digits are grouped on paper is how most people and voices pause, so each group has its own readings.
    by_groups = sequence(plus, *(sequence(_read_telephone_group(group, language), dash) for group in groups))
    if (
        len(groups) == 1
        and "+" not in written_number
        and written_number[0] != "0"
        and int(written_number) <= MAX_READ_NUMBER
    ):
        return choice([by_groups, read_cardinal(int(written_number), language)])
    return by_groups


def _read_telephone_group(digits: str, language: str) -> Expression:
    readings = [_read_digits_singly(digits, language)]
    if digits[0] == "0" and len(digits) <= 4:
        readings.append(read_whole_number(digits, language))
    if len(digits) <= MIN_DIGITS_READ_SINGLY and digits[0] != "0":
        readings.append(read_cardinal(int(digits), language))
    if len(digits) == 4 and digits[0] != "0":
        readings += [*_list_readings_in_digit_pairs(digits, language), read_cardinal(int(digits), language)]
    elif len(digits) % 2 == 0:
        readings.append(sequence(*(_read_digit_pair(digits[at : at + 2], language) for at in range(0, len(digits), 2))))
    return choice(readings)


# Codes, names, signs, dates and times of day.


_INTERNET_ADDRESS_SIGNS = {
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
SPELLINGS_BY_NAME = {
    name: "|".join([name, *(other for other in group.split() if other != name)])
    for group in _NAME_SPELLINGS
    for name in group.split()
}
"""All spellings of each name, separated by "|"; the name itself comes first."""
NAME_PATTERN = rf"\b(?:{'|'.join(sorted(SPELLINGS_BY_NAME, key=len, reverse=True))})\b"
"""Regular expression of the names with several spellings."""
_VALUE_BY_ROMAN_DIGIT = {"I": 1, "V": 5, "X": 10}
"""Values of Roman digits."""
_ROMAN_PATTERN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")
"""Matches a Roman numeral up to 39."""


def read_letters(letters: str) -> Expression:
    """Return the ways to say letters: as a word, or one by one."""
    folded = fold_case_and_accents(letters)
    return choice([WordSequence((folded,)), WordSequence(tuple(folded))])


def read_code(written_code: str, language: str) -> Expression:
    """Return the readings of a code of letters and digits, such as "AB-1204"."""
    signs = _INTERNET_ADDRESS_SIGNS[language]
    parts: list[Expression] = []
    for piece in re.findall(r"[^\W\d_]+|\d+|[-_/.]", written_code):
        if piece.isdigit():
            parts.append(_read_number_or_digits(piece, language))
        elif piece.isalpha():
            parts.append(read_letters(piece))
        else:
            parts.append(optional(phrase(signs["."])) if piece == "." else phrase(signs[piece]))
    return sequence(*parts)


def _read_number_or_digits(digits: str, language: str) -> Expression:
    return choice([read_whole_number(digits, language), read_digits(digits, language)])


def read_internet_address(written_address: str, language: str) -> Expression:
    """Return the readings of an e-mail address or of a web address without its scheme."""
    signs = _INTERNET_ADDRESS_SIGNS[language]
    parts: list[Expression] = []
    for piece in re.findall(r"[^\W\d_]+|\d+|[-_/.@]", re.sub(r"^https?://", "", written_address)):
        if piece in signs:
            parts.append(phrase(signs[piece]))
        elif piece.isdigit():
            parts.append(_read_number_or_digits(piece, language))
        else:
            parts.append(read_letters(piece) if len(piece) <= 4 else phrase(piece))
    return sequence(*parts)


def read_dotted_numbers(written_numbers: str, language: str) -> Expression:
    """Return the readings of numbers with points between them, such as a version or an IP address."""
    numbers = [_read_number_or_digits(one, language) for one in written_numbers.split(".")]
    point = phrase(
        "|".join(dict.fromkeys(["point" if language == "en" else _INTERNET_ADDRESS_SIGNS[language]["."], "dot"]))
    )
    return sequence(numbers[0], *(part for number in numbers[1:] for part in (point, number)))


def read_roman_number(roman_number: str, language: str) -> Expression | None:
    """Return the readings of a Roman number up to 39; `None` if it is not one."""
    if not _ROMAN_PATTERN.fullmatch(roman_number):
        return None
    # A digit before a larger one is subtracted: IX is 10 - 1.
    values = [_VALUE_BY_ROMAN_DIGIT[letter] for letter in roman_number]
    pairs = zip(values, [*values[1:], 0], strict=True)
    number = sum(-value if value < following else value for value, following in pairs)
    ordinal = sequence(
        phrase({"en": "(the)", "de": "(der)(die)(das)"}.get(language, "")), read_ordinal(number, language)
    )
    return choice([read_cardinal(number, language), ordinal, read_letters(roman_number)])


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
    after = sequence(link, read_whole_number(year, language)) if year else SILENCE
    if language == "en":
        days = choice([read_ordinal(day, "en"), read_cardinal(day, "en")])
        return choice(
            [sequence(name, phrase("(the)"), days, after), sequence(phrase("(the)"), days, phrase("(of)"), name, after)]
        )
    number = read_cardinal(day, language)
    if language == "de":
        number = choice([read_ordinal(day, "de"), number])
    elif day == 1 and words.first_day:
        number = choice([phrase(words.first_day), number])
    return sequence(number, link, name, after)


def read_numeric_date(day: int, month: int, year: str, language: str) -> Expression:
    """Return the readings of a date in digits: with the name of its month, or as numbers in the usual order."""
    words = WORDS_BY_LANGUAGE[language]
    numbers = [read_cardinal(day, language), read_cardinal(month, language)]
    in_order = numbers if words.is_day_first else numbers[::-1]
    slash = phrase("(slash)|de|del" if words.date_link else "(slash)")
    readings = [
        read_date(day, month, year, language),
        sequence(in_order[0], slash, in_order[1], slash, read_whole_number(year, language)),
    ]
    if language == "de":
        readings.append(sequence(read_ordinal(day, "de"), read_ordinal(month, "de"), read_whole_number(year, "de")))
    return choice(readings)


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
    readings = [sequence(_read_clock_time(hour, minute, language), seconds, after)]
    if not half_of_day and second is None:
        half = optional(phrase(words.afternoon if hour >= 12 else words.morning))
        hour_of_half = hour if 1 <= hour <= 12 else 12 if hour == 0 else hour - 12
        readings.append(sequence(_read_clock_time(hour_of_half, minute, language), half))
    return choice(readings)


def _read_seconds(second: int | None, language: str) -> Expression:
    if second is None:
        return SILENCE
    words = WORDS_BY_LANGUAGE[language]
    # The word for seconds, and "and" before them, may be left out: "ten thirty fifteen".
    number = read_cardinal(second, language)
    if second < 10:
        number = choice([read_number(f"{second:02d}", language), number])
    unit = words.units["s"][1].split("|")[0]
    return sequence(phrase(f"({words.signs['&']})"), number, phrase(f"({unit})"))


def _read_clock_time(hour: int, minute: int, language: str) -> Expression:
    """Return the readings of an hour and a minute, without a half of the day."""
    words = WORDS_BY_LANGUAGE[language]
    hours = read_cardinal(hour, language)
    hour_word = phrase("|".join(words.hour_words))
    if minute == 0:
        full_hour_readings = [sequence(hours, optional(hour_word))]
        if language == "en":
            full_hour_readings.append(sequence(hours, phrase("hundred"), phrase("(hours)")))
        return choice(full_hour_readings)
    number = read_cardinal(minute, language)
    minutes = choice([read_digits(f"{minute:02d}", language), number]) if minute < 10 else number
    link = {"es": "(y)", "it": "(e)", "pt": "(e)"}.get(language, "")
    minute_word = phrase(f"({words.minute_words})") if words.minute_words else SILENCE
    readings = [sequence(hours, optional(hour_word), phrase(link), minutes, minute_word)]
    if language == "en" or hour == 24:
        readings = [sequence(hours, minutes)]
    return choice([*readings, *_list_spoken_clock_readings(hour, minute, language)])


def _list_spoken_clock_readings(hour: int, minute: int, language: str) -> list[Expression]:
    """Return readings of a time of day other than as two numbers, such as "half past ten"."""
    words = WORDS_BY_LANGUAGE[language]
    patterns = {30: words.half_past, 15: words.quarter_past, 45: words.quarter_to}.get(minute, "")
    patterns = "|".join(filter(None, [patterns, words.minutes_past, words.minutes_to]))
    texts = {
        "hour": _list_cardinal_readings(hour, language),
        # "Quarter to one" at 12:45: after 12, clocks with hands begin again at 1, those with 24 hours at 0.
        "next": _list_cardinal_readings(hour % 12 + 1 if hour <= 12 else (hour + 1) % 24, language),
    }
    past, to = _list_cardinal_readings(minute, language), _list_cardinal_readings(60 - minute, language)
    return [
        _fill_template(pattern, {**texts, "minutes": to if "{next}" in pattern else past})
        for pattern in patterns.split("|")
        if pattern
    ]


def _list_cardinal_readings(number: int, language: str) -> str:
    """Return the readings of a cardinal number as alternatives that `phrase` understands."""
    return "|".join(" ".join(words) for words in iterate_readings(read_cardinal(number, language)))


def _fill_template(template: str, readings: dict[str, str]) -> Expression:
    """Return the expression of `template`, in which the readings replace their names in braces."""
    pieces = template.replace("{", "\0{").replace("}", "}\0").split("\0")
    return sequence(*(phrase(readings[piece[1:-1]]) if piece.startswith("{") else phrase(piece) for piece in pieces))

"""Readings of codes, addresses on the internet, abbreviations, names and signs."""

from __future__ import annotations

import re

from voicegauge.readings._number_readings import read_ordinal, read_whole_number
from voicegauge.readings.language_words import WORDS_BY_LANGUAGE
from voicegauge.readings.number_words import read_cardinal, read_digits
from voicegauge.readings.spoken_alternatives import Expression, Words, either, fold_letters, optional, say, sequence

_INTERNET_SIGNS = {
    "en": {".": "dot|point", "@": "at", "-": "(dash)(hyphen)", "_": "(underscore)", "/": "(slash)"},
    "de": {".": "Punkt|dot", "@": "at|ät", "-": "(minus)(Bindestrich)", "_": "(Unterstrich)", "/": "(Schrägstrich)"},
    "es": {".": "punto", "@": "arroba", "-": "(guion)", "_": "(guion bajo)", "/": "(barra)"},
    "fr": {".": "point", "@": "arobase", "-": "(tiret)", "_": "(tiret bas)", "/": "(slash)"},
    "it": {".": "punto", "@": "chiocciola", "-": "(trattino)", "_": "(trattino basso)", "/": "(barra)"},
    "pt": {".": "ponto", "@": "arroba", "-": "(hífen)(traço)", "_": "(sublinhado)", "/": "(barra)"},
}
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
NAME_PATTERN = rf"\b(?:{'|'.join(sorted(_SPELLINGS_BY_NAME, key=len, reverse=True))})\b"
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_ROMAN_PATTERN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")


def read_letters(letters: str) -> Expression:
    """Return the readings of letters: as a word, or one by one."""
    folded = fold_letters(letters)
    return either([Words((folded,)), Words(tuple(folded))])


def read_code(written: str, language: str) -> Expression:
    """Return the readings of a code of letters and digits, such as "AB-1204"."""
    parts: list[Expression] = []
    for piece in re.findall(r"[^\W\d_]+|\d+|[-_/.]", written):
        if piece.isdigit():
            parts.append(either([read_whole_number(piece, language), read_digits(piece, language)]))
        elif piece.isalpha():
            parts.append(read_letters(piece))
        else:
            parts.append(_read_sign_in_code(piece, language))
    return sequence(*parts)


def _read_sign_in_code(sign: str, language: str) -> Expression:
    spoken = _INTERNET_SIGNS[language][sign]
    return optional(say(spoken)) if sign == "." else say(spoken)


def read_internet_address(written: str, language: str) -> Expression:
    """Return the readings of an e-mail address or of a web address without its scheme."""
    signs = _INTERNET_SIGNS[language]
    parts: list[Expression] = []
    for piece in re.findall(r"[^\W\d_]+|\d+|[-_/.@]", re.sub(r"^https?://", "", written)):
        if piece in signs:
            parts.append(say(signs[piece]))
        elif piece.isdigit():
            parts.append(either([read_whole_number(piece, language), read_digits(piece, language)]))
        else:
            parts.append(read_letters(piece) if len(piece) <= 4 else say(piece))
    return sequence(*parts)


def read_dotted_numbers(written: str, language: str) -> Expression:
    """Return the readings of numbers with points between them, such as a version or an IP address."""
    numbers = [either([read_whole_number(one, language), read_digits(one, language)]) for one in written.split(".")]
    point = say("|".join(dict.fromkeys(["point" if language == "en" else _INTERNET_SIGNS[language]["."], "dot"])))
    parts = [numbers[0]]
    for number in numbers[1:]:
        parts += [point, number]
    return sequence(*parts)


def read_abbreviation(written: str, language: str) -> Expression:
    """Return the readings of one of the `ABBREVIATIONS`."""
    return say(ABBREVIATIONS[language][written.rstrip(".")])


def read_name(written: str) -> Expression:
    """Return the spellings of a name that is matched by `NAME_PATTERN`."""
    return say(_SPELLINGS_BY_NAME[written])


def read_roman_number(written: str, language: str) -> Expression | None:
    """Return the readings of a Roman number up to 39; `None` if it is not one."""
    if not _ROMAN_PATTERN.fullmatch(written):
        return None
    values = [_ROMAN_VALUES[letter] for letter in written]
    pairs = zip(values, [*values[1:], 0], strict=True)
    number = sum(-value if value < following else value for value, following in pairs)
    ordinal = sequence(say({"en": "(the)", "de": "(der)(die)(das)"}.get(language, "")), read_ordinal(number, language))
    return either([read_cardinal(number, language), ordinal, read_letters(written)])


def read_sign(sign: str, language: str) -> Expression:
    """Return the readings of a sign such as "&", which a transcript may leave out."""
    return optional(say(WORDS_BY_LANGUAGE[language].signs[sign]))

"""The bundled suites: enough of everything, each sentence once, each in its own script."""

import string
import unicodedata
from collections import Counter
from itertools import chain

import pytest

from voicegauge.bench.suites import Suite, SuiteText, list_suite_names, load_suite

XTTS_LANGUAGES = {"en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh", "hu", "ko", "hi"}
STRATA = {
    "plain",
    "numbers-money",
    "dates-times",
    "names",
    "questions",
    "long",
    "tongue-twisters",
    "semantically-unpredictable",
}
LONGEST = 500
"""Characters that every provider's free plan takes."""
LATIN = string.ascii_lowercase
ALPHABETS = {
    "en": LATIN,
    "es": LATIN + "áéíñóúü",
    "fr": LATIN + "àâæçéèêëîïôœùûüÿ",
    "de": LATIN + "äöüß",
    "it": LATIN + "àèéìíîòóùú",
    "pt": LATIN + "áâãàçéêíóôõú",
    "pl": "abcdefghijklmnoprstuwyząćęłńóśźż",
    "tr": "abcçdefgğhıijklmnoöprsştuüvyzâîû",  # noqa: RUF001 - the dotless i is meant
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "nl": LATIN + "éëïöü",
    "cs": LATIN + "áčďéěíňóřšťúůýž",
    "hu": LATIN + "áéíóöőúüű",
}
SCRIPTS = {"ar": "ARABIC", "zh": "CJK", "ko": "HANGUL", "hi": "DEVANAGARI"}
QUESTION_MARKS = ("?", "؟", "？")  # noqa: RUF001 - the Arabic and the full-width one are meant


@pytest.fixture(params=list_suite_names())
def suite(request: pytest.FixtureRequest) -> Suite:
    return load_suite(request.param)


@pytest.fixture
def standard() -> Suite:
    return load_suite("standard")


def letters(text: SuiteText) -> list[str]:
    # Turkish lower-cases the dotted capital I to two code points elsewhere.
    lowered = text.text.replace("İ", "i").lower()
    return [character for character in lowered if unicodedata.category(character)[0] in "LM"]


def test_smoke_is_eight_english_sentences() -> None:
    smoke = load_suite("smoke")
    assert [text.language for text in smoke.texts] == ["en"] * 8


def test_standard_has_a_hundred_english_sentences_in_eight_strata(standard: Suite) -> None:
    english = Counter(text.category for text in standard.texts if text.language == "en")
    assert english.total() >= 100
    assert set(english) == STRATA
    assert min(english.values()) >= 12


def test_standard_has_five_sentences_in_each_language_of_xtts(standard: Suite) -> None:
    languages = Counter(text.language for text in standard.texts)
    assert set(languages) == XTTS_LANGUAGES
    assert min(languages.values()) >= 5


def test_no_sentence_stands_twice() -> None:
    texts = [text.text.casefold() for name in list_suite_names() for text in load_suite(name).texts]
    assert [text for text, times in Counter(texts).items() if times > 1] == []


def test_texts_are_normal_and_of_a_speakable_length(suite: Suite) -> None:
    for text in suite.texts:
        assert unicodedata.is_normalized("NFC", text.text), text.id
        assert text.text == " ".join(text.text.split()), text.id
        assert 10 <= len(text.text) <= LONGEST, text.id
    assert sum(len(text.text) <= 150 for text in suite.texts) > 0.8 * len(suite.texts)


def test_every_text_ends_as_a_sentence(suite: Suite) -> None:
    for text in suite.texts:
        assert text.text.endswith((".", "。", "।", *QUESTION_MARKS)), text.id


def test_letters_are_of_the_language(suite: Suite) -> None:
    for text in suite.texts:
        found = letters(text)
        if text.language in SCRIPTS:
            wrong = {c for c in found if not unicodedata.name(c).startswith(SCRIPTS[text.language])}
        else:
            wrong = set(found) - set(ALPHABETS[text.language])
        assert not wrong, f"{text.id}: {wrong}"


def test_letters_that_mark_a_language_are_there(standard: Suite) -> None:
    marks = {"pl": "łąę", "tr": "ğış", "cs": "ěřž", "hu": "őű", "de": "äöü", "es": "ñ¿", "fr": "éè", "pt": "ãç"}
    for language, wanted in marks.items():
        seen = set("".join(text.text.lower() for text in standard.texts if text.language == language))
        assert seen & set(wanted), language


def test_digits_are_only_where_the_normalizer_reads_them(suite: Suite) -> None:
    with_digits = [text for text in suite.texts if any(c.isdigit() for c in text.text)]
    assert {text.language for text in with_digits} <= {"en"}
    assert {text.category for text in with_digits} <= {"numbers-money", "dates-times"}


def test_strata_are_what_they_are_called(standard: Suite) -> None:
    by_stratum = {s: [t for t in standard.texts if t.category == s] for s in STRATA}
    assert all(text.text.endswith(QUESTION_MARKS) for text in by_stratum["questions"])
    assert all(any(c.isdigit() for c in text.text) for text in by_stratum["numbers-money"])
    assert min(len(text.text) for text in by_stratum["long"] if text.language not in SCRIPTS) >= 150
    for text in by_stratum["names"]:
        capitals = [word for word in text.text.split()[1:] if word[0].isupper()]
        assert len(capitals) >= 2, text.id
    for text in by_stratum["tongue-twisters"]:
        starts = Counter(word[0].lower() for word in text.text.split())
        assert starts.most_common(1)[0][1] >= 4, text.id


def test_ids_name_their_language_or_stratum(standard: Suite) -> None:
    for text in standard.texts:
        prefix = text.id.rpartition("-")[0]
        assert prefix == text.language or any(part in text.category for part in prefix.split("-")), text.id


def test_unpredictable_sentences_share_few_words(standard: Suite) -> None:
    content = [
        {word.strip(".,?").lower() for word in text.text.split()} - {"the", "a", "of", "and", "or", "that", "to"}
        for text in standard.texts
        if text.category == "semantically-unpredictable"
    ]
    repeated = [word for word, times in Counter(chain.from_iterable(content)).items() if times > 2]
    assert repeated == []

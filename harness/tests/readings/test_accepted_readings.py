from __future__ import annotations

import random
import re
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from readings.cases import ReadingCase, change_one_digit, generate_cases, iterate_sentences, read_cases

from voicegauge.readings.reading_comparison import (
    compare_readings,
    get_reading_normalizer,
    list_accepted_readings,
)

CASES = [*read_cases(), *generate_cases()]


def _list_rejected(cases: Iterable[ReadingCase]) -> list[ReadingCase]:
    return [case for case in cases if not _is_accepted(case)]


def _is_accepted(case: ReadingCase) -> bool:
    compared = compare_readings(case.written, case.reading, case.language)
    assert compared is not None
    return not compared.errors


def test_nine_hundred_readings_in_many_languages_are_accepted() -> None:
    assert len(CASES) >= 900
    assert len({case.language for case in CASES if sum(one.language == case.language for one in CASES) > 50}) >= 5
    assert len(_list_rejected(CASES)) <= 0.01 * len(CASES), _list_rejected(CASES)


def test_readings_inside_a_sentence_are_accepted() -> None:
    sentences = [case for index, case in enumerate(iterate_sentences(CASES)) if index % 4 == 0]
    assert len(_list_rejected(sentences)) <= 0.01 * len(sentences), _list_rejected(sentences)


def test_a_text_with_one_other_digit_is_rejected() -> None:
    rng = random.Random(3)
    mutants = [case._replace(written=one) for case in CASES if (one := change_one_digit(case.written, rng))]
    accepted = [case for case in mutants if _is_accepted(case)]
    assert len(mutants) >= 900
    assert len(accepted) <= 0.01 * len(mutants), accepted


@pytest.mark.parametrize(
    ("language", "text", "transcript"),
    [
        ("en", "Meet me at 10:00 AM.", "meet me at ten AM"),
        ("en", "Take 1000 mg.", "Take 1000 milligrams."),
        ("en", "on April 13th", "on April 13"),
        ("en", "Call (415) 555-0192.", "Call (415) 555-0192."),
        ("en", "It does not matter, colour or gray.", "It doesn't matter, color or grey."),
        ("zh-TW", "後來她說頭髮乾了", "后来她说头发干了"),
        ("ar", "أحمد رقم ٥", "احمد رقم 5"),  # noqa: RUF001
        ("hi", "मेरे पास १२३ रुपये", "मेरे पास 123 रुपये"),
        ("pt-BR", "O número é 41.", "o número é quarenta e um"),
    ],
)
def test_the_same_in_other_words_is_no_error(language: str, text: str, transcript: str) -> None:
    compared = compare_readings(text, transcript, language)
    assert compared is not None
    assert compared.errors == 0


def test_a_wrong_entity_is_named_with_what_was_recognized() -> None:
    compared = compare_readings("Pay $45 by 10:30 AM today.", "pay forty-six dollars by ten thirty AM today", "en")
    assert compared is not None
    assert [(one.kind, one.written, one.is_right) for one in compared.entities] == [
        ("money", "$45", False),
        ("time", "10:30 AM", True),
    ]
    assert compared.entities[0].recognized == "forty six dollars"
    assert compared.errors == 1


def test_a_digit_more_beside_a_number_makes_it_wrong() -> None:
    compared = compare_readings("He paid $45 today.", "he paid 45 15 dollars today", "en")
    assert compared is not None
    assert [one.is_right for one in compared.entities] == [False]


def test_an_error_in_plain_words_leaves_the_number_right() -> None:
    compared = compare_readings("Room 417 is free.", "room four seventeen is three", "en")
    assert compared is not None
    assert compared.entities[0].is_right
    assert (compared.substitutions, compared.deletions, compared.insertions) == (1, 0, 0)


def test_a_note_in_parentheses_is_not_compared_but_a_number_is() -> None:
    compared = compare_readings("Call 415.", "(music) call (415)", "en")
    assert compared is not None
    assert not compared.errors


def test_languages_without_number_words_compare_digits() -> None:
    assert get_reading_normalizer("sv-SE") == "readings-digits/2"
    assert get_reading_normalizer("cmn-CN") == "readings-zh/2"
    same, other = (compare_readings("Rum 12", f"rum {number}", "sv") for number in ("12", "13"))
    assert same is not None
    assert not same.errors
    assert other is not None
    assert other.errors == 1


def test_accepted_readings_are_listed_the_usual_one_first() -> None:
    readings = list_accepted_readings("at 10:30", "en")
    assert readings[0] == "at ten thirty"
    assert "at half past ten" in readings


@pytest.mark.parametrize("language", ["en", "de", "fr", "zh", "ar", "hi", "xx"])
@settings(max_examples=25)
@given(text=st.text(max_size=40))
@example(text="㈀")  # decomposed, it has parentheses
def test_every_text_says_the_same_as_itself(language: str, text: str) -> None:
    text = re.sub("[([\N{FULLWIDTH LEFT PARENTHESIS}\N{FULLWIDTH LEFT SQUARE BRACKET}♪]", "", text)
    compared = compare_readings(text, text, language)
    assert compared is not None
    assert not compared.errors


@settings(max_examples=60)
@given(
    text=st.text(alphabet="0123456789 .,:-/$%€+()abAM", max_size=24), language=st.sampled_from(["en", "de", "es", "zh"])
)
def test_every_combination_of_digits_and_signs_says_the_same_as_itself(text: str, language: str) -> None:
    text = text.replace("(", "").replace(")", "")
    compared = compare_readings(text, text, language)
    assert compared is not None
    assert not compared.errors


def test_very_long_texts_are_not_compared() -> None:
    assert compare_readings("word " * 4000, "other " * 4000, "en") is None

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.speech.transcripts import count_errors, score_transcript

words = st.lists(st.sampled_from(["red", "green", "blue", "yellow", "black"]), max_size=12).map(" ".join)


@given(words, words, st.sampled_from(["word", "character"]))
def test_units_of_the_reference_are_all_accounted_for(reference: str, said: str, unit: str) -> None:
    counts = count_errors(reference, said, unit)
    expected, recognized = (text.split() if unit == "word" else list(text) for text in (reference, said))
    assert counts.hits + counts.substitutions + counts.deletions == len(expected)
    assert counts.hits + counts.substitutions + counts.insertions == len(recognized)


@given(words)
def test_a_perfect_transcript_has_no_error(text: str) -> None:
    assert score_transcript(sample_id="a", reference=text, transcript=text, language="en").errors == 0


@given(words, words)
def test_swapping_reference_and_hypothesis_preserves_the_number_of_errors(one: str, other: str) -> None:
    there, back = count_errors(one, other, "word"), count_errors(other, one, "word")
    assert sum(there[1:]) == sum(back[1:])
    assert sum(there[1:]) <= max(len(one.split()), len(other.split()))


@given(words, words, st.sampled_from(["silence", "missing", "undecodable"]))
def test_audio_without_speech_counts_as_all_deleted(text: str, transcript: str, content: str) -> None:
    found = score_transcript(sample_id="a", reference=text, transcript=transcript, language="en", audio_content=content)
    assert (found.deletions, found.errors) == (found.reference_unit_count, found.reference_unit_count)
    assert (found.transcript, found.hypothesis) == ("", "")


def test_each_kind_of_error_is_counted() -> None:
    found = score_transcript(
        sample_id="a",
        reference="One fish and the old bird sang.",
        transcript="one dish and old bird sang loudly",
        language="en",
    )
    assert (found.reference_unit_count, found.hits, found.substitutions, found.deletions, found.insertions) == (
        7,
        5,
        1,
        1,
        1,
    )
    assert found.error_rate == pytest.approx(3 / 7)


def test_languages_without_spaces_are_counted_in_characters() -> None:
    found = score_transcript(sample_id="a", reference="你好,世界!", transcript="你好 世间", language="zh-CN")
    assert (found.unit, found.reference_unit_count, found.hits, found.substitutions) == ("character", 4, 3, 1)


def test_with_an_empty_reference_everything_is_inserted() -> None:
    found = score_transcript(sample_id="a", reference="[laughs]", transcript="thank you", language="en")
    assert (found.reference_unit_count, found.insertions, found.error_rate) == (0, 2, 2.0)


@pytest.mark.parametrize(("language", "text"), [("en", "The shop (on the left) is open."), ("fr", "Il (Paul) dort.")])
def test_parentheses_count_in_a_reference_and_not_in_a_transcript(language: str, text: str) -> None:
    said = text.replace("(", "").replace(")", "")
    found = score_transcript(sample_id="a", reference=text, transcript=f"{said} (music)", language=language)
    assert (found.errors, found.reference_unit_count) == (0, len(said.split()))

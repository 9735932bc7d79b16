from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.model.sample import Score
from voicegauge.report.scored_clips import DiffSegment, diff_words


def score(reference: str, hypothesis: str, unit: str = "word") -> Score:
    return Score(
        sample_id="s",
        audio_content="speech",
        unit=unit,  # type: ignore[arg-type]
        reference=reference,
        hypothesis=hypothesis,
        transcript=hypothesis,
        reference_unit_count=0,
        hits=0,
        substitutions=0,
        deletions=0,
        insertions=0,
    )


@pytest.mark.parametrize(
    ("reference", "hypothesis", "segments"),
    [
        ("a b c", "a b c", [("equal", "a b c", "a b c")]),
        ("a b c", "a x c", [("equal", "a", "a"), ("substitution", "b", "x"), ("equal", "c", "c")]),
        ("a b c", "a c", [("equal", "a", "a"), ("deletion", "b", ""), ("equal", "c", "c")]),
        ("a c", "a b c", [("equal", "a", "a"), ("insertion", "", "b"), ("equal", "c", "c")]),
        ("a b", "", [("deletion", "a b", "")]),
        ("", "a b", [("insertion", "", "a b")]),
        ("", "", []),
    ],
)
def test_each_kind_of_error_is_a_segment_of_its_own_kind(
    reference: str, hypothesis: str, segments: list[tuple[str, str, str]]
) -> None:
    assert [(p.kind, p.reference, p.hypothesis) for p in diff_words(score(reference, hypothesis))] == segments


def test_characters_are_joined_without_blanks() -> None:
    found = diff_words(score("駅の前で", "駅の後で", "character"))
    assert [(p.kind, p.reference, p.hypothesis) for p in found] == [
        ("equal", "駅の", "駅の"),
        ("substitution", "前", "後"),
        ("equal", "で", "で"),
    ]


def joined(segments: tuple[DiffSegment, ...], side: str) -> list[str]:
    return " ".join(getattr(piece, side) for piece in segments).split()


@given(st.text("ab c\n\x1c\u3000"), st.text("ab c\n\x1c\u3000"))
def test_the_joined_segments_are_the_texts(reference: str, hypothesis: str) -> None:
    segments = diff_words(score(reference, hypothesis))
    assert joined(segments, "reference") == reference.split()
    assert joined(segments, "hypothesis") == hypothesis.split()
    assert all((p.kind == "equal") == (p.reference == p.hypothesis) for p in segments)

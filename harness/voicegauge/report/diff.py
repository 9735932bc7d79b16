"""Expected words against heard words, piece by piece."""

from __future__ import annotations

from typing import Literal

from voicegauge.model import Record, Score

DiffKind = Literal["equal", "substitution", "deletion", "insertion"]

_KINDS: dict[str, DiffKind] = {
    "equal": "equal",
    "substitute": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}


class DiffSegment(Record, frozen=True, kw_only=True):
    """A stretch of the alignment; a deletion has nothing heard, an insertion nothing expected."""

    kind: DiffKind
    expected: str
    heard: str


def word_diff(score: Score) -> tuple[DiffSegment, ...]:
    """The alignment of a score's normalised reference and hypothesis, in words or characters."""
    joint = "" if score.unit == "character" else " "
    expected, heard = _units(score.reference, score.unit), _units(score.hypothesis, score.unit)
    if not expected or not heard:
        kind: DiffKind = "deletion" if expected else "insertion"
        whole = DiffSegment(kind=kind, expected=joint.join(expected), heard=joint.join(heard))
        return (whole,) if expected or heard else ()
    import jiwer

    # jiwer takes sentences, and aligns what it splits at blanks: characters stand as words of one letter.
    chunks = jiwer.process_words(" ".join(expected), " ".join(heard)).alignments[0]
    return tuple(
        DiffSegment(
            kind=_KINDS[chunk.type],
            expected=joint.join(expected[chunk.ref_start_idx : chunk.ref_end_idx]),
            heard=joint.join(heard[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in chunks
    )


def _units(text: str, unit: Literal["word", "character"]) -> list[str]:
    return text.split() if unit == "word" else [letter for letter in text if not letter.isspace()]

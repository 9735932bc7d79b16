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
    reference: str
    hypothesis: str


def word_diff(score: Score) -> tuple[DiffSegment, ...]:
    """The alignment of a score's normalised reference and hypothesis, in words or characters."""
    joint = "" if score.unit == "character" else " "
    reference, hypothesis = _units(score.reference, score.unit), _units(score.hypothesis, score.unit)
    if not reference or not hypothesis:
        kind: DiffKind = "deletion" if reference else "insertion"
        whole = DiffSegment(kind=kind, reference=joint.join(reference), hypothesis=joint.join(hypothesis))
        return (whole,) if reference or hypothesis else ()
    import jiwer

    # jiwer takes sentences, and aligns what it splits at blanks: characters stand as words of one letter.
    chunks = jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]
    return tuple(
        DiffSegment(
            kind=_KINDS[chunk.type],
            reference=joint.join(reference[chunk.ref_start_idx : chunk.ref_end_idx]),
            hypothesis=joint.join(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in chunks
    )


def _units(text: str, unit: Literal["word", "character"]) -> list[str]:
    return text.split() if unit == "word" else [letter for letter in text if not letter.isspace()]

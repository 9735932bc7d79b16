"""Aligns a reference text with the ASR hypothesis, segment by segment."""

from __future__ import annotations

from typing import Literal

from voicegauge.model import Record, Score

DiffKind = Literal["equal", "substitution", "deletion", "insertion"]

_DIFF_KIND_BY_JIWER_TYPE: dict[str, DiffKind] = {
    "equal": "equal",
    "substitute": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}
"""Kinds of segments by the names that jiwer gives them."""


class DiffSegment(Record, frozen=True, kw_only=True):
    """A segment of the alignment; the hypothesis of a deletion and the reference of an insertion are empty."""

    kind: DiffKind
    reference: str
    hypothesis: str


def diff_words(score: Score) -> tuple[DiffSegment, ...]:
    """Align a score's normalized reference and hypothesis, in words or characters."""
    separator = "" if score.unit == "character" else " "
    reference, hypothesis = _split_units(score.reference, score.unit), _split_units(score.hypothesis, score.unit)
    if not reference or not hypothesis:  # nothing to align
        kind: DiffKind = "deletion" if reference else "insertion"
        whole = DiffSegment(kind=kind, reference=separator.join(reference), hypothesis=separator.join(hypothesis))
        return (whole,) if reference or hypothesis else ()
    import jiwer

    # jiwer splits sentences at spaces, so characters are passed as words of one letter.
    chunks = jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]
    return tuple(
        DiffSegment(
            kind=_DIFF_KIND_BY_JIWER_TYPE[chunk.type],
            reference=separator.join(reference[chunk.ref_start_idx : chunk.ref_end_idx]),
            hypothesis=separator.join(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in chunks
    )


def _split_units(text: str, unit: Literal["word", "character"]) -> list[str]:
    return text.split() if unit == "word" else [letter for letter in text if not letter.isspace()]

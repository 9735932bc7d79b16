"""How far a transcript is from its text: hits, substitutions, deletions and insertions.

WER = (S + D + I) / N with N the words of the reference; CER is the same over characters.
Counts come from jiwer's minimal alignment.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from voicegauge.model import Score
from voicegauge.speech.transcripts.normalizer import Unit, normalizer_for

_PARENTHESES = str.maketrans("()", "  ")
"""Whisper's normalisers drop what stands in them."""
AudioContent = Literal["speech", "silence", "missing", "undecodable"]


class Counts(NamedTuple):
    """One alignment; `hits + substitutions + deletions` are the units of the reference."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int


def count_errors(reference: str, hypothesis: str, unit: Unit) -> Counts:
    """Align two normalised texts; an empty one makes every unit of the other an insertion or a deletion."""
    import jiwer

    expected, said = _units(reference, unit), _units(hypothesis, unit)
    if not expected or not said:
        return Counts(0, 0, len(expected), len(said))
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    found = process(reference, hypothesis)
    return Counts(found.hits, found.substitutions, found.deletions, found.insertions)


def _units(text: str, unit: Unit) -> list[str]:
    return text.split() if unit == "word" else list(text)


def score(*, sample_id: str, reference: str, transcript: str, language: str, content: AudioContent = "speech") -> Score:
    """Score what was `heard` where the text `reference` was asked for.

    Anything heard but speech counts as every unit deleted, whatever `transcript` says. What stands in
    parentheses is spoken in a text; in a transcript it is a note, "(music)", and does not count.
    """
    normalise = normalizer_for(language)
    transcript = transcript if content == "speech" else ""
    wanted, said = normalise(reference.translate(_PARENTHESES)), normalise(transcript)
    counts = count_errors(wanted, said, normalise.unit)
    return Score(
        sample_id=sample_id,
        audio_content=content,
        unit=normalise.unit,
        reference=wanted,
        hypothesis=said,
        transcript=transcript,
        units=len(_units(wanted, normalise.unit)),
        hits=counts.hits,
        substitutions=counts.substitutions,
        deletions=counts.deletions,
        insertions=counts.insertions,
    )

"""Counts hits, substitutions (S), deletions (D) and insertions (I) in a transcript.

The word error rate (WER) is (S + D + I) / N, where N is the number of words in the reference. The character error rate
(CER) is the same with characters. The counts come from the minimal alignment that jiwer computes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from voicegauge.model import Score
from voicegauge.speech.transcripts.text_normalizer import ErrorUnit, choose_normalizer

_PARENTHESES_REMOVAL_TABLE = str.maketrans("()", "  ")
"""Translation table that removes parentheses. Whisper's normalizers omit text in parentheses, although a speaker reads
it aloud."""
AudioContent = Literal["speech", "silence", "missing", "undecodable"]
"""The kind of content in a sample's audio. Only audio with "speech" has a transcript."""


class ErrorCounts(NamedTuple):
    """Counts of words or characters in one alignment.

    `hits + substitutions + deletions` is the number of words or characters in the reference.
    """

    hits: int
    substitutions: int
    deletions: int
    insertions: int


def count_errors(reference: str, hypothesis: str, unit: ErrorUnit) -> ErrorCounts:
    """Align two normalized texts and count the errors in words or characters, depending on `unit`."""
    import jiwer

    expected, recognized = _split_into_units(reference, unit), _split_into_units(hypothesis, unit)
    if not expected or not recognized:  # jiwer rejects an empty reference
        return ErrorCounts(0, 0, len(expected), len(recognized))
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    alignment = process(reference, hypothesis)
    return ErrorCounts(alignment.hits, alignment.substitutions, alignment.deletions, alignment.insertions)


def _split_into_units(text: str, unit: ErrorUnit) -> list[str]:
    return text.split() if unit == "word" else list(text)


def score_transcript(
    *, sample_id: str, reference: str, transcript: str, language: str, audio_content: AudioContent = "speech"
) -> Score:
    """Normalize a transcript and its reference text, and count the errors.

    If the audio has no speech, every word or character of the reference counts as deleted, and `transcript` is
    ignored. Text in parentheses counts in the reference, because it is spoken. In a transcript it does not count,
    because there it is a note such as "(music)".
    """
    normalize = choose_normalizer(language)
    transcript = transcript if audio_content == "speech" else ""
    expected, hypothesis = normalize(reference.translate(_PARENTHESES_REMOVAL_TABLE)), normalize(transcript)
    counts = count_errors(expected, hypothesis, normalize.error_unit)
    return Score(
        sample_id=sample_id,
        audio_content=audio_content,
        unit=normalize.error_unit,
        reference=expected,
        hypothesis=hypothesis,
        transcript=transcript,
        reference_unit_count=len(_split_into_units(expected, normalize.error_unit)),
        hits=counts.hits,
        substitutions=counts.substitutions,
        deletions=counts.deletions,
        insertions=counts.insertions,
    )

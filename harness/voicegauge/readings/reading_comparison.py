"""Compares a transcript with the text that was to be spoken, by what both say: "10:00 AM" is "ten AM".

Both texts become lattices of their accepted readings; the errors are those of the closest pair of readings. An entity
is right if one of its readings was recognized without an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from voicegauge.readings.entities import READ_LANGUAGES, EntityKind, iterate_entities
from voicegauge.readings.spoken_alternatives import (
    Expression,
    Words,
    iterate_readings,
    join_words,
    keep_likely,
    list_words,
)
from voicegauge.readings.word_lattice import Step, WordLattice, align_lattices
from voicegauge.readings.written_text import (
    CHARACTER_LANGUAGES,
    choose_reading_language,
    prepare_text,
    split_plain_words,
)

READINGS_VERSION = 1
"""Version of the accepted readings. It is increased whenever a comparison may have another result."""


class TextPart(NamedTuple):
    """A part of a text: an entity, or plain words."""

    written: str
    kind: EntityKind | None
    """`None` for plain words."""
    readings: Expression


class ComparedEntity(NamedTuple):
    """An entity of the text, and what the transcript has in its place."""

    kind: EntityKind
    written: str
    is_right: bool
    recognized: str
    """The words of the transcript in its place, as they would be spoken."""


class ReadingComparison(NamedTuple):
    """The errors of a transcript that no accepted reading explains."""

    unit: Literal["word", "character"]
    hits: int
    substitutions: int
    deletions: int
    insertions: int
    entities: tuple[ComparedEntity, ...]

    @property
    def reference_unit_count(self) -> int:
        """Number of words or characters of the reading that is closest to the transcript."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Number of errors: substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def says_the_same(self) -> bool:
        """Whether the transcript is an accepted reading of the text."""
        return not self.errors


def get_reading_normalizer(language: str) -> str:
    """Return the name and version of this comparison for a language, such as "readings-en/1".

    Languages whose number words are not known have "readings-digits/1": a number is only equal to the same digits.
    """
    base = choose_reading_language(language)
    return f"readings-{base if base in READ_LANGUAGES else 'digits'}/{READINGS_VERSION}"


def compare_readings(reference: str, transcript: str, language: str) -> ReadingComparison | None:
    """Compare a transcript with the text that was to be spoken.

    Args:
        reference: the text; what it has in parentheses is spoken.
        transcript: what was recognized; notes in parentheses, such as "(music)", do not count.
        language: tag of the language, such as "en-GB".

    Returns:
        The errors and the entities; `None` if the texts are too long to be compared.
    """
    base = choose_reading_language(language)
    expected = split_text(reference, base, is_transcript=False)
    recognized = split_text(transcript, base, is_transcript=True)
    words = _collect_words(expected), _collect_words(recognized)
    lattices = [
        WordLattice([keep_likely(part.readings, other) for part in parts])
        for parts, other in ((expected, words[1]), (recognized, words[0]))
    ]
    steps = align_lattices(*lattices)
    if steps is None:
        return None
    counts = {kind: sum(step.kind == kind for step in steps) for kind in ("equal", "substitution", "deletion")}
    return ReadingComparison(
        unit="character" if base in CHARACTER_LANGUAGES else "word",
        hits=counts["equal"],
        substitutions=counts["substitution"],
        deletions=counts["deletion"],
        insertions=len(steps) - sum(counts.values()),
        entities=_judge_entities(expected, recognized, steps),
    )


def split_text(text: str, language: str, *, is_transcript: bool) -> list[TextPart]:
    """Split a text into its entities and the plain words between them.

    Args:
        text: text as it is written.
        language: code of the language, without region.
        is_transcript: whether notes in parentheses are left out.
    """
    prepared = prepare_text(text, language, is_transcript=is_transcript)
    parts: list[TextPart] = []
    at = 0
    for entity in iterate_entities(prepared, language):
        parts += _build_plain_part(prepared[at : entity.start], language)
        readings = join_words(entity.readings) if language in CHARACTER_LANGUAGES else entity.readings
        parts.append(TextPart(prepared[entity.start : entity.end].strip(), entity.kind, readings))
        at = entity.end
    return [*parts, *_build_plain_part(prepared[at:], language)]


def list_accepted_readings(text: str, language: str, max_count: int = 100) -> list[str]:
    """Return what a voice may say for `text`, in lower case without accents, the usual reading first.

    Args:
        text: text as it is written.
        language: tag of the language, such as "en-GB".
        max_count: largest number of readings; some texts have millions.
    """
    base = choose_reading_language(language)
    separator = "" if base in CHARACTER_LANGUAGES else " "
    parts = split_text(text, base, is_transcript=False)
    whole: list[tuple[str, ...]] = [()]
    for part in parts:
        readings = [one for one, _ in zip(iterate_readings(part.readings), range(max_count), strict=False)]
        whole = [(*before, *one) for before in whole for one in readings][:max_count]
    return list(dict.fromkeys(separator.join(words) for words in whole))


def _build_plain_part(text: str, language: str) -> list[TextPart]:
    words = split_plain_words(text, language)
    return [TextPart(text, None, Words(tuple(words)))] if words else []


def _collect_words(parts: Iterable[TextPart]) -> frozenset[str]:
    return frozenset[str]().union(*(list_words(part.readings) for part in parts))


def _judge_entities(
    expected: list[TextPart], recognized: list[TextPart], steps: list[Step]
) -> tuple[ComparedEntity, ...]:
    """Return each entity of the text; one with an error in its words, or with other digits beside them, is wrong."""
    wrong: set[int] = set()
    recognized_words: dict[int, list[str]] = {}
    for index, step in enumerate(steps):
        if step.hypothesis and step.kind != "insertion":
            recognized_words.setdefault(step.reference_part, []).append(step.hypothesis)
        if step.kind in ("substitution", "deletion"):
            wrong.add(step.reference_part)
        elif step.kind == "insertion":
            neighbours = _find_neighbours(steps, index)
            is_inside = len(neighbours) == 2 and neighbours[0] == neighbours[1]
            is_entity = (
                0 <= step.hypothesis_part < len(recognized) and recognized[step.hypothesis_part].kind is not None
            )
            if is_inside or is_entity:
                wrong.update(neighbours)
                for part in neighbours[:1]:
                    recognized_words.setdefault(part, []).append(step.hypothesis)
    return tuple(
        ComparedEntity(part.kind, part.written, number not in wrong, " ".join(recognized_words.get(number, [])))
        for number, part in enumerate(expected)
        if part.kind is not None
    )


def _find_neighbours(steps: list[Step], index: int) -> list[int]:
    """Return the parts of the reference that the words before and after an insertion belong to."""
    before = next((one.reference_part for one in reversed(steps[:index]) if one.kind != "insertion"), None)
    after = next((one.reference_part for one in steps[index + 1 :] if one.kind != "insertion"), None)
    return [part for part in (before, after) if part is not None]

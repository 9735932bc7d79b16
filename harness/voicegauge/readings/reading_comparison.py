"""Compares a transcript with the text that was to be spoken, by their readings: "10:00 AM" equals "ten AM".

Both texts become lattices of their accepted readings; the errors are those of the closest pair of readings. An entity
is right if one of its readings was recognized without an error.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from voicegauge.model.sample import EntityScore, ReadingScore
from voicegauge.readings.entities import READ_LANGUAGES, EntityKind, iterate_entities
from voicegauge.readings.spoken_words import (
    Expression,
    ExpressionChoice,
    ExpressionSequence,
    WordSequence,
    fold_case_and_accents,
    iterate_readings,
    list_words,
    restrict_to_vocabulary,
    split_into_characters,
)

# Prepares written text for reading: digits, letters and Chinese characters in one form, and plain words.


CHARACTER_LANGUAGES = frozenset({"zh", "ja", "ko", "th", "lo", "km", "my", "bo"})
"""Languages that are compared character by character."""
_ARABIC_LETTERS = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي", "ـ": None}
)
"""Arabic letters that are written in several ways: forms of alef, hamza, final yeh and teh marbuta; without tatweel."""
_FRACTION_SIGN_PATTERN = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
"""Matches between a digit and a sign such as "½"."""
_TRANSCRIPT_NOTE_PATTERN = re.compile(r"[\[(（［][^)\]）］\d]*[)\]）］]|♪[^♪]*♪?")
"""Matches what may be a note about sounds in a transcript, such as "(music)"."""
_HESITATION_PATTERN = re.compile(r"\b(?:h+m+|m+hm+|m{2,}|u+h+|u+m+)\b", re.IGNORECASE)
"""Matches sounds of hesitation in a transcript, such as "uhm"."""
_CHINESE_LANGUAGES = frozenset({"zh", "cmn", "yue", "wuu"})
"""Codes of Chinese languages."""


def choose_reading_language(language_tag: str) -> str:
    """Return the language of a tag without its region; "zh" for all Chinese languages."""
    base = language_tag.replace("_", "-").split("-")[0].lower()
    return "zh" if base in _CHINESE_LANGUAGES else base


def prepare_text(text: str, language: str, *, is_transcript: bool) -> str:
    """Return `text` with compatible characters, digits and Chinese characters in one form.

    From English texts, sounds of hesitation such as "uhm" are removed.

    Args:
        text: text as it is written.
        language: code of the language, without region.
        is_transcript: whether notes in parentheses are removed, because nobody speaks them.
    """
    if is_transcript:  # before signs such as "㈀" are decomposed: the parentheses in them mark no note
        text = _TRANSCRIPT_NOTE_PATTERN.sub(_remove_transcript_note, text)
    # Before "½" becomes "1/2": "2½" would otherwise become "21/2".
    text = _FRACTION_SIGN_PATTERN.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\N{FRACTION SLASH}", "/")
        text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        text = "".join(_convert_to_ascii_digit(char) for char in text)
    if language == "en":  # as Whisper's normalizer, too: the text has none, so each would count as an error
        text = _HESITATION_PATTERN.sub(" ", text)
    if language == "zh":
        text = _load_chinese_converter()(text)
    return text


def _remove_transcript_note(match: re.Match[str]) -> str:
    """Return a space in place of a note; text in parentheses with digits is spoken, so it stays."""
    has_digit = any(map(str.isdecimal, unicodedata.normalize("NFKC", match[0])))
    return match[0] if has_digit and match[0][0] != "♪" else " "


def _convert_to_ascii_digit(char: str) -> str:
    if char.isascii():
        return char
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


@functools.cache
def _load_chinese_converter() -> Callable[[str], str]:
    """Return the conversion of traditional into simplified Chinese characters."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC("t2s").convert
    return convert


def split_plain_words(text: str, language: str) -> list[str]:
    """Return the words of a text without entities, in one spelling; characters for `CHARACTER_LANGUAGES`."""
    if language == "en":
        text = _unify_english_spellings(text)
    if language in CHARACTER_LANGUAGES:
        folded = unicodedata.normalize("NFKC", text).casefold()
        return [char for char in folded if unicodedata.category(char)[0] in "LNM"]
    if language in ("ar", "fa", "ur"):
        text = text.translate(_ARABIC_LETTERS)
    if re.search(r"[ऀ-෿]", text):  # vowels are marks in the scripts of India
        marked = "".join(
            char if unicodedata.category(char)[0] in "LNM" else " "
            for char in text
            if unicodedata.category(char) != "Cf"
        )
        return marked.split()
    return re.findall(r"[^\W_]+", fold_case_and_accents(text))


def _unify_english_spellings(text: str) -> str:
    replacers, unify_spelling = _load_english_spelling_rules()
    text = text.lower()
    if "'" in text:  # each of the fifty patterns has one
        for pattern, replacement in replacers:
            text = pattern.sub(replacement, text)
    text = re.sub(r"\bper cent\b", "percent", text)
    words = re.findall(r"[^\W_]+", fold_case_and_accents(text))
    return " ".join(unify_spelling(word) for word in words)


@functools.cache
def _load_english_spelling_rules() -> tuple[list[tuple[re.Pattern[str], str]], Callable[[str], str]]:
    """Return the contractions and the spellings of Whisper's English normalizer, without its numbers."""
    from whisper_normalizer.english import EnglishTextNormalizer

    normalizer = EnglishTextNormalizer()
    contractions = [(re.compile(pattern), to) for pattern, to in normalizer.replacers.items() if "'" in pattern]
    unify: Callable[[str], str] = normalizer.standardize_spellings
    return contractions, unify


# Word lattices: texts with alternatives, and the alignment of two of them with the fewest errors.
#
# The alignment is the dynamic programme of the word error rate (Levenshtein 1966), over pairs of nodes instead of pairs
# of words: the cheapest pair of paths through both lattices.


MAX_ALIGNMENT_CELLS = 3_000_000
"""Largest number of pairs of nodes that are compared, which takes a few seconds. Longer texts are not compared."""
EditKind = Literal["equal", "substitution", "deletion", "insertion"]


class AlignmentEdit(NamedTuple):
    """A word of the reference beside a word of the hypothesis, or one without the other, in the best alignment."""

    kind: EditKind
    reference: str
    """The word of the reference; empty for an insertion."""
    hypothesis: str
    """The word of the hypothesis; empty for a deletion."""
    reference_part_index: int
    """Index of the part of the reference that the edit belongs to; for an insertion, of the part before it."""
    hypothesis_part_index: int
    """Index of the part of the hypothesis that the edit belongs to; for a deletion, of the part before it."""


class WordLattice:
    """A directed acyclic graph of words from a start to an end.

    Node 0 is the start. Each node has one word, or none where paths join; `predecessors` have smaller numbers.
    """

    def __init__(self, parts: Sequence[Expression]) -> None:
        """Build the lattice of `parts`, which are spoken one after the other."""
        self.words: list[str | None] = [None]
        self.predecessors: list[list[int]] = [[]]
        self.part_numbers: list[int] = [-1]
        last = 0
        for number, part in enumerate(parts):
            last = self._append_expression(part, last, number)
        self.end = last

    def __len__(self) -> int:
        """Number of nodes of the lattice."""
        return len(self.words)

    def _append_expression(self, expression: Expression, previous_node: int, part_index: int) -> int:
        """Append an expression after a node; return the node at its end."""
        match expression:
            case WordSequence(words):
                for word in words:
                    previous_node = self._add_node(word, [previous_node], part_index)
                return previous_node
            case ExpressionSequence(parts):
                for one in parts:
                    previous_node = self._append_expression(one, previous_node, part_index)
                return previous_node
            case ExpressionChoice(alternatives):
                ends = [self._append_expression(one, previous_node, part_index) for one in alternatives]
                # Paths join in a node without a word, so that what follows is in the lattice only once.
                return self._add_node(None, list(dict.fromkeys(ends)), part_index)

    def _add_node(self, word: str | None, predecessors: list[int], part_index: int) -> int:
        self.words.append(word)
        self.predecessors.append(predecessors)
        self.part_numbers.append(part_index)
        return len(self.words) - 1


def align_lattices(reference: WordLattice, hypothesis: WordLattice) -> list[AlignmentEdit] | None:
    """Return the alignment with the fewest errors; `None` if the texts are too long."""
    if len(reference) * len(hypothesis) > MAX_ALIGNMENT_CELLS:
        return None
    costs = _compute_costs(reference, hypothesis)
    return list(reversed(list(_trace_back_alignment(reference, hypothesis, costs))))


def _compute_costs(reference: WordLattice, hypothesis: WordLattice) -> list[list[int]]:
    """Return the fewest errors of paths that end at each pair of nodes, by node of the reference and hypothesis."""
    # Nearly all nodes have one predecessor: without a list of one cost for each pair, this takes half of the time.
    columns = [
        (word, before, before[0] if len(before) == 1 else None)
        for word, before in zip(hypothesis.words, hypothesis.predecessors, strict=True)
    ]
    costs: list[list[int]] = []
    for row, word in enumerate(reference.words):
        before_rows = [costs[one] for one in reference.predecessors[row]]
        # The cheapest path to each column that ends before this row's node.
        above = before_rows[0] if len(before_rows) == 1 else [min(values) for values in zip(*before_rows, strict=True)]
        if word is None and before_rows:
            costs.append(above)
            continue
        line: list[int] = []
        for column, (other, before_columns, before_column) in enumerate(columns):
            if not before_columns:
                line.append(above[column] + 1 if above else 0)
                continue
            left = line[before_column] if before_column is not None else min([line[one] for one in before_columns])
            if other is None or not above:
                line.append(left if other is None else left + 1)
                continue
            diagonal = (
                above[before_column] if before_column is not None else min([above[one] for one in before_columns])
            )
            best = diagonal if word == other else diagonal + 1
            line.append(min(best, left + 1, above[column] + 1))
        costs.append(line)
    return costs


def _trace_back_alignment(
    reference: WordLattice, hypothesis: WordLattice, costs: list[list[int]]
) -> Iterator[AlignmentEdit]:
    """Yield the edits of the cheapest pair of paths from the end to the start."""

    def find_pair_with_cost(rows: list[int], columns: list[int], cost: int) -> tuple[int, int] | None:
        return next(((row, column) for row in rows for column in columns if costs[row][column] == cost), None)

    row, column = reference.end, hypothesis.end
    while row or column:
        word, other = reference.words[row], hypothesis.words[column]
        cost = costs[row][column]
        rows, columns = reference.predecessors[row], hypothesis.predecessors[column]
        parts = (reference.part_numbers[row], hypothesis.part_numbers[column])
        if row and word is None:
            row = min(rows, key=lambda one: costs[one][column])
        elif column and other is None:
            column = min(columns, key=lambda one: costs[row][one])
        elif row and column and (pair := find_pair_with_cost(rows, columns, cost - (word != other))) is not None:
            # A pair of words comes before a deletion or an insertion of the same cost, so that each error of a
            # recognizer stands beside the word that was spoken.
            yield AlignmentEdit("equal" if word == other else "substitution", word or "", other or "", *parts)
            row, column = pair
        elif row and (up := next((one for one in rows if costs[one][column] == cost - 1), None)) is not None:
            yield AlignmentEdit("deletion", word or "", "", *parts)
            row = up
        else:
            yield AlignmentEdit("insertion", "", other or "", *parts)
            column = next(one for one in columns if costs[row][one] == cost - 1)


# Compares a transcript with the text that was to be spoken, by their readings.


READINGS_VERSION = 2
"""Version of the accepted readings. It is increased whenever a comparison may have another result."""


class TextPart(NamedTuple):
    """A part of a text: an entity, or plain words."""

    written: str
    kind: EntityKind | None
    """Kind of the entity; `None` for plain words."""
    readings: Expression


def get_reading_normalizer(language: str) -> str:
    """Return the name and version of the comparison by readings for a language, such as "readings-en/2".

    Languages whose number words are not known have "readings-digits/2": a number is only equal to the same digits.
    """
    base = choose_reading_language(language)
    return f"readings-{base if base in READ_LANGUAGES else 'digits'}/{READINGS_VERSION}"


def compare_readings(reference: str, transcript: str, language: str) -> ReadingScore | None:
    """Compare a transcript with the text that was to be spoken.

    Args:
        reference: the text; its parts in parentheses are spoken.
        transcript: what was recognized; notes in parentheses, such as "(music)", do not count.
        language: tag of the language, such as "en-GB".

    Returns:
        The errors and the entities; `None` if the texts are too long to be compared.
    """
    base = choose_reading_language(language)
    expected = split_text(reference, base, is_transcript=False)
    recognized = split_text(transcript, base, is_transcript=True)
    words = _collect_words(expected), _collect_words(recognized)
    # A reading with a word that the other text lacks has an error. Without such readings, a telephone number has a few
    # instead of thousands.
    lattices = [
        WordLattice([restrict_to_vocabulary(part.readings, other) for part in parts])
        for parts, other in ((expected, words[1]), (recognized, words[0]))
    ]
    edits = align_lattices(*lattices)
    if edits is None:
        return None
    counts = {kind: sum(edit.kind == kind for edit in edits) for kind in ("equal", "substitution", "deletion")}
    return ReadingScore(
        normalizer=get_reading_normalizer(language),
        reference_unit_count=sum(counts.values()),
        hits=counts["equal"],
        substitutions=counts["substitution"],
        deletions=counts["deletion"],
        insertions=len(edits) - sum(counts.values()),
        entities=_judge_entities(expected, recognized, edits),
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
        readings = split_into_characters(entity.readings) if language in CHARACTER_LANGUAGES else entity.readings
        parts.append(TextPart(prepared[entity.start : entity.end].strip(), entity.kind, readings))
        at = entity.end
    return [*parts, *_build_plain_part(prepared[at:], language)]


MAX_LISTED_READINGS = 100
"""Largest number of readings of a text that are listed; some texts have millions."""


def list_accepted_readings(text: str, language: str) -> list[str]:
    """Return what a voice may say for `text`, in lower case without accents, the usual reading first.

    Args:
        text: text as it is written.
        language: tag of the language, such as "en-GB".

    Returns:
        At most `MAX_LISTED_READINGS` readings.
    """
    base = choose_reading_language(language)
    separator = "" if base in CHARACTER_LANGUAGES else " "
    parts = split_text(text, base, is_transcript=False)
    whole: list[tuple[str, ...]] = [()]
    for part in parts:
        # Cut off after each part, because the number of combinations is the product over all parts.
        readings = [one for one, _ in zip(iterate_readings(part.readings), range(MAX_LISTED_READINGS), strict=False)]
        whole = [(*before, *one) for before in whole for one in readings][:MAX_LISTED_READINGS]
    return list(dict.fromkeys(separator.join(words) for words in whole))


def _build_plain_part(text: str, language: str) -> list[TextPart]:
    words = split_plain_words(text, language)
    return [TextPart(text, None, WordSequence(tuple(words)))] if words else []


def _collect_words(parts: Iterable[TextPart]) -> frozenset[str]:
    return frozenset[str]().union(*(list_words(part.readings) for part in parts))


def _judge_entities(
    expected_parts: list[TextPart], recognized_parts: list[TextPart], edits: list[AlignmentEdit]
) -> tuple[EntityScore, ...]:
    """Return the verdict on each entity: wrong if its words have an error, or another entity is inserted beside it."""
    wrong: set[int] = set()
    recognized_words: dict[int, list[str]] = {}
    for index, edit in enumerate(edits):
        if edit.hypothesis and edit.kind != "insertion":
            recognized_words.setdefault(edit.reference_part_index, []).append(edit.hypothesis)
        if edit.kind in ("substitution", "deletion"):
            wrong.add(edit.reference_part_index)
        elif edit.kind == "insertion":
            # A word that is added within an entity changes it. Beside an entity, only a whole entity does, such as a
            # second number: an added plain word is an error of the words there.
            neighbours = _find_parts_beside_insertion(edits, index)
            is_inside = len(neighbours) == 2 and neighbours[0] == neighbours[1]
            is_entity = (
                0 <= edit.hypothesis_part_index < len(recognized_parts)
                and recognized_parts[edit.hypothesis_part_index].kind is not None
            )
            if is_inside or is_entity:
                wrong.update(neighbours)
                for part in neighbours[:1]:
                    recognized_words.setdefault(part, []).append(edit.hypothesis)
    return tuple(
        EntityScore(
            kind=part.kind,
            written=part.written,
            is_right=number not in wrong,
            recognized=" ".join(recognized_words.get(number, [])),
        )
        for number, part in enumerate(expected_parts)
        if part.kind is not None
    )


def _find_parts_beside_insertion(edits: list[AlignmentEdit], index: int) -> list[int]:
    """Return the indexes of the parts of the reference to which the words before and after an insertion belong."""
    before = next((one.reference_part_index for one in reversed(edits[:index]) if one.kind != "insertion"), None)
    after = next((one.reference_part_index for one in edits[index + 1 :] if one.kind != "insertion"), None)
    return [part for part in (before, after) if part is not None]

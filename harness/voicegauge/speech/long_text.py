"""Compares a long text with its audio: which parts are left out, said again, or not in the text, and when.

The phonemes that the network recognizes are aligned with those of the text with affine gap costs (O. Gotoh, "An
improved algorithm for matching biological sequences", 1982), which keep missing phonemes in one piece. Unlike the
alignment of `phoneme_network`, this one takes no more time for more frames, and it need not place the whole text in the
audio. It needs a voice that is recognized well, which shows in the share of phonemes that agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.printable_text import format_count
from voicegauge.speech.phoneme_network import (
    BLANK,
    FRAME_S,
    LogProbabilities,
    Pronunciation,
    TextAlignment,
    align_text,
    find_repeated_words,
)

MIN_PART_PHONEMES = 12
"""Number of phonemes, about three words, from which a part that is left out or added is reported."""
MIN_AGREEING_PHONEME_SHARE = 0.6
"""Share of the aligned phonemes that must agree, so that a clip is judged."""
MAX_AGREEING_PHONEME_SHARE_OF_OTHER_TEXT = 0.45
"""Share of agreeing phonemes below which a clip says another text than its own, if its voice is recognized clearly."""
MIN_AGREEING_SHARE_OF_REPETITION = 0.6
"""Share of the phonemes of an added part that must agree with a part of the text, so that it is a repetition."""
MAX_DEFICIT_RATIO_OF_REPETITION, MAX_DEFICIT_EXCESS_OF_REPETITION = 1.5, 1.0
"""Largest deficit per phoneme of words that are said twice. It is the deficit per phoneme of the words around them,
times the first number, plus the second number. A voice that is recognized badly has high deficits everywhere, another
text only where it is said."""
MAX_ALIGNED_PHONEMES_WITHIN_ADDED_PART = 30
"""Largest number of phonemes within an added part that are aligned with the text by chance, which splits the part in
two."""
_MAX_PHONEMES_COMPARED_EVERYWHERE = 200
"""Largest number of phonemes of a part, some sentences, that is compared with every position of the text, or of words
that may be said again. Time and memory grow with the square of it or faster."""
_COMPARED_PHONEME_COUNT, _MIN_EQUAL_PHONEME_SHARE, _MAX_LAG_DEVIATION = 24, 0.9, 4
"""Number of phonemes, about six words, and share of them, that a text repeats where the place of a difference is not
known; and the largest error, in phonemes, of the length of what is left out or said again."""
MAX_ALIGNMENT_CELLS = 100_000_000
"""Largest product of recognized and expected phonemes: about twelve minutes of speech."""
_MATCH_SCORE, _MISMATCH_SCORE, _GAP_START_SCORE, _GAP_STEP_SCORE = 2, -2, -6, -1
"""Scores of an alignment: of two equal phonemes, of two different ones, of a gap, and of each phoneme in a gap."""
_FROM_DIAGONAL, _FROM_TEXT_GAP, _FROM_RECOGNIZED_GAP = 0, 1, 2
"""What the best alignment up to two phonemes ends with: these two, a phoneme of the text alone, or a recognized one
alone."""
_TEXT_GAP_CONTINUES_FLAG, _RECOGNIZED_GAP_CONTINUES_FLAG = 4, 8
"""Flags that are added to these values: whether the gap that ends with this phoneme has an earlier phoneme too."""


class LongTextDifference(NamedTuple):
    """A part of a text that is not said, or a part of the audio that the text does not have."""

    kind: Literal["left out", "said again", "not in the text"]
    start_s: float
    """Time at which the part begins in the audio, or would have begun if it is left out, in seconds."""
    end_s: float
    """Time at which the part ends in the audio, in seconds; `start_s` for a part that is left out."""
    first_word: int
    """Index of the first word that is left out or said again, or of the word before which something else is said."""
    word_count: int
    """Number of words that are left out or said again; 0 for what is not in the text."""
    phoneme_count: int
    """Number of phonemes that are left out or added."""
    is_place_known: bool = True
    """Whether the audio shows the place. It does not if the text repeats itself there: of several equal sentences in a
    row, any may be the one that is left out or said again."""

    def describe(self) -> str:
        """Return in words what differs between audio and text, and when."""
        if not self.is_place_known:
            verb = "not said" if self.kind == "left out" else "said again"
            place = "the text repeats itself, so that the audio does not show where"
            return f"about {format_count(self.word_count, 'word')} of the text are {verb}; {place}"
        words = f"{format_count(self.word_count, 'word')} from word {self.first_word + 1} of the text on"
        if self.kind == "left out":
            return f"{words} are not said at {self.start_s:.2f} s"
        if self.kind == "said again":
            return f"{words} are said again from {self.start_s:.2f} to {self.end_s:.2f} s"
        return f"something that the text does not have is said from {self.start_s:.2f} to {self.end_s:.2f} s"


class PhonemeInterval(NamedTuple):
    """Two successive phonemes, and the time from the start of the first to the start of the second."""

    phoneme: int
    next_phoneme: int
    start_s: float
    """Time at which the first of the two phonemes begins, in seconds."""
    duration_s: float


class LongTextComparison(NamedTuple):
    """How a clip and its text differ."""

    agreeing_phoneme_share: float
    """Share of the aligned phonemes that agree, from 0 to 1."""
    differences: tuple[LongTextDifference, ...]
    """The differences in the order of the audio; also empty if too few phonemes agree."""
    phoneme_intervals: tuple[PhonemeInterval, ...]
    """The intervals between successive phonemes that both the text and the audio have, in their order."""

    @property
    def is_recognized(self) -> bool:
        """Whether enough phonemes of text and audio agree to trust the differences."""
        return self.agreeing_phoneme_share >= MIN_AGREEING_PHONEME_SHARE


def recognize_phonemes(log_probabilities: LogProbabilities) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the phonemes of the best explanation of a clip, and when each begins, in seconds."""
    best_symbols = log_probabilities.argmax(axis=1)
    begins = np.flatnonzero((best_symbols != BLANK) & (best_symbols != np.concatenate([[-1], best_symbols[:-1]])))
    return best_symbols[begins].astype(np.int64), np.asarray(begins * FRAME_S, np.float64)


def compare_long_text(log_probabilities: LogProbabilities, pronunciation: Pronunciation) -> LongTextComparison | None:
    """Return how a clip and its text differ; `None` if they are too long to be compared.

    Args:
        log_probabilities: the log probabilities of the clip's phonemes.
        pronunciation: the phonemes of the text.
    """
    recognized, times_s = recognize_phonemes(log_probabilities)
    expected = np.array(pronunciation.phonemes)
    if len(recognized) * len(expected) > MAX_ALIGNMENT_CELLS:
        return None
    pairs = _align_phonemes(recognized, expected)
    matched = [(h, e) for h, e in pairs if h >= 0 and e >= 0]
    agreeing = sum(recognized[h] == expected[e] for h, e in matched)
    # A few phonemes agree in any two sequences: with less than 30% aligned, the share says nothing.
    share = agreeing / max(len(matched), 1) if len(matched) >= 0.3 * max(len(recognized), len(expected), 1) else 0.0
    word_starts = np.array(pronunciation.word_starts)
    placed_differences: tuple[LongTextDifference, ...] = ()
    if share >= MIN_AGREEING_PHONEME_SHARE:
        end_s = len(log_probabilities) * FRAME_S
        possible_differences = _list_differences(pairs, recognized, times_s, expected, word_starts, end_s)
        differences = _find_likely_repetitions(
            list(possible_differences), log_probabilities, pronunciation, pairs, times_s
        )
        placed_differences = tuple(
            one._replace(is_place_known=not _is_place_ambiguous(one, expected, word_starts)) for one in differences
        )
    intervals = tuple(
        PhonemeInterval(int(expected[e]), int(expected[e + 1]), float(times_s[h]), float(times_s[h + 1] - times_s[h]))
        for (h, e), after in itertools.pairwise(matched)
        if after == (h + 1, e + 1)
    )
    return LongTextComparison(share, placed_differences, intervals)


def _align_phonemes(
    recognized_phonemes: NDArray[np.int64], expected_phonemes: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Return the best alignment as pairs of indices; -1 stands for a gap on that side."""
    columns = np.arange(len(expected_phonemes) + 1)
    score = np.where(columns > 0, _GAP_START_SCORE + _GAP_STEP_SCORE * columns, 0).astype(np.int32)
    recognized_gap = np.full(len(expected_phonemes) + 1, -(10**8), np.int32)
    # Of the scores, only one row is kept; of the directions a byte for each cell: 100 MB for the longest texts.
    steps = np.zeros((len(recognized_phonemes) + 1, len(expected_phonemes) + 1), np.uint8)
    steps[0, 1:] = _FROM_TEXT_GAP | _TEXT_GAP_CONTINUES_FLAG
    for row, phoneme in enumerate(recognized_phonemes, 1):
        opened, longer = score + (_GAP_START_SCORE + _GAP_STEP_SCORE), recognized_gap + _GAP_STEP_SCORE
        recognized_gap = np.maximum(opened, longer)
        base = recognized_gap.copy()
        base[1:] = np.maximum(
            base[1:], score[:-1] + np.where(expected_phonemes == phoneme, _MATCH_SCORE, _MISMATCH_SCORE)
        )
        # A gap of the text begins at any column to the left: the best one is a running maximum.
        reach = np.maximum.accumulate(base - _GAP_STEP_SCORE * columns)
        text_gap = np.full_like(base, -(10**8))
        text_gap[1:] = reach[:-1] + _GAP_START_SCORE + _GAP_STEP_SCORE * columns[1:]
        score = np.maximum(base, text_gap)
        origin = np.where(
            text_gap >= base, _FROM_TEXT_GAP, np.where(recognized_gap >= base, _FROM_RECOGNIZED_GAP, _FROM_DIAGONAL)
        )
        goes_on = np.zeros(len(base), bool)
        goes_on[1:] = text_gap[1:] > base[:-1] + _GAP_START_SCORE + _GAP_STEP_SCORE
        steps[row] = origin | _TEXT_GAP_CONTINUES_FLAG * goes_on | _RECOGNIZED_GAP_CONTINUES_FLAG * (longer > opened)
    return _trace_back_alignment(steps)


def _trace_back_alignment(directions: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return the best alignment as pairs of indices, from the direction that is stored for each pair."""
    row, column = (size - 1 for size in directions.shape)
    pairs, gap = [], _FROM_DIAGONAL
    while row or column:
        step = int(directions[row, column])
        origin = gap or step & 3
        if row == 0:
            origin = _FROM_TEXT_GAP
        elif column == 0:
            origin = _FROM_RECOGNIZED_GAP
        if origin == _FROM_DIAGONAL:
            row, column = row - 1, column - 1
            pairs.append((row, column))
        elif origin == _FROM_TEXT_GAP:
            gap = _FROM_TEXT_GAP if step & _TEXT_GAP_CONTINUES_FLAG else _FROM_DIAGONAL
            column -= 1
            pairs.append((-1, column))
        else:
            gap = _FROM_RECOGNIZED_GAP if step & _RECOGNIZED_GAP_CONTINUES_FLAG else _FROM_DIAGONAL
            row -= 1
            pairs.append((row, -1))
    return pairs[::-1]


def _list_differences(
    aligned_pairs: list[tuple[int, int]],
    recognized_phonemes: NDArray[np.int64],
    times_s: NDArray[np.float64],
    expected_phonemes: NDArray[np.int64],
    word_starts: NDArray[np.int64],
    end_s: float,
) -> Iterator[LongTextDifference]:
    """Yield the gaps of an alignment that are long enough, as differences."""
    stop = 0
    for (is_left_out, is_added), group in itertools.groupby(aligned_pairs, key=lambda pair: (pair[0] < 0, pair[1] < 0)):
        part = list(group)
        stop += len(part)
        if not (is_left_out or is_added) or len(part) < MIN_PART_PHONEMES:
            continue
        after = next((h for h, _ in aligned_pairs[stop:] if h >= 0), None)
        after_s = end_s if after is None else float(times_s[after])
        if is_left_out:
            first, last = (_find_index_of_word(word_starts, e) for e in (part[0][1], part[-1][1]))
            yield LongTextDifference("left out", after_s, after_s, first, last - first + 1, len(part))
            continue
        added_phonemes = recognized_phonemes[part[0][0] : part[-1][0] + 1]
        again = _find_adjacent_repetition(recognized_phonemes, part[0][0], part[-1][0] + 1)
        if again is not None:
            aligned = _find_aligned_phonemes(aligned_pairs, again - len(part), again + len(part))
            first, last = (_find_index_of_word(word_starts, e) for e in aligned)
            stop_s = float(times_s[again + len(part)]) if again + len(part) < len(times_s) else end_s
            yield LongTextDifference(
                "said again", float(times_s[again]), stop_s, max(first, 0), max(last - first + 1, 1), len(part)
            )
            continue
        start_s = float(times_s[part[0][0]])
        next_phoneme = next((e for _, e in aligned_pairs[stop:] if e >= 0), len(expected_phonemes))
        place = _find_repeated_phonemes(added_phonemes, expected_phonemes)
        if place is None:
            word = _find_index_of_word(word_starts, next_phoneme)
            yield LongTextDifference("not in the text", start_s, after_s, max(word, 0), 0, len(part))
        else:
            if place[0] >= next_phoneme - 2:  # of two equal parts in a row, the second one is said again
                start_s = after_s
                after_s = next((float(times_s[h]) for h, e in aligned_pairs[stop:] if h >= 0 and e > place[1]), end_s)
            first, last = (_find_index_of_word(word_starts, e) for e in place)
            yield LongTextDifference("said again", start_s, after_s, first, last - first + 1, len(part))


def _find_index_of_word(word_starts: NDArray[np.int64], phoneme_position: int) -> int:
    """Return the index of the word with the phoneme at a position; -1 before the first word."""
    return int(np.searchsorted(word_starts, phoneme_position, side="right")) - 1


def _is_place_ambiguous(
    difference: LongTextDifference, expected_phonemes: NDArray[np.int64], word_starts: NDArray[np.int64]
) -> bool:
    """Whether a text without the part of a difference, or with it once more, is the same at several places.

    It is if the phonemes before or after the start of the part are repeated at the distance of the part's length.
    """
    if difference.kind == "not in the text":
        return False
    start = int(word_starts[difference.first_word])
    for lag in range(difference.phoneme_count - _MAX_LAG_DEVIATION, difference.phoneme_count + _MAX_LAG_DEVIATION + 1):
        is_equal = expected_phonemes[:-lag] == expected_phonemes[lag:]
        before, after = (
            is_equal[max(start - _COMPARED_PHONEME_COUNT, 0) : start],
            is_equal[start:][:_COMPARED_PHONEME_COUNT],
        )
        for one in (before, after):
            if len(one) == _COMPARED_PHONEME_COUNT and one.mean() >= _MIN_EQUAL_PHONEME_SHARE:
                return True
    return False


def _find_likely_repetitions(
    differences: list[LongTextDifference],
    log_probabilities: LogProbabilities,
    pronunciation: Pronunciation,
    aligned_pairs: list[tuple[int, int]],
    times_s: NDArray[np.float64],
) -> Iterator[LongTextDifference]:
    """Yield `differences`; added parts that say words of the text again are replaced by these repetitions.

    Recognized phonemes show a repetition only if the voice is recognized well. The probabilities of all phonemes, which
    are used here, show it for other voices too.
    """
    rest = differences
    while rest:
        added, *rest = rest
        if added.kind != "not in the text":
            yield added
            continue
        pieces = [added]
        while (
            rest
            and rest[0].kind == added.kind
            and np.searchsorted(times_s, rest[0].start_s) - np.searchsorted(times_s, pieces[-1].end_s)
            <= MAX_ALIGNED_PHONEMES_WITHIN_ADDED_PART
        ):
            pieces.append(rest.pop(0))
        again = _find_likely_repetition(pieces, log_probabilities, pronunciation, aligned_pairs, times_s)
        yield from pieces if again is None else [again]


def _find_likely_repetition(
    pieces: list[LongTextDifference],
    log_probabilities: LogProbabilities,
    pronunciation: Pronunciation,
    aligned_pairs: list[tuple[int, int]],
    times_s: NDArray[np.float64],
) -> LongTextDifference | None:
    """Return the adjacent words of the text that an added part, given in pieces, repeats; `None` if it repeats none."""
    start, stop = np.searchsorted(times_s, [pieces[0].start_s, pieces[-1].end_s])
    length = int(stop - start)
    if length > _MAX_PHONEMES_COMPARED_EVERYWHERE:
        return None
    # A third more on each side than the part is long, since its bounds are only those of an alignment.
    around = [(h, e) for h, e in aligned_pairs if start - 1.3 * length <= h < stop + 1.3 * length]
    spoken, phonemes = [h for h, _ in around], [e for _, e in around if e >= 0]
    if not phonemes:
        return None
    word_starts = np.array(pronunciation.word_starts)
    first, last = (_find_index_of_word(word_starts, e) for e in (phonemes[0], phonemes[-1]))
    words = pronunciation.select_words(range(max(first, 0), last + 1))
    first_frame = max(int(times_s[spoken[0]] / FRAME_S) - 1, 0)
    frames = log_probabilities[first_frame : int((times_s[spoken[-1]] + 0.1) / FRAME_S)]
    count = sum(one.phoneme_count for one in pieces)
    # Recognized phonemes may be too few or too many, so that the words may have 30% fewer or 40% more.
    again = find_repeated_words(frames, words, range(int(0.7 * count), int(1.4 * length) + 1))
    if again is None:
        return None
    twice = words.select_words([*range(again.stop), *range(again.start, len(words.word_starts))])
    alignment = align_text(frames, twice)
    if alignment is None:
        return None
    if _have_repeated_words_high_deficits(alignment, twice, again):
        return None
    begin_s = first_frame * FRAME_S
    said = alignment.words[again.stop : again.stop + len(again)]
    return LongTextDifference(
        "said again",
        begin_s + said[0].start_s,
        begin_s + said[-1].end_s,
        max(first, 0) + again.start,
        len(again),
        count,
    )


def _have_repeated_words_high_deficits(
    alignment: TextAlignment, pronunciation: Pronunciation, repeated_words: range
) -> bool:
    """Whether `repeated_words`, or as many words after them, have far higher deficits than the words around."""
    first = slice(repeated_words.start, repeated_words.stop)
    second = slice(repeated_words.stop, repeated_words.stop + len(repeated_words))
    lacking = np.array(alignment.word_deficits)
    counts = np.array(pronunciation.word_ends) - np.array(pronunciation.word_starts)
    is_around = np.ones(len(lacking), bool)
    is_around[first.start : second.stop] = False
    usual = float(lacking[is_around].sum() / max(counts[is_around].sum(), 1))
    greater = max(float(lacking[part].sum() / counts[part].sum()) for part in (first, second))
    return greater > MAX_DEFICIT_RATIO_OF_REPETITION * usual + MAX_DEFICIT_EXCESS_OF_REPETITION


def _find_adjacent_repetition(recognized_phonemes: NDArray[np.int64], start: int, stop: int) -> int | None:
    """Return the index at which the second of two equal, adjacent parts begins; `None` if the added part is in neither.

    Of two equal parts, an alignment may take any stretch of one part's length as the added one, such as the end of the
    first part with the beginning of the second.
    """
    length = stop - start
    if length > _MAX_PHONEMES_COMPARED_EVERYWHERE:
        return None
    agreeing_by_begin = {
        begin: _count_agreeing_phonemes(
            recognized_phonemes[begin - length : begin], recognized_phonemes[begin : begin + length]
        )
        for begin in range(max(start, length), stop + 1)
    }
    best = max(agreeing_by_begin, key=lambda begin: agreeing_by_begin[begin], default=None)
    return best if best is not None and agreeing_by_begin[best] >= MIN_AGREEING_SHARE_OF_REPETITION * length else None


def _count_agreeing_phonemes(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Return how many phonemes agree in the best alignment of two sequences."""
    if not len(second):
        return 0
    return sum(h >= 0 and e >= 0 and bool(first[h] == second[e]) for h, e in _align_phonemes(first, second))


def _find_aligned_phonemes(aligned_pairs: list[tuple[int, int]], start: int, stop: int) -> tuple[int, int]:
    """Return the indices of the first and the last phoneme of the text that recognized ones are aligned with.

    Of the recognized phonemes, those from `start` up to but not including `stop` count. (0, 0) if none is aligned.
    """
    aligned = [e for h, e in aligned_pairs if start <= h < stop and e >= 0]
    return (aligned[0], aligned[-1]) if aligned else (0, 0)


def _find_repeated_phonemes(
    added_phonemes: NDArray[np.int64], expected_phonemes: NDArray[np.int64]
) -> tuple[int, int] | None:
    """Return the first and the last phoneme of the text that an added part repeats; `None` if it repeats none."""
    if len(added_phonemes) > len(expected_phonemes):
        return None
    windows = np.lib.stride_tricks.sliding_window_view(expected_phonemes, len(added_phonemes))
    # Places are compared phoneme by phoneme first; the best one is then aligned, since a phoneme may be missing.
    anchor = added_phonemes[: min(len(added_phonemes), MIN_PART_PHONEMES)]
    starts = np.lib.stride_tricks.sliding_window_view(expected_phonemes, len(anchor))
    best = int(np.argmax((starts == anchor).sum(axis=1)))
    first = min(best, len(windows) - 1)
    pairs = _align_phonemes(added_phonemes, expected_phonemes[first : first + len(added_phonemes) + 2])
    agreeing = [e for h, e in pairs if h >= 0 and e >= 0 and added_phonemes[h] == expected_phonemes[first + e]]
    if len(agreeing) < MIN_AGREEING_SHARE_OF_REPETITION * len(added_phonemes):
        return None
    return first + agreeing[0], first + agreeing[-1]

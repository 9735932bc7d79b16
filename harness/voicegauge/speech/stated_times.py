"""Compares the times that a service states for the words of a text with its audio (English).

The words are found in the audio by the alignment of `phoneme_network`. True times differ from the alignment only a
little and without a trend. Times that are shifted, stretched, invented from the number of characters ("uniform") or no
longer advance ("frozen") differ more.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.decoding import Samples
from voicegauge.speech.phoneme_network import compute_phoneme_log_probabilities, find_phoneme_starts, pronounce

StatedTimesVerdict = Literal["true", "shifted", "stretched", "uniform", "frozen", "untrue", "unclear"]
"""What the stated times are. "untrue": they deviate from the speech in some other way. "unclear": they cannot be
judged."""

MIN_WORDS = 5
"""Number of words from which stated times are judged."""
ALIGNMENT_DELAY_S = 0.034
"""Time between the start of a word and its start by the alignment, which is later: the median of 120 clean clips of
espeak-ng, in which the offsets were 0.022 to 0.060 s."""
MAX_OFFSET_S = 0.08
"""Largest difference between the offset of true times and `ALIGNMENT_DELAY_S`."""
MAX_SLOPE_ERROR = 0.055
"""Largest difference of a slope from 1. In the clean clips it was at most 0.030."""
MAX_SPREAD_S = 0.045
"""Largest spread of stated times around the alignment. In the clean clips it was at most 0.023 s."""
UNKNOWN_VOICE_FACTOR = 1.5
"""Factor by which the bounds are wider for a voice that is not recognized clearly."""
MAX_UNIFORM_ERROR_S = 0.006
"""Largest difference between a time and the one that follows from the number of characters before it, if times are
invented from that number. Services round to a millisecond or to a hundredth of a second; the words of speech are never
so regular."""
MIN_FROZEN_WORDS = 3
"""Number of words in a row with the same time from which stated times count as frozen."""


class StatedWord(NamedTuple):
    """A word and when it starts, as a service states it."""

    text: str
    start_index: int
    """Index of its first character in the text."""
    start_s: float


class TimeDifferences(NamedTuple):
    """How stated times differ from those of the alignment."""

    offset_s: float
    """Median of stated minus aligned times, in seconds."""
    slope: float
    """Factor by which stated times advance faster than aligned ones, by the median of all pairs (Theil and Sen)."""
    spread_s: float
    """Median distance of a stated time from the line with this offset and slope, in seconds."""
    uniform_error_s: float
    """Largest distance of a stated time from the one that follows from the number of characters before it, in
    seconds."""


class StatedTimesJudgement(NamedTuple):
    """Whether stated times are those of the audio."""

    verdict: StatedTimesVerdict
    explanation: str
    """The verdict with its figures."""
    start_s: float | None = None
    """Time of the first word whose time is wrong, in seconds; `None` if no particular word is wrong."""


def judge_stated_times(
    samples: Samples, sample_rate_hz: int, words: Sequence[StatedWord], *, is_recognized_clearly: bool
) -> StatedTimesJudgement:
    """Return whether the stated times of the words are those of the audio, which must say the text.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        words: the words, in English.
        is_recognized_clearly: whether the voice is one that the phoneme network recognizes clearly.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot pronounce the text.
    """
    if len(words) < MIN_WORDS:
        return StatedTimesJudgement("unclear", f"fewer than {MIN_WORDS} words have times")
    frozen = _find_frozen_words(words)
    if frozen is not None:
        count, start_s = frozen
        return StatedTimesJudgement("frozen", f"{count} words in a row start at {start_s:.2f} s", start_s)
    aligned = find_word_times(samples, sample_rate_hz, [word.text for word in words])
    if aligned is None:
        return StatedTimesJudgement("unclear", "the words do not fit into the audio")
    differences = measure_differences(words, aligned)
    if differences.uniform_error_s <= MAX_UNIFORM_ERROR_S:
        return StatedTimesJudgement("uniform", "every character has the same duration, so the times are invented")
    factor = 1.0 if is_recognized_clearly else UNKNOWN_VOICE_FACTOR
    return _judge_differences(differences, factor)


def _judge_differences(differences: TimeDifferences, bound_factor: float) -> StatedTimesJudgement:
    """Return the verdict on times that are neither frozen nor uniform."""
    offset_s = differences.offset_s + ALIGNMENT_DELAY_S
    if differences.spread_s > MAX_SPREAD_S * bound_factor:
        return StatedTimesJudgement(
            "untrue", f"half of the words start more than {differences.spread_s:.2f} s off", 0.0
        )
    if abs(differences.slope - 1) > MAX_SLOPE_ERROR * bound_factor:
        return StatedTimesJudgement(
            "stretched", f"the times advance {differences.slope:.2f} times as fast as the speech", 0.0
        )
    if abs(offset_s) > MAX_OFFSET_S * bound_factor:
        late = "after" if offset_s > 0 else "before"
        return StatedTimesJudgement("shifted", f"words are stated {abs(offset_s):.2f} s {late} they are spoken", 0.0)
    return StatedTimesJudgement("true", f"at the median {abs(offset_s):.2f} s from the alignment")


def _find_frozen_words(words: Sequence[StatedWord]) -> tuple[int, float] | None:
    """Return the number of words of the first series with one time, and that time; `None` without a series."""
    for _, group in itertools.groupby(words, key=lambda word: word.start_s):
        run = list(group)
        if len(run) >= MIN_FROZEN_WORDS:
            return len(run), run[0].start_s
    return None


def find_word_times(samples: Samples, sample_rate_hz: int, words: Sequence[str]) -> NDArray[np.float64] | None:
    """Return when each word starts in the audio, in seconds; `None` if the words do not fit into it.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        words: the words of an English text, as they are written.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot pronounce the text.
    """
    phonemes = pronounce(" ".join(words)).phonemes
    starts = find_phoneme_starts(compute_phoneme_log_probabilities(samples, sample_rate_hz), phonemes)
    if starts is None:
        return None
    return np.asarray(starts[_find_first_phonemes(words, phonemes)])


def _find_first_phonemes(words: Sequence[str], whole_phonemes: Sequence[int]) -> NDArray[np.int64]:
    """Return the position of the first phoneme of each word in the pronunciation of the whole text.

    Words sound different within a sentence, so the phonemes of single words are aligned with those of the text.
    """
    word_phonemes: list[int] = []
    first_phonemes: list[int] = []
    for word in words:
        first_phonemes.append(len(word_phonemes))
        word_phonemes += pronounce(word).phonemes
    matched, positions_in_text = [0], [0]
    for block in difflib.SequenceMatcher(
        None, word_phonemes, list(whole_phonemes), autojunk=False
    ).get_matching_blocks():
        matched += range(block.a, block.a + block.size)
        positions_in_text += range(block.b, block.b + block.size)
    positions = np.interp(first_phonemes, matched, positions_in_text)
    return np.minimum(np.rint(positions).astype(np.int64), len(whole_phonemes) - 1)


def measure_differences(words: Sequence[StatedWord], aligned_s: NDArray[np.float64]) -> TimeDifferences:
    """Compare stated times with those of the alignment."""
    stated = np.array([word.start_s for word in words])
    slope = _estimate_slope(aligned_s, stated)
    rest = stated - slope * aligned_s
    indices = np.array([word.start_index for word in words], float)
    uniform = stated - np.polyval(np.polyfit(indices, stated, 1), indices)
    return TimeDifferences(
        offset_s=float(np.median(stated - aligned_s)),
        slope=slope,
        spread_s=float(np.median(np.abs(rest - np.median(rest)))),
        uniform_error_s=float(np.abs(uniform).max()),
    )


def _estimate_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the median slope of the lines through every two points; 0 if all `x` are equal."""
    left, right = np.triu_indices(len(x), 1)
    distance = x[right] - x[left]
    usable = np.abs(distance) > 0
    if not usable.any():
        return 0.0
    return float(np.median((y[right] - y[left])[usable] / distance[usable]))


def split_into_words(
    texts: Sequence[str], starts_s: Sequence[float], unit: Literal["character", "word"]
) -> list[StatedWord]:
    """Return the words of stated characters or words, with the times of their first characters.

    Args:
        texts: the characters or words.
        starts_s: when each starts, in seconds.
        unit: whether `texts` are characters or words.
    """
    pairs = list(zip(texts, starts_s, strict=False))
    if unit == "word":
        index, words = 0, []
        for text, start_s in pairs:
            if re.search(r"\w", text):
                words.append(StatedWord(text, index, start_s))
            index += len(text) + 1
        return words
    whole_text = "".join(text if len(text) == 1 else " " for text, _ in pairs)
    return [
        StatedWord(match[0], match.start(), pairs[match.start()][1]) for match in re.finditer(r"\S*\w\S*", whole_text)
    ]

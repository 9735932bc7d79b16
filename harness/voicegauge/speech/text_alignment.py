"""Compares a text with its audio: is it this text, is all of it there, and where is each word?

espeak-ng converts the text, so numbers and abbreviations are read as its voices read them. Only English is supported,
because the phoneme network was trained with it.

All of it is read from the probabilities of `phoneme_network`. How well a sequence of phonemes explains a clip is the
probability that connectionist temporal classification gives it (CTC; Graves et al., 2006), and what it lacks to the
best explanation of all is its deficit. Of the right text the deficit is small even with a voice that the network
was not trained with; of another one it is large. So texts are compared, and never read off.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.espeak import transcribe_phonemes
from voicegauge.speech.phoneme_network import FRAME_S

PHONEMES = tuple("abdefhijklmnopstuvwzæðŋɐɑɒɔəɚɛɜɡɪɹɾʃʊʌʒʔθᵻ")  # noqa: RUF001
"""The phonemes that the network distinguishes: letters of the International Phonetic Alphabet as espeak-ng uses them
for English. Marks of stress, length and syllables are left out."""
BLANK = 0
"""Index of the symbol that stands for no phoneme (Graves et al., "Connectionist Temporal Classification", 2006). The
index of a phoneme is one more than its position in `PHONEMES`."""
SYMBOL_COUNT = len(PHONEMES) + 1
_INDEX_BY_PHONEME = {phoneme: index for index, phoneme in enumerate(PHONEMES, start=1)}
SUPPORTED_LANGUAGES = ("en",)
"""Codes of the languages whose speech can be aligned with its text."""


class Pronunciation(NamedTuple):
    """The phonemes of a text."""

    phonemes: tuple[int, ...]
    """Indices of the phonemes, in the order of speech."""
    word_starts: tuple[int, ...]
    """For each word, as espeak-ng divides the text, the position of its first phoneme in `phonemes`."""


@functools.lru_cache(maxsize=1024)
def pronounce(text: str, language: str = "en") -> Pronunciation:
    """Return how `text` is pronounced.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot convert the text, or does not speak the language.
    """
    phonemes: list[int] = []
    starts: list[int] = []
    for clause in transcribe_phonemes(text, language=language):
        for word in clause.split():
            encoded = encode_phonemes([word])
            if encoded:
                starts.append(len(phonemes))
                phonemes += encoded
    return Pronunciation(tuple(phonemes), tuple(starts))


def encode_phonemes(clauses: Iterable[str]) -> list[int]:
    """Return the indices of the phonemes in a transcription of espeak-ng, without stress and word boundaries."""
    text = re.sub(r"\(.*?\)", "", " ".join(clauses))  # "(en)" marks a change of language
    return [_INDEX_BY_PHONEME[letter] for letter in text if letter in _INDEX_BY_PHONEME]


def supports_language(language: str | None) -> bool:
    """Whether speech in `language` can be aligned with its text; `None` stands for an unknown language."""
    return language is not None and language.lower().replace("_", "-").partition("-")[0] in SUPPORTED_LANGUAGES


LogProbabilities = NDArray[np.float32]
"""Of shape (frames, symbols), as `compute_phoneme_log_probabilities` returns them."""


class PrefixScores(NamedTuple):
    """How well each beginning of a sequence of phonemes explains a whole clip."""

    log_probabilities: NDArray[np.float64]
    """The entry at index n is that of the first n phonemes."""

    def find_best_count(self) -> int:
        """Return the number of phonemes that explain the clip best."""
        return int(np.argmax(self.log_probabilities))


class WordSpan(NamedTuple):
    """Where a word is spoken, in seconds from the start of the audio."""

    start_s: float
    end_s: float


class TextAlignment(NamedTuple):
    """The most probable places of the words of a text in a clip."""

    words: tuple[WordSpan, ...]
    """One for each word of the pronunciation."""
    word_deficits: tuple[float, ...]
    """How much less probable each word is than the best explanation of its place: the logarithm of the ratio."""
    gap_deficits: tuple[float, ...]
    """The same for the silence before each word, and after the last: high if something else is said there."""


def compute_best_log_probability(log_probabilities: LogProbabilities) -> float:
    """Return the log probability of the best explanation of a clip, whatever it says."""
    return float(log_probabilities.max(axis=1).sum())


def score_prefixes(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> PrefixScores:
    """Return the log probability of each beginning of `phonemes`, from none to all of them, for the whole clip."""
    states = _build_states(phonemes)
    emitted = log_probabilities[:, states].astype(np.float64)
    can_skip = np.zeros(len(states), bool)
    can_skip[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    before = np.full(len(states) + 2, -np.inf)  # two states that are never reached stand before the first one
    if not len(emitted):
        return PrefixScores(np.array([0.0, *([-np.inf] * len(phonemes))]))
    before[2:4] = emitted[0, :2]
    for row in emitted[1:]:
        skipping = np.where(can_skip, before[:-2], -np.inf)
        before[2:] = np.logaddexp(np.logaddexp(before[2:], before[1:-1]), skipping) + row
    ends = before[2:]
    return PrefixScores(np.concatenate([ends[:1], np.logaddexp(ends[1::2], ends[2::2])]))


def score_suffixes(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> PrefixScores:
    """Return the log probability of each end of `phonemes`: the entry at index n is that of the last n phonemes."""
    return score_prefixes(log_probabilities[::-1], phonemes[::-1])


def score_text(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> float:
    """Return the log probability that a clip consists of `phonemes`."""
    return float(score_prefixes(log_probabilities, phonemes).log_probabilities[-1])


def compute_deficit(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> float:
    """Return how much less probable `phonemes` are than the best explanation, as the logarithm per phoneme.

    It is infinite for a sequence that does not fit into the clip.
    """
    lacking = compute_best_log_probability(log_probabilities) - score_text(log_probabilities, phonemes)
    return lacking / max(len(phonemes), 1)


def align_text(log_probabilities: LogProbabilities, pronunciation: Pronunciation) -> TextAlignment | None:
    """Return where the words of a text are in a clip, by the most probable path; `None` if they do not fit into it."""
    path = _find_best_path(log_probabilities, pronunciation.phonemes)
    if path is None:
        return None
    states = _build_states(pronunciation.phonemes)
    lacking = log_probabilities.max(axis=1) - log_probabilities[np.arange(len(path)), states[path]]
    starts = np.array(pronunciation.word_starts)
    word_by_phoneme = np.searchsorted(starts, np.arange(len(pronunciation.phonemes)), side="right") - 1
    # Blanks within a word count to the word, and those between two words to the gap before the second one.
    phoneme_before, is_blank = (path - 1) // 2, path % 2 == 0
    word_before = np.where(phoneme_before >= 0, word_by_phoneme[np.maximum(phoneme_before, 0)], -1)
    next_phoneme = np.minimum(path // 2, len(word_by_phoneme) - 1)
    word_after = np.where(path // 2 < len(word_by_phoneme), word_by_phoneme[next_phoneme], len(starts))
    is_gap = is_blank & (word_before != word_after)
    words, word_deficits = [], []
    gap_deficits = [float(lacking[is_gap & (word_after == index)].sum()) for index in range(len(starts) + 1)]
    for index in range(len(starts)):
        frames = np.flatnonzero(~is_gap & (np.where(is_blank, word_after, word_by_phoneme[next_phoneme]) == index))
        words.append(WordSpan(float(frames[0]) * FRAME_S, float(frames[-1] + 1) * FRAME_S))
        word_deficits.append(float(lacking[frames].sum()))
    return TextAlignment(tuple(words), tuple(word_deficits), tuple(gap_deficits))


def find_phoneme_starts(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> NDArray[np.float64] | None:
    """Return when each phoneme starts, in seconds, by the most probable path; `None` if they do not fit into the clip.

    A network with this loss emits a phoneme at a moment within it, some hundredths of a second after its start.
    """
    path = _find_best_path(log_probabilities, phonemes)
    if path is None:
        return None
    starts = np.searchsorted(path, 2 * np.arange(len(phonemes)) + 1)
    return np.asarray(starts * FRAME_S)


def _build_states(phonemes: Sequence[int]) -> NDArray[np.int64]:
    """Return the phonemes with a blank before, between and after them."""
    states = np.full(2 * len(phonemes) + 1, BLANK, np.int64)
    states[1::2] = phonemes
    return states


def _find_best_path(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> NDArray[np.int64] | None:
    """Return the state of each frame along the most probable path; `None` if there is none."""
    states, frame_count = _build_states(phonemes), len(log_probabilities)
    if not frame_count or not len(phonemes):
        return None
    emitted = log_probabilities[:, states]
    can_skip = np.zeros(len(states), bool)
    can_skip[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    before = np.full(len(states) + 2, -np.inf, np.float32)
    before[2:4] = emitted[0, :2]
    steps = np.zeros(emitted.shape, np.int8)
    for frame in range(1, frame_count):
        stay, step, skip = before[2:], before[1:-1], np.where(can_skip, before[:-2], -np.inf)
        best = np.maximum(stay, step)
        steps[frame] = np.where(skip > best, 2, step > stay)
        before[2:] = np.maximum(best, skip) + emitted[frame]
    last = len(states) - 1 if before[-1] >= before[-2] else len(states) - 2
    if not np.isfinite(before[2 + last]):
        return None
    path = np.zeros(frame_count, np.int64)
    for frame in range(frame_count - 1, -1, -1):
        path[frame] = last
        last -= int(steps[frame, last])
    return path

"""Finds the words of a lexicon that explain a clip best, by what `phoneme_network` recognizes in it.

A beam search over the beginnings of transcripts (prefix beam search of connectionist temporal classification: Hannun et
al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs", 2014), which only
follows phonemes with which a word of the lexicon goes on. Beginnings are ranked by what is recognized and how frequent
their words are, alone and after the word before; the beginning of a word counts as the most frequent word that starts
with it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from voicegauge.speech.lexicon import BIGRAM_SHARE, Lexicon
from voicegauge.speech.text_alignment import BLANK, SYMBOL_COUNT, LogProbabilities

MAX_BEGINNINGS = 100
"""Number of beginnings that are followed at a time. With 60, the word error rate was 0.001 higher."""
MAX_BEHIND = 18.0
"""Largest log probability by which a beginning may be behind the best one."""
MIN_SYMBOL_LOG_PROBABILITY = -10.0
"""Log probability in a frame from which a phoneme is tried there."""
LANGUAGE_WEIGHT = 0.4
"""Weight of the log probabilities of words beside those of what is recognized, which are too sure of themselves."""
WORD_SCORE = -0.5
"""Log probability that each word costs, so that a long word is preferred to two short ones."""
_ROOT = 0
_NEVER = -math.inf
_NO_WORD = -1
_UNLISTED_PAIR = math.log(1 - BIGRAM_SHARE)
"""Added to the log probability of a word that is not listed after the word before."""

_History = tuple["_History | None", int]
"""The history before a word, and the index of the word."""


class _Beginning:
    """A beginning of a transcript, up to a node of the word that it is within."""

    __slots__ = ("history", "in_blank", "in_symbol", "language", "last")

    def __init__(self, in_blank: float, in_symbol: float, language: float, history: _History | None, last: int) -> None:
        self.in_blank, self.in_symbol = in_blank, in_symbol
        """Log probability of all paths that end in a blank, and of those that end in the last phoneme."""
        self.language = language
        """Weighted log probability of the words."""
        self.history = history
        self.last = last
        """The last phoneme; `BLANK` at the start."""

    @property
    def score(self) -> float:
        return max(self.in_blank, self.in_symbol) + self.language


_Key = tuple[int, int]
"""The node that a beginning is in, and the index of the last complete word."""
_Beam = dict[_Key, _Beginning]


class _Arrival(NamedTuple):
    """One way into a beginning."""

    in_blank: float
    in_symbol: float
    language: float
    history: _History | None
    last: int


def decode_words(log_probabilities: LogProbabilities, lexicon: Lexicon) -> list[str]:
    """Return the words that a clip consists of, in lower case; none if no phoneme is recognized.

    Args:
        log_probabilities: of each symbol in each frame, of shape (frames, symbols).
        lexicon: the words that can be found.
    """
    beam: _Beam = {(_ROOT, _NO_WORD): _Beginning(0.0, _NEVER, 0.0, None, BLANK)}
    for row in log_probabilities.tolist():
        beam = _prune(_advance(beam, row, lexicon))
    complete = [one for (node, _), one in beam.items() if node == _ROOT]
    best = max(complete or beam.values(), key=lambda one: _add(one.in_blank, one.in_symbol) + one.language)
    words, history = [], best.history
    while history is not None:
        history, index = history
        words.append(lexicon.words[index])
    return words[::-1]


def _advance(beam: _Beam, row: list[float], lexicon: Lexicon) -> _Beam:
    """Return the beginnings after one more frame, whose log probabilities by symbol are `row`."""
    recognized = [(symbol, value) for symbol, value in enumerate(row) if value > MIN_SYMBOL_LOG_PROBABILITY and symbol]
    children, best_by_node, words_by_node = lexicon.children, lexicon.best_by_node, lexicon.words_by_node
    after: _Beam = {}
    for key, one in beam.items():
        node, last_word = key
        total = _add(one.in_blank, one.in_symbol)
        repeated = one.in_symbol + row[one.last] if one.last != BLANK else _NEVER
        _arrive(after, key, _Arrival(total + row[BLANK], repeated, one.language, one.history, one.last))
        known = one.language - (LANGUAGE_WEIGHT * best_by_node[node] if node != _ROOT else 0.0)
        for symbol, value in recognized:
            child = children.get(node * SYMBOL_COUNT + symbol)
            before = one.in_blank if symbol == one.last else total
            if child is None or before == _NEVER:
                continue
            language = known + LANGUAGE_WEIGHT * best_by_node[child]
            _arrive(after, (child, last_word), _Arrival(_NEVER, before + value, language, one.history, symbol))
            for index in words_by_node.get(child, ()):
                score = known + LANGUAGE_WEIGHT * _compute_word_log_probability(lexicon, last_word, index) + WORD_SCORE
                _arrive(after, (_ROOT, index), _Arrival(_NEVER, before + value, score, (one.history, index), symbol))
    return after


def _arrive(beam: _Beam, key: _Key, arrival: _Arrival) -> None:
    """Add a way into a beginning. Of different words before, the better ones are kept."""
    present = beam.get(key)
    if present is None:
        beam[key] = _Beginning(*arrival)
        return
    is_better = max(arrival.in_blank, arrival.in_symbol) + arrival.language > present.score
    if present.last != arrival.last:  # the same word with another pronunciation
        if is_better:
            beam[key] = _Beginning(*arrival)
        return
    if is_better:
        present.history, present.language = arrival.history, arrival.language
    present.in_blank = _add(present.in_blank, arrival.in_blank)
    present.in_symbol = _add(present.in_symbol, arrival.in_symbol)


def _prune(beam: _Beam) -> _Beam:
    ranked = sorted(((one.score, key) for key, one in beam.items()), reverse=True)
    least = ranked[0][0] - MAX_BEHIND
    return {key: beam[key] for score, key in ranked[:MAX_BEGINNINGS] if score > least}


def _compute_word_log_probability(lexicon: Lexicon, last_word: int, index: int) -> float:
    if last_word in lexicon.first_words:
        known = lexicon.pair_log_probabilities.get(last_word * len(lexicon.words) + index)
        return known if known is not None else lexicon.word_log_probabilities[index] + _UNLISTED_PAIR
    return lexicon.word_log_probabilities[index]


def _add(first: float, second: float) -> float:
    """Return the logarithm of the sum of two probabilities, from their logarithms."""
    if first < second:
        first, second = second, first
    return first if second == _NEVER else first + math.log1p(math.exp(second - first))

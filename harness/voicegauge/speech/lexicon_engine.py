"""The ASR engine `lexicon`: 80,000 English words, and a search for the words that explain a clip best.

The words, and how often words and pairs of words occur, come from data files of the package symspellpy (from Google
Books Ngram, CC BY 3.0, and SCOWL); espeak-ng pronounces the words. The lexicon is computed from them once, in some
seconds, and kept in the user's cache folder.

The search is a prefix beam search of connectionist temporal classification (Hannun et al., "First-Pass Large Vocabulary
Continuous Speech Recognition using Bi-Directional Recurrent DNNs", 2014) that follows only phonemes with which a word
of the lexicon continues. A prefix is the beginning of a transcript. Prefixes are ranked by the probability of their
phonemes in the clip and by the frequency of their words, alone and after the previous word; an incomplete word counts
as the most frequent word that starts with it.

`embedded/phonemes.md` describes the network, and `benchmarks/lexicon` measures the engine. It is not for live services:
the network was trained with synthesized voices, and recognizes other voices too badly to transcribe them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError
from voicegauge.files import find_or_create_in_cache
from voicegauge.speech.decoding import Samples
from voicegauge.speech.espeak import transcribe_phonemes
from voicegauge.speech.phoneme_network import (
    BLANK,
    SYMBOL_COUNT,
    WEIGHTS_PATH,
    LogProbabilities,
    compute_phoneme_log_probabilities,
    encode_phonemes,
    supports_language,
)
from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ, compute_short_sha256, read_package_versions

LEXICON_VERSION = 1
"""Version of the computation of the lexicon. It is increased when that computation changes."""
LEXICON_FOLDER_NAME = "lexicon"
"""Name of the folder of lexicons in the user's cache folder."""
BIGRAM_SHARE = 0.85
"""Weight, in the probability of a word, of its frequency after the previous word, where that frequency is known; the
rest is the weight of its overall frequency."""
_PACKAGE_NAME = "symspellpy"
"""Package that has the data files."""
_WORD_FILE_NAME, _PAIR_FILE_NAME = "frequency_dictionary_en_82_765.txt", "frequency_bigramdictionary_en_243_342.txt"
"""Names of the files with the frequencies of words, and of pairs of words."""
_WORDS_PER_CALL = 2000
"""Number of words that espeak-ng pronounces at a time."""
_WORD_COUNT_WITH_CONTEXTS = 20_000
"""Number of the most frequent words whose pronunciation within a sentence is computed too: the last sound can differ
there."""
_CONTEXT_TEMPLATES = ("banana {} pocket", "banana {} apple")
"""Contexts of a word: before a consonant and before a vowel. espeak-ng never joins "banana" with the word after it."""
_ROOT_NODE = 0
"""The node of the empty sequence of phonemes."""


class Lexicon(NamedTuple):
    """Words as a tree of phonemes, with the logarithms of their probabilities.

    A node is a sequence of phonemes with which words start; node 0 is the empty sequence.
    """

    words: tuple[str, ...]
    """The words, most frequent first. The index of a word is its position here."""
    children: dict[int, int]
    """The child of a node for the next phoneme, under the key `node * SYMBOL_COUNT + phoneme`."""
    words_by_node: dict[int, tuple[int, ...]]
    """Indices of the words whose whole pronunciation is the node's sequence of phonemes."""
    best_log_probability_by_node: tuple[float, ...]
    """Log probability of the most frequent word that starts with each node."""
    word_log_probabilities: tuple[float, ...]
    """Log probability of each word, regardless of the previous word."""
    pair_log_probabilities: dict[int, float]
    """Log probability of a word after another word, under the key `first index * number of words + second index`."""
    first_words: frozenset[int]
    """Indices of the words for which the frequencies of next words are known."""


def has_lexicon() -> bool:
    """Whether the packages from which the lexicon is computed are installed."""
    return all(importlib.util.find_spec(name) is not None for name in (_PACKAGE_NAME, "espeakng_loader"))


@functools.cache
def compute_lexicon_sha256() -> str:
    """Return the first eight hex digits of the SHA-256 of everything that determines the lexicon.

    Raises:
        MissingExtraError: symspellpy or espeak-ng is not installed.
    """
    if not has_lexicon():
        raise MissingExtraError("symspellpy or espeak-ng, which the engine 'lexicon' needs,", "bench")
    # Another espeak-ng may pronounce words in another way.
    sha256 = hashlib.sha256(f"{LEXICON_VERSION} {metadata.version('espeakng-loader')}".encode())
    for name in (_WORD_FILE_NAME, _PAIR_FILE_NAME):
        sha256.update(_find_data_file(name).read_bytes())
    return sha256.hexdigest()[:8]


def load_lexicon() -> Lexicon:
    """Return the lexicon from the cache; if it is not there yet, compute and save it first.

    Raises:
        MissingExtraError: symspellpy or espeak-ng is not installed.
        UsageError: the cache folder cannot be written.
    """
    sha256 = compute_lexicon_sha256()
    return _read_lexicon(find_or_create_in_cache(LEXICON_FOLDER_NAME, f"{sha256}.npz", save_lexicon))


def save_lexicon(path: Path) -> None:
    """Compute the lexicon of English words and write it to the file `path`."""
    lines = _find_data_file(_WORD_FILE_NAME).read_text(encoding="utf-8-sig").splitlines()
    counts = {word: int(count) for word, count in map(str.split, lines)}
    words = sorted(counts, key=lambda word: (-counts[word], word))
    index_by_word = {word: index for index, word in enumerate(words)}
    total = sum(counts.values())
    log_probabilities = np.log([counts[word] / total for word in words])
    pairs = _compute_pair_log_probabilities(index_by_word, np.exp(log_probabilities))
    children: dict[int, int] = {}
    best, word_nodes = [float(log_probabilities[0])], []
    for index, phonemes in _pronounce_words(words):
        node = _ROOT_NODE
        for phoneme in phonemes:
            node = children.setdefault(node * SYMBOL_COUNT + phoneme, len(best))
            if node == len(best):  # words come in the order of their frequency, so this one is the most frequent
                best.append(float(log_probabilities[index]))
        word_nodes.append((node, index))
    with path.open("wb") as file:
        np.savez(
            file,
            words=np.array("\n".join(words)),
            word_log_probabilities=log_probabilities,
            child_keys=np.array(list(children), np.int64),
            child_nodes=np.array(list(children.values()), np.int64),
            best_by_node=np.array(best),
            word_nodes=np.array(word_nodes, np.int64),
            pair_keys=np.array(list(pairs), np.int64),
            pair_log_probabilities=np.array(list(pairs.values())),
        )


@functools.lru_cache(maxsize=1)
def _read_lexicon(path: Path) -> Lexicon:
    with np.load(path) as saved:
        stored = {name: saved[name] for name in saved.files}
    words = tuple(str(stored["words"]).split("\n"))
    words_by_node: dict[int, list[int]] = defaultdict(list)
    for node, index in stored["word_nodes"].tolist():
        words_by_node[node].append(index)
    pair_keys: NDArray[np.int64] = stored["pair_keys"]
    return Lexicon(
        words=words,
        children=dict(zip(stored["child_keys"].tolist(), stored["child_nodes"].tolist(), strict=True)),
        words_by_node={node: tuple(indices) for node, indices in words_by_node.items()},
        best_log_probability_by_node=tuple(stored["best_by_node"].tolist()),
        word_log_probabilities=tuple(stored["word_log_probabilities"].tolist()),
        pair_log_probabilities=dict(zip(pair_keys.tolist(), stored["pair_log_probabilities"].tolist(), strict=True)),
        first_words=frozenset((pair_keys // len(words)).tolist()),
    )


def _find_data_file(name: str) -> Path:
    spec = importlib.util.find_spec(_PACKAGE_NAME)  # its code is not imported: only its data files are used
    if spec is None or spec.origin is None:
        raise MissingExtraError("symspellpy, whose word list the engine 'lexicon' uses,", "bench")
    return Path(spec.origin).parent / name


def _compute_pair_log_probabilities(
    index_by_word: dict[str, int], probabilities: NDArray[np.float64]
) -> dict[int, float]:
    """Return the log probability of the second word after the first word, for each listed pair of words."""
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    for line in _find_data_file(_PAIR_FILE_NAME).read_text(encoding="utf-8-sig").splitlines():
        first, second, count = line.split()
        if first in index_by_word and second in index_by_word:
            counts[index_by_word[first]][index_by_word[second]] = int(count)
    pairs = {}
    for first_index, following in counts.items():
        total = sum(following.values())
        for second_index, pair_count in following.items():
            share = BIGRAM_SHARE * pair_count / total + (1 - BIGRAM_SHARE) * probabilities[second_index]
            pairs[first_index * len(index_by_word) + second_index] = float(np.log(share))
    return pairs


def _pronounce_words(words: Sequence[str]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the index of a word and its phonemes, for each pronunciation of each word, in the order of the words."""
    for start in range(0, len(words), _WORDS_PER_CALL):
        some = words[start : start + _WORDS_PER_CALL]
        spoken: list[dict[tuple[int, ...], None]] = [{} for _ in some]  # in the order in which they are found
        contexts = ("{}", *_CONTEXT_TEMPLATES) if start < _WORD_COUNT_WITH_CONTEXTS else ("{}",)
        for context in contexts:
            # A word in each paragraph: espeak-ng ends a clause there, and each call takes a fork of its process.
            clauses = transcribe_phonemes("\n\n".join(context.format(word) for word in some), language="en")
            if len(clauses) != len(some):
                raise ValueError(f"espeak-ng read {len(some)} words as {len(clauses)} clauses")
            for found, clause in zip(spoken, clauses, strict=True):
                parts = clause.split()
                phonemes = tuple(encode_phonemes(parts[1:-1] if context != "{}" else parts))
                if phonemes:
                    found[phonemes] = None
        for index, found in enumerate(spoken, start):
            for phonemes in found:
                yield index, phonemes


MAX_KEPT_PREFIXES = 100
"""Maximum number of prefixes that are kept after each frame. With 60, the word error rate was 0.001 higher."""
MAX_SCORE_DIFFERENCE_OF_KEPT_PREFIXES = 18.0
"""Largest difference between the score of the best prefix and that of a prefix that is kept."""
MIN_SYMBOL_LOG_PROBABILITY = -10.0
"""Smallest log probability in a frame with which a phoneme is tried as the next one."""
LANGUAGE_MODEL_WEIGHT = 0.4
"""Weight of the log probabilities of words compared with those of phonemes, which the network estimates too high."""
SCORE_PER_WORD = -0.5
"""Score that is added for each word. It is negative, so that a long word is preferred to two short ones."""
_IMPOSSIBLE_SCORE = -math.inf
"""Log probability of what cannot occur."""
_NO_WORD_INDEX = -1
"""Stands for the index of a word where there is none."""
_UNLISTED_PAIR_SCORE = math.log(1 - BIGRAM_SHARE)
"""Added to the log probability of a word whose frequency after the previous word is not known."""

_WordHistory = tuple["_WordHistory | None", int]
"""The complete words of a prefix as a linked list: the history before the last word, and the index of that word."""


@dataclass(slots=True)
class _Prefix:
    """The scores of one prefix: complete words, and possibly the first phonemes of an incomplete word."""

    blank_score: float
    """Log probability of all paths that end in a blank."""
    symbol_score: float
    """Log probability of all paths that end in the last phoneme."""
    language_score: float
    """Weighted log probability of the words."""
    history: _WordHistory | None
    last_phoneme: int
    """The last phoneme; `BLANK` at the start."""

    @property
    def score(self) -> float:
        # The larger of both instead of their sum, which is at most 0.7 more: it is computed for each prefix and frame.
        return max(self.blank_score, self.symbol_score) + self.language_score


_PrefixKey = tuple[int, int]
"""Key of a prefix: the node of its incomplete word, and the index of its last complete word."""
_Beam = dict[_PrefixKey, _Prefix]
"""The prefixes that the search follows, by key."""


def decode_words(log_probabilities: LogProbabilities, lexicon: Lexicon) -> list[str]:
    """Return the words that a clip consists of, in lower case; none if no phoneme is recognized.

    Args:
        log_probabilities: log probability of each symbol in each frame, of shape (frames, symbols).
        lexicon: the words that can be found.
    """
    beam: _Beam = {(_ROOT_NODE, _NO_WORD_INDEX): _Prefix(0.0, _IMPOSSIBLE_SCORE, 0.0, None, BLANK)}
    for row in log_probabilities.tolist():
        beam = _keep_best_prefixes(_extend_prefixes(beam, row, lexicon))
    # A clip ends with a whole word, unless none was found at all.
    complete = [one for (node, _), one in beam.items() if node == _ROOT_NODE]
    best = max(
        complete or beam.values(),
        key=lambda one: _add_log_probabilities(one.blank_score, one.symbol_score) + one.language_score,
    )
    words, history = [], best.history
    while history is not None:
        history, index = history
        words.append(lexicon.words[index])
    return words[::-1]


def _extend_prefixes(beam: _Beam, row: list[float], lexicon: Lexicon) -> _Beam:
    """Return the prefixes after one more frame, whose log probabilities by symbol are `row`."""
    recognized = [(symbol, value) for symbol, value in enumerate(row) if value > MIN_SYMBOL_LOG_PROBABILITY and symbol]
    children, best_log_probability_by_node, words_by_node = (
        lexicon.children,
        lexicon.best_log_probability_by_node,
        lexicon.words_by_node,
    )
    after: _Beam = {}
    for key, one in beam.items():
        node, last_word = key
        total = _add_log_probabilities(one.blank_score, one.symbol_score)
        repeated = one.symbol_score + row[one.last_phoneme] if one.last_phoneme != BLANK else _IMPOSSIBLE_SCORE
        _add_path_to_beam(
            after, key, _Prefix(total + row[BLANK], repeated, one.language_score, one.history, one.last_phoneme)
        )
        # Without the guess for the incomplete word, which the next phoneme replaces by a better one.
        known = one.language_score - (
            LANGUAGE_MODEL_WEIGHT * best_log_probability_by_node[node] if node != _ROOT_NODE else 0.0
        )
        for symbol, value in recognized:
            child = children.get(node * SYMBOL_COUNT + symbol)
            # Only a blank separates two equal phonemes; without one, the frame prolongs the phoneme before it.
            before = one.blank_score if symbol == one.last_phoneme else total
            if child is None or before == _IMPOSSIBLE_SCORE:
                continue
            language_score = known + LANGUAGE_MODEL_WEIGHT * best_log_probability_by_node[child]
            _add_path_to_beam(
                after,
                (child, last_word),
                _Prefix(_IMPOSSIBLE_SCORE, before + value, language_score, one.history, symbol),
            )
            for index in words_by_node.get(child, ()):
                score = (
                    known
                    + LANGUAGE_MODEL_WEIGHT * _compute_word_log_probability(lexicon, last_word, index)
                    + SCORE_PER_WORD
                )
                _add_path_to_beam(
                    after,
                    (_ROOT_NODE, index),
                    _Prefix(_IMPOSSIBLE_SCORE, before + value, score, (one.history, index), symbol),
                )
    return after


def _add_path_to_beam(beam: _Beam, key: _PrefixKey, path: _Prefix) -> None:
    """Add a path with its scores to the prefix with `key`.

    Of paths with other earlier words or another pronunciation, those of the better one are kept.
    """
    present = beam.get(key)
    if present is None:
        beam[key] = path
        return
    is_better = path.score > present.score
    if present.last_phoneme != path.last_phoneme:  # the same word with another pronunciation
        if is_better:
            beam[key] = path
        return
    if is_better:
        present.history, present.language_score = path.history, path.language_score
    present.blank_score = _add_log_probabilities(present.blank_score, path.blank_score)
    present.symbol_score = _add_log_probabilities(present.symbol_score, path.symbol_score)


def _keep_best_prefixes(beam: _Beam) -> _Beam:
    ranked = sorted(((one.score, key) for key, one in beam.items()), reverse=True)
    least = ranked[0][0] - MAX_SCORE_DIFFERENCE_OF_KEPT_PREFIXES
    return {key: beam[key] for score, key in ranked[:MAX_KEPT_PREFIXES] if score > least}


def _compute_word_log_probability(lexicon: Lexicon, last_word: int, index: int) -> float:
    alone = lexicon.word_log_probabilities[index]
    if last_word not in lexicon.first_words:
        return alone
    return lexicon.pair_log_probabilities.get(last_word * len(lexicon.words) + index, alone + _UNLISTED_PAIR_SCORE)


def _add_log_probabilities(first: float, second: float) -> float:
    """Return the logarithm of the sum of two probabilities, from their logarithms."""
    if first < second:
        first, second = second, first
    return first if second == _IMPOSSIBLE_SCORE else first + math.log1p(math.exp(second - first))


LEXICON_ENGINE = "lexicon"
"""Value of `--asr` that requests this engine."""
LEXICON_ASR_VERSION = 1
"""Version of the search. It is increased when any transcript may change."""


@dataclass(frozen=True)
class LexiconAsr:
    """The ASR engine `lexicon`. It runs on the processor, one clip at a time."""

    short_weights_sha256: str
    """First hex digits of the SHA-256 of the network's weights."""
    short_lexicon_source_sha256: str
    """First hex digits of the SHA-256 of what the lexicon was computed from."""
    has_closed_vocabulary: bool = True
    clips_per_batch: int = 1

    @property
    def id(self) -> str:
        """Engine, version and digests, such as "lexicon/1 phonemes@1a2b3c4d words@5e6f7a8b"."""
        return (
            f"{LEXICON_ENGINE}/{LEXICON_ASR_VERSION} phonemes@{self.short_weights_sha256} "
            f"words@{self.short_lexicon_source_sha256}"
        )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the search, and the versions of the packages from which the lexicon is computed."""
        return {
            "beam": f"{MAX_KEPT_PREFIXES} beginnings within {MAX_SCORE_DIFFERENCE_OF_KEPT_PREFIXES:g}",
            "min_symbol_log_probability": f"{MIN_SYMBOL_LOG_PROBABILITY:g}",
            "language_weight": f"{LANGUAGE_MODEL_WEIGHT:g}",
            "word_score": f"{SCORE_PER_WORD:g}",
            **read_package_versions("symspellpy", "espeakng-loader"),
        }

    def supports_language(self, language: str) -> bool:
        """Whether `language` is English."""
        return supports_language(language)

    def transcribe(self, samples: Samples, language: str) -> str:  # noqa: ARG002 - as every engine
        """Transcribe samples at 16 kHz, in lower case and without punctuation."""
        log_probabilities = compute_phoneme_log_probabilities(samples, ASR_SAMPLE_RATE_HZ)
        return " ".join(decode_words(log_probabilities, load_lexicon()))

    def transcribe_batch(self, clips: Sequence[Samples], language: str) -> list[str]:
        """Transcribe clips at 16 kHz one after another, as `transcribe` does."""
        return [self.transcribe(samples, language) for samples in clips]

    def list_known_words(self) -> frozenset[str]:
        """Return the words of the lexicon."""
        return frozenset(load_lexicon().words)


def create_lexicon_asr() -> LexiconAsr:
    """Create the engine `lexicon`, which loads its words when it first transcribes.

    Raises:
        MissingExtraError: symspellpy or espeak-ng is not installed.
    """
    return LexiconAsr(compute_short_sha256(WEIGHTS_PATH), compute_lexicon_sha256())

"""The lexicon of the engine `lexicon`: English words, how they are pronounced, and how often they follow each other.

The words, their counts and those of pairs of words are data files of the package symspellpy (from Google Books Ngram,
CC BY 3.0, and SCOWL). espeak-ng pronounces them. All of it is computed once, in some seconds, and kept in the user's
cache folder.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError
from voicegauge.speech.asr_interface import find_or_create_in_cache
from voicegauge.speech.espeak import transcribe_phonemes
from voicegauge.speech.text_alignment import SYMBOL_COUNT, encode_phonemes

LEXICON_VERSION = 1
"""Version of the way in which the lexicon is computed. It is increased when that changes."""
LEXICON_FOLDER_NAME = "lexicon"
BIGRAM_SHARE = 0.85
"""Share of the probability of a word that its frequency after the word before decides, where that is known; the rest is
its frequency alone."""
_PACKAGE = "symspellpy"
_WORD_FILE, _PAIR_FILE = "frequency_dictionary_en_82_765.txt", "frequency_bigramdictionary_en_243_342.txt"
_WORDS_PER_CALL = 2000
_CONTEXT_WORD_COUNT = 20_000
"""Number of the most frequent words that are also pronounced within a sentence, where their last sound can differ."""
_CONTEXTS = ("banana {} pocket", "banana {} apple")
"""A word before a consonant and before a vowel. The word before it is known to stay a word of its own."""
_ROOT = 0


class Lexicon(NamedTuple):
    """Words as a tree of phonemes, with the logarithms of their probabilities.

    A node is a sequence of phonemes with which words start; node 0 is the empty one.
    """

    words: tuple[str, ...]
    """In the order of their frequency, the most frequent first. An index of a word is its position here."""
    children: dict[int, int]
    """The node after another one and a phoneme, by `node * SYMBOL_COUNT + phoneme`."""
    words_by_node: dict[int, tuple[int, ...]]
    """Indices of the words that are pronounced as the node."""
    best_by_node: tuple[float, ...]
    """Log probability of the most frequent word that starts with each node."""
    word_log_probabilities: tuple[float, ...]
    """Log probability of each word, whatever is before it."""
    pair_log_probabilities: dict[int, float]
    """Log probability of a word after another one, by `index of the first * number of words + index of the second`."""
    first_words: frozenset[int]
    """Indices of the words of which it is known what follows them."""


def has_lexicon() -> bool:
    """Whether the packages are installed from which the lexicon is computed."""
    return all(importlib.util.find_spec(name) is not None for name in (_PACKAGE, "espeakng_loader"))


@functools.cache
def compute_lexicon_sha256() -> str:
    """Return the first eight hex digits of the SHA-256 of everything that determines the lexicon.

    Raises:
        MissingExtraError: symspellpy or espeak-ng is not installed.
    """
    if not has_lexicon():
        raise MissingExtraError("symspellpy or espeak-ng, which the engine 'lexicon' needs,", "bench")
    sha256 = hashlib.sha256(f"{LEXICON_VERSION} {metadata.version('espeakng-loader')}".encode())
    for name in (_WORD_FILE, _PAIR_FILE):
        sha256.update(_find_data_file(name).read_bytes())
    return sha256.hexdigest()[:8]


def load_lexicon() -> Lexicon:
    """Return the lexicon, which is computed and kept in the cache if it is not there yet.

    Raises:
        MissingExtraError: symspellpy or espeak-ng is not installed.
        UsageError: the cache folder cannot be written.
    """
    sha256 = compute_lexicon_sha256()
    return _read_lexicon(find_or_create_in_cache(LEXICON_FOLDER_NAME, f"{sha256}.npz", save_lexicon))


def save_lexicon(path: Path) -> None:
    """Compute the lexicon and write it to a file."""
    counts = _read_word_counts()
    words = sorted(counts, key=lambda word: (-counts[word], word))
    index_by_word = {word: index for index, word in enumerate(words)}
    total = sum(counts.values())
    log_probabilities = np.log([counts[word] / total for word in words])
    pairs = _compute_pairs(index_by_word, np.exp(log_probabilities))
    children: dict[int, int] = {}
    best, word_nodes = [float(log_probabilities[0])], []
    for index, phonemes in _pronounce_words(words):
        node = _ROOT
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
        best_by_node=tuple(stored["best_by_node"].tolist()),
        word_log_probabilities=tuple(stored["word_log_probabilities"].tolist()),
        pair_log_probabilities=dict(zip(pair_keys.tolist(), stored["pair_log_probabilities"].tolist(), strict=True)),
        first_words=frozenset((pair_keys // len(words)).tolist()),
    )


def _find_data_file(name: str) -> Path:
    spec = importlib.util.find_spec(_PACKAGE)  # its code is not imported: only its data files are used
    if spec is None or spec.origin is None:
        raise MissingExtraError("symspellpy, whose word list the engine 'lexicon' uses,", "bench")
    return Path(spec.origin).parent / name


def _read_word_counts() -> dict[str, int]:
    lines = _find_data_file(_WORD_FILE).read_text(encoding="utf-8-sig").splitlines()
    return {word: int(count) for word, count in map(str.split, lines)}


def _compute_pairs(index_by_word: dict[str, int], probabilities: NDArray[np.float64]) -> dict[int, float]:
    """Return the log probability of the second word of each listed pair, after the first."""
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    for line in _find_data_file(_PAIR_FILE).read_text(encoding="utf-8-sig").splitlines():
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
    """Yield index and phonemes of each pronunciation, the words in their order."""
    for start in range(0, len(words), _WORDS_PER_CALL):
        some = words[start : start + _WORDS_PER_CALL]
        spoken: list[dict[tuple[int, ...], None]] = [{} for _ in some]  # in the order in which they are found
        contexts = ("{}", *_CONTEXTS) if start < _CONTEXT_WORD_COUNT else ("{}",)
        for context in contexts:
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

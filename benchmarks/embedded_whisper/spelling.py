"""Converts transcripts to tokens. Only tokens that occur in the vocabulary have a row in the network."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from whisper.tokenizer import get_tokenizer

from embedded_whisper.clips import AudibleClip
from embedded_whisper.phonemes import transcribe
from embedded_whisper.words import vocabulary

IGNORED = -100
"""Value of targets and positions that no loss counts."""


@cache
def tokens() -> tuple[int, ...]:
    """Return the tokens that can occur: end, start, no-timestamps, no-speech, and the tokens of every word."""
    tokenizer = get_tokenizer(multilingual=False)
    used = {token for word in vocabulary() for token in tokenizer.encode(" " + word)}
    return (
        tokenizer.eot,
        tokenizer.sot,
        tokenizer.no_timestamps,
        tokenizer.no_speech,
        *sorted(used),
    )


@cache
def places() -> dict[int, int]:
    """Return the index of each token in `tokens()`."""
    return {token: number for number, token in enumerate(tokens())}


class Spelled(NamedTuple):
    """The transcript of a clip as tokens, by their index in `tokens()`."""

    tokens: list[int]
    targets: list[int]
    """The token that follows each token except the last one."""
    centres: list[float]
    """Estimated encoder frame at the middle of the word of each target; negative if the target is not part of a word.
    """
    spans: tuple[list[int], list[int]]
    """Index of the first, and index of the last phoneme of each target's word."""


def spell(clip: AudibleClip) -> Spelled:
    """Convert the words of a clip to tokens."""
    tokenizer, index = get_tokenizer(multilingual=False), places()
    start, end = [index[tokenizer.sot], index[tokenizer.no_timestamps]], index[tokenizer.eot]
    words = [[index[token] for token in tokenizer.encode(" " + word)] for word in clip.words]
    said = [token for word in words for token in word]
    about = [centre for word, centre in zip(words, clip.centres, strict=True) for _ in word]
    counts = [len(transcribe(word)) for word in clip.words]
    # A gap stands between the phonemes of one word and the next.
    firsts = np.cumsum([0, *(count + 1 for count in counts)]).tolist()
    begins = [first for word, first in zip(words, firsts, strict=False) for _ in word]
    ends = [first + count - 1 for word, first, count in zip(words, firsts, counts, strict=False) for _ in word]
    # As in Whisper's own training, what follows the start says whether there is speech.
    after_start = start[1] if said else index[tokenizer.no_speech]
    around = [[IGNORED, *values, IGNORED] for values in (about, begins, ends)]
    return Spelled([*start, *said, end], [after_start, *said, end], around[0], (around[1], around[2]))

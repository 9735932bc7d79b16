"""Counts the words of texts that an ASR engine with a closed vocabulary can recognize."""

from __future__ import annotations

import re
from collections.abc import Iterable

from voicegauge.model.run import KnownWords
from voicegauge.speech.asr_interface import Asr
from voicegauge.speech.faster_whisper import list_known_words
from voicegauge.speech.lexicon_engine import LexiconAsr

_WORD_PATTERN = re.compile(r"\w+(?:'\w+)*")


def count_unknown_words(asr: Asr, texts: Iterable[str]) -> KnownWords | None:
    """Return the number of words in English texts, and of those that `asr` does not know; `None` if it knows any word.

    Numbers count as known words.

    Raises:
        MissingExtraError: a package that the lexicon of the engine is computed from is not installed.
        UsageError: the cache folder cannot be written.
    """
    if not asr.has_closed_vocabulary:
        return None
    known = asr.list_known_words() if isinstance(asr, LexiconAsr) else list_known_words()
    words = [word for text in texts for word in _WORD_PATTERN.findall(text.casefold().replace("\u2019", "'"))]
    unknown = [word for word in words if word not in known and not any(map(str.isdigit, word))]
    return KnownWords(word_count=len(words), unknown_word_count=len(unknown))

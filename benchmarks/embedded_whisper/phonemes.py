"""Converts words to phonemes with espeak-ng. The encoder learns to recognize them, in addition to the words."""

from __future__ import annotations

import ctypes
from functools import cache

import espeakng_loader

from embedded_whisper.words import vocabulary

_RETRIEVAL = 1
_IPA = 0x02
STRESS = "ˈˌ"


@cache
def lexicon() -> dict[str, tuple[str, ...]]:
    """Return the phonemes of every word in American English by espeak-ng, without stress marks."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize(_RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0)
    library.espeak_SetVoiceByName(b"en-us")
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    found = {}
    for word in vocabulary():
        text = ctypes.c_char_p(word.encode())
        spoken = library.espeak_TextToPhonemes(ctypes.byref(text), 1, _IPA)
        found[word] = tuple(
            letter for letter in (spoken or b"").decode() if letter not in STRESS and not letter.isspace()
        )
    return found


@cache
def symbols() -> tuple[str, ...]:
    """Return the CTC symbols: blank, the gap between words, and every phoneme."""
    return ("", " ", *sorted({phoneme for spoken in lexicon().values() for phoneme in spoken}))


def transcribe(text: str) -> list[int]:
    """Return the CTC target of a text: the indices of the phonemes of its words, with gaps between words."""
    index = {symbol: number for number, symbol in enumerate(symbols())}
    target: list[int] = []
    for word in text.split():
        target += [index[phoneme] for phoneme in lexicon()[word]] + [index[" "]]
    return target[:-1]

"""The recogniser whose model comes in its wheel: pocketsphinx, told which words may occur.

With its own language model it hears synthetic speech poorly; with a unigram model of the
words that the texts hold it is a measure: its error rises with noise, truncation and lost
frames. It is flattering (`closed_vocabulary`), so it serves emulated runs; Whisper is the
one to trust.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from voicegauge.errors import MissingExtraError
from voicegauge.speech.asr.base import Samples, digest, versions
from voicegauge.speech.asr.english import count_spoken_words, guess_sounds
from voicegauge.speech.normalise import base_language

DITHER_SNR_DB = 50.0
"""Synthetic speech is too clean for a model trained on recordings: noise this mild halves the error."""
_END_OF_SPEECH = 0.1
"""Probability that a word is the last one; between 0.05 and 0.3 the error is the same."""
_MODEL_FILES = ("mdef", "means", "variances", "transition_matrices", "sendump", "feat.params", "noisedict")
_VARIANT = re.compile(r"\(\d+\)$")


@dataclass
class PocketsphinxAsr:
    """pocketsphinx's en-us model with a language model of the words in `texts`."""

    texts: tuple[str, ...]
    sha256: str
    """Of the acoustic model; its first hex digits."""

    closed_vocabulary = True

    @property
    def id(self) -> str:
        """Such as "pocketsphinx:en-us@1b2c3d4e/141-words-5f6a7b8c": other words make another recogniser."""
        words = self._words
        listed = hashlib.sha256(repr(sorted(words.items())).encode()).hexdigest()[:8]
        return f"pocketsphinx:en-us@{self.sha256}/{len(words)}-words-{listed}"

    @property
    def settings(self) -> dict[str, str]:
        """What the language model is, and the package's version."""
        return {
            "language_model": "unigrams of the texts",
            "dither_snr_db": f"{DITHER_SNR_DB:g}",
            "cmn": "batch",
            "fwdflat": "False",
            "words_sounded_out": str(len(set(self._words) - set(self._dictionary))),
            **versions("pocketsphinx"),
        }

    def knows(self, language: str) -> bool:
        """Whether `language` is English."""
        return base_language(language) == "en"

    def transcribe(self, samples: Samples, language: str) -> str:
        """Transcribe samples at 16 kHz; `language` is English."""
        del language
        decoder = self._decoder
        decoder.reinit_feat()  # else the transcript depends on what was heard before
        decoder.start_utt()
        decoder.process_raw(_pcm(_dithered(samples)), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        if found is None:
            return ""
        return " ".join(_VARIANT.sub("", word) for word in found.hypstr.split())

    def __getstate__(self) -> dict[str, Any]:
        """Leave the decoder behind: it cannot be sent to another process."""
        return {"texts": self.texts, "sha256": self.sha256}

    @cached_property
    def _words(self) -> Counter[str]:
        return count_spoken_words(self.texts)

    @cached_property
    def _dictionary(self) -> dict[str, list[str]]:
        # Phones of each word, variants included, for the words that the dictionary has.
        found: dict[str, list[str]] = {}
        with (_models() / "cmudict-en-us.dict").open(encoding="utf-8") as lines:
            for line in lines:
                entry, _, phones = line.strip().partition(" ")
                word = _VARIANT.sub("", entry)
                if word in self._words:
                    found.setdefault(word, []).append(phones)
        return found

    @cached_property
    def _decoder(self) -> Any:
        import pocketsphinx

        with tempfile.TemporaryDirectory(prefix="voicegauge-") as folder:
            dictionary, model = Path(folder) / "words.dict", Path(folder) / "words.arpa"
            dictionary.write_text(_dictionary_file(self._words, self._dictionary), encoding="utf-8")
            model.write_text(_arpa_file(self._words), encoding="utf-8")
            return pocketsphinx.Decoder(
                hmm=str(_models() / "en-us"),
                dict=str(dictionary),
                lm=str(model),
                cmn="batch",
                fwdflat=False,  # the second pass costs a third of the time and, with unigrams, mends nothing
                loglevel="FATAL",
            )


def pocketsphinx_asr(texts: Sequence[str]) -> PocketsphinxAsr:
    """Make the recogniser for speech that holds the words of the English `texts` and no others.

    Raises:
        MissingExtraError: pocketsphinx is not installed.
    """
    if importlib.util.find_spec("pocketsphinx") is None:
        raise MissingExtraError("pocketsphinx", "emulator")
    acoustic = _models() / "en-us"
    return PocketsphinxAsr(tuple(sorted(set(texts))), digest(*(acoustic / name for name in _MODEL_FILES)))


def _models() -> Path:
    import pocketsphinx

    return Path(pocketsphinx.get_model_path("en-us"))


def _dithered(samples: Samples) -> Samples:
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    noise = np.random.default_rng(0).standard_normal(len(samples), dtype=np.float32)
    return samples + noise * np.float32(level * 10 ** (-DITHER_SNR_DB / 20))


def _pcm(samples: Samples) -> bytes:
    return (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def _dictionary_file(words: Counter[str], known: dict[str, list[str]]) -> str:
    lines = []
    for word in sorted(words):
        for index, phones in enumerate(known.get(word) or [guess_sounds(word)], start=1):
            lines.append(f"{word}{f'({index})' if index > 1 else ''} {phones}\n")
    return "".join(lines)


def _arpa_file(words: Counter[str]) -> str:
    # ARPA: log10 probabilities; <s> is never predicted.
    total = sum(words.values())
    unigrams = [
        f"{math.log10((1 - _END_OF_SPEECH) * count / total):.5f} {word}" for word, count in sorted(words.items())
    ]
    head = [
        "\\data\\",
        f"ngram 1={len(unigrams) + 2}",
        "",
        "\\1-grams:",
        f"{math.log10(_END_OF_SPEECH):.5f} </s>",
        "-99 <s>",
    ]
    return "\n".join([*head, *unigrams, "", "\\end\\", ""])

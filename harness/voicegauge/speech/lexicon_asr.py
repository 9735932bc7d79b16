"""The ASR engine `lexicon`: the phoneme network with a lexicon of 80,000 English words, for emulated speech only.

`embedded/phonemes.md` describes the network, and `benchmarks/lexicon` measures the engine. It is not for live services:
the network was trained with synthesized voices, and recognizes too little of others to transcribe them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicegauge.speech.asr_interface import (
    ASR_SAMPLE_RATE_HZ,
    Samples,
    compute_short_sha256,
    read_package_versions,
)
from voicegauge.speech.lexicon import compute_lexicon_sha256, load_lexicon
from voicegauge.speech.lexicon_decoding import (
    LANGUAGE_WEIGHT,
    MAX_BEGINNINGS,
    MAX_BEHIND,
    MIN_SYMBOL_LOG_PROBABILITY,
    WORD_SCORE,
    decode_words,
)
from voicegauge.speech.phoneme_network import WEIGHTS_PATH, compute_phoneme_log_probabilities
from voicegauge.speech.text_alignment import supports_language

LEXICON_ENGINE = "lexicon"
"""Value of `--asr` that requests this engine."""
LEXICON_ASR_VERSION = 1
"""Version of the search. It is increased when any transcript may change."""


@dataclass(frozen=True)
class LexiconAsr:
    """The engine. It runs on the processor, one clip at a time."""

    short_weights_sha256: str
    """First hex digits of the SHA-256 of the network's weights."""
    short_lexicon_sha256: str
    """First hex digits of the SHA-256 of what the lexicon was computed from."""
    has_closed_vocabulary: bool = True
    clips_per_batch: int = 1

    @property
    def id(self) -> str:
        """Engine, version and digests, such as "lexicon/1 phonemes@1a2b3c4d words@5e6f7a8b"."""
        return (
            f"{LEXICON_ENGINE}/{LEXICON_ASR_VERSION} phonemes@{self.short_weights_sha256} "
            f"words@{self.short_lexicon_sha256}"
        )

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the search, and the packages that the words and their sounds are from."""
        return {
            "beam": f"{MAX_BEGINNINGS} beginnings within {MAX_BEHIND:g}",
            "min_symbol_log_probability": f"{MIN_SYMBOL_LOG_PROBABILITY:g}",
            "language_weight": f"{LANGUAGE_WEIGHT:g}",
            "word_score": f"{WORD_SCORE:g}",
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
        """Transcribe clips one after another."""
        return [self.transcribe(samples, language) for samples in clips]

    def list_known_words(self) -> frozenset[str]:
        """Return the words of the lexicon."""
        return frozenset(load_lexicon().words)


def create_lexicon_asr() -> LexiconAsr:
    """Create the engine. Its lexicon is not loaded yet.

    Raises:
        MissingExtraError: symspellpy or espeak-ng is not installed.
    """
    return LexiconAsr(compute_short_sha256(WEIGHTS_PATH), compute_lexicon_sha256())

"""Synthesizes speech with espeak-ng in a separate process."""

from voicegauge.speech.synthesis.espeak import (
    MAX_TEXT_CHARACTERS,
    guess_language,
    has_voice_for,
    list_voice_variants,
    require_synthesizer,
    synthesize,
)

__all__ = [
    "MAX_TEXT_CHARACTERS",
    "guess_language",
    "has_voice_for",
    "list_voice_variants",
    "require_synthesizer",
    "synthesize",
]

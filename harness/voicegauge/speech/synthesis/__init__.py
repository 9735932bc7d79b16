"""Speech synthesis by espeak-ng in a separate process."""

from voicegauge.speech.synthesis.espeak import MAX_TEXT_CHARACTERS, guess_language, speaks, synthesize, variants

__all__ = [
    "MAX_TEXT_CHARACTERS",
    "guess_language",
    "speaks",
    "synthesize",
    "variants",
]

"""Speech to send: the suite's texts, spoken by the embedded synthesiser, so that every word is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from voicegauge.bench.planning.suite import SuiteText
from voicegauge.errors import UsageError
from voicegauge.model import UploadedFile

VOICE = "klatt5"
"""The espeak-ng variant that speech recognizers hear best: what is measured is the provider, not the voice."""
WORDS_PER_MINUTE = 165
RATE_HZ = 24_000
LEAD_S = 0.2
"""Silence before the speech: a speech recognizer may lose a word that begins at once."""


class SpokenUpload(NamedTuple):
    """A text as speech."""

    file: UploadedFile
    """WAV, mono, 16 bits, `RATE_HZ`."""
    audio_s: float


def synthesize_texts(texts: Iterable[SuiteText]) -> dict[str, SpokenUpload]:
    """Each text as speech, by its id; equal texts give equal bytes.

    Raises:
        MissingExtraError: the synthesiser is not installed.
        UsageError: it does not speak a text's language.
    """
    return {text.id: _spoken(text) for text in dict.fromkeys(texts)}


def _spoken(text: SuiteText) -> SpokenUpload:
    import numpy as np

    from voicegauge.speech.audio import encode
    from voicegauge.speech.synthesis import has_voice_for, synthesize

    if not has_voice_for(text.language):
        raise UsageError(f"the embedded synthesiser does not speak {text.language!r}: leave it out with --language")
    samples = synthesize(
        text.text,
        language=text.language,
        voice=VOICE,
        words_per_minute=WORDS_PER_MINUTE,
        pitch=50,
        sample_rate_hz=RATE_HZ,
        seed=0,
    )
    samples = np.concatenate([np.zeros(int(RATE_HZ * LEAD_S), np.float32), samples])
    data, media_type = encode(samples, RATE_HZ, "wav")
    return SpokenUpload(
        UploadedFile(filename=f"{text.id}.wav", media_type=media_type, data=data), len(samples) / RATE_HZ
    )

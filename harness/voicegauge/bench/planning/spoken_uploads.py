"""Synthesizes audio uploads from the suite's texts, so that every spoken word is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from voicegauge.bench.planning.suite import SuiteText
from voicegauge.errors import UsageError
from voicegauge.model import UploadedFile

ESPEAK_VOICE = "klatt5"
"""The espeak-ng variant that ASR engines recognize best, so that errors are due to the provider, not to the voice."""
WORDS_PER_MINUTE = 165
SAMPLE_RATE_HZ = 24_000
LEADING_SILENCE_S = 0.2
"""Duration of the silence before the speech, because an ASR engine may drop a word that begins immediately."""


class SpokenUpload(NamedTuple):
    """An audio file with a spoken text of the suite."""

    file: UploadedFile
    """The audio file: WAV, mono, 16 bits, sample rate `SAMPLE_RATE_HZ`."""
    audio_duration_s: float
    """Duration of the audio in seconds, including the leading silence."""


def synthesize_texts(texts: Iterable[SuiteText]) -> dict[str, SpokenUpload]:
    """Synthesize each text. Equal texts give equal bytes.

    Returns:
        The uploads by text id.

    Raises:
        MissingExtraError: the synthesizer is not installed.
        UsageError: the synthesizer does not support the language of a text.
    """
    return {text.id: _synthesize_upload(text) for text in dict.fromkeys(texts)}


def _synthesize_upload(text: SuiteText) -> SpokenUpload:
    import numpy as np

    from voicegauge.speech.audio import encode
    from voicegauge.speech.synthesis import has_voice_for, synthesize

    if not has_voice_for(text.language):
        raise UsageError(f"the embedded synthesizer does not support {text.language!r}: leave it out with --language")
    samples = synthesize(
        text.text,
        language=text.language,
        voice_variant=ESPEAK_VOICE,
        words_per_minute=WORDS_PER_MINUTE,
        pitch=50,
        sample_rate_hz=SAMPLE_RATE_HZ,
        seed=0,
    )
    samples = np.concatenate([np.zeros(int(SAMPLE_RATE_HZ * LEADING_SILENCE_S), np.float32), samples])
    data, media_type = encode(samples, SAMPLE_RATE_HZ, "wav")
    file = UploadedFile(filename=f"{text.id}.wav", media_type=media_type, data=data)
    return SpokenUpload(file, len(samples) / SAMPLE_RATE_HZ)

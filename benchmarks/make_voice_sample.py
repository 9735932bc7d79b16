"""Generate the reference voice sample for cloning targets: `python benchmarks/make_voice_sample.py`.

The speech is synthesized by espeak-ng from our own text, so it contains nobody's voice.
"""

from __future__ import annotations

from pathlib import Path

import soundfile

from voicegauge.speech.decoding import Samples
from voicegauge.speech.espeak import synthesize

SAMPLE = Path(__file__).parent / "suites" / "voice" / "reference.mp3"
TEXT = SAMPLE.with_suffix(".txt").read_text(encoding="utf-8").strip()
"""10 to 30 seconds when spoken, the narrowest range that a provider recommends."""
SAMPLE_RATE_HZ = 32_000
"""The lowest sample rate without artifacts from libsndfile's MP3 encoder; every provider requires at least 16 kHz."""
COMPRESSION = 0.9
"""On libsndfile's scale from 0 to 1: 56 kbit/s, small to upload and clear enough for one voice."""


def synthesize_sample() -> Samples:
    """Return the voice sample, mono, at `SAMPLE_RATE_HZ`."""
    return synthesize(
        TEXT,
        language="en",
        voice_variant="klatt4",
        words_per_minute=165,
        pitch=55,
        sample_rate_hz=SAMPLE_RATE_HZ,
        seed=0,
    )


def main() -> None:
    """Write the voice sample."""
    soundfile.write(SAMPLE, synthesize_sample(), SAMPLE_RATE_HZ, compression_level=COMPRESSION, bitrate_mode="CONSTANT")
    print(f"{SAMPLE}: {SAMPLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""Make the reference voice that cloning targets are given: `python benchmarks/make_voice_sample.py`.

The speech is our own text, spoken by espeak-ng, so nobody's voice is passed on.
"""

from __future__ import annotations

from pathlib import Path

import soundfile

from voicegauge.speech.synthesis.espeak import Samples, synthesize

SAMPLE = Path(__file__).parent / "suites" / "voice" / "reference.mp3"
TEXT = SAMPLE.with_suffix(".txt").read_text(encoding="utf-8").strip()
"""Between 10 and 30 seconds when spoken: the narrowest advice among the providers' documents."""
SAMPLE_RATE_HZ = 32_000
"""The lowest rate at which libsndfile's MP3 encoder is sound; every provider asks for 16 kHz or more."""
COMPRESSION = 0.9
"""Of libsndfile's scale from 0 to 1: 56 kbit/s, small to upload and clear enough for one voice."""


def speak() -> Samples:
    """The recording, mono, at `SAMPLE_RATE_HZ`."""
    return synthesize(
        TEXT, language="en", voice="klatt4", words_per_minute=165, pitch=55, sample_rate_hz=SAMPLE_RATE_HZ, seed=0
    )


def main() -> None:
    """Write the recording."""
    soundfile.write(SAMPLE, speak(), SAMPLE_RATE_HZ, compression_level=COMPRESSION, bitrate_mode="CONSTANT")
    print(f"{SAMPLE}: {SAMPLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""The words of two recordings are compared without recognizing them."""

from __future__ import annotations

import numpy as np
import pytest

from voicegauge.speech.audio_measurement import MAX_COMPARED_DURATION_S, correlate_waveforms, measure_speech_mismatch
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize

RATE = 24_000
TEXTS = ("Good morning. This is a short test of a long story.", "The weather in Paris was cold and windy today.")
REVERSED = "Story long a of test short a is this morning good."


def say(text: str, words_per_minute: int = 165, pitch: int = 50, voice: str = "klatt4", seed: int = 0):
    return synthesize(
        text,
        language="en",
        voice_variant=voice,
        words_per_minute=words_per_minute,
        pitch=pitch,
        sample_rate_hz=RATE,
        seed=seed,
    )


@pytest.mark.parametrize(("words_per_minute", "pitch"), [(165, 50), (150, 45), (190, 58)])
@pytest.mark.parametrize("name", ["wav", "mp3", "ogg", "flac"])
def test_the_same_words_fit_in_any_format_and_at_any_rate(words_per_minute, pitch, name) -> None:
    found = decode(encode(say(TEXTS[0], words_per_minute, pitch, seed=1), RATE, name)[0])
    assert measure_speech_mismatch(say(TEXTS[0]), RATE, found.samples, found.sample_rate_hz) < 0.4


def test_the_same_words_of_another_voice_or_in_noise_still_fit() -> None:
    base = say(TEXTS[0])
    noise = np.random.default_rng(0).standard_normal(len(base)) * np.sqrt(np.mean(base**2)) / 10  # 20 dB
    assert measure_speech_mismatch(base, RATE, say(TEXTS[0], voice="f2"), RATE) < 0.65
    assert measure_speech_mismatch(base, RATE, (base + noise).astype(np.float32), RATE) < 0.5


@pytest.mark.parametrize("other", [TEXTS[1], REVERSED])
@pytest.mark.parametrize("voice", ["klatt4", "f2", "m1"])
def test_other_words_of_the_same_voice_do_not_fit(voice, other) -> None:
    assert measure_speech_mismatch(say(TEXTS[0], voice=voice), RATE, say(other, voice=voice), RATE) > 0.75


def test_silence_and_very_long_speech_are_not_compared() -> None:
    base = say(TEXTS[0])
    assert measure_speech_mismatch(base, RATE, np.zeros(RATE, np.float32), RATE) is None
    assert measure_speech_mismatch(base, RATE, np.zeros(10, np.float32), RATE) is None
    assert (
        measure_speech_mismatch(base, RATE, np.ones(int(RATE * (MAX_COMPARED_DURATION_S + 1)), np.float32), RATE)
        is None
    )


def test_equal_recordings_are_correlated_and_other_syntheses_are_not() -> None:
    base = say(TEXTS[0])
    assert correlate_waveforms(base, base) == pytest.approx(1.0)
    assert correlate_waveforms(base, say(TEXTS[0], seed=3)) > 0.99  # the same voice with other noise
    assert abs(correlate_waveforms(base, say(TEXTS[0], 178))) < 0.2

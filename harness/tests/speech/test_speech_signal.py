"""Steady sounds are distinguished from speech, and silences are measured."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from voicegauge.speech.audio_measurement import find_silences
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.speech_signal import (
    compute_sample_digest,
    is_steady_sound,
    measure_clipped_share,
    search_dropout,
)

RATE = 16_000
TIME_S = np.arange(4 * RATE) / RATE
NOISE = np.random.default_rng(0).standard_normal(4 * RATE)


def say(text: str, variant: str = "klatt3"):
    options = {"words_per_minute": 165, "pitch": 45, "sample_rate_hz": RATE, "seed": 1}
    return synthesize(text, language="en", voice_variant=variant, **options)


@pytest.mark.parametrize(
    "samples",
    [
        NOISE,
        np.convolve(NOISE, np.ones(20) / 20, "same"),
        np.cumsum(NOISE) * 1e-3,
        np.sin(2 * np.pi * 1000 * TIME_S),
        sum(np.sin(2 * np.pi * 50 * k * TIME_S) / k for k in range(1, 9)) + 1e-3 * NOISE,
        np.concatenate([np.zeros(RATE), NOISE]),
        np.sin(2 * np.pi * 440 * TIME_S) * (1 + np.sin(2 * np.pi * 4 * TIME_S)) / 2,
        np.sin(2 * np.pi * 440 * TIME_S) * (np.sin(2 * np.pi * 4 * TIME_S) > 0),
        NOISE * (1 + np.sin(2 * np.pi * 4 * TIME_S)) / 2,
    ],
    ids=[
        "white noise",
        "low noise",
        "brown noise",
        "tone",
        "hum",
        "noise after silence",
        "tone of changing volume",
        "interrupted tone",
        "noise of changing volume",
    ],
)
def test_a_steady_sound_is_not_speech(samples) -> None:
    assert is_steady_sound((0.1 * samples).astype(np.float32), RATE)


@pytest.mark.parametrize("variant", ["klatt3", "f2", "m3", "whisper"])
@pytest.mark.parametrize("snr_db", [100, 20, 10])
def test_speech_is_not_steady_even_in_noise(variant: str, snr_db: float) -> None:
    samples = say("Good morning. This is a short test of a long story.", variant)
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-snr_db / 20)
    noise = np.random.default_rng(1).standard_normal(len(samples)) * level
    assert not is_steady_sound((samples + noise).astype(np.float32), RATE)


def test_a_short_sound_is_not_judged() -> None:
    assert not is_steady_sound(NOISE[: RATE // 3].astype(np.float32), RATE)


def test_silences_have_their_times() -> None:
    speech, silence = say("Good morning."), np.zeros(2 * RATE, np.float32)
    silences = find_silences(np.concatenate([silence, speech, silence, speech]), RATE)
    assert silences is not None
    assert silences.leading.duration_s == pytest.approx(2, abs=0.15)
    assert silences.longest_inner.duration_s == pytest.approx(2, abs=0.3)
    assert silences.longest_inner.start_s == pytest.approx(2 + len(speech) / RATE, abs=0.3)
    assert silences.trailing.duration_s < 0.5
    assert find_silences(silence, RATE) is None


def test_equal_samples_have_one_digest_whatever_silence_is_around_them() -> None:
    samples = say("Good morning.")
    wav = decode(encode(samples, RATE, "wav")[0]).samples
    padded = np.concatenate([np.zeros(100, np.float32), wav])
    assert compute_sample_digest(padded, RATE) == compute_sample_digest(wav, RATE)
    assert compute_sample_digest(wav, RATE) != compute_sample_digest(wav, 2 * RATE)
    assert compute_sample_digest(wav, RATE) != compute_sample_digest(say("Good evening."), RATE)


def test_the_clipped_share_counts_neighbours_at_full_scale() -> None:
    samples = say("Good morning.")
    assert measure_clipped_share(samples) == 0
    assert measure_clipped_share(np.clip(20 * samples, -1, 1)) > 0.05


@pytest.mark.parametrize("block_samples", [1, 7, 1000, 4 * RATE])
def test_samples_are_measured_in_blocks(monkeypatch: pytest.MonkeyPatch, block_samples: int) -> None:
    samples = np.clip(np.repeat(0.5 * NOISE[:3000], 2), -1, 1).astype(np.float32)
    samples[:150] = samples[2000:2300] = samples[-10:] = 0
    share, digest = measure_clipped_share(samples), compute_sample_digest(samples, RATE)
    assert share > 0.01
    monkeypatch.setattr("voicegauge.speech.speech_signal._BLOCK_SAMPLES", block_samples)
    assert measure_clipped_share(samples) == share
    assert compute_sample_digest(samples, RATE) == digest
    assert compute_sample_digest(samples[150:-10], RATE) == digest
    samples[2000] = 0.5
    assert compute_sample_digest(samples, RATE) != digest


@pytest.mark.slow
def test_half_an_hour_of_audio_is_measured_without_copies() -> None:
    samples = np.zeros(30_000_000, np.float32)
    samples[1::2] = 1
    tracemalloc.start()
    try:
        measure_clipped_share(samples)
        compute_sample_digest(samples, RATE)
        assert tracemalloc.get_traced_memory()[1] < samples.nbytes / 4
    finally:
        tracemalloc.stop()


STOPS = (
    "Take that tactical attack kit back to the top of the cottage, Kate.",
    "Put ten copper pots and eight tin cups next to the kettle, but don't touch the truck.",
    "Attack.",
)


@pytest.mark.parametrize("text", STOPS)
@pytest.mark.parametrize("variant", [None, "ian", "klatt", "whisper", "Annie"])
@pytest.mark.parametrize("words_per_minute", [80, 175, 320])
def test_the_closure_of_a_stop_is_no_dropout(text: str, variant: str | None, words_per_minute: int) -> None:
    """Speech of espeak-ng is exactly zero there, and decays to it within half a millisecond."""
    rate = 22_050  # that of espeak-ng
    samples = synthesize(
        text,
        language="en",
        voice_variant=variant,
        words_per_minute=words_per_minute,
        pitch=50,
        sample_rate_hz=rate,
        seed=None,
    )
    assert search_dropout(samples, rate).dropout is None
    times = np.arange(0, len(samples), rate / 24_000)
    resampled = np.interp(times, np.arange(len(samples)), samples * 32768).astype(np.int16) / np.float32(32768)
    assert search_dropout(resampled, 24_000).dropout is None
    assert search_dropout(np.trim_zeros(samples), rate).dropout is None


def test_missing_samples_are_a_dropout_where_pauses_have_a_noise_floor() -> None:
    samples = say("The committee met on Tuesday and agreed to repair the old bridge.")
    assert search_dropout(samples, RATE) == (None, None)
    loudest = int(np.abs(samples).argmax())
    samples[loudest : loudest + RATE // 10] = 0
    found, reason = search_dropout(samples, RATE)
    assert found is not None
    assert reason is None
    assert (found.start_s, found.duration_s) == pytest.approx((loudest / RATE, 0.1), abs=0.001)


def test_a_gap_is_not_judged_where_pauses_are_digitally_silent() -> None:
    samples = say("The committee met on Tuesday and agreed to repair the old bridge.")
    loudest = int(np.abs(samples).argmax())
    samples[loudest : loudest + RATE // 10] = 0
    silence = np.zeros(RATE // 2, np.float32)
    dropout, reason = search_dropout(np.concatenate([silence, samples, silence]), RATE)
    assert dropout is None
    assert reason is not None
    assert "no noise floor" in reason
    without_gap = say("The committee met on Tuesday and agreed to repair the old bridge.")
    assert search_dropout(np.concatenate([silence, without_gap, silence]), RATE) == (None, None)

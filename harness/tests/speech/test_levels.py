"""Levels and silence, measured on frames whose power is known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from voicegauge.speech.audio_measurement import (
    SILENCE_DBFS,
    compute_rms_dbfs,
    is_silent,
    measure_active_duration_s,
    measure_leading_silence_s,
)

RATE_HZ = 1_000
FRAME_LENGTH = RATE_HZ // 100
QUIET, LOUD = -60.0, -20.0


def make_frame(level_dbfs: float, length: int = FRAME_LENGTH) -> list[np.float32]:
    """Return a frame without an offset whose mean square is exactly the power of `level_dbfs` as a 64-bit number.

    Each sample is followed by its opposite, and takes what the sample before it could not represent in 32 bits.
    """
    missing, samples = 10 ** (level_dbfs / 10) * length / 2, []
    for _ in range(length // 2):
        sample = np.float32(math.sqrt(max(missing, 0.0)))
        if float(sample) ** 2 > missing:
            sample = np.nextafter(sample, np.float32(0.0))
        missing -= float(sample) ** 2
        samples += [sample, -sample]
    return samples


def make_audio(levels_dbfs: Sequence[float], offset: float = 0.0) -> np.ndarray:
    frames = [sample for level in levels_dbfs for sample in make_frame(level)]
    return np.array(frames, dtype=np.float32) + np.float32(offset)


@pytest.mark.parametrize("offset", [0.0, 0.25])
@pytest.mark.parametrize(
    ("levels_dbfs", "silence_s"),
    [
        ([LOUD, LOUD], 0.0),
        ([QUIET, QUIET, LOUD, LOUD], 0.02),
        ([LOUD, QUIET, LOUD, LOUD], 0.02),  # a click is not the start of speech
        ([QUIET, LOUD, QUIET, LOUD], 0.04),  # nor are several: nothing is audible
        ([QUIET] * 7, 0.07),
        ([LOUD], 0.01),
        ([-51.0, -49.0, -49.0], 0.01),
        ([-31.0, -31.0, 0.0, 0.0], 0.02),  # noise, compared with the loudest frame
        ([-29.0, -29.0, 0.0, 0.0], 0.0),
        ([-45.0, -45.0, -10.0, -10.0], 0.02),
        ([-45.0, -45.0, -16.0, -16.0], 0.0),
    ],
)
def test_speech_begins_with_two_frames_that_are_audible_and_near_the_loudest(
    levels_dbfs: list[float], silence_s: float, offset: float
) -> None:
    assert measure_leading_silence_s(make_audio(levels_dbfs, offset), RATE_HZ) == pytest.approx(silence_s, abs=1e-9)


def test_a_level_at_a_limit_is_not_above_it() -> None:
    assert measure_leading_silence_s(make_audio([-30.0, -30.0, 0.0, 0.0]), RATE_HZ) == 0.02
    assert measure_active_duration_s(make_audio([SILENCE_DBFS] * 3), RATE_HZ) == 0.0


@pytest.mark.parametrize("frame_count", [9, 10])
def test_audio_with_less_than_a_tenth_of_a_second_of_speech_is_silent(frame_count: int) -> None:
    audio = make_audio([QUIET, *[LOUD] * frame_count, QUIET])
    assert measure_active_duration_s(audio, RATE_HZ) == pytest.approx(frame_count / 100)
    assert is_silent(audio, RATE_HZ) is (frame_count < 10)


def test_audio_that_is_shorter_than_a_frame_has_no_speech() -> None:
    audio = np.full(FRAME_LENGTH - 1, 0.5, np.float32)
    assert measure_leading_silence_s(audio, RATE_HZ) == 0.009
    assert measure_active_duration_s(audio, RATE_HZ) == 0.0


def test_samples_after_the_last_complete_frame_count_for_the_duration_only() -> None:
    audio = np.concatenate([make_audio([QUIET, QUIET]), make_audio([LOUD])[:-1]])
    assert measure_leading_silence_s(audio, RATE_HZ) == 0.029
    assert measure_active_duration_s(audio, RATE_HZ) == 0.0


@pytest.mark.parametrize("sample_rate_hz", [1_000, 8_000, 44_100, 384_000])
def test_long_audio_is_measured_as_a_whole(sample_rate_hz: int) -> None:
    """It is longer than the blocks in which it is converted."""
    frame_length = sample_rate_hz // 100
    frame_count = 2**19 // frame_length + 3
    quiet, loud = (np.array(make_frame(level, 2) * (frame_length // 2), np.float32) for level in (QUIET, LOUD))
    quiet, loud = (np.resize(frame, frame_length) for frame in (quiet, loud))
    audio = np.concatenate([*[quiet] * (frame_count - 3), *[loud] * 3])
    assert measure_leading_silence_s(audio, sample_rate_hz) == pytest.approx((frame_count - 3) / 100)
    assert measure_active_duration_s(audio, sample_rate_hz) == pytest.approx(0.03)


def test_the_level_of_all_samples_is_exact() -> None:
    """32 bits would neither be precise enough for many samples, nor hold the squares of tiny ones."""
    many = np.full(2**18 + 100_001, 0.1, np.float32)
    assert compute_rms_dbfs(many) == pytest.approx(20 * math.log10(float(np.float32(0.1))), abs=1e-11)
    assert compute_rms_dbfs(np.full(10, 1e-25, np.float32)) == pytest.approx(-500, abs=1e-4)
    assert compute_rms_dbfs(make_audio([LOUD, LOUD, -math.inf, -math.inf])) == pytest.approx(LOUD - 3.0103, abs=1e-4)

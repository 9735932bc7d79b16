"""Measures of a voice that need no model: for how long it speaks, its pitch, and the centre of its spectrum.

They are compared between nights of one target, never between voices of different services.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.decoding import Samples
from voicegauge.speech.encoding import resample
from voicegauge.speech.speech_signal import find_silences

MAX_MEASURED_S = 60.0
"""Duration of the part of a clip whose pitch and spectrum are measured, from its start, in seconds."""
PITCH_RANGE_HZ = (60.0, 500.0)
"""Lowest and highest pitch that is looked for."""
MIN_PERIODICITY = 0.5
"""Smallest correlation of a frame with itself one period later, from which it is voiced."""
MIN_VOICED_FRAMES = 20
_ANALYSIS_RATE_HZ = 8_000
"""Telephone speech: every codec and sample rate of a service transmits it, so that another codec or rate does not look
like another voice."""
_FRAME_SIZE, _HOP_SIZE, _FFT_SIZE = 320, 80, 1024
"""Samples of a frame of 40 ms, two periods of the lowest pitch, from one frame to the next, and of a transform."""
_SPECTRUM_RANGE_HZ = (150.0, 3_600.0)
_LOUD_BELOW_LOUDEST_DB = 25.0
"""Frames that are quieter than this below the loudest one are neither voiced nor part of the spectrum."""


class VoiceMeasures(NamedTuple):
    """Measures of one clip; each is `None` if the clip has too little speech for it."""

    spoken_s: float | None
    """Seconds from the first to the last sound, without the longest pause."""
    pitch_hz: float | None
    """Median fundamental frequency of the voiced frames."""
    spectral_centroid_hz: float | None
    """Mean frequency of the mean spectrum of the loud frames, weighted by amplitude, between 150 and 3,600 Hz."""


def measure_voice(samples: Samples, sample_rate_hz: int) -> VoiceMeasures:
    """Measure the voice of a clip.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    silences = find_silences(samples, sample_rate_hz)
    if silences is None:
        return VoiceMeasures(None, None, None)
    spoken_s = silences.trailing.start_s - silences.leading.end_s - silences.longest_inner.duration_s
    kept = resample(samples[: round(MAX_MEASURED_S * sample_rate_hz)], sample_rate_hz, _ANALYSIS_RATE_HZ)
    frames = _cut_loud_frames(kept)
    return VoiceMeasures(
        spoken_s if spoken_s > 0 else None, _measure_pitch_hz(frames), _measure_spectral_centroid_hz(frames)
    )


def _cut_loud_frames(samples: Samples) -> NDArray[np.float32]:
    """Return the loud frames of a clip at `_ANALYSIS_RATE_HZ`, of shape (frames, samples), without offset."""
    if len(samples) < _FRAME_SIZE:
        return np.zeros((0, _FRAME_SIZE), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME_SIZE)[::_HOP_SIZE]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.vecdot(frames, frames)
    return np.asarray(frames[energy > energy.max() * 10 ** (-_LOUD_BELOW_LOUDEST_DB / 10)], np.float32)


def _measure_pitch_hz(frames: NDArray[np.float32]) -> float | None:
    """Return the median pitch, by the highest peak of the autocorrelation of each frame.

    The autocorrelation is divided by that of the window (P. Boersma, "Accurate short-term analysis of the fundamental
    frequency", 1993), so that long periods count as much as short ones; of nearly equal peaks the first one counts.
    """
    window = np.hanning(_FRAME_SIZE).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, _FFT_SIZE, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, _FFT_SIZE)) ** 2)
    shortest, longest = (round(_ANALYSIS_RATE_HZ / pitch_hz) for pitch_hz in reversed(PITCH_RANGE_HZ))
    longest = min(longest, _FRAME_SIZE // 2 - 2)
    scaled = correlation[:, : longest + 2] / np.maximum(correlation[:, :1], 1e-12)
    scaled = scaled / np.maximum(of_window[: longest + 2] / of_window[0], 1e-3)
    within = scaled[:, shortest : longest + 1]
    is_peak = (within >= scaled[:, shortest - 1 : longest]) & (within > scaled[:, shortest + 1 : longest + 2])
    peaks = np.where(is_peak, within, -1.0)
    best = peaks.max(axis=1, initial=-1.0)
    voiced = best > MIN_PERIODICITY
    if np.count_nonzero(voiced) < MIN_VOICED_FRAMES:
        return None
    lags = shortest + np.argmax(peaks[voiced] > 0.9 * best[voiced, None], axis=1)
    return float(np.median(_ANALYSIS_RATE_HZ / _refine_lags(scaled[voiced], lags)))


def _refine_lags(correlation: NDArray[np.float64], lags: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return lags between samples: the vertices of the parabolas through three values around each peak."""
    rows = np.arange(len(lags))
    before, at, after = (correlation[rows, lags + step] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    return np.asarray(lags + 0.5 * (before - after) / np.minimum(curvature, -1e-9), np.float64)  # of a peak: below 0


def _measure_spectral_centroid_hz(frames: NDArray[np.float32]) -> float | None:
    if len(frames) < MIN_VOICED_FRAMES:
        return None
    amplitude = np.abs(np.fft.rfft(frames * np.hanning(_FRAME_SIZE), _FFT_SIZE, axis=1)).mean(axis=0)
    frequencies = np.fft.rfftfreq(_FFT_SIZE, 1 / _ANALYSIS_RATE_HZ)
    kept = (frequencies >= _SPECTRUM_RANGE_HZ[0]) & (frequencies <= _SPECTRUM_RANGE_HZ[1])
    total = float(amplitude[kept].sum())
    return float(amplitude[kept] @ frequencies[kept]) / total if total > 0 else None

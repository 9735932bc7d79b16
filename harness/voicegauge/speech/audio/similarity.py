"""Compares two recordings of speech: whether they are the same waveform, and whether the same words are spoken.

Words are not recognized. The spectra of both recordings are aligned in time (dynamic time warping), so that another
speaking rate does not matter. How well they fit depends on voices and codecs too, so the fit is compared with that of
the second recording played backwards, which has the same voice and codec but no common words.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.audio.limits import Samples
from voicegauge.speech.audio.resampling import resample

MAX_COMPARED_DURATION_S = 20.0
"""Maximum duration of speech that is compared, in seconds. The time for the alignment grows with the square of the
duration, and the texts of checks last only a few seconds."""
_ANALYSIS_RATE_HZ = 16_000
_WINDOW, _HOP, _FFT = 400, 320, 512
"""Samples in a frame, between frames and in a transform: 25 ms every 20 ms, as in speech recognizers."""
_FREQUENCY_BAND_COUNT = 20
_FREQUENCY_RANGE_HZ = (100.0, 3800.0)
"""Lowest and highest frequency that is compared: the range of telephone speech, which every codec transmits."""
_MIN_RELATIVE_SPEECH_ENERGY = 1e-3
"""Speech begins with the first frame, and ends with the last frame, whose energy exceeds this fraction of the energy of
the loudest frame."""
_RELATIVE_ENERGY_FLOOR = 1e-5
"""Constant that is added to every energy before its logarithm is taken, so that noise does not count. It is a fraction
of the largest energy of any band and frame."""

_MIN_WAVEFORM_CORRELATION = 0.9
"""Smallest correlation of two recordings that count as one waveform that was encoded twice. Codecs alone do not make it
smaller."""
_MAX_DURATION_DIFFERENCE_S = 0.1
"""Largest difference in duration of two recordings of one waveform, as encoders pad their last block."""

SpectralFeatures = NDArray[np.float64]
"""Logarithmic energies of shape (frames, bands), with mean 0 in each band and standard deviation 1 overall."""


def measure_speech_mismatch(
    first_samples: Samples, first_sample_rate_hz: int, second_samples: Samples, second_sample_rate_hz: int
) -> float | None:
    """Return how much the spoken words of two recordings differ, whatever the speaking rate.

    Recordings of one waveform are recognized first, without an alignment of their spectra. For them the result is 0,
    whatever the codec. With synthesized voices it was at most 0.6 for the same words, even by another
    voice, and at least 0.8 for other words, even if they were the same words in reverse order.

    Args:
        first_samples: mono samples.
        first_sample_rate_hz: their sample rate.
        second_samples: mono samples.
        second_sample_rate_hz: their sample rate.

    Returns:
        The mismatch; `None` if a recording is silent or longer than `MAX_COMPARED_DURATION_S`.
    """
    durations_s = len(first_samples) / first_sample_rate_hz, len(second_samples) / second_sample_rate_hz
    if max(durations_s) > MAX_COMPARED_DURATION_S:
        return None
    first_resampled = resample(first_samples, first_sample_rate_hz, _ANALYSIS_RATE_HZ)
    second_resampled = resample(second_samples, second_sample_rate_hz, _ANALYSIS_RATE_HZ)
    if _are_same_waveform(first_resampled, second_resampled):
        return 0.0
    one, other = _compute_features(first_resampled), _compute_features(second_resampled)
    if one is None or other is None:
        return None
    distances = _compute_distances(one, other)
    forwards, backwards = _compute_alignment_costs(np.stack([distances, distances[:, ::-1]]))
    return forwards / backwards if backwards > 0 else None


def correlate_waveforms(first_samples: Samples, second_samples: Samples) -> float:
    """Return the correlation of two recordings with the same sample rate, from -1 to 1; 1 for equal recordings.

    If one recording is longer, it is compared up to the end of the other one.
    """
    length = min(len(first_samples), len(second_samples))
    one, other = (x[:length] - np.mean(x[:length]) for x in (first_samples, second_samples))
    power = float(one @ one) * float(other @ other)
    return float(one @ other) / power**0.5 if power > 0 else 1.0


def _are_same_waveform(first_samples: Samples, second_samples: Samples) -> bool:
    """Whether two recordings at `_ANALYSIS_RATE_HZ` have the same waveform, apart from what codecs change."""
    if abs(len(first_samples) - len(second_samples)) > _MAX_DURATION_DIFFERENCE_S * _ANALYSIS_RATE_HZ:
        return False
    is_audible = bool(first_samples.any() and second_samples.any())
    return is_audible and correlate_waveforms(first_samples, second_samples) >= _MIN_WAVEFORM_CORRELATION


def _compute_features(samples: Samples) -> SpectralFeatures | None:
    if len(samples) < _WINDOW:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), _FFT)) ** 2
    energies = power @ _build_mel_band_weights()
    totals = energies.sum(axis=1)
    spoken = np.flatnonzero(totals > _MIN_RELATIVE_SPEECH_ENERGY * totals.max())
    if not len(spoken):
        return None
    levels = np.log(energies + _RELATIVE_ENERGY_FLOOR * energies.max())[spoken[0] : spoken[-1] + 1]
    levels = levels - levels.mean(axis=0)
    spread = float(levels.std())
    return levels / spread if spread > 0 else None


@functools.cache
def _build_mel_band_weights() -> NDArray[np.float64]:
    """Return triangular weights of shape (frequencies, bands), equally spaced on the mel scale."""
    mels = 2595 * np.log10(1 + np.fft.rfftfreq(_FFT, 1 / _ANALYSIS_RATE_HZ) / 700)
    low, high = (2595 * np.log10(1 + hz / 700) for hz in _FREQUENCY_RANGE_HZ)
    edges = np.linspace(low, high, _FREQUENCY_BAND_COUNT + 2)
    rising = (mels[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _compute_distances(first_features: SpectralFeatures, second_features: SpectralFeatures) -> NDArray[np.float64]:
    """Return the distance between every frame of `first_features` and every frame of `second_features`."""
    # By one product of matrices, because all differences at once take 20 times more memory, and by rows more time.
    first_squares, second_squares = (np.sum(side * side, axis=1) for side in (first_features, second_features))
    squares = first_squares[:, None] + second_squares - 2 * (first_features @ second_features.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / _FREQUENCY_BAND_COUNT))  # rounding may make them negative


def _compute_alignment_costs(distances: NDArray[np.float64]) -> list[float]:
    """Return, for each pair of recordings, the mean distance of their frames along the best alignment.

    All distances on one diagonal of a pair are processed at once, because their costs do not depend on each other.

    Args:
        distances: the distances between the frames, of shape (pairs, frames of the first, frames of the second).
    """
    pairs, rows, columns = distances.shape
    flat, step = distances.reshape(pairs, -1), max(columns - 1, 1)  # entries of a diagonal are `step` apart
    # The costs on two diagonals back, on the last one and on the current one, after an entry that no alignment reaches.
    before, last, current = (np.full((pairs, rows + 1), np.inf) for _ in range(3))
    before[:, 0] = 0.0  # the alignment begins with the first frames
    for diagonal in range(rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows - 1, diagonal) + 1
        start = low * columns + diagonal - low
        on_diagonal = flat[:, start : start + (high - low - 1) * step + 1 : step]
        cheapest = np.minimum(np.minimum(last[:, low:high], last[:, low + 1 : high + 1]), before[:, low:high])
        current.fill(np.inf)
        np.add(cheapest, on_diagonal, out=current[:, low + 1 : high + 1])
        before, last, current = last, current, before
    return [float(cost) / (rows + columns) for cost in last[:, rows]]

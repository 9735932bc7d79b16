"""Weights of mel bands, on Slaney's scale."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray


@functools.cache
def build_mel_weights(fft_size: int, band_count: int, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return triangular weights of shape (frequencies, bands), each of unit area, up to half of the sample rate.

    The scale is linear below 1 kHz and logarithmic above it (M. Slaney, "Auditory Toolbox", 1998), as librosa has it.
    """
    low_hz_per_mel, break_hz, log_step = 200.0 / 3, 1000.0, math.log(6.4) / 27
    break_mel = break_hz / low_hz_per_mel
    highest_mel = break_mel + math.log(sample_rate_hz / 2 / break_hz) / log_step
    mels = np.linspace(0.0, highest_mel, band_count + 2)
    edges = np.where(mels < break_mel, mels * low_hz_per_mel, break_hz * np.exp(log_step * (mels - break_mel)))
    frequencies = np.fft.rfftfreq(fft_size, 1 / sample_rate_hz)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2])))

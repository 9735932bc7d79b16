"""Levels of speech: how loud, where it begins, and whether there is any.

Samples are float32 arrays of shape (frames,), mono, full scale at 1.0. A full-scale
sine has an RMS of -3.01 dBFS.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SILENCE_DBFS = -50.0
"""A frame below this holds no speech. Speech levels are set around -26 dBov (ITU-T P.56, P.800
practice), its weak parts lie some 20 dB lower, and the noise floor of 16 bits is near -96 dBFS."""
SPEECH_RANGE_DB = 30.0
"""A frame this far below the loudest one is background, so that a noise floor is no onset."""
MIN_SPEECH_S = 0.1
"""Shorter than the shortest word: what is active for less is a click."""
FRAME_S = 0.01
"""Levels are taken over frames of 10 ms, the step of speech recognisers."""


def rms_dbfs(samples: Samples) -> float:
    """The level of all samples in dB relative to full scale; -inf for digital silence."""
    if not len(samples):
        return -math.inf
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * math.log10(power) if power > 0 else -math.inf


def is_silent(samples: Samples, sample_rate_hz: int) -> bool:
    """Whether less than `MIN_SPEECH_S` lies above `SILENCE_DBFS`.

    A recogniser may hear words in silence, so that this is asked first. A constant offset does not count.
    """
    return active_s(samples, sample_rate_hz) < MIN_SPEECH_S


def active_s(samples: Samples, sample_rate_hz: int) -> float:
    """Seconds of frames above `SILENCE_DBFS`."""
    return float(np.count_nonzero(_frame_levels(samples, sample_rate_hz) > SILENCE_DBFS)) * FRAME_S


def leading_silence_s(samples: Samples, sample_rate_hz: int) -> float:
    """Seconds before the first audible frame, to 10 ms; the whole length where all is silent.

    Audible is what is above `SILENCE_DBFS` and within `SPEECH_RANGE_DB` of the loudest
    frame for two frames on end, so that neither a click nor a noise floor is an onset.
    """
    levels = _frame_levels(samples, sample_rate_hz)
    if not len(levels):
        return len(samples) / sample_rate_hz
    audible = levels > max(SILENCE_DBFS, float(levels.max()) - SPEECH_RANGE_DB)
    held = audible[:-1] & audible[1:]
    if not held.any():
        return len(samples) / sample_rate_hz
    return float(np.argmax(held)) * FRAME_S


def _frame_levels(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    # RMS of each whole frame in dBFS, without the constant offset.
    length = max(1, round(sample_rate_hz * FRAME_S))
    count = len(samples) // length
    if not count:
        return np.zeros(0)
    frames = samples[: count * length].astype(np.float64).reshape(count, length) - float(np.mean(samples))
    power = np.maximum(np.mean(np.square(frames), axis=1), 1e-20)
    return np.asarray(10 * np.log10(power), dtype=np.float64)

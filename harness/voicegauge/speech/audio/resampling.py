"""Converts samples to another sample rate."""

from __future__ import annotations

import numpy as np

from voicegauge.speech.audio.limits import Samples


def resample(samples: Samples, source_rate_hz: int, target_rate_hz: int) -> Samples:
    """Resample `samples` with soxr at high quality; return the same array if the rates are equal."""
    if source_rate_hz == target_rate_hz:
        return samples
    import soxr

    resampled: Samples = soxr.resample(samples, source_rate_hz, target_rate_hz).astype(np.float32, copy=False)
    return resampled

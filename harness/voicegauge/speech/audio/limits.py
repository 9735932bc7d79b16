"""Bounds on audio that is decoded.

Everything received from a provider is hostile input: a small compressed file can expand to gigabytes of samples,
and a header can state any rate. Decoding stops at these bounds with `UndecodableAudioError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Audio samples of shape (frames,) or (frames, channels), full scale at 1.0."""

MAX_AUDIO_S = 1800.0
"""Half an hour: longer than any response to one speech request, short enough to stop a decompression bomb."""
MAX_SAMPLES = int(MAX_AUDIO_S) * 24_000
"""Caps a decoded clip at 173 MB of float32, whatever sample rate and channels its header states: half an hour at 24
kHz, the rate of most speech models, or 15 minutes at 48 kHz."""
MAX_CHANNELS = 8
"""7.1 surround, the most that common containers hold."""
SAMPLE_RATE_RANGE_HZ = (1_000, 384_000)
"""Real audio lies between 8 kHz telephony and 384 kHz studio formats; a header beyond that range is broken."""


class UndecodableAudioError(ValueError):
    """Bytes that cannot be decoded as audio."""


def check_shape(sample_rate_hz: int, channels: int) -> None:
    """Reject a sample rate or a number of channels that no real audio has.

    Raises:
        UndecodableAudioError: either is out of range.
    """
    low, high = SAMPLE_RATE_RANGE_HZ
    if not low <= sample_rate_hz <= high or not 1 <= channels <= MAX_CHANNELS:
        raise UndecodableAudioError(f"audio of {channels} channels at {sample_rate_hz} Hz is out of range")


def max_frames(sample_rate_hz: int, channels: int = 1) -> int:
    """The number of frames after which decoding stops at `sample_rate_hz`.

    Args:
        sample_rate_hz: of the decoded samples.
        channels: number of channels that are decoded, not mixed.
    """
    return min(MAX_SAMPLES // channels, int(MAX_AUDIO_S * sample_rate_hz))


def clip_to_full_scale(samples: Samples) -> Samples:
    """Limit `samples` to -1.0 to 1.0 and replace NaN by silence; the same array where nothing has to change."""
    # A float file may hold any value, and players clip as well. Comparisons with NaN are false, so NaN is replaced.
    if not len(samples) or (samples.min() >= -1.0 and samples.max() <= 1.0):
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)

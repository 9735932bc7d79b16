"""Limits the length and the format of audio that is decoded.

Everything that a provider sends is treated as hostile input. A small compressed file can expand to gigabytes of
samples, and a header can state any rate. Decoding stops at these limits with `UndecodableAudioError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Audio samples of shape (frames,) or (frames, channels), full scale at 1.0."""

MAX_AUDIO_DURATION_S = 1800.0
"""Maximum duration of decoded audio in seconds: half an hour. It is longer than any response to a speech request, but
stops a decompression bomb."""
MAX_SAMPLES = int(MAX_AUDIO_DURATION_S) * 24_000
"""Maximum number of samples in all channels, which take 173 MB as float32. They last half an hour at 24 kHz, the rate
of most speech models, or 15 minutes at 48 kHz."""
MAX_CHANNELS = 8
"""Maximum number of channels: that of 7.1 surround sound, which is also the maximum in common containers."""
SAMPLE_RATE_RANGE_HZ = (1_000, 384_000)
"""Lowest and highest accepted sample rate. Real audio has 8 kHz (telephony) to 384 kHz (studio), so a header with a
rate outside this range is damaged."""


class UndecodableAudioError(ValueError):
    """Raised for bytes that cannot be decoded as audio."""


def check_sample_rate_and_channels(sample_rate_hz: int, channels: int) -> None:
    """Reject a sample rate or a number of channels that no real audio has.

    Raises:
        UndecodableAudioError: the sample rate or the number of channels is out of range.
    """
    low, high = SAMPLE_RATE_RANGE_HZ
    if not low <= sample_rate_hz <= high or not 1 <= channels <= MAX_CHANNELS:
        raise UndecodableAudioError(f"audio of {channels} channels at {sample_rate_hz} Hz is out of range")


def compute_max_frames(sample_rate_hz: int, channels: int = 1) -> int:
    """The number of frames after which decoding stops at `sample_rate_hz`.

    Args:
        sample_rate_hz: sample rate of the decoded samples.
        channels: number of channels of the decoded samples.
    """
    return min(MAX_SAMPLES // channels, int(MAX_AUDIO_DURATION_S * sample_rate_hz))


def check_audio_length(frame_count: int, sample_rate_hz: int, channels: int = 1) -> None:
    """Reject audio that is too long.

    Raises:
        UndecodableAudioError: there are more frames than `compute_max_frames` allows.
    """
    limit = compute_max_frames(sample_rate_hz, channels)
    if frame_count > limit:
        raise UndecodableAudioError(f"audio longer than {limit / sample_rate_hz:.0f} s")


def clip_to_full_scale(samples: Samples) -> Samples:
    """Clip `samples` to the range from -1.0 to 1.0 and replace NaN with 0; return the same array if nothing changes."""
    # A float file may hold any value, and players clip as well. Comparisons with NaN are false, so NaN is replaced.
    if not len(samples) or (samples.min() >= -1.0 and samples.max() <= 1.0):
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)

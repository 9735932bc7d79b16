"""Collects decoded samples in one growing array."""

from __future__ import annotations

import numpy as np

from voicegauge.speech.audio.limits import Samples, check_audio_length, clip_to_full_scale, compute_max_frames

_MIN_GROWTH_FRAMES = 2**16


class SampleBuffer:
    """Collects decoded blocks up to the limits of length and memory.

    A list of blocks would need twice as much memory when its blocks are joined. Instead, one array is resized in place.
    If it is large, its memory pages are moved without copying them.
    """

    def __init__(self, sample_rate_hz: int, channels: int = 1) -> None:
        """Create an empty buffer for samples with this rate and number of channels."""
        self._rate_hz, self._channels = sample_rate_hz, channels
        self._limit = compute_max_frames(sample_rate_hz, channels)
        self._samples: Samples = np.empty((0, channels), np.float32)
        self._frames = 0

    def __len__(self) -> int:
        """Return the number of frames that were added so far."""
        return self._frames

    def add(self, block: Samples) -> None:
        """Append samples of shape (frames, channels), clipped to full scale.

        Raises:
            UndecodableAudioError: the audio is longer than the limits allow.
        """
        end = self._frames + len(block)
        check_audio_length(end, self._rate_hz, self._channels)
        if end > len(self._samples):
            # Only by an eighth, because resizing fills the new part, which takes memory before it is used.
            self._resize(min(end + max(end // 8, _MIN_GROWTH_FRAMES), self._limit))
        self._samples[self._frames : end] = clip_to_full_scale(block)
        self._frames = end

    def get_samples(self) -> Samples:
        """Return all samples, of shape (frames, channels)."""
        self._resize(self._frames)
        return self._samples

    def _resize(self, frame_count: int) -> None:
        self._samples.resize((frame_count, self._samples.shape[1]), refcheck=False)  # no other object refers to it yet

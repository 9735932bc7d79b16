"""Encoded audio that several deliveries have in common is decoded and measured once.

Most cases of a plan speak the same text with the same voice, and a service that gives equal samples for equal requests
sends the same file for all of them. What is measured depends on nothing but the bytes and their declared format.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property

from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.decoding import RawAudioFormat, measure_bitrate_kbps
from voicegauge.speech.speech_signal import compute_sample_digest, is_steady_sound, measure_clipped_share

MAX_REMEMBERED_BYTES = 16 * 2**20
"""Maximum size of the remembered audio, files and samples together. Above it, the audio that was used longest ago is
forgotten."""


class MeasuredAudio(EncodedAudio):
    """Encoded audio with the measures that rules need; each is computed on first use."""

    @cached_property
    def bitrate_kbps(self) -> float | None:
        """The mean bit rate, without headers and tags; `None` if it cannot be read."""
        return measure_bitrate_kbps(self.data)

    @cached_property
    def is_steady_sound(self) -> bool:
        """Whether the audio can be decoded and is noise, a tone or a hum that does not change."""
        decoded = self.decoded_audio
        return decoded is not None and is_steady_sound(decoded.samples, decoded.sample_rate_hz)

    @cached_property
    def clipped_share(self) -> float:
        """The share of samples at full scale with a neighbour at full scale, from 0 to 1; 0 without samples."""
        return 0.0 if self.decoded_audio is None else measure_clipped_share(self.decoded_audio.samples)

    @cached_property
    def sample_digest(self) -> str | None:
        """The digest of the samples by `compute_sample_digest`; `None` if the audio cannot be decoded."""
        decoded = self.decoded_audio
        return None if decoded is None else compute_sample_digest(decoded.samples, decoded.sample_rate_hz)


class _RecentAudio:
    """The audio that was used last, up to `MAX_REMEMBERED_BYTES`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._audio: OrderedDict[tuple[bytes, RawAudioFormat | None], MeasuredAudio] = OrderedDict()

    def find(self, audio_bytes: bytes, raw_format: RawAudioFormat | None) -> MeasuredAudio:
        key = audio_bytes, raw_format
        with self._lock:
            if key not in self._audio:
                self._forget_old()
                self._audio[key] = MeasuredAudio(audio_bytes, raw_format=raw_format)
            self._audio.move_to_end(key)
            return self._audio[key]

    def forget_all(self) -> None:
        with self._lock:
            self._audio.clear()

    def _forget_old(self) -> None:
        # Only now, because the size of what was added last was not known before it was decoded.
        excess = sum(one.size_in_memory_bytes for one in self._audio.values()) - MAX_REMEMBERED_BYTES
        while excess > 0:
            excess -= self._audio.popitem(last=False)[1].size_in_memory_bytes


_recent_audio = _RecentAudio()


def find_measured_audio(audio_bytes: bytes, raw_format: RawAudioFormat | None = None) -> MeasuredAudio:
    """Return the audio with these bytes; equal arguments soon after each other give the same object.

    Args:
        audio_bytes: the encoded audio as it was received.
        raw_format: format of the samples if they have no header.
    """
    return _recent_audio.find(audio_bytes, raw_format)


def forget_measured_audio() -> None:
    """Forget all audio, so that it is measured again when it is used next."""
    _recent_audio.forget_all()

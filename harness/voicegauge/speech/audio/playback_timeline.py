"""Computes how many seconds of an encoded file can be played after its first bytes have been received."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence

from voicegauge.speech.audio.av_library import load_av
from voicegauge.speech.audio.containers import find_wav_data
from voicegauge.speech.audio.decoding import DecodedAudio

_UNCOMPRESSED_CONTAINERS = {"wav", "pcm"}
"""Containers whose samples all have the same size, so that playable time is proportional to received bytes."""

_MAX_PACKETS = 200_000
"""Maximum number of packets that are examined: half an hour of packets of 9 ms. Codecs for speech use packets of at
least 20 ms."""


class PlaybackTimeline:
    """Seconds of playable audio as a non-decreasing function of the bytes received."""

    def __init__(
        self, playback_points: Sequence[tuple[int, float]], size_bytes: int, duration_s: float, *, is_interpolated: bool
    ) -> None:
        """Build the timeline from points between which the playable time is computed.

        Args:
            playback_points: pairs (number of received bytes, number of seconds that can then be played), in ascending
                order.
            size_bytes: size of the whole file in bytes. When the whole file is received, all of its audio can be
                played.
            duration_s: duration of the audio, in seconds.
            is_interpolated: whether values between two points are interpolated linearly. Otherwise they are constant.
        """
        self._bytes, self._seconds = [at for at, _ in playback_points], [seconds for _, seconds in playback_points]
        self._size_bytes, self._audio_s, self._is_interpolated = size_bytes, duration_s, is_interpolated

    @property
    def header_bytes(self) -> int:
        """Size of the header before the audio itself, in bytes; 0 if it is not known."""
        return self._bytes[0]

    def compute_playable_s(self, received_bytes: int) -> float:
        """Number of seconds that can be played after the first `received_bytes` bytes."""
        if received_bytes >= self._size_bytes:
            return self._audio_s
        index = bisect.bisect_right(self._bytes, received_bytes) - 1
        if index < 0:
            return 0.0
        seconds = self._seconds[index]
        if self._is_interpolated and index + 1 < len(self._bytes):
            share = (received_bytes - self._bytes[index]) / (self._bytes[index + 1] - self._bytes[index])
            seconds += share * (self._seconds[index + 1] - seconds)
        return min(seconds, self._audio_s)


def build_playback_timeline(audio_bytes: bytes, decoded_audio: DecodedAudio) -> PlaybackTimeline:
    """Compute the timeline of the encoded file `audio_bytes`, from which `decoded_audio` was decoded.

    Compressed audio is played packet by packet. FFmpeg finds the packets. If it finds fewer than two, or more than
    `_MAX_PACKETS`, playable time is assumed to be proportional to received bytes.
    """
    size_bytes, audio_s = len(audio_bytes), decoded_audio.duration_s
    if decoded_audio.container in _UNCOMPRESSED_CONTAINERS:
        found = find_wav_data(audio_bytes)
        return PlaybackTimeline(
            [(found.size_field_offset + 4 if found else 0, 0.0), (size_bytes, audio_s)],
            size_bytes,
            audio_s,
            is_interpolated=True,
        )
    packets = _find_packet_points(audio_bytes)
    if len(packets) < 2:
        return PlaybackTimeline([(0, 0.0), (size_bytes, audio_s)], size_bytes, audio_s, is_interpolated=True)
    return PlaybackTimeline(packets, size_bytes, audio_s, is_interpolated=False)


def _find_packet_points(audio_bytes: bytes) -> list[tuple[int, float]]:
    """Return a pair (offset, seconds) for each packet.

    When the bytes before the offset have been received, this number of seconds can be played. The list is empty if
    there are more than `_MAX_PACKETS`.
    """
    av = load_av()
    starts: dict[int, float] = {}
    packets = 0
    try:
        with av.open(io.BytesIO(audio_bytes), "r") as file:
            if not file.streams.audio:
                return []
            for packet in file.demux(file.streams.audio[0]):
                packets += 1
                if packets > _MAX_PACKETS:
                    return []
                if packet.pos is not None and packet.pos >= 0 and packet.pts is not None and packet.time_base:
                    starts.setdefault(packet.pos, max(float(packet.pts * packet.time_base), 0.0))
    except (av.error.FFmpegError, AttributeError, OverflowError, ValueError):
        pass  # damaged from here on, so only the packets before are used
    points, reached = [], 0.0
    for at in sorted(starts):
        reached = max(reached, starts[at])
        points.append((at, reached))
    return points

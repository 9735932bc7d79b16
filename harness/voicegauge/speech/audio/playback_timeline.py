"""How much of an encoded recording can be played once its first bytes are there."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence

from voicegauge.speech.audio.containers import find_wav_data
from voicegauge.speech.audio.decoding import DecodedAudio

_SAMPLE_BYTES = {"wav", "pcm"}
"""Containers whose samples all have one size, so that the share of the bytes is the share of the time."""


class PlaybackTimeline:
    """Seconds of audio by bytes received: never falling, all of it at the last byte."""

    def __init__(self, steps: Sequence[tuple[int, float]], size: int, audio_s: float, *, even: bool) -> None:
        """`steps` are (bytes, seconds that can be played then); `even` fills in evenly between them."""
        self._bytes, self._seconds = [at for at, _ in steps], [seconds for _, seconds in steps]
        self._size, self._audio_s, self._even = size, audio_s, even

    @property
    def begins_at(self) -> int:
        """The bytes of the header, before the audio itself; 0 where none is known."""
        return self._bytes[0]

    def playable_s(self, received: int) -> float:
        """What can be played of the first `received` bytes, in seconds."""
        if received >= self._size:
            return self._audio_s
        index = bisect.bisect_right(self._bytes, received) - 1
        if index < 0:
            return 0.0
        seconds = self._seconds[index]
        if self._even and index + 1 < len(self._bytes):
            share = (received - self._bytes[index]) / (self._bytes[index + 1] - self._bytes[index])
            seconds += share * (self._seconds[index + 1] - seconds)
        return min(seconds, self._audio_s)


def playback_timeline(data: bytes, decoded: DecodedAudio) -> PlaybackTimeline:
    """The timeline of `data`, which `decoded` was decoded from.

    Compressed audio can be played packet by packet: where each one ends is read by FFmpeg. Where
    it finds no packets, bytes are taken to be spread evenly over the time.
    """
    size, audio_s = len(data), decoded.audio_s
    if decoded.container in _SAMPLE_BYTES:
        found = find_wav_data(data)
        return PlaybackTimeline([(found.size_at + 4 if found else 0, 0.0), (size, audio_s)], size, audio_s, even=True)
    packets = _packets(data)
    if len(packets) < 2:
        return PlaybackTimeline([(0, 0.0), (size, audio_s)], size, audio_s, even=True)
    return PlaybackTimeline(packets, size, audio_s, even=False)


def _packets(data: bytes) -> list[tuple[int, float]]:
    """(bytes, seconds): up to where a packet reaches that begins at the byte, what comes before it can be played."""
    import av

    starts: dict[int, float] = {}
    try:
        with av.open(io.BytesIO(data), "r") as file:
            if not file.streams.audio:
                return []
            for packet in file.demux(file.streams.audio[0]):
                if packet.pos is not None and packet.pos >= 0 and packet.pts is not None and packet.time_base:
                    starts.setdefault(packet.pos, max(float(packet.pts * packet.time_base), 0.0))
    except (av.error.FFmpegError, AttributeError, OverflowError, ValueError):
        pass  # broken from here on: what came before counts
    steps, reached = [], 0.0
    for at in sorted(starts):
        reached = max(reached, starts[at])
        steps.append((at, reached))
    return steps

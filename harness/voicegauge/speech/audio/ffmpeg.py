"""Containers that libsndfile does not read (m4a, aac, webm), by PyAV."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONTAINERS = frozenset({"m4a", "aac", "webm"})


class Track(NamedTuple):
    """The first audio track of a file."""

    samples: NDArray[np.float32]
    """Mono, shape (frames,)."""
    sample_rate_hz: int
    channels: int
    codec: str


def read_track(data: bytes, max_s: float, max_frames: int) -> Track:
    """Decode the first audio track.

    Raises:
        ValueError: no audio track, broken, or longer than `max_s` or `max_frames`.
    """
    import av

    blocks: list[NDArray[np.float32]] = []
    try:
        with av.open(io.BytesIO(data), "r") as file:
            if not file.streams.audio:
                raise ValueError("has no audio track")
            stream = file.streams.audio[0]
            rate, channels = int(stream.rate or 0), int(stream.channels)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
            limit, frames = min(int(max_s * rate), max_frames), 0
            for received in file.decode(stream):
                for frame in resampler.resample(received):
                    frames += frame.samples
                    if frames > limit:
                        raise ValueError(f"is longer than {limit / rate:.0f} s")
                    blocks.append(frame.to_ndarray().reshape(-1).astype(np.float32))
            codec = str(stream.codec_context.name)
    except (av.error.FFmpegError, AttributeError, OverflowError) as error:
        # AttributeError: a stream so broken that FFmpeg knows no codec for it.
        if not blocks:
            raise ValueError(f"cannot be read: {error}") from error
        codec = "unknown"  # broken from here on: what came before is kept
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return Track(samples, rate, channels, codec)

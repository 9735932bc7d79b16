"""From one format, rate, number of channels and bit rate to others; and filters over samples, by FFmpeg.

Unlike `audio.decode`, which mixes to mono, the channels are kept.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.audio.samples import MAX_AUDIO_S, UndecodableAudioError, encode, resample
from voicegauge.speech.audio.samples import media_type_of as media_type_of_readable

Samples = NDArray[np.float32]
LOSSY = {
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "webm": ("webm", "libopus"),
}
"""Formats that FFmpeg writes, each with its muxer and codec; the others are `audio.FORMATS`."""
_MEDIA_TYPES = {"m4a": "audio/mp4", "aac": "audio/aac", "webm": "audio/webm"}
_BIT_EXACT = {"fflags": "+bitexact"}
"""Without it a muxer writes its version, and WebM's a number drawn anew each time."""
_OPUS_RATE_HZ = 48_000
"""What Opus is decoded at, whatever it was encoded at (RFC 7845, section 5.1)."""
DEFAULT_KBPS = 128
_MP3_OPTIONS = {"reservoir": "0"}
"""Below 32 kHz the encoder overfills its reservoir, and decoders complain."""
_FRAME = 1024
_LAYOUTS = {1: "mono", 2: "stereo"}


class TranscodingTarget(NamedTuple):
    """What audio shall become; `None` leaves it as it is."""

    format: str
    sample_rate_hz: int | None = None
    channels: int | None = None
    """1 or 2."""
    bitrate_kbps: int | None = None
    """Of the formats that have one."""


def transcode(data: bytes, wanted: TranscodingTarget) -> bytes:
    """`data` as `wanted`.

    Raises:
        UndecodableAudioError: it is no audio.
        ValueError: an unknown format.
    """
    samples, rate = read_channels(data, wanted.sample_rate_hz, wanted.channels)
    return write_audio(samples, rate, wanted.format, wanted.bitrate_kbps)


def media_type_of(name: str) -> str:
    """The media type of a format that `write_audio` makes."""
    return _MEDIA_TYPES.get(name) or media_type_of_readable(name)


def read_channels(data: bytes, rate: int | None = None, channels: int | None = None) -> tuple[Samples, int]:
    """The samples of `data`, shape (frames, channels), at `rate`, and the rate they have.

    Raises:
        UndecodableAudioError: no audio, broken from its beginning, or longer than `MAX_AUDIO_S`.
    """
    import av

    blocks: list[Samples] = []
    try:
        with av.open(io.BytesIO(data), "r") as file:
            if not file.streams.audio:
                raise UndecodableAudioError("has no audio track")
            stream = file.streams.audio[0]
            rate = rate or int(stream.rate or 0)
            layout = _LAYOUTS[channels or min(int(stream.channels), 2)]
            resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
            limit, frames = int(MAX_AUDIO_S * rate), 0
            for received in (*file.decode(stream), None):
                for frame in resampler.resample(received):
                    frames += frame.samples
                    if frames > limit:
                        raise UndecodableAudioError(f"is longer than {MAX_AUDIO_S:.0f} s")
                    blocks.append(frame.to_ndarray().reshape(frame.samples, -1).astype(np.float32))
    except (av.error.FFmpegError, AttributeError, OverflowError) as error:
        raise UndecodableAudioError(f"{len(data)} bytes that cannot be read: {error}") from error
    if not blocks or rate is None:
        raise UndecodableAudioError(f"{len(data)} bytes without a single sample")
    return np.clip(np.concatenate(blocks), -1.0, 1.0), rate


def write_audio(samples: Samples, rate: int, name: str, kbps: int | None = None) -> bytes:
    """`samples` of shape (frames,) or (frames, channels) in the format `name`.

    Args:
        samples: full scale at 1.0.
        rate: of the samples; kept but in "webm", whose Opus has 48 kHz.
        name: one of `LOSSY` or of `audio.FORMATS`.
        kbps: of a lossy format, `DEFAULT_KBPS` if left out.

    Raises:
        ValueError: an unknown format.
    """
    if name not in LOSSY:
        return encode(samples, rate, name)[0]
    import av

    if name == "webm":
        samples, rate = resample(samples, rate, _OPUS_RATE_HZ), _OPUS_RATE_HZ
    samples = samples.reshape(len(samples), -1)
    muxer, codec = LOSSY[name]
    layout = _LAYOUTS[samples.shape[1]]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer, options=_BIT_EXACT if name == "webm" else {}) as file:
        stream: Any = file.add_stream(codec, rate=rate, options=_MP3_OPTIONS if name == "mp3" else {})
        stream.codec_context.layout = layout
        stream.codec_context.bit_rate = (kbps or DEFAULT_KBPS) * 1000
        for frame in _frames(samples, rate, layout):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def apply_filters(samples: Samples, rate: int, filters: Sequence[tuple[str, str]]) -> Samples:
    """Mono `samples` through FFmpeg's audio filters, such as ("atempo", "1.5"); the rate stays."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add_abuffer(sample_rate=rate, format="fltp", layout="mono", time_base=Fraction(1, rate))
    last = source
    chain = [*filters, ("aformat", f"sample_fmts=fltp:sample_rates={rate}:channel_layouts=mono"), ("abuffersink", "")]
    for name, arguments in chain:
        added = graph.add(name, arguments) if arguments else graph.add(name)
        last.link_to(added)
        last = added
    graph.configure()
    made: list[Samples] = []
    for frame in (*_frames(samples.reshape(-1, 1), rate, "mono"), None):
        graph.push(frame)
        made += _pulled(graph)
    return np.clip(np.concatenate(made), -1.0, 1.0) if made else np.zeros(0, np.float32)


def _pulled(graph: Any) -> list[Samples]:
    import av

    pulled = []
    while True:
        try:
            pulled.append(graph.pull().to_ndarray().reshape(-1).astype(np.float32))
        except (av.error.BlockingIOError, av.error.EOFError):  # it wants more, or is through
            return pulled


def _frames(samples: Samples, rate: int, layout: str) -> Any:
    import av

    for start in range(0, len(samples), _FRAME):
        block = np.ascontiguousarray(samples[start : start + _FRAME].T)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = Fraction(1, rate)
        yield frame

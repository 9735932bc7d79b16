"""Decodes, encodes and filters audio with FFmpeg through PyAV, where libsndfile does not suffice."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from voicegauge.model import FileContent
from voicegauge.speech.audio.av_library import load_av
from voicegauge.speech.audio.limits import Samples, UndecodableAudioError, check_sample_rate_and_channels
from voicegauge.speech.audio.sample_buffer import SampleBuffer

FFMPEG_CONTAINERS = frozenset({"m4a", "aac", "webm"})
"""Containers that libsndfile cannot read, so that FFmpeg is used for them."""
_CHANNEL_LAYOUTS = {1: "mono", 2: "stereo"}
_AAC_FRAME_SAMPLES = 1024
"""Number of samples per frame that AAC requires. The other encoders accept any number."""
_BIT_EXACT_OPTIONS = {"fflags": "+bitexact"}
"""Options that make equal samples give equal bytes. Without them, the WebM muxer writes its version and a random
segment UID."""
_MP3_OPTIONS = {"reservoir": "0"}
"""Options that disable the bit reservoir of MP3. Below 32 kHz, the encoder LAME overfills it, so decoders report
errors."""


class FfmpegFormat(NamedTuple):
    """A format that FFmpeg can write."""

    muxer: str
    """FFmpeg's name of the container."""
    codec: str
    """FFmpeg's name of the encoder."""


class AudioTrack(NamedTuple):
    """The decoded first audio track of a file."""

    samples: Samples
    """Samples of shape (frames, channels), full scale at 1.0."""
    sample_rate_hz: int
    source_channels: int
    """Number of channels in the file, before mixing."""
    codec: str


def decode_track(
    audio_bytes: FileContent, *, sample_rate_hz: int | None = None, channels: int | None = None
) -> AudioTrack:
    """Decode the first audio track of a file. If the file is damaged, the part before the damage is decoded.

    Args:
        audio_bytes: the encoded file.
        sample_rate_hz: sample rate of the result; `None` for the rate of the file.
        channels: number of channels of the result, 1 or 2; `None` for the number of the file, but at most 2.

    Raises:
        UndecodableAudioError: the file has no audio track, nothing in it can be decoded, or the audio exceeds the
            limits.
    """
    av = load_av()
    buffer: SampleBuffer | None = None
    rate, source_channels, codec = sample_rate_hz or 0, 0, "unknown"
    try:
        with av.open(io.BytesIO(audio_bytes), "r") as file:
            stream = _find_first_audio_stream(file)
            source_rate, source_channels = int(stream.rate or 0), int(stream.channels)
            codec = str(stream.codec_context.name)
            check_sample_rate_and_channels(source_rate, source_channels)
            rate, channels = sample_rate_hz or source_rate, channels or min(source_channels, 2)
            buffer = SampleBuffer(rate, channels)
            resampler = av.AudioResampler(format="flt", layout=_CHANNEL_LAYOUTS[channels], rate=rate)
            for block in _resample_blocks(file.decode(stream), resampler):
                buffer.add(block)
    except UndecodableAudioError:
        raise
    except (av.error.FFmpegError, AttributeError, OverflowError, ValueError) as error:
        # AttributeError: a stream so broken that FFmpeg knows no codec for it. ValueError: the rate changes midway.
        if not buffer:
            raise UndecodableAudioError(f"cannot be read: {error}") from error
    if not buffer:
        raise UndecodableAudioError("no samples")
    return AudioTrack(buffer.get_samples(), rate, source_channels, codec)


def measure_bitrate_kbps(audio_bytes: bytes) -> float | None:
    """Return the mean bit rate of the first audio track, without headers and tags; `None` if it cannot be read."""
    av = load_av()
    try:
        with av.open(io.BytesIO(audio_bytes), "r") as file:
            stream = _find_first_audio_stream(file)
            sizes_and_durations = [
                (packet.size, float(packet.duration * packet.time_base))
                for packet in file.demux(stream)
                if packet.size and packet.duration
            ]
    except (UndecodableAudioError, av.error.FFmpegError, AttributeError, OverflowError, ValueError):
        return None
    duration_s = sum(duration for _, duration in sizes_and_durations)
    return sum(size for size, _ in sizes_and_durations) * 8 / 1000 / duration_s if duration_s else None


def _find_first_audio_stream(media_file: Any) -> Any:
    if not media_file.streams.audio:
        raise UndecodableAudioError("no audio track")
    return media_file.streams.audio[0]


def _resample_blocks(frames: Iterator[Any], resampler: Any) -> Iterator[Samples]:
    is_unchanged_so_far = True
    for frame in itertools.chain(frames, [None]):  # None flushes the samples that the resampler still holds back
        if frame is not None and is_unchanged_so_far and _needs_no_resampling(frame, resampler):
            yield frame.to_ndarray().reshape(-1, 1)
            continue
        is_unchanged_so_far = False  # the samples that the resampler holds back come first
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray().reshape(resampled.samples, -1)


def _needs_no_resampling(frame: Any, resampler: Any) -> bool:
    """Whether `frame` has the channel layout, sample rate and sample format that `resampler` would produce."""
    shape = frame.layout.name, frame.sample_rate, frame.format.packed.name
    return bool(shape == ("mono", resampler.rate, resampler.format.name) and resampler.layout.name == "mono")


def encode_track(samples: Samples, sample_rate_hz: int, ffmpeg_format: FfmpegFormat, bitrate_kbps: int) -> bytes:
    """Return `samples` encoded as a file in `ffmpeg_format`.

    Args:
        samples: shape (frames,) or (frames, channels), full scale at 1.0.
        sample_rate_hz: sample rate of `samples`, which the codec must support.
        ffmpeg_format: the format of the file.
        bitrate_kbps: bit rate of the file, in kbit/s.
    """
    av = load_av()
    samples = samples.reshape(len(samples), -1)
    layout = _CHANNEL_LAYOUTS[samples.shape[1]]
    buffer = io.BytesIO()
    with av.open(
        buffer, "w", format=ffmpeg_format.muxer, options=_BIT_EXACT_OPTIONS if ffmpeg_format.muxer == "webm" else {}
    ) as file:
        options = _MP3_OPTIONS if ffmpeg_format.muxer == "mp3" else {}
        stream: Any = file.add_stream(ffmpeg_format.codec, rate=sample_rate_hz, options=options)
        stream.codec_context.layout = layout
        stream.codec_context.bit_rate = bitrate_kbps * 1000
        for frame in _build_frames(samples, sample_rate_hz, layout):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def apply_filters(samples: Samples, sample_rate_hz: int, filters: Sequence[tuple[str, str]]) -> Samples:
    """Apply FFmpeg audio filters to mono samples; the sample rate is unchanged.

    Args:
        samples: shape (frames,), full scale at 1.0.
        sample_rate_hz: sample rate of `samples`.
        filters: name and arguments of each filter, such as ("atempo", "1.5").
    """
    graph = load_av().filter.Graph()
    last = graph.add_abuffer(
        sample_rate=sample_rate_hz, format="fltp", layout="mono", time_base=Fraction(1, sample_rate_hz)
    )
    output_format = f"sample_fmts=fltp:sample_rates={sample_rate_hz}:channel_layouts=mono"
    for name, arguments in [*filters, ("aformat", output_format), ("abuffersink", "")]:
        added = graph.add(name, arguments) if arguments else graph.add(name)
        last.link_to(added)
        last = added
    graph.configure()
    blocks: list[Samples] = []
    for frame in (*_build_frames(samples.reshape(-1, 1), sample_rate_hz, "mono"), None):
        graph.push(frame)
        blocks += _pull_filtered_blocks(graph)
    return np.clip(np.concatenate(blocks), -1.0, 1.0) if blocks else np.zeros(0, np.float32)


def _pull_filtered_blocks(filter_graph: Any) -> list[Samples]:
    av = load_av()
    blocks = []
    while True:
        try:
            blocks.append(filter_graph.pull().to_ndarray().reshape(-1).astype(np.float32))
        except (av.error.BlockingIOError, av.error.EOFError):  # needs more input, or is finished
            return blocks


def _build_frames(samples: Samples, sample_rate_hz: int, layout: str) -> Iterator[Any]:
    av = load_av()
    for start in range(0, len(samples), _AAC_FRAME_SAMPLES):
        block = np.ascontiguousarray(samples[start : start + _AAC_FRAME_SAMPLES].T)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = sample_rate_hz, start
        frame.time_base = Fraction(1, sample_rate_hz)
        yield frame

"""Encodes, converts, resamples and filters audio.

Equal samples give equal bytes. For Ogg this needs `set_ogg_serial_number`: libsndfile gives each stream another serial
number, which is part of every page and covered by the checksum of the page (RFC 3533, section 6).

Unlike `decode`, these functions do not mix all channels to mono.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from voicegauge.model.exchange import FileContent
from voicegauge.speech.containers import defer_keyboard_interrupt, find_container_of_media_type, load_av
from voicegauge.speech.decoding import CHANNEL_LAYOUTS, Samples, UndecodableAudioError, decode_track

# Sets a fixed serial number in Ogg files, so that equal samples give equal files.


_OGG_PAGE_HEADER_BYTES = 27
"""Size of the header of a page, without its table of segments."""
_SERIAL_NUMBER_OFFSET, _CHECKSUM_OFFSET, _SEGMENT_COUNT_OFFSET = 14, 22, 26
"""Offsets, in a page, of the serial number, the checksum and the number of segments."""
_OGG_CRC_POLYNOMIAL = 0x04C11DB7
"""Polynomial of CRC-32. Unlike Ethernet, Ogg uses no reflection and inversion, so `zlib.crc32` cannot be used."""


def _compute_crc_table_entry(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (_OGG_CRC_POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_CRC_TABLE = [_compute_crc_table_entry(byte) for byte in range(256)]
"""Remainder of each byte, so that a checksum takes one step for each byte instead of eight."""


def _compute_ogg_page_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8) & 0xFFFFFFFF ^ _CRC_TABLE[value >> 24 ^ byte]
    return value


def set_ogg_serial_number(ogg_bytes: bytes, serial_number: int) -> bytes:
    """Return a copy of `ogg_bytes` with `serial_number` in every page.

    `ogg_bytes` must consist of complete pages of one stream.
    """
    pages = bytearray(ogg_bytes)
    at = 0
    while at + _OGG_PAGE_HEADER_BYTES <= len(pages):
        segments = pages[at + _SEGMENT_COUNT_OFFSET]
        lengths = pages[at + _OGG_PAGE_HEADER_BYTES : at + _OGG_PAGE_HEADER_BYTES + segments]
        end = at + _OGG_PAGE_HEADER_BYTES + segments + sum(lengths)
        struct.pack_into("<I", pages, at + _SERIAL_NUMBER_OFFSET, serial_number)
        # The checksum is computed as if its own field were 0.
        struct.pack_into("<I", pages, at + _CHECKSUM_OFFSET, 0)
        struct.pack_into("<I", pages, at + _CHECKSUM_OFFSET, _compute_ogg_page_checksum(bytes(pages[at:end])))
        at = end
    return bytes(pages)


# Converts samples to another sample rate.


def resample(samples: Samples, source_rate_hz: int, target_rate_hz: int) -> Samples:
    """Resample `samples` with soxr at high quality; return the same array if the rates are equal."""
    if source_rate_hz == target_rate_hz:
        return samples
    import soxr

    resampled: Samples = soxr.resample(samples, source_rate_hz, target_rate_hz).astype(np.float32, copy=False)
    return resampled


# Encodes and filters samples with FFmpeg through PyAV, where libsndfile does not suffice.


_AAC_FRAME_SAMPLES = 1024
"""Number of samples per frame that AAC requires. The other encoders accept any number."""
_BIT_EXACT_OPTIONS = {"fflags": "+bitexact"}
"""Options that make equal samples give equal bytes. Without them, the WebM muxer writes its version and a random
segment UID."""
_LAME_OPTIONS = {"reservoir": "0"}
"""Options that disable the bit reservoir of MP3. Below 32 kHz, the encoder LAME overfills it, so decoders report
errors."""
_MIN_LONG_MP3_DURATION_S = 60.0
"""Duration above which an MP3 file is encoded by a faster method, in seconds."""
_LONG_LAME_OPTIONS = {**_LAME_OPTIONS, "compression_level": "7"}
"""Options of MP3 files longer than `_MIN_LONG_MP3_DURATION_S` seconds: LAME is a third faster than by default."""


class FfmpegFormat(NamedTuple):
    """A format that FFmpeg can write."""

    media_type: str
    muxer: str
    """FFmpeg's name of the container."""
    codec: str
    """FFmpeg's name of the encoder."""


def _encode_track(samples: Samples, sample_rate_hz: int, ffmpeg_format: FfmpegFormat, bitrate_kbps: int) -> bytes:
    """Return `samples` encoded as a file in `ffmpeg_format`.

    Args:
        samples: shape (frames,) or (frames, channels), full scale at 1.0.
        sample_rate_hz: sample rate of `samples`, which the codec must support.
        ffmpeg_format: the format of the file.
        bitrate_kbps: bit rate of the file, in kbit/s.
    """
    av = load_av()
    samples = samples.reshape(len(samples), -1)
    layout = CHANNEL_LAYOUTS[samples.shape[1]]
    buffer = io.BytesIO()
    with av.open(
        buffer, "w", format=ffmpeg_format.muxer, options=_BIT_EXACT_OPTIONS if ffmpeg_format.muxer == "webm" else {}
    ) as file:
        mp3_options = _LONG_LAME_OPTIONS if len(samples) > _MIN_LONG_MP3_DURATION_S * sample_rate_hz else _LAME_OPTIONS
        options = mp3_options if ffmpeg_format.muxer == "mp3" else {}
        stream: Any = file.add_stream(ffmpeg_format.codec, rate=sample_rate_hz, options=options)
        stream.codec_context.layout = layout
        stream.codec_context.bit_rate = bitrate_kbps * 1000
        for frame in _build_frames(samples, sample_rate_hz, layout):
            file.mux(stream.encode(frame))
        # The encoder holds back its last samples until it is asked for them.
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


def _build_frames(samples: Samples, sample_rate_hz: int, channel_layout: str) -> Iterator[Any]:
    av = load_av()
    for start in range(0, len(samples), _AAC_FRAME_SAMPLES):
        block = np.ascontiguousarray(samples[start : start + _AAC_FRAME_SAMPLES].T)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=channel_layout)
        frame.sample_rate, frame.pts = sample_rate_hz, start
        frame.time_base = Fraction(1, sample_rate_hz)
        yield frame


# Encodes samples as audio files, with libsndfile or FFmpeg.


class SndfileFormat(NamedTuple):
    """A format that libsndfile can write."""

    media_type: str
    container: str
    """libsndfile's name of the container, such as "WAV"."""
    subtype: str
    """libsndfile's name of the codec or sample format, such as "PCM_16"."""
    rates_hz: tuple[int, ...] = ()
    """Sample rates that the codec supports, in ascending order; empty if the codec supports any rate."""
    endian: str = "FILE"
    """Byte order of raw samples. It must be "FILE" for formats with a fixed byte order."""


_MPEG_1_RATES_HZ = (32000, 44100, 48000)
"""Sample rates at which libsndfile writes valid MP3 files. At lower rates (MPEG-2), its encoder overfills frames, so
that decoders report errors and skip audio."""
MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, *_MPEG_1_RATES_HZ)
"""The sample rates that MP3 has: those of MPEG-1, MPEG-2 and MPEG-2.5."""
_MPEG_1_BITRATES_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2_BITRATES_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Bit rates of layer III (ISO/IEC 11172-3 and 13818-3). MPEG-2.5, below 16 kHz, is written with at most 64 kbit/s."""
_MAX_MPEG_2_5_RATE_HZ, _MAX_MPEG_2_5_BITRATE_KBPS = 12000, 64
"""Highest sample rate and highest bit rate of MPEG-2.5."""
_MP3_OPTIONS = {"bitrate_mode": "CONSTANT", "compression_level": 0.8}
"""Options of libsndfile for MP3 with about 100 kbit/s. With a variable bit rate, it produces broken frames."""
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
"""The rates that the Opus codec supports (RFC 6716, section 2)."""
AUDIO_FORMATS = {
    "wav": SndfileFormat("audio/wav", "WAV", "PCM_16"),
    "mp3": SndfileFormat("audio/mpeg", "MP3", "MPEG_LAYER_III", _MPEG_1_RATES_HZ),
    "flac": SndfileFormat("audio/flac", "FLAC", "PCM_16"),
    "ogg": SndfileFormat("audio/ogg", "OGG", "VORBIS"),
    "opus": SndfileFormat("audio/ogg", "OGG", "OPUS", _OPUS_RATES_HZ),
    "aiff": SndfileFormat("audio/aiff", "AIFF", "PCM_16"),
    "pcm_s16le": SndfileFormat("audio/pcm", "RAW", "PCM_16", endian="LITTLE"),
    "pcm_s16be": SndfileFormat("audio/l16", "RAW", "PCM_16", endian="BIG"),  # in network byte order (RFC 2586)
    "pcm_s24le": SndfileFormat("audio/pcm", "RAW", "PCM_24", endian="LITTLE"),
    "pcm_f32le": SndfileFormat("audio/pcm", "RAW", "FLOAT", endian="LITTLE"),
    "pcm_u8": SndfileFormat("audio/pcm", "RAW", "PCM_U8"),
    "mulaw": SndfileFormat("audio/basic", "RAW", "ULAW"),
    "alaw": SndfileFormat("audio/pcma", "RAW", "ALAW"),
}
"""Formats that `encode` can write, by name."""
_FRAMES_PER_BLOCK = 2**18
"""Number of frames that are written at a time. libsndfile's Vorbis encoder puts all frames of a call on the stack,
which would otherwise overflow."""
_OGG_SERIAL_NUMBER = 1
"""Serial number of all Ogg streams. It may be any fixed number; see `set_ogg_serial_number`."""

_FFMPEG_FORMATS = {
    "mp3": FfmpegFormat("audio/mpeg", "mp3", "libmp3lame"),
    "m4a": FfmpegFormat("audio/mp4", "ipod", "aac"),
    "aac": FfmpegFormat("audio/aac", "adts", "aac"),
    "webm": FfmpegFormat("audio/webm", "webm", "libopus"),
}
"""Formats that `encode_at_bitrate` writes with FFmpeg, by name."""
_OPUS_DECODING_RATE_HZ = 48_000
"""The sample rate at which Opus is decoded, regardless of the rate of the input (RFC 7845, section 5.1)."""
DEFAULT_BITRATE_KBPS = 128
"""Bit rate of lossy formats for which none is requested."""


def find_media_type_of_format(format_name: str) -> str:
    """Return the media type of a format that `encode` or `encode_at_bitrate` can write.

    Raises:
        KeyError: the format is unknown.
    """
    return (_FFMPEG_FORMATS.get(format_name) or AUDIO_FORMATS[format_name]).media_type


def find_container_of_format(format_name: str) -> str | None:
    """Return the container in which audio of a format is delivered, by its name in `sniff_container`.

    The result is "pcm" for samples without a header; `None` if the format is unknown.
    """
    if format_name in AUDIO_FORMATS and AUDIO_FORMATS[format_name].container == "RAW":
        return "pcm"
    is_known = format_name in AUDIO_FORMATS or format_name in _FFMPEG_FORMATS
    return find_container_of_media_type(find_media_type_of_format(format_name)) if is_known else None


def find_codec_of_format(format_name: str) -> str | None:
    """Return the codec of a format if its container can have several codecs; `None` for other formats."""
    return {"opus": "opus", "ogg": "vorbis"}.get(format_name)


@defer_keyboard_interrupt()
def encode(samples: Samples, sample_rate_hz: int, format_name: str) -> tuple[bytes, str]:
    """Encode samples with libsndfile. Equal samples give equal bytes.

    Args:
        samples: shape (frames,) or (frames, channels), full scale at 1.0.
        sample_rate_hz: sample rate of `samples`. If the codec does not support it, the samples are resampled to the
            next higher rate that it supports.
        format_name: name of a format in `AUDIO_FORMATS`.

    Returns:
        The encoded file and its media type.

    Raises:
        ValueError: `format_name` is not in `AUDIO_FORMATS`.
    """
    audio_format = AUDIO_FORMATS.get(format_name)
    if audio_format is None:
        raise ValueError(f"unknown audio format {format_name!r}: known: {', '.join(AUDIO_FORMATS)}")
    return _encode_with_libsndfile(samples, sample_rate_hz, format_name), audio_format.media_type


def _encode_with_libsndfile(samples: Samples, sample_rate_hz: int, format_name: str) -> bytes:
    import soundfile

    audio_format = AUDIO_FORMATS[format_name]
    samples, sample_rate_hz = _resample_to_supported_rate(samples, sample_rate_hz, audio_format.rates_hz)
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer,
        "w",
        sample_rate_hz,
        samples.shape[1] if samples.ndim > 1 else 1,
        format=audio_format.container,
        subtype=audio_format.subtype,
        endian=audio_format.endian,
        **(_MP3_OPTIONS if format_name == "mp3" else {}),
    ) as file:
        for start in range(0, len(samples), _FRAMES_PER_BLOCK):
            file.write(samples[start : start + _FRAMES_PER_BLOCK])
    data = buffer.getvalue()
    return set_ogg_serial_number(data, _OGG_SERIAL_NUMBER) if audio_format.container == "OGG" else data


def _resample_to_supported_rate(
    samples: Samples, sample_rate_hz: int, supported_rates_hz: Sequence[int]
) -> tuple[Samples, int]:
    """Return samples at the next higher of the supported rates, and this rate; unchanged if any rate is supported."""
    if not supported_rates_hz or sample_rate_hz in supported_rates_hz:
        return samples, sample_rate_hz
    # A higher rate keeps all frequencies.
    rate_hz = next((known for known in supported_rates_hz if known > sample_rate_hz), supported_rates_hz[-1])
    return resample(samples, sample_rate_hz, rate_hz), rate_hz


def has_mp3_bitrate(sample_rate_hz: int, bitrate_kbps: int) -> bool:
    """Whether MP3 with this sample rate can have this constant bit rate."""
    if sample_rate_hz in _MPEG_1_RATES_HZ:
        return bitrate_kbps in _MPEG_1_BITRATES_KBPS
    is_too_high = sample_rate_hz <= _MAX_MPEG_2_5_RATE_HZ and bitrate_kbps > _MAX_MPEG_2_5_BITRATE_KBPS
    return bitrate_kbps in _MPEG_2_BITRATES_KBPS and not is_too_high


def encode_at_bitrate(
    samples: Samples, sample_rate_hz: int, format_name: str, bitrate_kbps: int | None = None
) -> bytes:
    """Encode samples in any supported format. The bit rate can be chosen for MP3, AAC, and Opus in WebM.

    Args:
        samples: shape (frames,) or (frames, channels), full scale at 1.0.
        sample_rate_hz: sample rate of `samples`. The samples are resampled to 48 kHz for "webm", and to the next higher
            rate that the codec supports for "mp3" and the formats in `AUDIO_FORMATS`.
        format_name: "mp3", "m4a", "aac", "webm" or another name in `AUDIO_FORMATS`.
        bitrate_kbps: bit rate for "mp3", "m4a", "aac" and "webm"; `DEFAULT_BITRATE_KBPS` if `None`. Ignored for other
            formats.

    Raises:
        ValueError: the format is unknown.
    """
    if format_name not in _FFMPEG_FORMATS:
        return encode(samples, sample_rate_hz, format_name)[0]
    supported_hz = {"webm": (_OPUS_DECODING_RATE_HZ,), "mp3": MP3_RATES_HZ}.get(format_name, ())
    samples, sample_rate_hz = _resample_to_supported_rate(samples, sample_rate_hz, supported_hz)
    return _encode_track(samples, sample_rate_hz, _FFMPEG_FORMATS[format_name], bitrate_kbps or DEFAULT_BITRATE_KBPS)


# Converts encoded audio to another format, sample rate, number of channels or bit rate.


class TranscodingSettings(NamedTuple):
    """The format of converted audio.

    `None` keeps the sample rate or the channels of the source, but at most two channels.
    """

    format: str
    """Name of a format that `encode_at_bitrate` can write."""
    sample_rate_hz: int | None = None
    channels: int | None = None
    """Number of channels, 1 or 2."""
    bitrate_kbps: int | None = None
    """Bit rate of a lossy format; `DEFAULT_BITRATE_KBPS` if `None`."""


def transcode(audio_bytes: FileContent, settings: TranscodingSettings) -> bytes:
    """Convert encoded audio to `settings`.

    Raises:
        UndecodableAudioError: `audio_bytes` cannot be decoded.
        ValueError: the target format is unknown.
    """
    samples, rate = decode_without_mixing(audio_bytes, settings.sample_rate_hz, settings.channels)
    return encode_at_bitrate(samples, rate, settings.format, settings.bitrate_kbps)


def decode_without_mixing(
    audio_bytes: FileContent, sample_rate_hz: int | None = None, channels: int | None = None
) -> tuple[Samples, int]:
    """Decode without mixing the channels to mono.

    Args:
        audio_bytes: the encoded file.
        sample_rate_hz: sample rate of the result; `None` for the rate of the file.
        channels: number of channels of the result, 1 or 2; `None` for the number of the file, but at most 2.

    Returns:
        Samples of shape (frames, channels) and their sample rate.

    Raises:
        UndecodableAudioError: `audio_bytes` cannot be decoded, or exceeds the limits of length and memory.
    """
    try:
        track = decode_track(audio_bytes, sample_rate_hz=sample_rate_hz, channels=channels)
    except UndecodableAudioError as error:
        raise UndecodableAudioError(f"{len(audio_bytes)} bytes: {error}") from error
    return track.samples, track.sample_rate_hz

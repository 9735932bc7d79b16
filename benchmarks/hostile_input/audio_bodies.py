"""Hostile audio: small files that decode to hours, and headers with absurd sizes."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping

import av
import numpy as np
import soundfile

from hostile_input.server import HostileResponse, endless

AUDIO_TARGET = "ttsai/kokoro-sync"
"""A target that responds with audio."""
BLOCK_S = 10
BELOW_LIMIT_S = 1790
"""Just below the longest audio that is decoded, half an hour."""
HOURS_S = 36_000


def _silence(container: str, subtype: str, rate: int, channels: int, seconds: int) -> bytes:
    buffer = io.BytesIO()
    block = np.zeros((rate * BLOCK_S, channels), np.int16)
    with soundfile.SoundFile(
        buffer, "w", samplerate=rate, channels=channels, format=container, subtype=subtype
    ) as file:
        for _ in range(seconds // BLOCK_S):
            file.write(block)
    return buffer.getvalue()


def _encode_silence(muxer: str, codec: str, rate: int, seconds: int, options: Mapping[str, str] | None = None) -> bytes:
    """Return silence encoded by FFmpeg."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer, options=dict(options or {})) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.codec_context.layout = "mono"
        stream.codec_context.bit_rate = 8000
        samples = np.zeros((1, rate), np.float32)
        for second in range(seconds):
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, second * rate
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def _repeated_mp3(rate: int, seconds: int) -> bytes:
    """Return the frames of ten seconds of silence, repeated: MPEG frames without a reservoir are independent."""
    part = _encode_silence("mp3", "libmp3lame", rate, BLOCK_S, {"write_xing": "0", "id3v2_version": "0"})
    return part * (seconds // BLOCK_S)


def _flac_with_total(total: int) -> bytes:
    """Return a short FLAC that declares `total` samples in STREAMINFO (36 bits, RFC 9639, section 8.2)."""
    data = bytearray(_silence("FLAC", "PCM_16", 48_000, 1, BLOCK_S))
    packed = int.from_bytes(data[18:26], "big") & ~(2**36 - 1) | total
    data[18:26] = packed.to_bytes(8, "big")
    return bytes(data)


def _mp3_with_total(frames: int) -> bytes:
    """Return a short MP3 whose Xing header declares `frames` frames."""
    data = bytearray(_encode_silence("mp3", "libmp3lame", 24_000, 10))
    at = next(data.find(mark) for mark in (b"Xing", b"Info") if mark in data)
    struct.pack_into(">II", data, at + 4, 1, frames)
    return bytes(data)


def _ogg_with_total(granule: int) -> bytes:
    """Return a short Ogg Vorbis file whose pages end at an absurd position. Their checksums are not valid any more."""
    data = bytearray(_silence("OGG", "VORBIS", 24_000, 1, BLOCK_S))
    struct.pack_into("<q", data, data.rfind(b"OggS") + 6, granule)
    return bytes(data)


def _wav_header(rate: int, channels: int, bits: int, size: int) -> bytes:
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * frame, 2**32 - 1), frame, bits)
    return b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", 16) + form


def _wav(rate: int, channels: int, bits: int, declared: int, present: int) -> bytes:
    return _wav_header(rate, channels, bits, declared) + b"data" + struct.pack("<I", declared) + bytes(present)


def _aiff_with_total(frames: int) -> bytes:
    data = bytearray(_silence("AIFF", "PCM_16", 24_000, 1, BLOCK_S))
    struct.pack_into(">I", data, data.find(b"COMM") + 10, frames)
    return bytes(data)


def _m4a_with_total(samples: int) -> bytes:
    """Return an MP4 file whose tables declare `samples` samples of one byte, all in one chunk."""
    data = bytearray(_encode_silence("ipod", "aac", 24_000, 2))
    struct.pack_into(">II", data, data.find(b"stsz") + 8, 1, samples)
    for table, offset in ((b"stsc", 16), (b"stts", 12)):
        struct.pack_into(">I", data, data.find(table) + offset, samples)
    return bytes(data)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "FLAC, 30 minutes at 48 kHz": ("audio/flac", lambda: _silence("FLAC", "PCM_16", 48_000, 1, BELOW_LIMIT_S)),
    "FLAC, 30 minutes, 8 channels": ("audio/flac", lambda: _silence("FLAC", "PCM_16", 48_000, 8, BELOW_LIMIT_S)),
    "FLAC, 30 minutes at 24 kHz": ("audio/flac", lambda: _silence("FLAC", "PCM_16", 24_000, 1, BELOW_LIMIT_S)),
    "FLAC, 10 hours at 8 kHz": ("audio/flac", lambda: _silence("FLAC", "PCM_16", 8_000, 1, HOURS_S)),
    "FLAC, 2^36 declared": ("audio/flac", lambda: _flac_with_total(2**36 - 1)),
    "MP3, 30 minutes": ("audio/mpeg", lambda: _repeated_mp3(48_000, BELOW_LIMIT_S)),
    "MP3, 60 MiB": ("audio/mpeg", lambda: _repeated_mp3(32_000, 40 * BELOW_LIMIT_S)[: 60 * 2**20]),
    "MP3, 2^32 frames declared": ("audio/mpeg", lambda: _mp3_with_total(2**32 - 1)),
    "Ogg Vorbis, 30 minutes": ("audio/ogg", lambda: _silence("OGG", "VORBIS", 24_000, 1, BELOW_LIMIT_S)),
    "Ogg, 2^62 declared": ("audio/ogg", lambda: _ogg_with_total(2**62)),
    "Opus, 30 minutes": ("audio/ogg", lambda: _encode_silence("ogg", "libopus", 48_000, BELOW_LIMIT_S)),
    "WAV, 2^31 bytes declared": ("audio/wav", lambda: _wav(24_000, 1, 16, 2**31 - 2, 4_800)),
    "WAV, streamed, 60 MiB": ("audio/wav", lambda: _wav(24_000, 1, 16, 2**32 - 1, 60 * 2**20)),
    "WAV, 8 bits, 60 MiB": ("audio/wav", lambda: _wav(24_000, 1, 8, 60 * 2**20, 60 * 2**20)),
    "WAV, 8 channels, 60 MiB": ("audio/wav", lambda: _wav(48_000, 8, 16, 60 * 2**20, 60 * 2**20)),
    "WAV, 4 GHz": ("audio/wav", lambda: _wav(2**32 - 1, 1, 16, 48_000, 48_000)),
    "WAV, 65535 channels": ("audio/wav", lambda: _wav(24_000, 65_535, 8, 2**20, 2**20)),
    "AIFF, 2^32 frames declared": ("audio/aiff", lambda: _aiff_with_total(2**32 - 1)),
    "M4A, 30 minutes": ("audio/mp4", lambda: _encode_silence("ipod", "aac", 24_000, BELOW_LIMIT_S)),
    "M4A, 2^26 samples declared": ("audio/mp4", lambda: _m4a_with_total(2**26)),
    "AAC, 30 minutes": ("audio/aac", lambda: _encode_silence("adts", "aac", 24_000, BELOW_LIMIT_S)),
    "WebM, 30 minutes": ("audio/webm", lambda: _encode_silence("webm", "libopus", 48_000, BELOW_LIMIT_S)),
    "escapes instead of audio, 60 MiB": ("audio/mpeg", lambda: b"ID3\xff" + b"%41" * (20 * 2**20)),
    "zeros without a header, 60 MiB": ("audio/pcm", lambda: bytes(60 * 2**20)),
}


def audio_responses() -> Iterator[HostileResponse]:
    """Yield audio files."""
    for name, (media_type, file) in FILES.items():
        yield HostileResponse(f"audio: {name}", AUDIO_TARGET, media_type, _once(file))
    yield HostileResponse("audio: endless", AUDIO_TARGET, "audio/mpeg", endless(bytes(65_536)), framing="chunked")
    yield HostileResponse(
        "audio: one byte at a time", AUDIO_TARGET, "audio/mpeg", endless(b"\0"), framing="chunked", pause_s=0.05
    )


def _once(file: Callable[[], bytes]) -> Callable[[], list[bytes]]:
    return lambda: [file()]

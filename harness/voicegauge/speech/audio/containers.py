"""What audio bytes are before they are decoded: their container and the length it declares."""

from __future__ import annotations

import struct
from typing import NamedTuple

_MEDIA_TYPES = {
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mpeg3": "mp3",
    "audio/x-mp3": "mp3",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/vorbis": "ogg",
    "application/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/aac": "aac",
    "audio/x-aac": "aac",
    "audio/webm": "webm",
    "video/webm": "webm",
    "audio/aiff": "aiff",
    "audio/x-aiff": "aiff",
    "audio/pcm": "pcm",
    "audio/x-pcm": "pcm",
    "audio/l16": "pcm",
    "audio/raw": "pcm",
    "audio/basic": "pcm",
    "audio/pcmu": "pcm",
    "audio/pcma": "pcm",
}
_MAGIC = {b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "webm", b"ID3": "mp3"}
_NO_LENGTH = 0x7FFFF000
"""From here on, and at 0, the length of a WAV is what a writer leaves that could not go back to fill in the
real one: SoX this, others 0x7FFFFFFF or 0xFFFFFFFF. No answer has two gigabytes."""
_CHUNK_LIMIT = 64
"""Chunks looked at before the samples of a WAV: real files have fewer than ten."""


class WavData(NamedTuple):
    """Where the samples of a WAV file lie."""

    size_at: int
    """Offset of the four bytes that state the length."""
    declared: int | None
    """Bytes of samples as stated; `None` for a streamed file."""
    present: int
    """Bytes of samples that are there."""


def container_of_media_type(media_type: str | None) -> str | None:
    """The container a media type names: "wav", "mp3", "flac", "ogg", "m4a", "aac", "webm", "aiff" or "pcm".

    Parameters after a semicolon do not count. `None` where it names no container of
    audio, as "application/octet-stream" does not.
    """
    return _MEDIA_TYPES.get((media_type or "").split(";")[0].strip().lower())


def sniff_container(data: bytes) -> str | None:
    """The container that the first bytes of `data` show, in the same words; `None` where unknown.

    Raw PCM has no header and is never found.
    """
    if data[:4] in (b"RIFF", b"RF64", b"RIFX") and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if data[4:8] == b"ftyp":
        return "m4a"
    for magic, container in _MAGIC.items():
        if data.startswith(magic):
            return container
    return _sniff_mpeg(data)


def may_be_chance(data: bytes) -> bool:
    """Whether what `sniff_container` finds rests on a few bits, which samples without a header may have too."""
    return _sniff_mpeg(data) is not None


def _sniff_mpeg(data: bytes) -> str | None:
    # Eleven set bits begin a frame of MPEG audio, twelve one of ADTS; layer 0 is AAC.
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bitrate, rate = data[2] >> 4, data[2] >> 2 & 3
    if layer == 0:
        return "aac" if data[1] & 0xF0 == 0xF0 else None
    return "mp3" if layer == 1 and version != 1 and bitrate != 15 and rate != 3 else None


def find_wav_data(data: bytes) -> WavData | None:
    """Where the samples of the WAV file `data` lie; `None` where no chunk holds any."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    at = 12
    for _ in range(_CHUNK_LIMIT):
        if at + 8 > len(data):
            return None
        (size,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"data":
            declared = size if 0 < size < _NO_LENGTH else None
            return WavData(at + 4, declared, len(data) - at - 8)
        at += 8 + size + size % 2
    return None


def repair_streamed_wav_length(data: bytes) -> bytes:
    """`data` with the real length filled in where a streamed WAV states none."""
    found = find_wav_data(data)
    if found is None or found.declared is not None or not found.present:
        return data
    mended = bytearray(data)
    struct.pack_into("<I", mended, found.size_at, found.present)
    struct.pack_into("<I", mended, 4, len(data) - 8)
    return bytes(mended)


def declares_length(data: bytes, container: str) -> bool:
    """Whether the decoder's frame count is what the file states, not what it holds.

    True for FLAC (STREAMINFO) and for MP3 with a Xing or Info header.
    """
    if container == "flac":
        return True
    if container != "mp3":
        return False
    start = 0
    if data[:3] == b"ID3" and len(data) > 10:  # its size is four bytes of seven bits
        start = 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])
    first_frame = data[start : start + 1024]
    return b"Xing" in first_frame or b"Info" in first_frame

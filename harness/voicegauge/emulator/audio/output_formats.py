"""Audio formats that the emulator delivers: their names in requests, their media types, and their encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from voicegauge.speech.audio import (
    AUDIO_FORMATS,
    container_of_media_type,
    encode,
    encode_at_bitrate,
    media_type_of,
    resample,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

GENERIC_MEDIA_TYPES = ("application/octet-stream", "binary/octet-stream")
_RANGES = ("audio/*", "*/*")
_FFMPEG_FORMATS = ("m4a", "aac", "webm")
"""Formats that `encode` of `speech.audio` does not write."""
OUTPUT_FORMATS = frozenset((*AUDIO_FORMATS, *_FFMPEG_FORMATS))
"""Names of all formats that the emulator writes."""
_ALIASES = {
    "pcm": "pcm_s16le",
    "raw": "pcm_s16le",
    "l16": "pcm_s16le",  # RFC 2586 asks for the other byte order, which no speech API uses under this name
    "s16le": "pcm_s16le",
    "linear16": "pcm_s16le",
    "linear": "pcm_s16le",
    "wave": "wav",
    "riff": "wav",
    "ogg_vorbis": "ogg",
    "vorbis": "ogg",
    "oga": "ogg",
    "ogg_opus": "opus",
    "ulaw": "mulaw",
    "pcmu": "mulaw",
    "pcm_mulaw": "mulaw",
    "basic": "mulaw",
    "pcma": "alaw",
    "pcm_alaw": "alaw",
    "mpeg": "mp3",
    "mp4": "m4a",
    "aif": "aiff",
    "aifc": "aiff",
    "weba": "webm",
    "webm_opus": "webm",
    "adts": "aac",
}
_MEDIA_TYPES = {
    "ogg": ("audio/ogg", "audio/vorbis", "application/ogg"),
    "opus": ("audio/opus", "audio/ogg", "application/ogg"),
    "mulaw": ("audio/basic", "audio/pcmu", "audio/mulaw", "audio/x-mulaw", "audio/ulaw", "audio/x-ulaw"),
    "alaw": ("audio/pcma", "audio/alaw", "audio/x-alaw", "audio/x-alaw-basic"),
    "pcm_s16le": ("audio/pcm", "audio/x-pcm", "audio/l16", "audio/raw"),
}
"""Media types of formats that share a container with others, most specific first."""
_ALTERNATIVES = {
    "pcm_s16le": "wav",
    "pcm_s16be": "wav",
    "pcm_s24le": "wav",
    "pcm_f32le": "wav",
    "pcm_u8": "wav",
    "mulaw": "wav",
    "alaw": "wav",
    "aac": "m4a",
    "m4a": "aac",
    "opus": "webm",
    "webm": "opus",
}
"""Formats with the same samples or the same codec in another container."""
_AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sampling frequencies of AAC (ISO/IEC 14496-3, table 1.18)."""


def find_format(name: str) -> str | None:
    """Return the format that a field value or a media type names; `None` if the emulator does not know it."""
    short_name = name.partition(";")[0].strip().lower().removeprefix("audio/").removeprefix("x-")
    for candidate in (short_name, *re.split(r"[_\-.]", short_name)):  # "mp3_44100_128", "riff-24khz-16bit-mono-pcm"
        candidate = _ALIASES.get(candidate, candidate)
        if candidate in OUTPUT_FORMATS:
            return candidate
    return None


def choose_media_type(format_name: str, documented: Iterable[str]) -> str | None:
    """Return the documented media type under which audio of this format is sent.

    Args:
        format_name: a format that the emulator writes.
        documented: documented media types, in lower case.

    Returns:
        A media type of the format, else the actual one if any audio is documented, else a generic one, else one that
        is not known to mean another format. `None` if all documented media types mean other formats.
    """
    documented = tuple(documented)
    actual = media_type_of(format_name)
    specific = (actual, *_MEDIA_TYPES.get(format_name, ()))
    if format_name in _MEDIA_TYPES:
        specific = (*_MEDIA_TYPES[format_name], actual)
    found = next((name for name in specific if name in documented), None)
    if found is None:
        found = next((name for name in documented if _may_contain(name, format_name)), None)
    if found is None:
        found = next((name for name in documented if find_format(name) == format_name), None)
    if found is None and any(name in documented for name in _RANGES):
        found = actual
    if found is None:
        found = next((name for name in documented if name in GENERIC_MEDIA_TYPES), None)
    if found is None:
        found = next((name for name in documented if name.startswith("audio/") and not _has_meaning(name)), None)
    return found


def _may_contain(media_type: str, format_name: str) -> bool:
    """Return whether a media type is for the container of a format, and for no other format in it."""
    container = container_of_media_type(media_type)
    if container is None or container != container_of_media_type(media_type_of(format_name)):
        return False
    return not any(media_type in names for other, names in _MEDIA_TYPES.items() if other != format_name)


def _has_meaning(media_type: str) -> bool:
    return container_of_media_type(media_type) is not None or find_format(media_type) is not None


def deliverable_format(format_name: str, documented: Iterable[str]) -> str:
    """Return the format to deliver, for a requested one and the documented media types of the response.

    It differs from the requested format if only the other one has a documented media type: PCM without a media type
    of its own is sent as WAV. A format that no documented media type fits is delivered as requested, so that a check
    reports the missing media type.
    """
    documented = tuple(documented)
    if not documented or choose_media_type(format_name, documented) is not None:
        return format_name
    other = _ALTERNATIVES.get(format_name)
    return other if other is not None and choose_media_type(other, documented) is not None else format_name


def encode_output(samples: Samples, sample_rate_hz: int, format_name: str) -> bytes:
    """Encode mono samples in any format of `find_format`; the sample rate is raised if the codec does not have it."""
    if format_name not in _FFMPEG_FORMATS:
        return encode(samples, sample_rate_hz, format_name)[0]
    if format_name != "webm" and sample_rate_hz not in _AAC_RATES_HZ:
        rate = next((known for known in _AAC_RATES_HZ if known > sample_rate_hz), _AAC_RATES_HZ[-1])
        samples, sample_rate_hz = resample(samples, sample_rate_hz, rate), rate
    return encode_at_bitrate(samples, sample_rate_hz, format_name)

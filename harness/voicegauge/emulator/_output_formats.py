"""Encodes speech in the format that a request names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from voicegauge.speech.containers import find_container_of_media_type
from voicegauge.speech.encoding import AUDIO_FORMATS, encode, encode_at_bitrate, find_media_type_of_format, resample

if TYPE_CHECKING:
    from voicegauge.speech.decoding import Samples


GENERIC_MEDIA_TYPES = ("application/octet-stream", "binary/octet-stream")
"""Media types that say nothing of the format."""
_WILDCARD_MEDIA_RANGES = ("audio/*", "*/*")
"""Ranges of media types that include all audio."""
_FORMATS_WRITTEN_BY_FFMPEG = ("m4a", "aac", "webm")
"""Formats that only FFmpeg writes, because `speech.encoding.encode` does not support them."""
OUTPUT_FORMATS = frozenset((*AUDIO_FORMATS, *_FORMATS_WRITTEN_BY_FFMPEG))
"""Names of all formats that the emulator writes."""
_FORMAT_BY_ALIAS = {
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
_MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER = {
    "ogg": ("audio/ogg", "audio/vorbis", "application/ogg"),
    "opus": ("audio/opus", "audio/ogg", "application/ogg"),
    "mulaw": ("audio/basic", "audio/pcmu", "audio/mulaw", "audio/x-mulaw", "audio/ulaw", "audio/x-ulaw"),
    "alaw": ("audio/pcma", "audio/alaw", "audio/x-alaw", "audio/x-alaw-basic"),
    "pcm_s16le": ("audio/pcm", "audio/x-pcm", "audio/l16", "audio/raw"),
}
"""Media types of the formats that share a container with other formats, most specific first."""
_ALTERNATIVE_FORMAT_BY_FORMAT = {
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
"""For each format, another one that has the same samples or the same codec in a different container."""
_AAC_SAMPLE_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sampling frequencies of AAC (ISO/IEC 14496-3, table 1.18)."""


def find_format(format_name_or_media_type: str) -> str | None:
    """Return the emulator's name of a format, given a media type or the provider's name of the format.

    Return `None` if the emulator does not know the format.
    """
    short_name = format_name_or_media_type.partition(";")[0].strip().lower().removeprefix("audio/").removeprefix("x-")
    for candidate in (short_name, *re.split(r"[_\-.]", short_name)):  # "mp3_44100_128", "riff-24khz-16bit-mono-pcm"
        candidate = _FORMAT_BY_ALIAS.get(candidate, candidate)
        if candidate in OUTPUT_FORMATS:
            return candidate
    return None


def choose_media_type(format_name: str, documented_media_types: Iterable[str]) -> str | None:
    """Return the documented media type under which audio of this format is sent.

    Args:
        format_name: a format that the emulator writes.
        documented_media_types: the documented media types of the response, in lower case.

    Returns:
        The first of these that exists: a documented media type of the format; the format's usual media type, if a range
        such as "audio/*" is documented; a documented generic media type; a documented audio media type that is not
        known to mean another format. `None` if there is none of these.
    """
    documented_media_types = tuple(documented_media_types)
    actual = find_media_type_of_format(format_name)
    specific = (actual, *_MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER.get(format_name, ()))
    if format_name in _MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER:
        specific = (*_MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER[format_name], actual)
    found = next((name for name in specific if name in documented_media_types), None)
    if found is None:
        found = next((name for name in documented_media_types if _is_container_of_format(name, format_name)), None)
    if found is None:
        found = next((name for name in documented_media_types if find_format(name) == format_name), None)
    if found is None and any(name in documented_media_types for name in _WILDCARD_MEDIA_RANGES):
        found = actual
    if found is None:
        found = next((name for name in documented_media_types if name in GENERIC_MEDIA_TYPES), None)
    if found is None:
        found = next(
            (
                name
                for name in documented_media_types
                if name.startswith("audio/") and not _belongs_to_known_format(name)
            ),
            None,
        )
    return found


def _is_container_of_format(media_type: str, format_name: str) -> bool:
    """Whether `media_type` names the format's container, without naming another format in that container."""
    container = find_container_of_media_type(media_type)
    if container is None or container != find_container_of_media_type(find_media_type_of_format(format_name)):
        return False
    return not any(
        media_type in names
        for other, names in _MEDIA_TYPES_BY_FORMAT_IN_SHARED_CONTAINER.items()
        if other != format_name
    )


def _belongs_to_known_format(media_type: str) -> bool:
    return find_container_of_media_type(media_type) is not None or find_format(media_type) is not None


def choose_deliverable_format(format_name: str, documented_media_types: Iterable[str]) -> str:
    """Return the format in which audio is delivered if `format_name` is requested.

    This is the requested format if one of its media types is documented. Otherwise, it is an alternative format whose
    media type is documented: for example, PCM is sent as WAV. If there is no such alternative, the requested format is
    delivered, so that a check reports the missing media type.

    Args:
        format_name: the requested format.
        documented_media_types: the documented media types of the response, in lower case.
    """
    documented_media_types = tuple(documented_media_types)
    if not documented_media_types or choose_media_type(format_name, documented_media_types) is not None:
        return format_name
    other = _ALTERNATIVE_FORMAT_BY_FORMAT.get(format_name)
    return other if other is not None and choose_media_type(other, documented_media_types) is not None else format_name


def encode_output(samples: Samples, sample_rate_hz: int, format_name: str, bitrate_kbps: int | None = None) -> bytes:
    """Encode mono samples in any format that `find_format` returns.

    If the codec does not support the sample rate, the next higher supported rate is used. MP3 with a `bitrate_kbps` is
    encoded at any rate of MPEG-1 and MPEG-2.
    """
    if format_name == "mp3" and bitrate_kbps is not None:
        return encode_at_bitrate(samples, sample_rate_hz, format_name, bitrate_kbps)
    if format_name not in _FORMATS_WRITTEN_BY_FFMPEG:
        return encode(samples, sample_rate_hz, format_name)[0]
    if format_name != "webm" and sample_rate_hz not in _AAC_SAMPLE_RATES_HZ:
        rate = next((known for known in _AAC_SAMPLE_RATES_HZ if known > sample_rate_hz), _AAC_SAMPLE_RATES_HZ[-1])
        samples, sample_rate_hz = resample(samples, sample_rate_hz, rate), rate
    return encode_at_bitrate(samples, sample_rate_hz, format_name)

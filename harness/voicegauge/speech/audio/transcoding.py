"""Converts encoded audio to another format, sample rate, number of channels or bit rate.

Unlike `decode`, these functions do not mix all channels to mono.
"""

from __future__ import annotations

from typing import NamedTuple

from voicegauge.model import FileContent
from voicegauge.speech.audio.encoding import encode_at_bitrate
from voicegauge.speech.audio.ffmpeg import decode_track
from voicegauge.speech.audio.limits import Samples, UndecodableAudioError


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

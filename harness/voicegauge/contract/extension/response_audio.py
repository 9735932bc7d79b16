"""Defines audio in responses: where it is, and what the provider's names of audio formats mean."""

from __future__ import annotations

from typing import Literal

from voicegauge.contract.extension.sources import PositiveInt
from voicegauge.formats import Location
from voicegauge.model import Record

AudioCodec = Literal[
    "wav",
    "mp3",
    "opus",
    "ogg",
    "flac",
    "aac",
    "m4a",
    "webm",
    "aiff",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_s24le",
    "pcm_f32le",
    "pcm_u8",
    "mulaw",
    "alaw",
]
"""Names of formats. `opus` and `ogg` (Vorbis) are in Ogg, `aac` is in ADTS. The last seven have no header."""
HEADERLESS_CODECS: frozenset[str] = frozenset(
    ("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw", "alaw")
)
"""Formats of raw samples: only the contract can state their sample rate."""


class AudioFormat(Record, frozen=True, kw_only=True):
    """The audio that one value of the format field selects."""

    codec: AudioCodec
    sample_rate_hz: PositiveInt | None = None
    """Sample rate in hertz; `None` if no document states it. Raw samples need it."""
    bitrate_kbps: PositiveInt | None = None
    """Bit rate of MP3; `None` if no document states it."""
    channels: PositiveInt = 1
    """Number of channels of raw samples."""


class ResponseAudio(Record, frozen=True, kw_only=True):
    """Audio in a response."""

    at: Location
    delivered: Literal["bytes", "url", "base64", "stream"]
    """How the audio is delivered. `stream` means in events, as the operation's `x-stream` describes."""
    media_type: Location | None = None
    """Location of the media type; `None` means that the Content-Type of bytes applies."""
    format: str | None = None
    """The format of the audio, if responses do not declare it: "wav", "pcm_s16le"."""
    sample_rate_hz: int | None = None
    """Sample rate in hertz. Needed only for raw samples, which have no header."""
    channels: int = 1
    """Number of channels. Used only for raw samples, which have no header."""
    download: str | None = None
    """Id of the operation that serves the URL of the audio; `None` if it is not documented."""

"""Defines audio in responses: where it is, and what the provider's names of audio formats mean."""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.contract.extension.sources import PositiveInt
from voicegauge.formats import EventLocation, Location
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
"""What a format means, in names that do not depend on the provider. `opus` and `ogg` (Vorbis) are in Ogg containers,
`aac` is in ADTS. The last seven are raw samples without a header."""
RAW_SAMPLE_CODECS: frozenset[str] = frozenset(
    ("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw", "alaw")
)
"""The codecs whose audio has no header, so that only the contract can state the sample rate."""


class AudioFormat(Record, frozen=True, kw_only=True):
    """The audio that one value of the format field selects."""

    codec: AudioCodec
    sample_rate_hz: PositiveInt | None = None
    """Sample rate in hertz; `None` if no document states it. Raw samples need it."""
    bitrate_kbps: PositiveInt | None = None
    """Bit rate of MP3; `None` if no document states it."""
    channels: PositiveInt = 1
    """Number of channels of raw samples."""

    def replace_sample_rate(self, value: object) -> AudioFormat:
        """Return the format with `value` as its sample rate in hertz; unchanged if `value` is not a number."""
        try:
            sample_rate_hz = int(float(value)) if isinstance(value, str | int | float) else 0
        except (ValueError, OverflowError):
            sample_rate_hz = 0
        return msgspec.structs.replace(self, sample_rate_hz=sample_rate_hz) if sample_rate_hz > 0 else self


class TimestampKind(Record, frozen=True, kw_only=True):
    """Whether timestamps are of characters or words, in which unit of time, and how they relate to the text."""

    text_unit: Literal["character", "word"] = msgspec.field(name="unit")
    """Whether each timestamp is of a character or of a word."""
    time_unit: Literal["s", "ms"] = "s"
    """Whether times are in seconds or in milliseconds."""
    spells_request_text: bool = msgspec.field(default=False, name="spells_text")
    """Whether the characters or words are those of the text in the request, and not of a normalized text."""
    ends_are_durations: bool = False
    """Whether the values at `ends` are durations of the characters or words, instead of the times at which they end."""


class SpeechTimestamps(TimestampKind, frozen=True, kw_only=True):
    """The times of characters or words in a response. Each location has a `*` for every item of a list."""

    texts_location: Location = msgspec.field(name="texts")
    """Location of the characters or words: "body#/alignment/characters/*" or "body#/words/*/text"."""
    starts_location: Location = msgspec.field(name="starts")
    """Location of the time at which each character or word starts, from the start of the audio."""
    ends_location: Location | None = msgspec.field(default=None, name="ends")
    """Location of the time at which each character or word ends; `None` if no document states it."""


class EventTimestamps(TimestampKind, frozen=True, kw_only=True):
    """The times of characters or words in the audio events of a stream. The lists of all events are joined."""

    texts_location: EventLocation = msgspec.field(name="texts")
    """Location of the characters or words: "data#/alignment/characters/*" or "data#/words/*/text"."""
    starts_location: EventLocation = msgspec.field(name="starts")
    """Location of the time at which each character or word starts, from the start of the stream."""
    ends_location: EventLocation | None = msgspec.field(default=None, name="ends")
    """Location of the time at which each character or word ends; `None` if no document states it."""


class ResponseAudio(Record, frozen=True, kw_only=True):
    """Audio in a response."""

    location: Location = msgspec.field(name="at")
    """Location of the audio in the response: the body, a base64 text in it, or a URL."""
    delivery_method: Literal["bytes", "url", "base64", "stream"] = msgspec.field(name="delivered")
    """How the audio is delivered. `stream` means in events, as the operation's `x-stream` describes."""
    media_type_location: Location | None = msgspec.field(default=None, name="media_type")
    """Location of the media type of the audio; `None` means that the Content-Type of the response with the audio bytes
    applies."""
    format: str | None = None
    """The format of the audio, if responses do not declare it: "wav", "pcm_s16le"."""
    sample_rate_hz: int | None = None
    """Sample rate in hertz. Needed only for raw samples, which have no header."""
    channels: int = 1
    """Number of channels. Used only for raw samples, which have no header."""
    timestamps: tuple[SpeechTimestamps, ...] = ()
    """When the characters or words are spoken. Those of a stream are described by `x-stream.audio.timestamps`."""
    download_operation_id: str | None = msgspec.field(default=None, name="download")
    """Id of the operation that serves the URL of the audio; `None` if it is not documented."""

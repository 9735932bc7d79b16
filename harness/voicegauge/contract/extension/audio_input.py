"""`x-transcription` and `x-conversion`: operations that are sent audio, and the targets that they serve."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from voicegauge.contract.extension.sources import SourceReference
from voicegauge.contract.extension.speech import FieldMapping, PriceSpec, ResponseAudio
from voicegauge.formats import Location, LocationValues
from voicegauge.model import Record

AudioInputField = Literal[
    "audio",
    "language",
    "timestamps",
    "diarize",
    "voice",
    "format",
    "sample_rate",
    "channels",
    "bitrate",
    "speed",
    "stems",
    "strength",
]
"""The neutral words of a request that carries audio. `language` is that of the speech, or the one to translate into."""
AudioFact = Literal[
    "transcript",
    "translation",
    "source_language",
    "target_language",
    "key",
    "scale",
    "bpm",
    "time_signature",
    "camelot",
    "compatible_keys",
]
"""What an answer may say of the audio beside the audio itself."""
ConversionPurpose = Literal["voice", "translate", "style", "enhance", "separate", "dereverb", "analyse", "convert"]
"""What a conversion does: another voice, another language, another delivery, less noise, its stems,
less echo, facts alone, another format."""


class AudioInputEmulation(Record, frozen=True, kw_only=True):
    """How the emulator plays a target. Numbers are made up: they say nothing of the provider."""

    base_ms: float = 250.0
    ms_per_audio_s: float = 40.0
    jitter: float = 0.15
    """Standard deviation of the logarithm of the time."""
    format: str | None = None
    """What audio is answered in where the request names no format; by default that of the upload."""


class AudioInputTargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode that an operation serves."""

    title: str
    constants: LocationValues = field(default_factory=LocationValues)
    """Constants to send: {"body#/model": whisper}."""
    voice: str | None = None
    """The default voice."""
    language: str | None = None
    """The default language."""
    languages: tuple[str, ...] = ()
    """Neutral codes of the speech it knows; empty where the document names none."""
    pricing: PriceSpec | None = None
    emulation: AudioInputEmulation = AudioInputEmulation()
    source: SourceReference | None = None


class TranscriptSegment(Record, frozen=True, kw_only=True):
    """The keys of one segment of a transcript; times in seconds."""

    start: str = "start"
    end: str = "end"
    text: str = "text"
    speaker: str | None = None
    words: str | None = None
    """A list of words with times of their own, where word timestamps were asked for."""


class TranscriptResponse(Record, frozen=True, kw_only=True):
    """Where a transcript stands in an answer."""

    text: Location
    language: Location | None = None
    audio_s: Location | None = None
    """The length of the audio, in seconds."""
    segments: Location | None = None
    segment: TranscriptSegment = TranscriptSegment()
    charged: Location | None = None
    """The place that says what was charged, in credits (or in dollars without credits)."""


class TranscriptionSpec(Record, frozen=True, kw_only=True):
    """`x-transcription` on an operation: it turns speech into text."""

    request: dict[AudioInputField, FieldMapping]
    response: TranscriptResponse
    targets: dict[str, AudioInputTargetSpec]


class StemList(Record, frozen=True, kw_only=True):
    """Where the parts of a mix stand in an answer."""

    at: Location
    """The place of their list."""
    name: str = "name"
    url: str = "url"
    download: str | None = None
    """The operation id that the URLs lead to, where the document describes it."""


class ConversionResponse(Record, frozen=True, kw_only=True):
    """What a conversion is answered with: audio, stems, facts, or several of them."""

    audio: ResponseAudio | None = None
    stems: StemList | None = None
    facts: dict[AudioFact, Location] = {}
    """Their places."""
    charged: Location | None = None
    """The place that says what was charged, in credits (or in dollars without credits)."""


class ConversionSpec(Record, frozen=True, kw_only=True):
    """`x-conversion` on an operation: it turns audio into other audio, or says something of it."""

    purpose: ConversionPurpose
    request: dict[AudioInputField, FieldMapping]
    response: ConversionResponse
    targets: dict[str, AudioInputTargetSpec]

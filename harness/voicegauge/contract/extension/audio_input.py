"""Defines `x-transcription` and `x-conversion`: operations that audio is sent to, and their targets."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.response_audio import ResponseAudio
from voicegauge.contract.extension.sources import SourceReference
from voicegauge.contract.extension.speech import FieldMapping
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
"""Provider-independent fields of a request with audio. `language` is that of the speech or of the translation."""
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
"""Properties of the uploaded audio that the response to a conversion may state, with or without converted audio."""
ConversionPurpose = Literal["voice", "translate", "style", "enhance", "separate", "dereverb", "analyse", "convert"]
"""What a conversion changes, in this order: the voice, the language, the speaking style, the noise, the mix (into
stems), the echo, nothing (the conversion only analyzes the audio), or the format."""


class AudioInputEmulation(Record, frozen=True, kw_only=True):
    """How the emulator simulates a target. The numbers are invented: they are not measurements of the provider."""

    base_response_ms: float = field(default=250.0, name="base_ms")
    response_ms_per_audio_s: float = field(default=40.0, name="ms_per_audio_s")
    """Response time in milliseconds per second of audio, in addition to the base response time."""
    jitter: float = 0.15
    """Standard deviation of the logarithm of the response time."""
    default_format: str | None = field(default=None, name="format")
    """Format of the audio in responses if the request names no format; by default the format of the upload."""


class AudioInputTargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode of an operation that audio is sent to."""

    title: str
    request_constants: LocationValues = field(default_factory=LocationValues, name="constants")
    """Values that every request contains, by location: {"body#/model": whisper}."""
    default_voice: str | None = field(default=None, name="voice")
    """The default voice."""
    default_language: str | None = field(default=None, name="language")
    """The default language."""
    supported_languages: tuple[str, ...] = field(default=(), name="languages")
    """BCP 47 codes of the supported languages; empty if no document lists them."""
    pricing: PriceSpec | None = None
    emulation: AudioInputEmulation = AudioInputEmulation()
    source: SourceReference | None = None


class TranscriptSegmentFields(Record, frozen=True, kw_only=True):
    """The names of the fields of a transcript segment; times are in seconds."""

    start_field: str = field(default="start", name="start")
    end_field: str = field(default="end", name="end")
    text_field: str = field(default="text", name="text")
    speaker_field: str | None = field(default=None, name="speaker")
    words_field: str | None = field(default=None, name="words")
    """Name of the field with the list of words and their times, which is present if word timestamps were requested."""


class TranscriptionResponse(Record, frozen=True, kw_only=True):
    """Locations of the transcript and of what else the response to a transcription states."""

    text_location: Location = field(name="text")
    language_location: Location | None = field(default=None, name="language")
    audio_duration_location: Location | None = field(default=None, name="audio_s")
    """Location of the duration of the audio, in seconds."""
    segments_location: Location | None = field(default=None, name="segments")
    segment_field_names: TranscriptSegmentFields = field(default=TranscriptSegmentFields(), name="segment")
    charge_location: Location | None = field(default=None, name="charged")
    """Location of the charge. The charge is in credits, or in dollars if the provider has no credits."""


class TranscriptionSpec(Record, frozen=True, kw_only=True):
    """`x-transcription` on an operation: speech to text."""

    request_fields: dict[AudioInputField, FieldMapping] = field(name="request")
    response: TranscriptionResponse
    targets: dict[str, AudioInputTargetSpec]


class StemList(Record, frozen=True, kw_only=True):
    """The stems of a mix in a response."""

    list_location: Location = field(name="at")
    """Location of the list of stems."""
    name_field: str = field(default="name", name="name")
    """Name of the field with the name of a stem."""
    url_field: str = field(default="url", name="url")
    """Name of the field with the URL of a stem."""
    download_operation_id: str | None = field(default=None, name="download")
    """Id of the operation that serves the URLs; `None` if it is not documented."""


class ConversionResponse(Record, frozen=True, kw_only=True):
    """The response of a conversion: audio, stems, facts, or several of these."""

    audio: ResponseAudio | None = None
    stems: StemList | None = None
    fact_locations: dict[AudioFact, Location] = field(default={}, name="facts")
    """Location of each stated property of the audio."""
    charge_location: Location | None = field(default=None, name="charged")
    """Location of the charge. The charge is in credits, or in dollars if the provider has no credits."""


class ConversionSpec(Record, frozen=True, kw_only=True):
    """`x-conversion` on an operation: converts or analyses audio."""

    purpose: ConversionPurpose
    request_fields: dict[AudioInputField, FieldMapping] = field(name="request")
    response: ConversionResponse
    targets: dict[str, AudioInputTargetSpec]

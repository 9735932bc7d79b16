"""`x-speech` and `x-pricing`: a speech synthesis operation, its targets and their prices."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from voicegauge.contract.extension.sources import NonNegative, Positive, SourceReference
from voicegauge.formats import Location, LocationValues
from voicegauge.model import Record

SpeechField = Literal[
    "text",
    "voice",
    "voice_description",
    "voice_sample_url",
    "voice_sample_upload",
    "language",
    "format",
    "speed",
    "seed",
]
"""Provider-independent fields of a speech request."""


class FieldMapping(Record, frozen=True, kw_only=True):
    """Where and how a field is sent to the provider. In a document, a bare string is short for `at`."""

    at: Location
    template: str = "{}"
    """`{}` is replaced by the value: "Speaker 0: {}"."""
    map: dict[str, str] = {}
    """From provider-independent values to those of the provider: {en: en-US}."""


class ResponseAudio(Record, frozen=True, kw_only=True):
    """Audio in a response."""

    at: Location
    delivered: Literal["bytes", "url", "base64", "stream"]
    """`stream`: in events, as `x-stream` of the operation describes."""
    media_type: Location | None = None
    """Location of the media type; for bytes it is the Content-Type."""
    format: str | None = None
    """The only format, if responses do not declare it: "wav", "pcm_s16le"."""
    sample_rate_hz: int | None = None
    """For raw PCM."""
    channels: int = 1
    """For raw PCM."""
    download: str | None = None
    """For a URL: id of the operation that serves it, if it is documented."""


class SpeechResponse(Record, frozen=True, kw_only=True):
    """The response to a speech request: a job or audio."""

    job: str | None = None
    """Id of the status operation."""
    audio: ResponseAudio | None = None
    charged: Location | None = None
    """Location of the charge, in credits, or in dollars if the provider has no credits."""
    balance: Location | None = None
    """Location of the remaining balance."""


class AudioPacing(Record, frozen=True, kw_only=True):
    """How the emulator streams audio."""

    chunk_s: Positive = 0.25
    """Seconds of audio per chunk."""
    speed: Positive = 4.0
    """Relative to real time: above 1 a player never stalls."""


class SpeechEmulation(Record, frozen=True, kw_only=True):
    """How the emulator simulates a target. The numbers are invented: they are not measurements of the provider."""

    voice: str | None = None
    """An espeak-ng variant, such as "klatt4" or "f3"; by default selected by the target's name."""
    words_per_minute: int = 165
    pitch: int = 50
    """0 to 99."""
    submit_ms: float = 30.0
    queue_ms: float = 200.0
    base_ms: float = 300.0
    ms_per_character: float = 4.0
    jitter: float = 0.15
    """Standard deviation of the logarithm of each duration."""
    sample_rate_hz: int = 24000
    format: str | None = None
    """Format of the audio if the request has none; by default a documented media type, else WAV."""
    leading_silence_s: float = 0.12
    """Seconds of silence before the speech."""
    id_format: str | None = None
    """Format of job ids; "{hexN}" is replaced by N random hexadecimal digits: "xtts-v2-api_019d{hex4}-{hex4}"."""
    constants: LocationValues = field(default_factory=LocationValues)
    """Values to write into responses to submits and polls, where the example has the location.

    "{hexN}" in a text is replaced by N hexadecimal digits, drawn once per job.
    """
    pacing: AudioPacing | None = None
    """Makes the emulator send audio bytes in chunks instead of at once. Event streams are always sent in chunks."""
    unspoken_patterns: tuple[str, ...] = ()
    """Regular expressions for parts of a text that are not spoken, such as "^[(][^)]*[)]" for a stage direction."""


class PriceSpec(Record, frozen=True, kw_only=True):
    """`x-pricing` on an operation, or `pricing` of a target."""

    per: Literal["request", "1k_characters", "1m_characters", "minute"]
    usd: NonNegative | None = None
    credits: NonNegative | None = None
    source: SourceReference | None = None
    alternatives: tuple[PriceSpec, ...] = ()
    """Prices that other documents state. If the price itself has no amount, the highest of them is reserved."""


class TargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode of a speech synthesis operation."""

    title: str
    model: str | None = None
    """Name of the model in responses, at `x-job.model`; `None` if no document states it."""
    constants: LocationValues = field(default_factory=LocationValues)
    """Constants of each request: {"body#/model": kokoro}."""
    voice: str | None = None
    """The default voice."""
    voices: dict[str, str] = {}
    """Default voices by language, where they differ from `voice`: {zh: "Bowen [ZH]"}."""
    voice_description: str | None = None
    voice_sample_url: str | None = None
    required_fields: tuple[SpeechField, ...] = ()
    """Fields that a request must have, such as voice_sample_upload for voice cloning."""
    language: str | None = None
    languages: tuple[str, ...] = ()
    """BCP 47 codes of the supported languages; empty if the document lists none."""
    format: str | None = None
    formats: tuple[str, ...] = ()
    recommended_max_characters: int | None = None
    """The recommended maximum text length, if a document recommends one without enforcing it."""
    media_type: str | None = None
    """Media type of requests, if the operation accepts several."""
    keyless: bool = False
    """Works without a key."""
    pricing: PriceSpec | None = None
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)
    source: SourceReference | None = None


class SpeechSpec(Record, frozen=True, kw_only=True):
    """`x-speech` on an operation: text to speech."""

    request: dict[SpeechField, FieldMapping]
    response: SpeechResponse
    targets: dict[str, TargetSpec]

"""`x-speech` and `x-pricing`: an operation that turns text into speech, the targets it serves, what they cost."""

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
"""The neutral words of a request for speech."""


class FieldMapping(Record, frozen=True, kw_only=True):
    """Where a neutral word goes. A bare string in the document is `at` alone."""

    at: Location
    template: str = "{}"
    """`{}` stands for the value: "Speaker 0: {}"."""
    map: dict[str, str] = {}
    """Neutral value to the provider's: {en: en-US}."""


class ResponseAudio(Record, frozen=True, kw_only=True):
    """Where audio is in an answer."""

    at: Location
    delivered: Literal["bytes", "url", "base64", "stream"]
    """`stream`: in the events that the operation's `x-stream` describes."""
    media_type: Location | None = None
    """The place that declares the media type; for bytes the Content-Type does."""
    format: str | None = None
    """What it always is, where nothing declares it: "wav", "pcm_s16le"."""
    sample_rate_hz: int | None = None
    """For raw PCM."""
    channels: int = 1
    """For raw PCM."""
    download: str | None = None
    """For a URL: the operation id that the URL leads to, where the document describes it."""


class SpeechResponse(Record, frozen=True, kw_only=True):
    """What a request for speech is answered with: a job or audio."""

    job: str | None = None
    """The operation id of the status operation."""
    audio: ResponseAudio | None = None
    charged: Location | None = None
    """The place that says what was charged, in credits (or in dollars without credits)."""
    balance: Location | None = None
    """The place that says what is left."""


class AudioPacing(Record, frozen=True, kw_only=True):
    """How the emulator sends audio piece by piece."""

    chunk_s: Positive = 0.25
    """Audio in a piece, in seconds."""
    speed: Positive = 4.0
    """Times real time: above 1 a player never waits."""


class SpeechEmulation(Record, frozen=True, kw_only=True):
    """How the emulator plays a target. Numbers are made up: they say nothing of the provider."""

    voice: str | None = None
    """An espeak-ng variant, such as "klatt4" or "f3"; chosen by the target's name if left out."""
    words_per_minute: int = 165
    pitch: int = 50
    """0 to 99."""
    submit_ms: float = 30.0
    queue_ms: float = 200.0
    base_ms: float = 300.0
    ms_per_character: float = 4.0
    jitter: float = 0.15
    """Standard deviation of the logarithm of each time."""
    sample_rate_hz: int = 24000
    format: str | None = None
    """What it answers with where the request names no format; by default a documented media type, else WAV."""
    leading_silence_s: float = 0.12
    """Silence before the speech."""
    id_format: str | None = None
    """Job ids: "{hexN}" stands for N hexadecimal digits, as in "xtts-v2-api_019d{hex4}-{hex4}"."""
    constants: LocationValues = field(default_factory=LocationValues)
    """Places of the submit's and the status answers with their value: written where the example has them.

    "{hexN}" in a text stands for N hexadecimal digits, drawn once a job.
    """
    pacing: AudioPacing | None = None
    """For audio as bytes: sent as it is made, not at once. A stream of events has one in any case."""
    unspoken_patterns: tuple[str, ...] = ()
    """Regular expressions of what a text may carry and no voice says, such as "^[(][^)]*[)]" for a cue."""


class PriceSpec(Record, frozen=True, kw_only=True):
    """`x-pricing` on an operation or a target."""

    per: Literal["request", "1k_characters", "1m_characters", "minute"]
    usd: NonNegative | None = None
    credits: NonNegative | None = None
    source: SourceReference | None = None
    alternatives: tuple[PriceSpec, ...] = ()
    """Disputed readings. The dearest one is reserved where the price itself names no amount."""


class TargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode that an operation serves."""

    title: str
    model: str | None = None
    """What answers call the model, at `x-job.model`; `None` where no document says."""
    constants: LocationValues = field(default_factory=LocationValues)
    """Constants to send: {"body#/model": kokoro}."""
    voice: str | None = None
    """The default voice."""
    voices: dict[str, str] = {}
    """The default voice of a language, where it is another one: {zh: "Bowen [ZH]"}."""
    voice_description: str | None = None
    voice_sample_url: str | None = None
    required_fields: tuple[SpeechField, ...] = ()
    """Words without which this target makes no sense, such as voice_sample_upload."""
    language: str | None = None
    languages: tuple[str, ...] = ()
    """Neutral codes it speaks; empty where the document names none."""
    format: str | None = None
    formats: tuple[str, ...] = ()
    recommended_max_characters: int | None = None
    """The longest text that is still advisable, where the document gives one that is no bound."""
    media_type: str | None = None
    """The request's media type, where the operation takes several."""
    keyless: bool = False
    """Answers without a key."""
    pricing: PriceSpec | None = None
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)
    source: SourceReference | None = None


class SpeechSpec(Record, frozen=True, kw_only=True):
    """`x-speech` on an operation: it turns text into speech."""

    request: dict[SpeechField, FieldMapping]
    response: SpeechResponse
    targets: dict[str, TargetSpec]

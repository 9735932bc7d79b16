"""Defines `x-speech`: a speech synthesis operation and its targets."""

from __future__ import annotations

import html
import re
from typing import Any, Literal

from msgspec import field

from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.response_audio import AudioFormat, ResponseAudio
from voicegauge.contract.extension.sources import PositiveFloat, SourceReference
from voicegauge.formats import Location, LocationValues, RequestLocation
from voicegauge.model import Record

SpeechField = Literal[
    "text",
    "voice",
    "voice_description",
    "voice_sample_url",
    "voice_sample_upload",
    "language",
    "format",
    "sample_rate",
    "speed",
    "seed",
]
"""Provider-independent fields of a speech request."""


_TAG_PATTERN = re.compile(r"<[^<>]*>")


class FieldMapping(Record, frozen=True, kw_only=True):
    """Where and how a field is sent to the provider. In a document, a bare string is short for `at`."""

    location: RequestLocation = field(name="at")
    text_template: str = field(default="{}", name="template")
    """The text to send, in which `{}` is replaced by the value: "Speaker 0: {}"."""
    provider_values: dict[str, Any] = field(default={}, name="map")
    """The provider's value for each provider-independent value, a text or an object: {en: en-US}. Other values are sent
    unchanged."""
    is_seed_reproducible: bool = field(default=False, name="reproducible")
    """For `seed`: whether a document promises the same audio for the same seed and text."""
    markup_language: Literal["ssml"] | None = field(default=None, name="markup")
    """For `text`: the markup language of the field. The characters that are markup in it are escaped."""

    def find_provider_independent_value(self, provider_value: Any) -> Any:
        """Return the provider-independent value for a provider's value; the value itself if `map` does not have it."""
        return next(
            (neutral for neutral, native in self.provider_values.items() if native == provider_value), provider_value
        )

    def fill_template(self, text: str) -> str:
        """Return the text as it is sent: escaped if the field has markup, and in the template."""
        return self.text_template.replace("{}", html.escape(text, quote=False) if self.markup_language else text)

    def remove_template(self, text: str) -> str:
        """Return the text of a request without its template and, if the field has markup, without its tags."""
        before, _, after = self.text_template.partition("{}")
        text = text.removeprefix(before).removesuffix(after) if after else text.removeprefix(before)
        return html.unescape(_TAG_PATTERN.sub("", text)) if self.markup_language else text


class WaitPreference(Record, frozen=True, kw_only=True):
    """How a request asks the service to respond only after the job has ended, instead of at once: `Prefer: wait`.

    The response to the submit then has the same body as a status response.
    """

    location: RequestLocation = field(name="at")
    """Location of the preference in the request: "header.Prefer"."""
    preference: str = field(default="wait", name="value")
    """The text of the preference. A request may add the maximum time in seconds: "wait=10"."""
    max_wait_s: PositiveFloat = field(default=60.0, name="max_s")
    """Time in seconds after which the service responds although the job has not ended."""
    source: SourceReference | None = None

    def read_max_wait_s(self, preference: object) -> float:
        """Return how long the response to a request may wait for the end of the job; 0 without such a preference."""
        text = preference if isinstance(preference, str) else ""
        found = re.fullmatch(rf"{re.escape(self.preference)}(?:=(\d+))?", text.strip())
        return 0.0 if found is None else min(float(found[1] or self.max_wait_s), self.max_wait_s)


class SpeechResponse(Record, frozen=True, kw_only=True):
    """The response to a speech request: a job or audio."""

    status_operation_id: str | None = field(default=None, name="job")
    """Id of the status operation; `None` if the response is audio."""
    wait_preference: WaitPreference | None = field(default=None, name="wait")
    """How a request can ask for a response after the end of its job; `None` if no document states it."""
    audio: ResponseAudio | None = None
    charge_location: Location | None = field(default=None, name="charged")
    """Location of the charge. The charge is in credits, or in dollars if the provider has no credits."""
    balance_location: Location | None = field(default=None, name="balance")
    """Location of the remaining balance."""


class AudioPacing(Record, frozen=True, kw_only=True):
    """How the emulator streams audio."""

    chunk_audio_s: PositiveFloat = field(default=0.25, name="chunk_s")
    """Duration of the audio in a chunk, in seconds."""
    speed_factor: PositiveFloat = field(default=4.0, name="speed")
    """Speed at which the audio is sent, relative to real time. Above 1, a player that plays while it receives never
    stalls."""


class SpeechEmulation(Record, frozen=True, kw_only=True):
    """How the emulator simulates a target. The numbers are invented: they are not measurements of the provider."""

    espeak_voice: str | None = field(default=None, name="voice")
    """An espeak-ng variant, such as "klatt4" or "f3"; by default selected by the target's name."""
    words_per_minute: int = 165
    """Speed of the espeak-ng voice."""
    espeak_pitch: int = field(default=50, name="pitch")
    """Pitch of the espeak-ng voice, from 0 to 99."""
    submit_response_ms: float = field(default=30.0, name="submit_ms")
    """Time in milliseconds until the response to a submit."""
    queue_ms: float = 200.0
    """Time in milliseconds that a job waits before it is processed."""
    base_processing_ms: float = field(default=300.0, name="base_ms")
    """Processing time in milliseconds, without the time per character."""
    processing_ms_per_character: float = field(default=4.0, name="ms_per_character")
    """Processing time in milliseconds for each character of the text, in addition to the base time."""
    jitter: float = 0.15
    """Standard deviation of the logarithm of each duration."""
    sample_rate_hz: int = 24000
    default_format: str | None = field(default=None, name="format")
    """Format of the audio if the request names no format; by default that of a documented media type, else WAV."""
    leading_silence_s: float = 0.12
    """Duration of the silence before the speech, in seconds."""
    job_id_format: str | None = None
    """Format of job ids; "{hexN}" is replaced by N random hexadecimal digits: "xtts-v2-api_019d{hex4}-{hex4}"."""
    response_constants: LocationValues = field(default_factory=LocationValues, name="constants")
    """Values to write into responses to submits and polls, if the documented example has the location.

    "{hexN}" in a text is replaced by N hexadecimal digits, drawn once per job.
    """
    pacing: AudioPacing | None = None
    """How the emulator sends audio bytes in chunks; `None` sends them at once. Event streams always have chunks."""
    unspoken_patterns: tuple[str, ...] = ()
    """Regular expressions for parts of a text that are not spoken, such as "^[(][^)]*[)]" for a stage direction."""


class TargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode of a speech synthesis operation."""

    title: str
    request_fields: dict[SpeechField, FieldMapping | None] = field(default={}, name="request")
    """Fields whose location differs from that in `x-speech.request`; null for a field that this target lacks."""
    response_model_name: str | None = field(default=None, name="model")
    """Name of the model that responses have at the location in `x-job.model`; `None` if no document states it."""
    request_constants: LocationValues = field(default_factory=LocationValues, name="constants")
    """Values that every request contains, by location: {"body#/model": kokoro}."""
    default_voice: str | None = field(default=None, name="voice")
    """The voice that is sent if a request names none."""
    default_voice_by_language: dict[str, str] = field(default={}, name="voices")
    """Default voices of the languages whose default differs from `voice`: {zh: "Bowen [ZH]"}."""
    default_voice_description: str | None = field(default=None, name="voice_description")
    """Words for the desired voice or way of speaking, which are sent in the field `voice_description` if a request has
    none of its own. They do not describe `default_voice`."""
    default_voice_sample_url: str | None = field(default=None, name="voice_sample_url")
    """URL of the reference audio that is sent for voice cloning if a request has no voice sample of its own."""
    required_fields: tuple[SpeechField, ...] = ()
    """Fields that a request must have, such as voice_sample_upload for voice cloning."""
    default_language: str | None = field(default=None, name="language")
    """The language that is sent if a request names none."""
    supported_languages: tuple[str, ...] = field(default=(), name="languages")
    """BCP 47 codes of the supported languages; empty if no document lists them."""
    default_format: str | None = field(default=None, name="format")
    """The format that is sent if a request names none."""
    supported_formats: tuple[str, ...] = field(default=(), name="formats")
    """The provider's names of the formats that the target supports."""
    recommended_max_characters: int | None = None
    """The recommended maximum text length, if a document recommends one without enforcing it."""
    response_audio: ResponseAudio | None = field(default=None, name="audio")
    """How responses to the target carry audio, if its `constants` select another kind of response than
    `x-speech.response.audio`: a stream of events with {"body#/stream_format": sse}."""
    request_media_type: str | None = field(default=None, name="media_type")
    """Media type of requests, if the operation accepts several."""
    works_without_key: bool = field(default=False, name="keyless")
    """Whether the target works without a key."""
    pricing: PriceSpec | None = None
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)
    source: SourceReference | None = None


class SpeechSpec(Record, frozen=True, kw_only=True):
    """`x-speech` on an operation: text to speech."""

    request_fields: dict[SpeechField, FieldMapping] = field(name="request")
    response: SpeechResponse
    formats: dict[str, AudioFormat] = {}
    """What the values of the format field mean: {pcm_16000: {codec: pcm_s16le, sample_rate_hz: 16000}}. If requests
    send an object for a format, the key of the format here is the name that the field's `map` gives to that object."""
    targets: dict[str, TargetSpec]

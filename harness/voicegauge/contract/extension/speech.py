"""Grammar of speech: what a target speaks, transcribes and converts, in which formats, and where responses have it."""

from __future__ import annotations

import html
import re
from typing import Any, Literal

import msgspec
from msgspec import field

from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import PositiveFloat, PositiveInt, SourceReference
from voicegauge.formats.bodies import SubtitleFormat
from voicegauge.formats.locations import EventLocation, Location, LocationValues, RequestLocation
from voicegauge.model.base import Record

# Defines audio in responses: where it is, and what the provider's names of audio formats mean.


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
    codec_by_container: dict[str, AudioCodec] = {}
    """What the format means with each value of the request field `container`: {wav: wav, none: pcm_s16le}."""

    def replace_requested_properties(self, *, container: object, sample_rate: object, bit_rate: object) -> AudioFormat:
        """Return the format with what other fields of a request ask for.

        Args:
            container: the value of the field `container`; one that `codec_by_container` lacks changes nothing.
            sample_rate: the sample rate in hertz; anything but a positive number changes nothing.
            bit_rate: the bit rate of MP3 in bits per second; anything but a positive number changes nothing.
        """
        codec = self.codec_by_container.get(container, self.codec) if isinstance(container, str) else self.codec
        sample_rate_hz = _read_positive_integer(sample_rate) or self.sample_rate_hz
        bits_per_s = _read_positive_integer(bit_rate) if codec == "mp3" else None
        bitrate_kbps = (bits_per_s // 1000 if bits_per_s else None) or self.bitrate_kbps
        if (codec, sample_rate_hz, bitrate_kbps) == (self.codec, self.sample_rate_hz, self.bitrate_kbps):
            return self
        return msgspec.structs.replace(self, codec=codec, sample_rate_hz=sample_rate_hz, bitrate_kbps=bitrate_kbps)


def _read_positive_integer(value: object) -> int | None:
    """Return a number, or the number in a text, as an integer; `None` for any other value."""
    try:
        number = int(float(value)) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return None
    return number if number > 0 else None


class TimestampKind(Record, frozen=True, kw_only=True):
    """Whether timestamps are of characters or words, in which unit of time, and how they relate to the text."""

    text_unit: Literal["character", "word"]
    """Whether each timestamp is of a character or of a word."""
    time_unit: Literal["s", "ms"] = "s"
    """Whether times are in seconds or in milliseconds."""
    spells_request_text: bool = False
    """Whether the characters or words are those of the text in the request, and not of a normalized text."""
    ends_are_durations: bool = False
    """Whether the values at `ends_location` are durations of the characters or words, instead of the times at which
    they end."""


class SpeechTimestamps(TimestampKind, frozen=True, kw_only=True):
    """The times of characters or words in a response. Each location has a `*` for every item of a list."""

    texts_location: Location
    """Location of the characters or words: "body#/alignment/characters/*" or "body#/words/*/text"."""
    starts_location: Location
    """Location of the time at which each character or word starts, from the start of the audio."""
    ends_location: Location | None = None
    """Location of the time at which each character or word ends; `None` if no document states it."""


class EventTimestamps(TimestampKind, frozen=True, kw_only=True):
    """The times of characters or words in the audio events of a stream. The lists of all events are joined."""

    texts_location: EventLocation
    """Location of the characters or words: "data#/alignment/characters/*" or "data#/words/*/text"."""
    starts_location: EventLocation
    """Location of the time at which each character or word starts, from the start of the stream."""
    ends_location: EventLocation | None = None
    """Location of the time at which each character or word ends; `None` if no document states it."""


class ResponseAudio(Record, frozen=True, kw_only=True):
    """Where a response has audio, how it is delivered, and in which format."""

    location: Location
    """Location of the audio in the response: the body, a base64 text in it, or a URL."""
    delivery_method: Literal["bytes", "url", "base64", "stream"]
    """How the audio is delivered. `stream` means in events, as the operation's `x-stream` describes."""
    media_type_location: Location | None = None
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
    download_operation_id: str | None = None
    """Id of the operation that serves the URL of the audio; `None` if it is not documented."""


# Defines `x-speech`: a speech synthesis operation and its targets.


SpeechField = Literal[
    "text",
    "voice",
    "voice_description",
    "voice_sample_url",
    "voice_sample_upload",
    "language",
    "format",
    "container",
    "sample_rate",
    "bit_rate",
    "speed",
    "seed",
]
"""Provider-independent fields of a speech request. `container` selects among the containers of a format, `sample_rate`
is in hertz, and `bit_rate` is in bits per second."""


_MARKUP_TAG_PATTERN = re.compile(r"<[^<>]*>")
"""Matches a tag of SSML, which is not spoken."""


class FieldMapping(Record, frozen=True, kw_only=True):
    """Where and how a field is sent to the provider. In a document, a bare string is short for `{location: ...}`."""

    location: RequestLocation
    """Location of the field in a request."""
    text_template: str = "{}"
    """The text to send, in which `{}` is replaced by the value: "Speaker 0: {}"."""
    provider_values: dict[str, Any] = {}
    """The provider's value for each provider-independent value, a text or an object: {en: en-US}. Other values are sent
    unchanged."""
    is_seed_reproducible: bool = False
    """For `seed`: whether a document promises the same audio for the same seed and text."""
    markup_language: Literal["ssml"] | None = None
    """For `text`: the markup language of the field. The characters that are markup in it are escaped."""

    def find_provider_independent_value(self, provider_value: Any) -> Any:
        """Return the provider-independent value for a provider's value; the value itself if none is documented."""
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
        return html.unescape(_MARKUP_TAG_PATTERN.sub("", text)) if self.markup_language else text


class WaitPreference(Record, frozen=True, kw_only=True):
    """How a request asks the service to respond only after the job has ended, instead of at once: `Prefer: wait`.

    The response to the submit then has the same body as a status response.
    """

    location: RequestLocation
    """Location of the preference in the request: "header.Prefer"."""
    preference: str = "wait"
    """The text of the preference. A request may add the maximum time in seconds: "wait=10"."""
    max_wait_s: PositiveFloat = 60.0
    """Time in seconds after which the service responds although the job has not ended."""
    source: SourceReference | None = None

    def read_max_wait_s(self, preference: object) -> float:
        """Return how long the response to a request may wait for the end of the job; 0 without such a preference."""
        text = preference if isinstance(preference, str) else ""
        found = re.fullmatch(rf"{re.escape(self.preference)}(?:=(\d+))?", text.strip())
        return 0.0 if found is None else min(float(found[1] or self.max_wait_s), self.max_wait_s)


class SpeechResponse(Record, frozen=True, kw_only=True):
    """The response to a speech request: a job or audio."""

    status_operation_id: str | None = None
    """Id of the status operation; `None` if the response is audio."""
    wait_preference: WaitPreference | None = None
    """How a request can ask for a response after the end of its job; `None` if no document states it."""
    audio: ResponseAudio | None = None
    charge_location: Location | None = None
    """Location of the charge. The charge is in credits, or in dollars if the provider has no credits."""
    balance_location: Location | None = None
    """Location of the remaining balance."""


class AudioPacing(Record, frozen=True, kw_only=True):
    """How the emulator streams audio."""

    chunk_audio_s: PositiveFloat = 0.25
    """Duration of the audio in a chunk, in seconds."""
    speed_factor: PositiveFloat = 4.0
    """Speed at which the audio is sent, relative to real time. Above 1, a player that plays while it receives never
    stalls."""


class SpeechEmulation(Record, frozen=True, kw_only=True):
    """How the emulator simulates a target. The numbers are invented: they are not measurements of the provider."""

    espeak_voice: str | None = None
    """An espeak-ng variant, such as "klatt4" or "f3"; by default one that all targets share."""
    words_per_minute: int = 165
    """Speed of the espeak-ng voice."""
    espeak_pitch: int = 50
    """Pitch of the espeak-ng voice, from 0 to 99."""
    submit_response_ms: float = 30.0
    """Time in milliseconds until the response to a submit."""
    queue_ms: float = 200.0
    """Time in milliseconds that a job waits before it is processed."""
    base_processing_ms: float = 300.0
    """Processing time in milliseconds, without the time per character."""
    processing_ms_per_character: float = 4.0
    """Processing time in milliseconds for each character of the text, in addition to the base time."""
    log_duration_deviation: float = 0.15
    """Standard deviation of the logarithm of each duration; 0 makes all durations equal."""
    sample_rate_hz: int = 24000
    default_format: str | None = None
    """Format of the audio if the request names no format; by default that of a documented media type, else WAV."""
    leading_silence_s: float = 0.12
    """Duration of the silence before the speech, in seconds."""
    job_id_format: str | None = None
    """Format of job ids; "{hexN}" is replaced by N random hexadecimal digits: "xtts-v2-api_019d{hex4}-{hex4}".

    By default, ids are UUIDs, or fit the schema of the status operation's parameter if UUIDs do not fit it.
    """
    response_constants: LocationValues = field(default_factory=LocationValues)
    """Values to write into responses to submits and polls, if the documented example has the location.

    "{hexN}" in a text is replaced by N hexadecimal digits, drawn once per job.
    """
    pacing: AudioPacing | None = None
    """How the emulator sends audio bytes in chunks; `None` sends them at once. Event streams always have chunks."""
    unspoken_patterns: tuple[str, ...] = ()
    """Regular expressions for parts of a text that are not spoken, such as "^[(][^)]*[)]" for a stage direction."""


class BaseTargetSpec(Record, frozen=True, kw_only=True):
    """One model or mode of an operation."""

    title: str
    """Name of the target for readers: "XTTS v2"."""
    request_constants: LocationValues = field(default_factory=LocationValues)
    """Values that every request contains, by location: {"body#/model": kokoro}."""
    request_patterns: LocationValues = field(default_factory=LocationValues)
    """Regular expressions for other values at locations of `request_constants`: {"body#/model": "kokoro-.*"}. A request
    with a value that an expression matches as a whole addresses this target too, with a model that no document names.
    No price is known for it."""
    default_voice: str | None = None
    """The voice that is sent if a request names none."""
    default_language: str | None = None
    """The language that is sent if a request names none."""
    supported_languages: tuple[str, ...] = ()
    """BCP 47 codes of the supported languages; empty if no document lists them."""
    pricing: PriceSpec | None = None
    source: SourceReference | None = None

    def allows_value(self, location: Location, value: object) -> bool:
        """Whether a request to the target may have `value` at a location of `request_constants`."""
        if value == self.request_constants[location]:
            return True
        pattern = self.request_patterns.get(location)
        return pattern is not None and isinstance(value, str) and re.fullmatch(pattern, value) is not None


class TargetSpec(BaseTargetSpec, frozen=True, kw_only=True):
    """One model or mode of a speech synthesis operation."""

    request_fields: dict[SpeechField, FieldMapping | None] = {}
    """Fields whose location differs from that in `x-speech.request_fields`; null for a field that this target lacks."""
    response_model_name: str | None = None
    """Name of the model that responses have at `x-job.model_name_location`; `None` if no document states it."""
    default_voice_by_language: dict[str, str] = {}
    """Default voices of the languages whose default differs from `default_voice`: {zh: "Bowen [ZH]"}."""
    default_voice_description: str | None = None
    """Words for the desired voice or way of speaking, which are sent in the field `voice_description` if a request has
    none of its own. They do not describe `default_voice`."""
    default_voice_sample_url: str | None = None
    """URL of the reference audio that is sent for voice cloning if a request has no voice sample of its own."""
    required_fields: tuple[SpeechField, ...] = ()
    """Fields that a request must have, such as voice_sample_upload for voice cloning."""
    default_format: str | None = None
    """The format that is sent if a request names none."""
    supported_formats: tuple[str, ...] = ()
    """The provider's names of the formats that the target supports."""
    recommended_max_characters: int | None = None
    """The recommended maximum text length, if a document recommends one without enforcing it."""
    response_audio: ResponseAudio | None = None
    """How responses to the target carry audio, if its `request_constants` select another kind of response
    than `x-speech.response.audio`: a stream of events with {"body#/stream_format": sse}."""
    request_media_type: str | None = None
    """Media type of requests, if the operation accepts several."""
    works_without_key: bool = False
    """Whether the target works without a key."""
    emulation: SpeechEmulation = field(default_factory=SpeechEmulation)


class SpeechSpec(Record, frozen=True, kw_only=True):
    """`x-speech` on an operation: text to speech."""

    request_fields: dict[SpeechField, FieldMapping]
    response: SpeechResponse
    formats: dict[str, AudioFormat] = {}
    """What the values of the format field mean: {pcm_16000: {codec: pcm_s16le, sample_rate_hz: 16000}}. If requests
    send an object for a format, the key of the format here is the name that `provider_values` of the field give to that
    object."""
    targets: dict[str, TargetSpec]


AudioInputField = Literal[
    "audio",
    "language",
    "timestamps",
    "diarize",
    "voice",
    "format",
    "container",
    "sample_rate",
    "channels",
    "bitrate",
    "bit_rate",
    "speed",
    "stems",
    "strength",
]
"""Provider-independent fields of a request with audio. `language` is that of the speech or of the translation.
`bitrate` is in kilobits per second, `bit_rate` in bits per second."""
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

    base_response_ms: float = 250.0
    """Response time in milliseconds, without the time per second of audio."""
    response_ms_per_audio_s: float = 40.0
    """Response time in milliseconds per second of audio, in addition to the base response time."""
    log_duration_deviation: float = 0.15
    """Standard deviation of the logarithm of the response time; 0 makes all response times equal."""
    default_format: str | None = None
    """Format of the audio in responses if the request names no format; by default the format of the upload."""


class TranscriptSegmentFields(Record, frozen=True, kw_only=True):
    """The names of the fields of a transcript segment; times are in seconds."""

    start_field: str = "start"
    end_field: str = "end"
    text_field: str = "text"
    text_unit: Literal["phrase", "word"] = "phrase"
    """Whether each segment is a phrase or a single word."""
    speaker_field: str | None = None
    """Name of the field with the speaker; `None` if segments have no speakers."""
    words_field: str | None = None
    """Name of the field with the list of words and their times, which is present if word timestamps were requested."""


class TranscriptionResponse(Record, frozen=True, kw_only=True):
    """Locations of the transcript and of what else the response to a transcription states."""

    text_location: Location
    """Location of the transcript: "body#/text", or "body" for a response that is a text. `/*` in it stands for every
    item of a list, whose texts are joined: "body#/results/*/alternatives/0/transcript"."""
    subtitle_format: SubtitleFormat | None = None
    """The subtitle format of the transcript; `None` if it is not subtitles."""
    media_type: str | None = None
    """Media type of a response that is a text; `None` if the document has only one."""
    language_location: Location | None = None
    """Location of the recognized language; `None` if the response has none."""
    audio_duration_location: Location | None = None
    """Location of the duration of the audio, in seconds."""
    segments_location: Location | None = None
    """Location of the list of segments; `None` if the response has none."""
    segment_field_names: TranscriptSegmentFields = TranscriptSegmentFields()
    charge_location: Location | None = None
    """Location of the charge. The charge is in credits, or in dollars if the provider has no credits."""


class AudioInputTargetSpec(BaseTargetSpec, frozen=True, kw_only=True):
    """One model or mode of an operation that audio is sent to."""

    response: TranscriptionResponse | None = None
    """Where responses of a transcription to this target have the transcript, if its `request_constants` select another
    kind of response than `x-transcription.response`: subtitles with {"body#/response_format": srt}."""
    emulation: AudioInputEmulation = AudioInputEmulation()


class TranscriptionSpec(Record, frozen=True, kw_only=True):
    """`x-transcription` on an operation: speech to text."""

    request_fields: dict[AudioInputField, FieldMapping]
    response: TranscriptionResponse
    targets: dict[str, AudioInputTargetSpec]


class StemList(Record, frozen=True, kw_only=True):
    """The stems of a mix in a response."""

    list_location: Location
    """Location of the list of stems."""
    name_field: str = "name"
    """Name of the field with the name of a stem."""
    url_field: str = "url"
    """Name of the field with the URL of a stem."""
    download_operation_id: str | None = None
    """Id of the operation that serves the URLs; `None` if it is not documented."""


class ConversionResponse(Record, frozen=True, kw_only=True):
    """The response of a conversion: audio, stems, facts, or several of these."""

    audio: ResponseAudio | None = None
    stems: StemList | None = None
    fact_locations: dict[AudioFact, Location] = {}
    """Location of each stated property of the audio."""
    charge_location: Location | None = None
    """Location of the charge. The charge is in credits, or in dollars if the provider has no credits."""


class ConversionSpec(Record, frozen=True, kw_only=True):
    """`x-conversion` on an operation: converts or analyses audio."""

    purpose: ConversionPurpose
    request_fields: dict[AudioInputField, FieldMapping]
    response: ConversionResponse
    formats: dict[str, AudioFormat] = {}
    """What each value of the field `format` means, like `x-speech.formats`. The rate of raw samples may be in the
    request alone, in the field `sample_rate`."""
    targets: dict[str, AudioInputTargetSpec]

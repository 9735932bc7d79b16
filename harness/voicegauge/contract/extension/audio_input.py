"""Defines `x-transcription` and `x-conversion`: operations that take audio."""

from __future__ import annotations

from typing import Literal

from voicegauge.contract.extension.speech import AudioFormat, BaseTargetSpec, FieldMapping, ResponseAudio
from voicegauge.formats.locations import Location
from voicegauge.formats.subtitles import SubtitleFormat
from voicegauge.model.base import Record

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
    words_field: str | None = None
    """Name of the field with the list of words and their times, which is present if word timestamps were requested."""


class TranscriptionResponse(Record, frozen=True, kw_only=True):
    """Locations of the transcript and of what else the response to a transcription states."""

    text_location: Location
    """Location of the transcript: "body#/text", or "body" for a response that is a text. `/*` in it stands for every
    item of a list, whose texts are joined: "body#/results/*/alternatives/0/transcript"."""
    subtitle_format: SubtitleFormat | None = None
    """Format of a transcript that is subtitles."""
    media_type: str | None = None
    """Media type of a response that is a text; `None` if the document has only one."""
    language_location: Location | None = None
    audio_duration_location: Location | None = None
    """Location of the duration of the audio, in seconds."""
    segments_location: Location | None = None
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

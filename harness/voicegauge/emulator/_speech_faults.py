"""Faults of speech: parameters that are ignored, delivered audio, and the times of its words."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.speech import EventTimestamps, SpeechField, SpeechTimestamps
from voicegauge.emulator._output import (
    EmulatedResponse,
    Fault,
    FaultCondition,
    SpeechFieldChanger,
    add_faults,
    declare_fault,
)
from voicegauge.emulator._provider_state import BoundedDict
from voicegauge.emulator._request import ParsedRequest, find_default_value, find_documented_maximum, has_default_value
from voicegauge.emulator._speech_synthesis import SpeechTiming, SynthesisRequest
from voicegauge.formats.locations import MISSING, write_value_at_pointer

# Faults that ignore or misread parameters of a request.


_MAX_CHARACTERS_OF_CUT_TEXT = 60
"""Maximum number of characters that are spoken of a text. A usual text of a check has fewer characters, but more than
half as many."""


_HIGHEST_EFFECTIVE_SPEED = 2.0
"""Speed factor above which a faster request is spoken no faster."""


def create_field_ignorer(ignored_field_name: SpeechField) -> SpeechFieldChanger:
    """Return a function that makes the emulator ignore a field: it replaces the value by the documented default."""

    def replace_ignored_field_by_default(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
        mapping = target.speech.request_fields.get(field)
        return (
            find_default_value(request, mapping.location)
            if field == ignored_field_name and mapping is not None
            else value
        )

    return replace_ignored_field_by_default


def _allows_high_speeds(target: Target) -> bool:
    mapping = target.speech.request_fields.get("speed")
    maximum = find_documented_maximum(target.operation, mapping.location) if mapping is not None else None
    return maximum is not None and maximum >= 1.5 * _HIGHEST_EFFECTIVE_SPEED


def _documents_default_format(target: Target) -> bool:
    mapping = target.speech.request_fields.get("format")
    return mapping is not None and has_default_value(target.operation, mapping.location)


def create_field_condition(field: SpeechField) -> FaultCondition[Target]:
    """Return the condition that requests to a target can have `field`."""
    return FaultCondition(f"requests can have a {field}", lambda target: field in target.speech.request_fields)


def create_format_condition(codec: str) -> FaultCondition[Target]:
    """Return the condition that a target documents several formats, one of them with this codec."""

    def offers_codec(target: Target) -> bool:
        known = target.speech.formats
        codecs = {known[name].codec if name in known else name for name in target.target_spec.supported_formats}
        return (
            "format" in target.speech.request_fields
            and len(target.target_spec.supported_formats) > 1
            and codec in codecs
        )

    return FaultCondition(f"several formats can be chosen, one of them {codec}", offers_codec)


_SynthesisChanger = Callable[[SynthesisRequest], SynthesisRequest]
"""Function that returns the synthesis to perform instead of a given one."""


def create_field_replacer(**changes: Any) -> _SynthesisChanger:
    """Return a function that replaces the fields of a synthesis which `changes` names."""
    return lambda synthesis: msgspec.structs.replace(synthesis, **changes)


def create_text_changer(change: Callable[[str], str]) -> _SynthesisChanger:
    """Return a function that lets `change(text)` be spoken instead of a text."""
    return lambda synthesis: msgspec.structs.replace(synthesis, text=change(synthesis.text))


def restrict_to_format(format_prefix: str, change: _SynthesisChanger) -> _SynthesisChanger:
    """Return a function that applies `change` if the name of the audio format begins with `format_prefix`."""
    return lambda synthesis: change(synthesis) if synthesis.audio_format.startswith(format_prefix) else synthesis


def _repeat_text(text: str) -> str:
    return f"{text} {text}"


MAX_VARIED_SYNTHESES = 1_000
"""Largest number of different syntheses of which it is remembered whether the next one is faster."""


def create_speed_variation() -> _SynthesisChanger:
    """Return a function that makes every second equal synthesis a little faster, as a model without a seed may do."""
    # Of each text on its own: which of several requests in flight comes first is not always the same.
    is_next_faster = BoundedDict[SynthesisRequest, bool](MAX_VARIED_SYNTHESES)

    def vary_speed(synthesis: SynthesisRequest) -> SynthesisRequest:
        is_faster = is_next_faster.get(synthesis, False)
        is_next_faster[synthesis] = not is_faster
        faster = round(synthesis.words_per_minute * 1.08)
        return msgspec.structs.replace(synthesis, words_per_minute=faster) if is_faster else synthesis

    return vary_speed


@declare_fault(
    "change_speech_field",
    "speed-limited",
    "Speeds above 2 are accepted, and have the effect of 2.",
    FaultCondition("requests to a target may ask for a speed that is clearly above 2", _allows_high_speeds),
)
def limit_speed(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
    """Return the value of a speech field unchanged, but a speed of at most `_HIGHEST_EFFECTIVE_SPEED`."""
    del request, target
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(value, _HIGHEST_EFFECTIVE_SPEED) if field == "speed" and is_number else value


@declare_fault(
    "change_speech_field",
    "default-format-changed",
    "A request without a format gets another one than the documented default.",
    FaultCondition("a target documents the format of requests that name none", _documents_default_format),
)
def change_default_format(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
    """Return another format than the documented default if the request names none, else `value`."""
    mapping = target.speech.request_fields.get(field)
    if field != "format" or mapping is None or request.read_value(mapping.location) not in (MISSING, None):
        return value
    documented_format = (
        target.find_audio_format(mapping.provider_values.get(value, value)) if isinstance(value, str) else None
    )
    codec = documented_format.codec if documented_format is not None else value
    return "wav" if codec != "wav" else "mp3"


add_faults(
    Fault(
        id="speed-ignored",
        description="The speed parameter has no effect.",
        change_speech_field=create_field_ignorer("speed"),
        applies_to=create_field_condition("speed"),
    ),
    Fault(
        id="voice-ignored",
        description="Every voice sounds like the default one.",
        change_speech_field=create_field_ignorer("voice"),
        applies_to=create_field_condition("voice"),
    ),
    Fault(
        id="language-ignored",
        description="The language parameter has no effect.",
        change_speech_field=create_field_ignorer("language"),
        applies_to=FaultCondition(
            "a target documents several languages to choose from",
            lambda target: (
                "language" in target.speech.request_fields and len(target.target_spec.supported_languages) > 1
            ),
        ),
    ),
    Fault(
        id="seed-ignored",
        description="The seed parameter has no effect.",
        change_speech_field=create_field_ignorer("seed"),
        applies_to=create_field_condition("seed"),
    ),
    Fault(
        id="seed-not-kept",
        description="The same seed gives other audio the next time.",
        change_synthesis=create_speed_variation(),
        applies_to=FaultCondition(
            "the provider's documentation promises the same audio for the same seed",
            lambda target: (
                (mapping := target.speech.request_fields.get("seed")) is not None and mapping.is_seed_reproducible
            ),
        ),
    ),
    Fault(
        id="format-changes-words",
        description="Other words of about the same duration are spoken in FLAC.",
        change_synthesis=restrict_to_format("flac", create_text_changer(lambda text: " ".join(reversed(text.split())))),
        applies_to=create_format_condition("flac"),
    ),
    Fault(
        id="format-changes-text",
        description="The text is spoken twice in FLAC.",
        change_synthesis=restrict_to_format("flac", create_text_changer(_repeat_text)),
        applies_to=create_format_condition("flac"),
    ),
    Fault(
        id="long-text-cut",
        description="Only the beginning of a long text is spoken.",
        change_synthesis=create_text_changer(lambda text: text[:_MAX_CHARACTERS_OF_CUT_TEXT]),
    ),
    Fault(
        id="markup-spoken",
        description="The tags in a text with markup are spoken.",
        skipped_check="markup",
        applies_to=FaultCondition(
            "the text in requests to a target has markup",
            lambda target: target.speech.request_fields["text"].markup_language is not None,
        ),
    ),
    Fault(
        id="audio-swapped",
        description="Requests with the same voice at the same moment write one file, and all get what is written last.",
        skipped_check="file-names",
        applies_to=FaultCondition("responses carry the audio", lambda target: target.response.audio is not None),
    ),
    Fault(
        id="accepts-invalid",
        description="Requests that violate the documented schema are accepted.",
        skipped_check="request",
    ),
    Fault(
        id="ignores-filters",
        description="Lists are returned unfiltered.",
        skipped_check="filters",
        applies_to=FaultCondition(
            "an operation has an optional query parameter",
            lambda target: any(
                parameter.message_part == "query" and not parameter.is_required
                for operation in target.contract.operations.values()
                for parameter in operation.parameters
            ),
        ),
    ),
    Fault(
        id="accepts-too-many",
        description="Requests with more list items than documented are accepted.",
        skipped_check="items",
    ),
    Fault(
        id="response-kind-ignored",
        description="A request field that selects a stream of events or audio alone has no effect.",
        skipped_check="response-kind",
        # The target's constants (fixed values in requests) then select this way of carrying audio.
        applies_to=FaultCondition(
            "the contract states, for this target alone, how responses carry audio",
            lambda target: target.target_spec.response_audio is not None,
        ),
    ),
)


# Implements the faults of audio: silence, wrong format or rate, wrong text and truncation.


_HTML_ERROR_PAGE = (
    b"<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
)
"""The body that replaces audio."""
_SHARE_OF_AUDIO_BYTES_KEPT = 0.4
"""Share of the bytes of an audio file that truncation leaves; too small to be explained by a fast speaking rate."""
_MIN_WORDS_OF_LONG_TEXT = 8
"""Minimum number of words of a text of which only the first is spoken. A shorter text is repeated instead, since its
first word might take nearly as long."""
_TEXT_REPETITION_COUNT = 8
"""How often a short text, or a sentence that replaces a text of any length, is repeated."""


_LONG_SILENCE_DURATION_S = 5.0
"""Duration of the silence before the speech, in seconds."""
_DROPOUT_DURATION_S = 0.1
"""Duration of the zeros that replace speech, in seconds."""
_SHARE_OF_SPEECH_KEPT = 0.67
"""Share of the speech that is left when its end is cut off."""
_REPLACING_WORD = "elephants"
"""Word that is spoken in place of the longest word of a text."""
_CLIPPING_GAIN = 12.0
"""Factor by which speech is amplified so that it is clipped."""
_ESPEAK_VARIANT_OF_NO_TARGET = "Annie"
"""Variant of espeak-ng with a high voice, unlike any that the emulator has otherwise."""
_USUAL_SAMPLE_RATE_HZ = 22_050
"""Sample rate of many voices, in which raw samples are sent whatever rate is documented."""
_OTHER_SENTENCE = "The weather will stay mild until the end of the week, with a little rain in the north."
"""Sentence that is spoken whatever the text is."""


speak_other_sentence = create_text_changer(lambda text: (_OTHER_SENTENCE * _TEXT_REPETITION_COUNT)[: len(text)])
"""Function that lets another sentence of about the same length be spoken."""


def _change_text_length(text: str) -> str:
    """Return only the first word of a long text, and a short text several times."""
    words = text.split()
    return words[0] if len(words) >= _MIN_WORDS_OF_LONG_TEXT else " ".join([text] * _TEXT_REPETITION_COUNT)


def is_body_audio(response: EmulatedResponse) -> bool:
    """Whether the body of `response` is the bytes of audio itself, neither JSON with audio nor empty."""
    return response.kind in ("audio", "speech", "result") and isinstance(response.body, bytes) and bool(response.body)


def change_audio_bytes(response: EmulatedResponse, change_bytes: Callable[[bytes], bytes]) -> None:
    """Replace the audio of a response by what `change_bytes` returns for it.

    The audio is the body, or base64 text in a JSON body. A response without audio is unchanged.
    """
    if is_body_audio(response):
        response.body = change_bytes(response.body)
    elif (
        isinstance(response.target, Target)
        and response.is_body_text_or_json
        and response.status < HTTPStatus.MULTIPLE_CHOICES
    ):
        audio = response.target.response.audio
        if audio is not None and audio.delivery_method == "base64":
            encoded = audio.location.read_body(response.body)
            if isinstance(encoded, str):
                changed = base64.b64encode(change_bytes(base64.b64decode(encoded))).decode()
                response.body = write_value_at_pointer(response.body, audio.location.pointer_tokens, changed)


@declare_fault("change_synthesis", "wrong-format", "The audio has another format than declared.")
def change_audio_format(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Return the synthesis with another audio format than the Content-Type of the response declares."""
    return msgspec.structs.replace(synthesis, audio_format="flac" if synthesis.audio_format != "flac" else "wav")


@declare_fault(
    "change_synthesis",
    "other-sample-rate",
    "The audio has half of the sample rate that is documented for its format.",
    FaultCondition(
        "the contract states the sample rate of at least one format of the target",
        lambda target: any(known.sample_rate_hz is not None for known in target.speech.formats.values()),
    ),
)
def halve_sample_rate(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Return the synthesis at half of its sample rate, or at the nearest lower rate that MP3 supports."""
    rates = {48000: 24000, 44100: 22050, 32000: 16000, 24000: 16000, 22050: 16000}
    rate = rates.get(synthesis.sample_rate_hz, synthesis.sample_rate_hz // 2)
    return msgspec.structs.replace(synthesis, sample_rate_hz=rate)


@declare_fault(
    "change_synthesis",
    "other-bit-rate",
    "MP3 has half of the bit rate that is documented for its format.",
    FaultCondition(
        "the contract states the bit rate of at least one format of the target",
        lambda target: any(known.bitrate_kbps is not None for known in target.speech.formats.values()),
    ),
)
def halve_bitrate(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Return the synthesis with half of the documented bit rate of its MP3; unchanged if none is documented."""
    bitrate_kbps = synthesis.bitrate_kbps
    return msgspec.structs.replace(synthesis, bitrate_kbps=bitrate_kbps // 2) if bitrate_kbps else synthesis


@declare_fault("change_response", "truncated-audio", "The audio file is truncated.")
def truncate_audio(response: EmulatedResponse) -> None:
    """Keep only the beginning of the audio file."""
    change_audio_bytes(response, lambda audio_bytes: audio_bytes[: int(len(audio_bytes) * _SHARE_OF_AUDIO_BYTES_KEPT)])


@declare_fault("change_response", "html-as-audio", "An HTML page is delivered as audio.")
def replace_audio_by_html(response: EmulatedResponse) -> None:
    """Send an HTML error page with the media type of audio."""
    # The pieces of a stream are made of the body; otherwise, replacement bytes keep the media type of the audio.
    if is_body_audio(response) and response.split_into_pieces is not None:
        response.body = _HTML_ERROR_PAGE
    elif is_body_audio(response):
        response.replacement_body_bytes = _HTML_ERROR_PAGE
    else:
        change_audio_bytes(response, lambda _audio_bytes: _HTML_ERROR_PAGE)


add_faults(
    Fault(
        id="silent-audio",
        description="The audio is digital silence.",
        change_synthesis=create_field_replacer(is_silent=True),
    ),
    Fault(
        id="noise-as-speech",
        description="The audio is white noise that is as long as the speech would be.",
        change_synthesis=create_field_replacer(is_noise=True),
    ),
    Fault(
        id="another-voice",
        description="Another voice speaks than before, or than that of the voice sample.",
        change_synthesis=create_field_replacer(espeak_variant=_ESPEAK_VARIANT_OF_NO_TARGET),
        why_checks_miss_it="A check compares no voices. `voicegauge bench --similarity` and `voicegauge history` do.",
    ),
    Fault(
        id="long-silence",
        description="The audio begins with 5 s of silence.",
        change_synthesis=create_field_replacer(leading_silence_s=_LONG_SILENCE_DURATION_S),
    ),
    Fault(
        id="speech-interrupted",
        description="A tenth of a second within the speech is missing, and silent.",
        change_synthesis=create_field_replacer(dropout_s=_DROPOUT_DURATION_S),
    ),
    Fault(
        id="clipped-audio",
        description="The speech is far too loud, so that its peaks are cut off.",
        change_synthesis=create_field_replacer(gain=_CLIPPING_GAIN),
    ),
    Fault(
        id="same-audio-for-all-texts",
        description="The same sentence is spoken for every text.",
        change_synthesis=create_field_replacer(text=_OTHER_SENTENCE),
    ),
    Fault(
        id="other-sentence",
        description="Another sentence of about the same length is spoken.",
        change_synthesis=speak_other_sentence,
    ),
    Fault(
        id="speech-cut",
        description="The last third of the speech is missing.",
        change_synthesis=create_field_replacer(spoken_share=_SHARE_OF_SPEECH_KEPT),
    ),
    Fault(
        id="speech-repeated",
        description="The text is spoken twice.",
        change_synthesis=create_text_changer(_repeat_text),
    ),
    Fault(
        id="speech-too-fast",
        description="The samples have half of the stated rate, so that the speech is too fast and too high.",
        change_synthesis=create_field_replacer(rate_error_factor=2.0),
    ),
    Fault(
        id="word-replaced",
        description="Another word is spoken in place of the longest one.",
        change_synthesis=create_text_changer(
            lambda text: text.replace(max(text.split(), key=len, default=""), _REPLACING_WORD, 1)
        ),
    ),
    Fault(
        id="other-pcm-rate",
        description="Raw samples have 22,050 Hz, whatever rate is documented.",
        change_synthesis=restrict_to_format("pcm", create_field_replacer(sample_rate_hz=_USUAL_SAMPLE_RATE_HZ)),
        applies_to=create_format_condition("pcm_s16le"),
    ),
    Fault(
        id="text-ignored",
        description="Another text is spoken, much shorter or much longer.",
        change_synthesis=create_text_changer(_change_text_length),
    ),
)


# Implements the faults of speech timestamps: the times at which characters or words are spoken.


_LARGE_STRETCH_FACTOR = 1.5
"""Factor that moves the last time far beyond the end of the audio."""
SMALL_STRETCH_FACTOR = 1.1
"""Factor that moves times by so little that only a comparison with the audio shows it."""
_TIME_SHIFT_S = 0.15
"""Number of seconds by which stated times are late."""


def stretch_times(timings: list[SpeechTiming], factor: float) -> list[SpeechTiming]:
    """Return the timings with all times multiplied by `factor`."""
    return [_move_timing(timing, timing.start_s * factor, (timing.end_s or 0.0) * factor) for timing in timings]


def _move_timing(timing: SpeechTiming, start_s: float, end_s: float) -> SpeechTiming:
    return timing._replace(start_s=round(start_s, 3), end_s=round(end_s, 3))


def _list_timestamp_specs(target: Target) -> tuple[SpeechTimestamps | EventTimestamps, ...]:
    if target.stream is not None:
        return target.stream.audio.timestamps
    return target.response.audio.timestamps if target.response.audio is not None else ()


_HAS_TIMESTAMPS = FaultCondition[Target](
    "responses of the target have times of characters or words", lambda target: bool(_list_timestamp_specs(target))
)


@declare_fault(
    "change_speech_timings", "timestamps-unordered", "The first character or word starts last.", _HAS_TIMESTAMPS
)
def move_first_unit_to_last_time(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Return the timings with the time of the last character or word for the first one."""
    if not timings:
        return timings
    return [timings[0]._replace(start_s=timings[-1].start_s, end_s=timings[-1].end_s), *timings[1:]]


@declare_fault(
    "change_speech_timings", "timestamps-shifted", "Every character or word is stated 150 ms late.", _HAS_TIMESTAMPS
)
def shift_times(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Return the timings with every time 150 ms later."""
    return [
        _move_timing(timing, timing.start_s + _TIME_SHIFT_S, (timing.end_s or 0.0) + _TIME_SHIFT_S)
        for timing in timings
    ]


@declare_fault(
    "change_speech_timings",
    "timestamps-uniform",
    "The times are invented: every character has the same duration.",
    _HAS_TIMESTAMPS,
)
def distribute_times_evenly(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Return the timings with the same duration for every character, from the first start to the last end."""
    if not timings:
        return timings
    gap = 0 if all(len(timing.text) == 1 for timing in timings) else 1  # words have a space between them
    ends = list(itertools.accumulate(len(timing.text) + gap for timing in timings))
    first_s, last_s = timings[0].start_s, timings[-1].end_s or timings[-1].start_s
    step_s = (last_s - first_s) / max(ends[-1] - gap, 1)
    return [
        _move_timing(timing, first_s + (end - gap - len(timing.text)) * step_s, first_s + (end - gap) * step_s)
        for timing, end in zip(timings, ends, strict=True)
    ]


@declare_fault(
    "change_speech_timings",
    "timestamps-frozen",
    "From the middle on, all characters or words have one time.",
    _HAS_TIMESTAMPS,
)
def freeze_times(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Return the timings with the time of the middle character or word for all that follow it."""
    middle = timings[len(timings) // 2] if timings else None
    return [
        _move_timing(timing, middle.start_s, middle.start_s) if middle and timing.start_s > middle.start_s else timing
        for timing in timings
    ]


add_faults(
    Fault(
        id="timestamps-too-late",
        description="The times of characters or words are those of slower speech.",
        change_speech_timings=lambda timings: stretch_times(timings, _LARGE_STRETCH_FACTOR),
        applies_to=_HAS_TIMESTAMPS,
    ),
    Fault(
        id="timestamps-stretched",
        description="The times of characters or words are 10% too long.",
        change_speech_timings=lambda timings: stretch_times(timings, SMALL_STRETCH_FACTOR),
        applies_to=_HAS_TIMESTAMPS,
    ),
    Fault(
        id="timestamps-of-other-text",
        description="The timed characters or words are in capital letters.",
        change_speech_timings=lambda timings: [timing._replace(text=timing.text.upper()) for timing in timings],
        applies_to=FaultCondition(
            "according to the contract, the timed characters or words are exactly those of the text",
            lambda target: any(spec.spells_request_text for spec in _list_timestamp_specs(target)),
        ),
    ),
    Fault(
        id="timestamps-incomplete",
        description="The end of one character or word is missing.",
        change_speech_timings=lambda timings: [
            *timings[:-1],
            *(timing._replace(end_s=None) for timing in timings[-1:]),
        ],
        applies_to=_HAS_TIMESTAMPS,
    ),
)

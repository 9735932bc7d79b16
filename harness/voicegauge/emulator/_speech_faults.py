"""Faults of speech: parameters that are ignored, delivered audio, and the times of its words."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec

from voicegauge.contract.extension.speech import EventTimestamps, SpeechField, SpeechTimestamps
from voicegauge.contract.targets import Target
from voicegauge.emulator._fault import Fault, SpeechFieldChanger
from voicegauge.emulator._request import (
    ParsedRequest,
    find_default_value,
    find_documented_maximum,
    has_default_value,
)
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._speech_synthesis import SynthesisRequest
from voicegauge.emulator._speech_timestamps import SpeechTiming
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


def limit_speed(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
    """Speak no faster than `_HIGHEST_EFFECTIVE_SPEED`, without an error."""
    del request, target
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(value, _HIGHEST_EFFECTIVE_SPEED) if field == "speed" and is_number else value


def allows_high_speeds(target: Target) -> bool:
    """Whether requests to a target may ask for a speed that is clearly above 2."""
    mapping = target.speech.request_fields.get("speed")
    if mapping is None:
        return False
    maximum = find_documented_maximum(target.operation, mapping.location)
    return maximum is not None and maximum >= 1.5 * _HIGHEST_EFFECTIVE_SPEED


def change_default_format(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
    """Deliver another format than the documented default to requests that name none."""
    mapping = target.speech.request_fields.get(field)
    if field != "format" or mapping is None or request.read_value(mapping.location) not in (MISSING, None):
        return value
    documented_format = (
        target.find_audio_format(mapping.provider_values.get(value, value)) if isinstance(value, str) else None
    )
    codec = documented_format.codec if documented_format is not None else value
    return "wav" if codec != "wav" else "mp3"


def documents_default_format(target: Target) -> bool:
    """Whether a target documents the format of requests that name none."""
    mapping = target.speech.request_fields.get("format")
    return mapping is not None and has_default_value(target.operation, mapping.location)


def create_has_field_predicate(field: SpeechField) -> Callable[[Target], bool]:
    """Return a predicate that tells whether requests to a target can have `field`."""

    def applies_to(target: Target) -> bool:
        return field in target.speech.request_fields

    applies_to.__doc__ = f"Whether requests can have a {field}."
    return applies_to


def accepts_markup(target: Target) -> bool:
    """Whether the text in requests to a target has markup."""
    return target.speech.request_fields["text"].markup_language is not None


def offers_several_languages(target: Target) -> bool:
    """Whether a target documents several languages to choose from."""
    return "language" in target.speech.request_fields and len(target.target_spec.supported_languages) > 1


def create_offers_format_predicate(codec: str) -> Callable[[Target], bool]:
    """Return a predicate that tells whether a target documents several formats, one of them with this codec."""

    def applies_to(target: Target) -> bool:
        known = target.speech.formats
        codecs = {known[name].codec if name in known else name for name in target.target_spec.supported_formats}
        return (
            "format" in target.speech.request_fields
            and len(target.target_spec.supported_formats) > 1
            and codec in codecs
        )

    applies_to.__doc__ = f"Whether several formats can be chosen, one of them {codec}."
    return applies_to


def cut_long_text(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak only the beginning of a long text."""
    return msgspec.structs.replace(synthesis, text=synthesis.text[:_MAX_CHARACTERS_OF_CUT_TEXT])


def reverse_words_in_flac(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak the words in reverse order if the format is FLAC. They take as long as in the right order."""
    if synthesis.audio_format != "flac":
        return synthesis
    return msgspec.structs.replace(synthesis, text=" ".join(reversed(synthesis.text.split())))


def create_speed_variation() -> Callable[[SynthesisRequest], SynthesisRequest]:
    """Return a function that makes every second synthesis a little faster, as a model without a fixed seed may do."""
    counter = itertools.count()

    def vary_speed(synthesis: SynthesisRequest) -> SynthesisRequest:
        faster = round(synthesis.words_per_minute * 1.08)
        return msgspec.structs.replace(synthesis, words_per_minute=faster) if next(counter) % 2 else synthesis

    return vary_speed


def has_constant_selecting_response_kind(target: Target) -> bool:
    """Whether the contract states, for this target alone, how responses carry audio.

    The target's constants (fixed values in requests) then select this way of carrying audio.
    """
    return target.target_spec.response_audio is not None


def promises_reproducible_speech(target: Target) -> bool:
    """Whether the provider's documentation promises the same audio for the same seed."""
    mapping = target.speech.request_fields.get("seed")
    return mapping is not None and mapping.is_seed_reproducible


def repeat_text_in_flac(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak the text twice if the format is FLAC."""
    if synthesis.audio_format != "flac":
        return synthesis
    return msgspec.structs.replace(synthesis, text=f"{synthesis.text} {synthesis.text}")


PARAMETER_FAULTS = (
    Fault(
        id="speed-ignored",
        description="The speed parameter has no effect.",
        change_speech_field=create_field_ignorer("speed"),
        applies_to=create_has_field_predicate("speed"),
    ),
    Fault(
        id="speed-limited",
        description="Speeds above 2 are accepted, and have the effect of 2.",
        change_speech_field=limit_speed,
        applies_to=allows_high_speeds,
    ),
    Fault(
        id="voice-ignored",
        description="Every voice sounds like the default one.",
        change_speech_field=create_field_ignorer("voice"),
        applies_to=create_has_field_predicate("voice"),
    ),
    Fault(
        id="language-ignored",
        description="The language parameter has no effect.",
        change_speech_field=create_field_ignorer("language"),
        applies_to=offers_several_languages,
    ),
    Fault(
        id="seed-ignored",
        description="The seed parameter has no effect.",
        change_speech_field=create_field_ignorer("seed"),
        applies_to=create_has_field_predicate("seed"),
    ),
    Fault(
        id="seed-not-kept",
        description="The same seed gives other audio the next time.",
        change_synthesis=create_speed_variation(),
        applies_to=promises_reproducible_speech,
    ),
    Fault(
        id="format-changes-words",
        description="Other words of about the same duration are spoken in FLAC.",
        change_synthesis=reverse_words_in_flac,
        applies_to=create_offers_format_predicate("flac"),
    ),
    Fault(
        id="format-changes-text",
        description="The text is spoken twice in FLAC.",
        change_synthesis=repeat_text_in_flac,
        applies_to=create_offers_format_predicate("flac"),
    ),
    Fault(
        id="default-format-changed",
        description="A request without a format gets another one than the documented default.",
        change_speech_field=change_default_format,
        applies_to=documents_default_format,
    ),
    Fault(
        id="long-text-cut",
        description="Only the beginning of a long text is spoken.",
        change_synthesis=cut_long_text,
    ),
    Fault(
        id="markup-spoken",
        description="The tags in a text with markup are spoken.",
        skipped_check="markup",
        applies_to=accepts_markup,
    ),
    Fault(
        id="audio-swapped",
        description="Requests with the same voice at the same moment write one file, and all get what is written last.",
        skipped_check="file-names",
        applies_to=lambda target: target.response.audio is not None,
        condition="responses carry the audio",
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
        applies_to=lambda target: any(
            parameter.message_part == "query" and not parameter.is_required
            for operation in target.contract.operations.values()
            for parameter in operation.parameters
        ),
        condition="an operation has an optional query parameter",
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
        applies_to=has_constant_selecting_response_kind,
    ),
)
"""All injectable faults of the parameters of speech requests."""


# Implements the faults of audio: silence, wrong format or rate, wrong text and truncation.


_HTML_ERROR_PAGE = (
    b"<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
)
"""The body that replaces audio."""
_SHARE_OF_BYTES_KEPT = 0.4
"""Share of the bytes of an audio file that truncation leaves; too small to be explained by a fast speaking rate."""
_MIN_WORDS_OF_LONG_TEXT = (
    8  # a shorter text is repeated instead, because its first word alone might take as long as the whole text
)
_TEXT_REPETITION_COUNT = 8
"""How often a short text, or a sentence that replaces a text of any length, is repeated."""


_LONG_SILENCE_S = 5.0
"""Duration of the silence before the speech, in seconds."""
_DROPOUT_S = 0.1
"""Duration of the zeros that replace speech, in seconds."""
_SHARE_OF_SPEECH_KEPT = 0.67
"""Share of the speech that is left when its end is cut off."""
_REPLACING_WORD = "elephants"
"""Word that is spoken in place of the longest word of a text."""
_CLIPPING_GAIN = 12.0
"""Factor by which speech is amplified so that it is clipped."""
_FIXED_TEXT = "The weather will stay mild until the end of the week, with a little rain in the north."
"""Sentence that is spoken whatever the text is."""


def silence_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Produce silence that is as long as the speech would be."""
    return msgspec.structs.replace(synthesis, is_silent=True)


def change_voice(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Let a high voice speak, unlike any that the emulator has."""
    return msgspec.structs.replace(synthesis, espeak_variant="Annie")


def replace_speech_by_noise(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Produce noise that is as long as the speech would be."""
    return msgspec.structs.replace(synthesis, is_noise=True)


def delay_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Begin with five seconds of silence."""
    return msgspec.structs.replace(synthesis, leading_silence_s=_LONG_SILENCE_S)


def interrupt_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Replace a tenth of a second of the speech by zeros."""
    return msgspec.structs.replace(synthesis, dropout_s=_DROPOUT_S)


def amplify_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Amplify the speech far beyond full scale."""
    return msgspec.structs.replace(synthesis, gain=_CLIPPING_GAIN)


def speak_fixed_text(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak one sentence whatever the text is."""
    return msgspec.structs.replace(synthesis, text=_FIXED_TEXT)


def speak_other_sentence(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak another sentence of about the same length."""
    return msgspec.structs.replace(synthesis, text=(_FIXED_TEXT * _TEXT_REPETITION_COUNT)[: len(synthesis.text)])


def cut_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Leave out the last third of the speech."""
    return msgspec.structs.replace(synthesis, kept_share=_SHARE_OF_SPEECH_KEPT)


def repeat_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak the text twice."""
    return msgspec.structs.replace(synthesis, text=f"{synthesis.text} {synthesis.text}")


def double_speech_rate(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Play the speech twice as fast and high, as audio sounds whose true sample rate is half of the stated one."""
    return msgspec.structs.replace(synthesis, rate_error_factor=2.0)


def replace_longest_word(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak another word in place of the longest one."""
    words = synthesis.text.split()
    longest = max(words, key=len, default="")
    return msgspec.structs.replace(synthesis, text=synthesis.text.replace(longest, _REPLACING_WORD, 1))


def change_audio_format(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Encode the audio in another format than the Content-Type declares."""
    return msgspec.structs.replace(synthesis, audio_format="flac" if synthesis.audio_format != "flac" else "wav")


def change_spoken_text(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak only the first word of a long text, and repeat a short text several times."""
    words = synthesis.text.split()
    text = words[0] if len(words) >= _MIN_WORDS_OF_LONG_TEXT else " ".join([synthesis.text] * _TEXT_REPETITION_COUNT)
    return msgspec.structs.replace(synthesis, text=text)


def halve_sample_rate(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Encode the audio at half of its sample rate, or at the nearest lower rate that MP3 supports."""
    rates = {48000: 24000, 44100: 22050, 32000: 16000, 24000: 16000, 22050: 16000}
    rate = rates.get(synthesis.sample_rate_hz, synthesis.sample_rate_hz // 2)
    return msgspec.structs.replace(synthesis, sample_rate_hz=rate)


def lower_pcm_sample_rate(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Give raw samples the rate of many voices, whatever rate is documented."""
    if not synthesis.audio_format.startswith("pcm"):
        return synthesis
    return msgspec.structs.replace(synthesis, sample_rate_hz=22_050)


def lower_bitrate(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Encode MP3 with half of the documented bit rate."""
    bitrate_kbps = synthesis.bitrate_kbps
    return msgspec.structs.replace(synthesis, bitrate_kbps=bitrate_kbps // 2) if bitrate_kbps else synthesis


def documents_sample_rate(target: Target) -> bool:
    """Whether the contract states the sample rate of at least one format of the target."""
    return any(known.sample_rate_hz is not None for known in target.speech.formats.values())


def documents_bitrate(target: Target) -> bool:
    """Whether the contract states the bit rate of at least one format of the target."""
    return any(known.bitrate_kbps is not None for known in target.speech.formats.values())


def truncate_audio(response: EmulatedResponse) -> None:
    """Keep only the beginning of the audio file."""
    change_audio_bytes(response, lambda audio_bytes: audio_bytes[: int(len(audio_bytes) * _SHARE_OF_BYTES_KEPT)])


def replace_audio_by_html(response: EmulatedResponse) -> None:
    """Send an HTML error page with the media type of audio."""
    if is_body_audio(response) and response.split_into_pieces is not None:
        response.body = _HTML_ERROR_PAGE
    elif is_body_audio(response):
        response.replacement_body_bytes = _HTML_ERROR_PAGE
    else:
        change_audio_bytes(response, lambda _audio_bytes: _HTML_ERROR_PAGE)


def is_body_audio(response: EmulatedResponse) -> bool:
    """Whether the body is audio."""
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


AUDIO_FAULTS = (
    Fault(id="silent-audio", description="The audio is digital silence.", change_synthesis=silence_speech),
    Fault(
        id="noise-as-speech",
        description="The audio is white noise that is as long as the speech would be.",
        change_synthesis=replace_speech_by_noise,
    ),
    Fault(
        id="another-voice",
        description="Another voice speaks than before, or than that of the voice sample.",
        change_synthesis=change_voice,
        unfound_reason="A check compares no voices. `voicegauge bench --similarity` and `voicegauge history` do.",
    ),
    Fault(id="long-silence", description="The audio begins with 5 s of silence.", change_synthesis=delay_speech),
    Fault(
        id="speech-interrupted",
        description="A tenth of a second within the speech is missing, and silent.",
        change_synthesis=interrupt_speech,
    ),
    Fault(
        id="clipped-audio",
        description="The speech is far too loud, so that its peaks are cut off.",
        change_synthesis=amplify_speech,
    ),
    Fault(
        id="same-audio-for-all-texts",
        description="The same sentence is spoken for every text.",
        change_synthesis=speak_fixed_text,
    ),
    Fault(
        id="other-sentence",
        description="Another sentence of about the same length is spoken.",
        change_synthesis=speak_other_sentence,
    ),
    Fault(id="speech-cut", description="The last third of the speech is missing.", change_synthesis=cut_speech),
    Fault(id="speech-repeated", description="The text is spoken twice.", change_synthesis=repeat_speech),
    Fault(
        id="speech-too-fast",
        description="The samples have half of the stated rate, so that the speech is too fast and too high.",
        change_synthesis=double_speech_rate,
    ),
    Fault(
        id="word-replaced",
        description="Another word is spoken in place of the longest one.",
        change_synthesis=replace_longest_word,
    ),
    Fault(
        id="wrong-format",
        description="The audio has another format than declared.",
        change_synthesis=change_audio_format,
    ),
    Fault(
        id="other-sample-rate",
        description="The audio has half of the sample rate that is documented for its format.",
        change_synthesis=halve_sample_rate,
        applies_to=documents_sample_rate,
    ),
    Fault(
        id="other-pcm-rate",
        description="Raw samples have 22,050 Hz, whatever rate is documented.",
        change_synthesis=lower_pcm_sample_rate,
        applies_to=create_offers_format_predicate("pcm_s16le"),
    ),
    Fault(
        id="other-bit-rate",
        description="MP3 has half of the bit rate that is documented for its format.",
        change_synthesis=lower_bitrate,
        applies_to=documents_bitrate,
    ),
    Fault(
        id="text-ignored",
        description="Another text is spoken, much shorter or much longer.",
        change_synthesis=change_spoken_text,
    ),
    Fault(id="truncated-audio", description="The audio file is truncated.", change_response=truncate_audio),
    Fault(id="html-as-audio", description="An HTML page is delivered as audio.", change_response=replace_audio_by_html),
)
"""All injectable faults of delivered audio."""


# Implements the faults of speech timestamps: the times at which characters or words are spoken.


_TIME_STRETCH_FACTOR = 1.5
"""Factor by which times are stretched. It moves the last time far beyond the end of the audio."""


def move_first_unit_to_last_time(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Give the first character or word the time of the last one."""
    if not timings:
        return timings
    return [timings[0]._replace(start_s=timings[-1].start_s, end_s=timings[-1].end_s), *timings[1:]]


def stretch_times(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Multiply all times by the same factor."""
    return [
        timing._replace(
            start_s=timing.start_s * _TIME_STRETCH_FACTOR, end_s=(timing.end_s or 0.0) * _TIME_STRETCH_FACTOR
        )
        for timing in timings
    ]


_SHIFT_S = 0.15
"""Number of seconds by which stated times are late."""
_SLIGHT_STRETCH_FACTOR = 1.1
"""Factor by which times are stretched a little."""


def shift_times(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """State every time 150 ms late."""
    return [_move_timing(timing, timing.start_s + _SHIFT_S, (timing.end_s or 0.0) + _SHIFT_S) for timing in timings]


def stretch_times_slightly(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Make all times 10% longer."""
    factor = _SLIGHT_STRETCH_FACTOR
    return [_move_timing(timing, timing.start_s * factor, (timing.end_s or 0.0) * factor) for timing in timings]


def distribute_times(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Give every character the same duration, from the first start to the last end."""
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


def freeze_times(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Repeat the time of the middle character or word for all that follow."""
    middle = timings[len(timings) // 2] if timings else None
    return [
        _move_timing(timing, middle.start_s, middle.start_s) if middle and timing.start_s > middle.start_s else timing
        for timing in timings
    ]


def _move_timing(timing: SpeechTiming, start_s: float, end_s: float) -> SpeechTiming:
    return timing._replace(start_s=round(start_s, 3), end_s=round(end_s, 3))


def uppercase_timed_texts(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Write the characters or words in capital letters."""
    return [timing._replace(text=timing.text.upper()) for timing in timings]


def drop_last_end_time(timings: list[SpeechTiming]) -> list[SpeechTiming]:
    """Leave out the end time of the last character or word."""
    return [*timings[:-1], *(timing._replace(end_s=None) for timing in timings[-1:])]


def _list_timestamp_specs(target: Target) -> tuple[SpeechTimestamps | EventTimestamps, ...]:
    if target.stream is not None:
        return target.stream.audio.timestamps
    return target.response.audio.timestamps if target.response.audio is not None else ()


def has_speech_timestamps(target: Target) -> bool:
    """Whether responses of the target have times of characters or words."""
    return bool(_list_timestamp_specs(target))


def has_timestamps_of_literal_text(target: Target) -> bool:
    """Whether, according to the contract, the timed characters or words are exactly those of the text."""
    return any(spec.spells_request_text for spec in _list_timestamp_specs(target))


TIMESTAMP_FAULTS = (
    Fault(
        id="timestamps-unordered",
        description="The first character or word starts last.",
        change_speech_timings=move_first_unit_to_last_time,
        applies_to=has_speech_timestamps,
    ),
    Fault(
        id="timestamps-too-late",
        description="The times of characters or words are those of slower speech.",
        change_speech_timings=stretch_times,
        applies_to=has_speech_timestamps,
    ),
    Fault(
        id="timestamps-shifted",
        description="Every character or word is stated 150 ms late.",
        change_speech_timings=shift_times,
        applies_to=has_speech_timestamps,
    ),
    Fault(
        id="timestamps-stretched",
        description="The times of characters or words are 10% too long.",
        change_speech_timings=stretch_times_slightly,
        applies_to=has_speech_timestamps,
    ),
    Fault(
        id="timestamps-uniform",
        description="The times are invented: every character has the same duration.",
        change_speech_timings=distribute_times,
        applies_to=has_speech_timestamps,
    ),
    Fault(
        id="timestamps-frozen",
        description="From the middle on, all characters or words have one time.",
        change_speech_timings=freeze_times,
        applies_to=has_speech_timestamps,
    ),
    Fault(
        id="timestamps-of-other-text",
        description="The timed characters or words are in capital letters.",
        change_speech_timings=uppercase_timed_texts,
        applies_to=has_timestamps_of_literal_text,
    ),
    Fault(
        id="timestamps-incomplete",
        description="The end of one character or word is missing.",
        change_speech_timings=drop_last_end_time,
        applies_to=has_speech_timestamps,
    ),
)
"""All injectable faults of the times of characters and words."""

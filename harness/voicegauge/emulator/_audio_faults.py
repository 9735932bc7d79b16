"""Faults of delivered audio and of the times of its words."""

from __future__ import annotations

import base64
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.speech import EventTimestamps, SpeechTimestamps
from voicegauge.emulator._fault import Fault
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._speech_synthesis import SpeechTiming, SynthesisRequest
from voicegauge.formats.locations import write_pointer

# Implements the faults of audio: silence, wrong format or rate, wrong text and truncation.


_HTML_ERROR_PAGE = (
    b"<!doctype html>\n<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"
)
_SHARE_OF_BYTES_KEPT = 0.4
"""Share of the bytes of an audio file that truncation leaves; too small to be explained by a fast speaking rate."""
_MIN_WORDS_OF_LONG_TEXT = (
    8  # a shorter text is repeated instead, because its first word alone might take as long as the whole text
)
_TEXT_REPETITION_COUNT = 8


def silence_speech(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Produce silence that is as long as the speech would be."""
    return msgspec.structs.replace(synthesis, is_silent=True)


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
                response.body = write_pointer(response.body, audio.location.pointer_tokens, changed)


AUDIO_FAULTS = (
    Fault(id="silent-audio", description="The audio is digital silence.", change_synthesis=silence_speech),
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

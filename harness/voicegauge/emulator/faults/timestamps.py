"""Implements the faults of speech timestamps: the times at which characters or words are spoken."""

from __future__ import annotations

from voicegauge.contract import Target
from voicegauge.contract.extension import EventTimestamps, SpeechTimestamps
from voicegauge.emulator.audio import SpeechTiming
from voicegauge.emulator.faults.fault import Fault

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


FAULTS = (
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

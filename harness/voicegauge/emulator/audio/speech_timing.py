"""Invents when each character or word of a synthesized text is spoken."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple


class SpeechTiming(NamedTuple):
    """When one character or word is spoken, in seconds from the start of the audio."""

    text: str
    start_s: float
    end_s: float | None
    """End in seconds; `None` if a fault leaves the end out."""


def build_speech_timings(
    text: str, unit: Literal["character", "word"], *, leading_silence_s: float, audio_duration_s: float
) -> list[SpeechTiming]:
    """Return the timings of `text`. Every character takes the same time.

    Args:
        text: the text that is spoken.
        unit: whether characters or words are timed.
        leading_silence_s: duration in seconds of the silence before the speech.
        audio_duration_s: duration in seconds of the audio.
    """
    step_s = max(audio_duration_s - leading_silence_s, 0.0) / max(len(text), 1)
    pattern = r"(?s)." if unit == "character" else r"\S+"

    def compute_time_s(character_index: int) -> float:
        return math.floor((leading_silence_s + character_index * step_s) * 1000) / 1000

    return [
        SpeechTiming(found[0], compute_time_s(found.start()), compute_time_s(found.end()))
        for found in re.finditer(pattern, text)
    ]


def select_timings(timings: Sequence[SpeechTiming], start_s: float, end_s: float) -> list[SpeechTiming]:
    """Return the timings of the characters or words that start at or after `start_s` and before `end_s`."""
    return [timing for timing in timings if start_s <= timing.start_s < end_s]

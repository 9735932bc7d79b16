"""Computes when each character or word of a synthesized text is spoken."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from voicegauge.emulator._speech_synthesis import SynthesizedSpeech
from voicegauge.speech.espeak import (
    SpokenWord,
)


class SpeechTiming(NamedTuple):
    """When one character or word is spoken, in seconds from the start of the audio."""

    text: str
    start_s: float
    end_s: float | None
    """End in seconds; `None` if a fault leaves the end out."""


def build_speech_timings(
    text: str, unit: Literal["character", "word"], speech: SynthesizedSpeech, *, leading_silence_s: float
) -> list[SpeechTiming]:
    """Return when each character or word of `text` is spoken, from the times at which espeak-ng speaks its words.

    Within a word, every character takes the same time. An unspoken part, such as markup, has the time of the next
    spoken character.

    Args:
        text: the text of the request.
        unit: whether characters or words are timed.
        speech: the synthesized speech, with the times of its words.
        leading_silence_s: duration in seconds of the silence before the speech, where an unspoken text begins.
    """
    indices, times_s = _list_known_times(text, speech, leading_silence_s)
    pattern = r"(?s)." if unit == "character" else r"\S+"

    def compute_time_s(character_index: int, *, is_end: bool = False) -> float:
        # At the end of a word before a pause two times are known: where it ends, and where the next one starts.
        find = bisect.bisect_left if is_end else bisect.bisect_right
        place = find(indices, character_index)
        if place in (0, len(indices)):
            return _round_down(times_s[0] if place == 0 else times_s[-1])
        before, after = indices[place - 1], indices[place]
        share = (character_index - before) / (after - before) if after > before else 0.0
        return _round_down(times_s[place - 1] + share * (times_s[place] - times_s[place - 1]))

    return [
        SpeechTiming(found[0], compute_time_s(found.start()), compute_time_s(found.end(), is_end=True))
        for found in re.finditer(pattern, text)
    ]


def _round_down(time_s: float) -> float:
    return math.floor(time_s * 1000) / 1000


def _list_known_times(text: str, speech: SynthesizedSpeech, start_s: float) -> tuple[list[int], list[float]]:
    """Return indices of characters in ascending order, and the times of each: the starts and the ends of words."""
    starts = _find_word_starts(text, speech)
    indices, times_s = [0], [start_s]
    for number, (start_index, word) in enumerate(starts):
        next_index = starts[number + 1][0] if number + 1 < len(starts) else len(text)
        # espeak-ng reports some short words, such as the second one of "of the", with the word before them.
        end_index = start_index + len(text[start_index:next_index].rstrip())
        indices += [start_index, end_index]
        times_s += [max(word.start_s, times_s[-1]), max(word.end_s, times_s[-1])]
    if len(times_s) > 1:
        times_s[0] = times_s[1]  # what stands before the first word
    indices.append(max(len(text), indices[-1]))
    times_s.append(times_s[-1] if len(times_s) > 1 else speech.audio_duration_s)
    return indices, times_s


def _find_word_starts(text: str, speech: SynthesizedSpeech) -> list[tuple[int, SpokenWord]]:
    """Return the words of the speech with the index in `text` at which each starts."""
    offset = text.find(speech.spoken_text)
    if offset >= 0:
        return [(offset + word.start_index, word) for word in speech.words]
    starts, place = [], 0
    for word in speech.words:
        spoken = speech.spoken_text[word.start_index : word.end_index]
        found = text.find(spoken, place) if spoken else -1
        if found >= 0:
            place = found + len(spoken)
            starts.append((found, word))
    return starts


def select_timings(timings: Sequence[SpeechTiming], start_s: float, end_s: float) -> list[SpeechTiming]:
    """Return the timings of the characters or words that start at or after `start_s` and before `end_s`."""
    return [timing for timing in timings if start_s <= timing.start_s < end_s]

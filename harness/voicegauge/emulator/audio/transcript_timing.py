"""Estimates timestamps for the words of a transcript.

The embedded ASR engine returns no timestamps. Therefore, the words are distributed over the audio between
pauses: each voiced interval gets words in proportion to its duration, and each word a share of the interval in
proportion to its number of letters. The estimates are close to the true times and always in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from voicegauge.contract.extension import TranscriptionResponse
from voicegauge.formats import Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

MIN_PAUSE_S = 0.25
"""Shortest silence, in seconds, that ends a phrase."""
SPEAKER_LABEL = "SPEAKER_00"
"""Speaker label of every segment, because the emulator does not distinguish speakers."""
_FRAME_DURATION_S = 0.02
_SILENCE_THRESHOLD_BELOW_PEAK_DB = 30.0
"""A frame of audio counts as silence if it is quieter than the loudest frame by more than this, in decibels."""


class Phrase(NamedTuple):
    """Speech between two pauses."""

    start_s: float
    end_s: float
    words: tuple[str, ...]


def split_transcript_into_timed_phrases(samples: Samples, sample_rate_hz: int, transcript: str) -> list[Phrase]:
    """Return the phrases of `transcript`: one for each voiced interval of mono `samples`.

    Each phrase has a share of the words in proportion to the length of its interval.
    """
    words = transcript.split()
    intervals = _find_voiced_intervals(samples, sample_rate_hz) if words else []
    total, assigned, elapsed_s = sum(end - start for start, end in intervals), 0, 0.0
    found = []
    for start, end in intervals:
        elapsed_s += end - start
        upto = round(len(words) * elapsed_s / total)
        if upto > assigned:
            found.append(Phrase(start, end, tuple(words[assigned:upto])))
        assigned = upto
    return found


def _find_voiced_intervals(samples: Samples, sample_rate_hz: int) -> list[tuple[float, float]]:
    """Return the start and end of each voiced interval, in seconds.

    If nothing is voiced, the whole audio is returned as one interval.
    """
    import numpy as np

    size = max(1, int(sample_rate_hz * _FRAME_DURATION_S))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1) if len(frames) else np.zeros(0)
    loud = np.flatnonzero(power > (power.max() if len(power) else 0.0) * 10 ** (-_SILENCE_THRESHOLD_BELOW_PEAK_DB / 10))
    length = len(samples) / sample_rate_hz
    if not len(loud):
        return [(0.0, length)]
    breaks = np.flatnonzero(np.diff(loud) * size / sample_rate_hz > MIN_PAUSE_S)
    firsts, lasts = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]]
    ends = [
        (float(a * size / sample_rate_hz), float((b + 1) * size / sample_rate_hz))
        for a, b in zip(firsts, lasts, strict=True)
    ]
    return [(start, min(end, length)) for start, end in ends]


def build_transcript_values(
    response_locations: TranscriptionResponse,
    phrases: list[Phrase],
    *,
    language: str,
    audio_duration_s: float,
    include_word_times: bool,
    include_speaker_labels: bool,
) -> dict[Location, Any]:
    """Return the values of a transcript response except its text, each under its location in the response.

    Args:
        response_locations: the documented locations of the values in the response.
        phrases: the phrases of the transcript, in order.
        language: the requested language, or the language that is reported as detected.
        audio_duration_s: the duration of the upload in seconds.
        include_word_times: whether word timestamps were requested.
        include_speaker_labels: whether speaker labels were requested.
    """
    keys = response_locations.segment_field_names
    segments: list[dict[str, Any]] = []
    for phrase in phrases:
        segment: dict[str, Any] = {
            keys.start_field: round(phrase.start_s, 2),
            keys.end_field: round(phrase.end_s, 2),
            keys.text_field: " ".join(phrase.words),
        }
        if keys.speaker_field is not None and include_speaker_labels:
            segment[keys.speaker_field] = SPEAKER_LABEL
        if keys.words_field is not None and include_word_times:
            segment[keys.words_field] = _estimate_word_times(phrase)
        segments.append(segment)
    values = {
        response_locations.language_location: language,
        response_locations.audio_duration_location: round(audio_duration_s, 3),
        response_locations.segments_location: segments,
    }
    return {location: value for location, value in values.items() if location is not None}


def _estimate_word_times(phrase: Phrase) -> list[dict[str, Any]]:
    total = sum(map(len, phrase.words))
    found, at = [], phrase.start_s
    for word in phrase.words:
        end = at + (phrase.end_s - phrase.start_s) * len(word) / total
        found.append({"word": word, "start": round(at, 2), "end": round(end, 2)})
        at = end
    return found

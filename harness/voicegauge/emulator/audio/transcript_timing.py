"""A transcript in time: its words in the stretches of sound between pauses.

The recogniser gives no times. Each stretch gets its share of the words by its length, and
each word its share of the stretch by its letters: near the truth, and in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from voicegauge.contract.extension import TranscriptResponse
from voicegauge.formats import Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

PAUSE_S = 0.25
"""A silence this long ends a phrase."""
SPEAKER = "SPEAKER_00"
"""The emulator tells no speakers apart."""
_FRAME_S = 0.02
_SPEECH_RANGE_DB = 30.0


class Phrase(NamedTuple):
    """Speech between two pauses, in seconds."""

    start: float
    end: float
    words: tuple[str, ...]


def align_phrases(samples: Samples, rate: int, transcript: str) -> list[Phrase]:
    """The words of `transcript` in the stretches of sound of mono `samples`."""
    words = transcript.split()
    stretches = _stretches(samples, rate) if words else []
    total, taken, passed = sum(end - start for start, end in stretches), 0, 0.0
    found = []
    for start, end in stretches:
        passed += end - start
        upto = round(len(words) * passed / total)
        if upto > taken:
            found.append(Phrase(start, end, tuple(words[taken:upto])))
        taken = upto
    return found


def _stretches(samples: Samples, rate: int) -> list[tuple[float, float]]:
    """Where sound begins and ends, in seconds; the whole length where no pause can be told."""
    import numpy as np

    size = max(1, int(rate * _FRAME_S))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1) if len(frames) else np.zeros(0)
    loud = np.flatnonzero(power > (power.max() if len(power) else 0.0) * 10 ** (-_SPEECH_RANGE_DB / 10))
    length = len(samples) / rate
    if not len(loud):
        return [(0.0, length)]
    breaks = np.flatnonzero(np.diff(loud) * size / rate > PAUSE_S)
    firsts, lasts = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]]
    ends = [(float(a * size / rate), float((b + 1) * size / rate)) for a, b in zip(firsts, lasts, strict=True)]
    return [(start, min(end, length)) for start, end in ends]


def transcript_values(
    answer: TranscriptResponse, heard: list[Phrase], *, language: str, audio_s: float, words: bool, speakers: bool
) -> dict[Location, Any]:
    """What a transcript's answer holds beside its text, by place.

    Args:
        answer: names the places.
        heard: in order.
        language: asked for, or said to be detected.
        audio_s: of the upload.
        words: whether times of words were asked for.
        speakers: whether speakers were.
    """
    keys = answer.segment
    segments: list[dict[str, Any]] = []
    for phrase in heard:
        segment: dict[str, Any] = {
            keys.start: round(phrase.start, 2),
            keys.end: round(phrase.end, 2),
            keys.text: " ".join(phrase.words),
        }
        if keys.speaker is not None and speakers:
            segment[keys.speaker] = SPEAKER
        if keys.words is not None and words:
            segment[keys.words] = _timed_words(phrase)
        segments.append(segment)
    values = {answer.language: language, answer.audio_s: round(audio_s, 3), answer.segments: segments}
    return {location: value for location, value in values.items() if location is not None}


def _timed_words(phrase: Phrase) -> list[dict[str, Any]]:
    total = sum(map(len, phrase.words))
    found, at = [], phrase.start
    for word in phrase.words:
        end = at + (phrase.end - phrase.start) * len(word) / total
        found.append({"word": word, "start": round(at, 2), "end": round(end, 2)})
        at = end
    return found

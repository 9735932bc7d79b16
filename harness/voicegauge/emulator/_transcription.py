"""Transcribes uploaded audio, with the times of segments and words.

The embedded ASR engine returns no timestamps. Therefore, the words are distributed over the audio between
pauses: each voiced interval gets words in proportion to its duration, and each word a share of the interval in
proportion to its number of letters. The estimates are close to the true times and always in order.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from voicegauge.contract.extension.audio_input import TranscriptionResponse
from voicegauge.emulator._request import Rejection
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import UploadedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    from voicegauge.speech.asr_interface import Asr


# Estimates timestamps for the words of a transcript.


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
    for phrase in split_into_timed_words(phrases) if keys.text_unit == "word" else phrases:
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


def format_subtitles(phrases: list[Phrase], subtitle_format: Literal["srt", "vtt"]) -> str:
    """Return the phrases as subtitles with one cue each."""
    mark = "," if subtitle_format == "srt" else "."
    blocks = [] if subtitle_format == "srt" else ["WEBVTT"]
    for number, phrase in enumerate(phrases, start=1):
        times = f"{_format_subtitle_time(phrase.start_s, mark)} --> {_format_subtitle_time(phrase.end_s, mark)}"
        blocks.append("\n".join([*([str(number)] if subtitle_format == "srt" else []), times, " ".join(phrase.words)]))
    return "\n\n".join(blocks) + "\n"


def _format_subtitle_time(time_s: float, decimal_mark: str) -> str:
    milliseconds = round(time_s * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{decimal_mark}{rest % 1000:03d}"


def split_into_timed_words(phrases: list[Phrase]) -> list[Phrase]:
    """Return a phrase for each word."""
    return [
        Phrase(word["start"], word["end"], (word["word"],))
        for phrase in phrases
        for word in _estimate_word_times(phrase)
    ]


def _estimate_word_times(phrase: Phrase) -> list[dict[str, Any]]:
    total = sum(map(len, phrase.words))
    found, at = [], phrase.start_s
    for word in phrase.words:
        end = at + (phrase.end_s - phrase.start_s) * len(word) / total
        found.append({"word": word, "start": round(at, 2), "end": round(end, 2)})
        at = end
    return found


# Transcribes uploaded audio with the embedded ASR engine.


EMBEDDED_ASR_LANGUAGE = "en"
"""The only language of the embedded engine, which is also reported as the detected language."""
UNSUPPORTED_LANGUAGE_TRANSCRIPT = "EMULATED: the ASR engine of the emulator supports only English"
"""Transcript of audio in a language that the embedded ASR engine does not support."""
MAX_CACHED_TRANSCRIPTS = 256
"""Maximum number of cached transcripts. They are cached because a check uploads the same file many times."""
_transcript_cache: OrderedDict[str, str] = OrderedDict()
_transcription_lock = threading.Lock()
"""Protects the cache and the engine, which is not thread-safe."""


async def transcribe_upload(upload: UploadedFile, field_name: str, language: str = EMBEDDED_ASR_LANGUAGE) -> str:
    """Transcribe an uploaded audio file.

    Args:
        upload: audio in any format that can be decoded.
        field_name: the name of the upload's form field, which the rejection mentions.
        language: the code of the spoken language, such as "en".

    Raises:
        Rejection: the upload is not audio.
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    from voicegauge.speech.decoding import UndecodableAudioError, decode

    try:
        audio = await asyncio.to_thread(decode, upload.content)
    except UndecodableAudioError as error:
        raise Rejection("invalid", field_name, f"{field_name} is not audio: {error}") from error
    return await transcribe_samples(audio.samples, audio.sample_rate_hz, language)


async def transcribe_samples(samples: Samples, sample_rate_hz: int, language: str = EMBEDDED_ASR_LANGUAGE) -> str:
    """Transcribe mono `samples` in a thread; the transcript of silence is empty.

    Raises:
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    return await asyncio.to_thread(_transcribe_uncached, samples, sample_rate_hz, language)


def _transcribe_uncached(samples: Samples, sample_rate_hz: int, language: str) -> str:
    import numpy as np

    from voicegauge.speech.asr_interface import ASR_SAMPLE_RATE_HZ
    from voicegauge.speech.audio_measurement import is_silent
    from voicegauge.speech.encoding import resample

    key = f"{hashlib.sha256(np.ascontiguousarray(samples).data).hexdigest()}/{sample_rate_hz}/{language}"
    with _transcription_lock:
        if key not in _transcript_cache:
            if is_silent(samples, sample_rate_hz):
                _transcript_cache[key] = ""
            elif not load_embedded_asr().supports_language(language):
                _transcript_cache[key] = UNSUPPORTED_LANGUAGE_TRANSCRIPT
            else:
                _transcript_cache[key] = load_embedded_asr().transcribe(
                    resample(samples, sample_rate_hz, ASR_SAMPLE_RATE_HZ), language
                )
        while len(_transcript_cache) > MAX_CACHED_TRANSCRIPTS:
            _transcript_cache.popitem(last=False)
        return _transcript_cache.get(key, "")


@functools.cache
def load_embedded_asr() -> Asr:
    """Return the embedded ASR engine, loaded once per process. Tests replace this function.

    Raises:
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    from voicegauge.speech.embedded_whisper import create_embedded_asr

    return create_embedded_asr(saves_memory=True)

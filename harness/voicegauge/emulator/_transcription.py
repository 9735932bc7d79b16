"""Emulates transcription: of uploads over HTTP, and of recordings that are streamed over a WebSocket.

The embedded ASR engine returns no timestamps. Therefore, the words are distributed over the audio between
pauses: each voiced interval gets words in proportion to its duration, and each word a share of the interval in
proportion to its number of letters. The estimates are close to the true times and always in order.

Speech and silence are distinguished by their level. The texts are those of the embedded ASR engine, which transcribes
the turn again for each of them: as with other services, a word may change when more was said.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from voicegauge.contract.extension.sockets import ServerEventKind, has_placeholder
from voicegauge.contract.extension.speech import TranscriptionResponse
from voicegauge.emulator._endpoint_context import (
    NORMAL_CLOSE_CODE,
    TOO_BIG_CLOSE_CODE,
    ConnectionEndedError,
    EmulatedConnection,
)
from voicegauge.emulator._output import ReportedText
from voicegauge.emulator._provider_state import BoundedDict
from voicegauge.emulator._request import Rejection
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import UploadedFile
from voicegauge.speech.decoding import RawAudioFormat, decode

if TYPE_CHECKING:
    from voicegauge.speech.decoding import Samples
    from voicegauge.speech.transcripts import Asr


MIN_PAUSE_S = 0.25
"""Shortest silence, in seconds, that ends a phrase."""
SPEAKER_LABEL = "SPEAKER_00"
"""Speaker label of every segment, because the emulator does not distinguish speakers."""
_FRAME_DURATION_S = 0.02
"""Duration of the frames, in seconds, into which audio is divided to tell speech from silence."""
_SILENCE_THRESHOLD_BELOW_PEAK_DB = 30.0
"""A frame of audio counts as silence if it is quieter than the loudest frame by more than this, in decibels."""


class Phrase(NamedTuple):
    """Speech between two pauses."""

    start_s: float
    """Start of the phrase, in seconds after the start of the audio."""
    end_s: float
    """End of the phrase, in seconds after the start of the audio."""
    words: tuple[str, ...]


def split_transcript_into_timed_phrases(samples: Samples, sample_rate_hz: int, transcript: str) -> list[Phrase]:
    """Return the phrases of `transcript`: one for each voiced interval of mono `samples`.

    Each phrase has a share of the words in proportion to the length of its interval. An interval whose share is less
    than a word has no phrase.
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
    """Return each word as a phrase of its own, with times that are estimated from those of its phrase."""
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
_transcript_cache = BoundedDict[str, str](MAX_CACHED_TRANSCRIPTS)
"""Transcripts by the digest of the samples, their rate and the language."""
_transcription_lock = threading.Lock()
"""Protects the cache and the engine, which is not thread-safe."""


async def transcribe_upload(upload: UploadedFile, field_name: str) -> str:
    """Transcribe an uploaded audio file.

    Args:
        upload: audio in any format that can be decoded.
        field_name: the name of the upload's form field, which the rejection mentions.

    Raises:
        Rejection: the upload is not audio.
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    from voicegauge.speech.decoding import UndecodableAudioError, decode

    try:
        audio = await asyncio.to_thread(decode, upload.content)
    except UndecodableAudioError as error:
        raise Rejection("invalid", field_name, f"{field_name} is not audio: {error}") from error
    return await transcribe_samples(audio.samples, audio.sample_rate_hz)


async def transcribe_samples(samples: Samples, sample_rate_hz: int, language: str = EMBEDDED_ASR_LANGUAGE) -> str:
    """Transcribe mono `samples` in a thread, unless the transcript is cached; that of silence is empty.

    For speech in a language other than English, return `UNSUPPORTED_LANGUAGE_TRANSCRIPT`.

    Raises:
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    return await asyncio.to_thread(_find_or_compute_transcript, samples, sample_rate_hz, language)


def _find_or_compute_transcript(samples: Samples, sample_rate_hz: int, language: str) -> str:
    import numpy as np

    from voicegauge.speech.audio_measurement import is_silent
    from voicegauge.speech.encoding import resample
    from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ

    # The digest and not the samples, which may take a hundred megabytes.
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
        return _transcript_cache[key]


@functools.cache
def load_embedded_asr() -> Asr:
    """Return the embedded ASR engine, loaded once per process. Tests replace this function.

    Raises:
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    from voicegauge.speech.asr_engines import create_embedded_asr

    return create_embedded_asr(saves_memory=True)


_SPEECH_LEVEL_DBFS = -45.0
"""Level above which a frame is speech."""
_TURN_LEAD_IN_S = 0.2
"""Duration before the first frame of speech that belongs to a turn, because a word may begin softly."""
_MAX_TURN_S = 30.0
"""Longest turn: the ASR engine hears no more at once."""
_MAX_MESSAGE_BYTES = 1024 * 1024
"""Largest message with audio that is accepted."""


@dataclass
class _Turn:
    """The turn in the audio of the client that has begun and not ended."""

    index: int
    """Number of the turn in its connection, from 0."""
    first_sample_index: int
    """Index of the turn's first sample in all audio of the connection."""
    last_speech_sample_index: int
    """Index, in all audio of the connection, of the end of the latest frame with speech."""
    last_reported_sample_index: int
    """Index, in all audio of the connection, of the sample up to which a text was reported."""
    has_probably_ended: bool = False
    """Whether a pause was reported as the probable end of the turn, and nothing was said since."""
    eager_text: str | None = None
    """The text of the latest `eager-end`."""


@dataclass
class _RetainedAudio:
    """The samples of the connection that may still be needed."""

    samples: Samples
    first_sample_index: int = 0
    """Index of the first of `samples` in all audio of the connection."""
    undecoded_bytes: bytearray = field(default_factory=bytearray)
    """The beginning of a sample of which the rest has not arrived."""


class EmulatedTranscriptionConnection(EmulatedConnection):
    """One accepted connection on which audio is transcribed."""

    def __init__(self, *connection: Any) -> None:
        """Create a connection without audio. `connection` are the arguments of `EmulatedConnection`."""
        import numpy as np

        super().__init__(*connection)
        channels = self._operation.contract.transcription_socket_targets.values()
        self._target = max(
            (target for target in channels if target.operation is self._operation),
            key=lambda target: self._count_sent_constants(target.target_spec.request_constants),
        )
        self._format = max(
            self._target.target_spec.formats.values(),
            key=lambda audio_format: self._count_sent_constants(audio_format.request_constants),
        )
        self._retained_audio = _RetainedAudio(np.zeros(0, np.float32))
        self._frame_sample_count = round(_FRAME_DURATION_S * self._format.sample_rate_hz)
        self._examined_sample_count = 0
        """Number of samples in which speech and silence were distinguished."""
        self._turn: _Turn | None = None
        self._turn_count = self._message_count = 0
        self._work_items: asyncio.Queue[tuple[ServerEventKind, int, int, _Turn]] = asyncio.Queue()
        """Texts to report: the kind, the first and last sample that they are about, and the turn."""
        self._worker: asyncio.Task[None] | None = None
        """Reports the texts, while the connection is open."""
        self._is_reporting = self._is_partial_waiting = False

    async def run(self) -> None:
        """Receive audio, and report texts, until the connection ends."""
        self._worker = asyncio.create_task(self._perform_work_items())
        await super().run()

    def _has_more_to_send(self) -> bool:
        return self._is_reporting or not self._work_items.empty()

    async def _stop_unfinished_work(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # Messages of the client.

    async def _answer_message(self, event: Mapping[str, Any]) -> None:
        binary = event.get("bytes")
        is_binary = binary is not None
        data = bytes(binary) if binary is not None else str(event.get("text")).encode(errors="surrogatepass")
        if len(data) > _MAX_MESSAGE_BYTES:
            await self._close(TOO_BIG_CLOSE_CODE, "message too big")
            return
        violation = next(self._channel.iterate_violations("client", data, is_binary=is_binary), None)
        if violation is not None:
            self._client_monitor.report("client-message-invalid", violation.reason)
            await self._report_error_or_close(violation.reason)
            return
        intent = self._channel.read_client_message(data, is_binary=is_binary)
        self._client_monitor.judge_message(intent)
        if "session" in intent.actions and not await self._accept_key_message(
            intent, self._list_socket_faults(self._target)
        ):
            return
        if intent.audio:
            await self._receive_audio(intent.audio)
        if "flush" in intent.actions:
            await self._end_turn()
        if "close" in intent.actions:
            await self._end_turn()
            await self._work_items.join()
            await self._report_event(
                "session-end", duration_s=round(self._sample_count / self._format.sample_rate_hz, 3)
            )
            await self._close(NORMAL_CLOSE_CODE, "")

    @property
    def _sample_count(self) -> int:
        return self._retained_audio.first_sample_index + len(self._retained_audio.samples)

    async def _receive_audio(self, audio: bytes) -> None:
        """Add audio, and report turns that begin, go on or end in it."""
        import numpy as np

        buffer, width = self._retained_audio, self._format.sample_width_bytes or 1
        buffer.undecoded_bytes += audio
        whole = len(buffer.undecoded_bytes) - len(buffer.undecoded_bytes) % width  # a message may end within a sample
        if not whole:
            return
        declared = RawAudioFormat(format=self._format.codec, sample_rate_hz=self._format.sample_rate_hz)
        samples = decode(bytes(buffer.undecoded_bytes[:whole]), declared_format=declared).samples
        del buffer.undecoded_bytes[:whole]
        buffer.samples = np.concatenate((buffer.samples, samples))
        while self._examined_sample_count + self._frame_sample_count <= self._sample_count:
            start = self._examined_sample_count - buffer.first_sample_index
            power = float(
                np.mean(np.square(buffer.samples[start : start + self._frame_sample_count], dtype=np.float64))
            )
            self._examined_sample_count += self._frame_sample_count
            level_dbfs = 10 * np.log10(power + 1e-12)  # digital silence has no logarithm
            await self._advance_by_frame(is_speech=bool(level_dbfs > _SPEECH_LEVEL_DBFS))
        self._drop_unneeded_samples()

    def _drop_unneeded_samples(self) -> None:
        """Drop the samples that no turn and no report needs any more."""
        rate = self._format.sample_rate_hz
        kept = (
            self._turn.first_sample_index
            if self._turn is not None
            else self._examined_sample_count - round(_TURN_LEAD_IN_S * rate)
        )
        surplus = kept - self._retained_audio.first_sample_index
        # A report that waits needs the samples that it names. Less than a second is not worth copying the rest.
        if surplus > rate and self._work_items.empty():
            self._retained_audio.samples = self._retained_audio.samples[surplus:]
            self._retained_audio.first_sample_index += surplus

    async def _advance_by_frame(self, *, is_speech: bool) -> None:
        """Begin, continue or end the turn by the frame that was examined last, and queue what is reported of it."""
        rate, turn, spec = self._format.sample_rate_hz, self._turn, self._spec.transcript_emulation
        now = self._examined_sample_count
        if is_speech:
            if turn is None:
                first = max(
                    now - self._frame_sample_count - round(_TURN_LEAD_IN_S * rate),
                    self._retained_audio.first_sample_index,
                )
                turn = self._turn = _Turn(self._turn_count, first, now, now)
                self._turn_count += 1
                self._queue_report("turn-start", turn)
            elif turn.has_probably_ended:
                turn.has_probably_ended = False
                self._queue_report("resumed", turn)
            turn.last_speech_sample_index = now
        if turn is None:
            return
        silence_s = (now - turn.last_speech_sample_index) / rate
        if now - turn.last_reported_sample_index >= spec.partial_interval_s * rate and not turn.has_probably_ended:
            turn.last_reported_sample_index = now
            if not self._is_partial_waiting:  # otherwise the next one reports more
                self._is_partial_waiting = True
                self._queue_report("partial", turn)
        has_paused = silence_s >= spec.eager_end_s
        if has_paused and not turn.has_probably_ended and self._spec.has_event("eager-end"):
            turn.has_probably_ended = True
            self._queue_report("eager-end", turn)
        limits = [
            fault.turn_end_silence_s
            for fault in self._list_socket_faults(self._target)
            if fault.turn_end_silence_s is not None
        ]
        turn_end_s = min([spec.turn_end_s, *limits])
        if silence_s >= turn_end_s or now - turn.first_sample_index >= _MAX_TURN_S * rate:
            await self._end_turn()

    async def _end_turn(self) -> None:
        if self._turn is not None:
            self._queue_report("turn-end", self._turn)
            self._turn = None

    def _queue_report(self, event_kind: ServerEventKind, turn: _Turn) -> None:
        self._work_items.put_nowait((event_kind, turn.first_sample_index, self._examined_sample_count, turn))

    # What is reported.

    async def _perform_work_items(self) -> None:
        """Send queued partial texts and ends of turns to the client, one after the other, until the connection ends."""
        with contextlib.suppress(ConnectionEndedError):
            while True:
                event_kind, first, last, turn = await self._work_items.get()
                self._is_reporting = True
                self._is_partial_waiting = self._is_partial_waiting and event_kind != "partial"
                try:
                    await self._report_text(event_kind, first, last, turn)
                finally:
                    self._is_reporting = False
                    self._work_items.task_done()

    async def _report_text(
        self, event_kind: ServerEventKind, first_sample_index: int, end_sample_index: int, turn: _Turn
    ) -> None:
        # Without a message for the end of a turn, its text is final all the same: see `_split_report_of_turn_end`.
        if not self._spec.has_event(event_kind) and event_kind != "turn-end":
            return
        origin, rate = self._retained_audio.first_sample_index, self._format.sample_rate_hz
        samples = self._retained_audio.samples[max(first_sample_index - origin, 0) : end_sample_index - origin]
        text = await self._choose_text_to_report(event_kind, samples, turn)
        if text is None:
            return
        reports = [ReportedText(event_kind, text)]
        for fault in self._list_socket_faults(self._target):
            if fault.change_reported_texts is not None:
                reports = fault.change_reported_texts(reports)
        for report in itertools.chain.from_iterable(map(self._split_report_of_turn_end, reports)):
            if report.delay_s:
                await asyncio.sleep(report.delay_s * self._settings.time_scale)
            if report.kind == "raw":
                await self._send_text(report.text)
                continue
            await self._report_event(
                report.kind,
                transcript=report.text,
                word_items=_build_words(samples, rate, report.text, first_sample_index / rate),
                turn=turn.index,
                start_s=round(first_sample_index / rate, 3),
                end_s=round(end_sample_index / rate, 3),
                duration_s=round((end_sample_index - first_sample_index) / rate, 3),
            )

    def _split_report_of_turn_end(self, report: ReportedText) -> list[ReportedText]:
        """Return the reports to send in place of `report`: two if it ends a turn, and the message for that has no text.

        The first one then has the text, and the second one ends the turn.
        """
        ends = [one for one in self._spec.server_messages if one.event == "turn-end"]
        has_text = self._spec.transcript.turn_text == "end" or any(
            has_placeholder(one.value, "{transcript}") for one in ends
        )
        if report.kind != "turn-end" or has_text:
            return [report]
        return [replace(report, kind="final"), ReportedText("turn-end")]

    async def _choose_text_to_report(self, event_kind: ServerEventKind, samples: Samples, turn: _Turn) -> str | None:
        """Return the text to report; `None` if nothing is to be reported."""
        if event_kind == "turn-start":
            return ""
        if event_kind == "turn-end" and turn.eager_text is not None:
            return turn.eager_text  # nothing was said since, so that another transcription would only take time
        text = (await transcribe_samples(samples, self._format.sample_rate_hz)).strip()
        if event_kind == "eager-end":
            turn.eager_text = text or None
            turn.has_probably_ended = bool(text) and turn.has_probably_ended
            return text or None
        if event_kind != "turn-end":
            turn.eager_text = None
        return text

    async def _report_event(self, event_kind: Any, **values: Any) -> None:
        """Send an event, if the contract has such a message."""
        named = {"id": f"{self._settings.seed % 0x10000:04x}{self._message_count:08x}", "sequence": self._message_count}
        message = self._channel.build_server_message(event_kind, **{**named, **values})
        if message is not None:
            self._message_count += 1
            await self._send_text(message)


def _build_words(samples: Samples, sample_rate_hz: int, text: str, offset_s: float) -> list[dict[str, Any]]:
    """Return the words of a text with estimated times, in seconds after the first audio of the connection."""
    phrases = split_transcript_into_timed_phrases(samples, sample_rate_hz, text) if len(samples) else []
    return [
        {"word": one.words[0], "start_s": round(offset_s + one.start_s, 2), "end_s": round(offset_s + one.end_s, 2)}
        for one in split_into_timed_words(phrases)
    ]

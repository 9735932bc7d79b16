"""Records of one benchmark sample: latency, streaming, audio, cost and score."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record
from voicegauge.model.job import Failure, Interval


class Latency(Record, frozen=True, kw_only=True):
    """Times of one sample in milliseconds, counted from the start of its (last) submit."""

    submit_latency_ms: float
    """Until the response to the submit was complete."""
    queue_ms: Interval | None = None
    """Queue time of a job, as lower and upper bounds between two polls; `None` without a queue state."""
    processing_ms: Interval | None = None
    """Processing time of a job, as lower and upper bounds between two polls."""
    completion_ms: Interval | None = None
    """Completion time of a job: between the last poll that saw it unfinished and the first that saw it succeed."""
    download_ms: float | None = None
    """Duration of the request that downloaded the audio of a job."""
    ttfb_ms: float | None = None
    """Until the first byte of the response that carries the audio."""
    ttfa_ms: float | None = None
    """Until the first byte of audio data, after any header."""
    ttfs_ms: float | None = None
    """Time to first audible speech: `ttfa_ms` plus the leading silence, plus any stall of a player before it."""
    total_latency_ms: float | None = None
    """Until the last byte of audio, polling and download included."""


class Streaming(Record, frozen=True, kw_only=True):
    """Arrival of audio that was streamed in the response to the submit, and its simulated playback.

    Times are milliseconds from the start of the submit.
    """

    first_event_ms: float | None = None
    """Until the first event of an event stream; `None` for a plain byte stream."""
    chunks: tuple[tuple[float, int], ...]
    """Each chunk as (arrival time, bytes of audio received so far); arrivals within a millisecond are merged."""
    gap_p50_ms: float | None = None
    """Median inter-chunk gap; `None` for a single chunk."""
    gap_max_ms: float | None = None
    """Longest inter-chunk gap."""
    first_speech_ms: float | None = None
    """Arrival time of the first audible speech, without the playing time of the silence before it."""
    underruns: int | None = None
    """Buffer underruns of a player that starts with the first audio."""
    stalled_ms: float | None = None
    """Total time that this player stalls."""


class AudioFacts(Record, frozen=True, kw_only=True):
    """Measurements of one audio file."""

    sha256: str
    file: str
    """Path relative to the run's folder."""
    bytes: int
    media_type: str | None
    """As the provider declared it."""
    container: str | None
    """"wav", "mp3", "flac", "ogg", ...; `None` where the audio could not be decoded."""
    sample_rate_hz: int | None = None
    channels: int | None = None
    raw_format: str | None = None
    """Encoding of audio without a header, as the contract declares it: "pcm_s16le", "mulaw", ..."""
    audio_s: float | None = None
    """Duration."""
    leading_silence_s: float | None = None
    rms_dbfs: float | None = None


class Cost(Record, frozen=True, kw_only=True):
    """The documented price of one sample and the charge that the provider reported."""

    price_usd: float | None = None
    price_credits: float | None = None
    charged_usd: float | None = None
    charged_credits: float | None = None
    disputed: bool = False
    """The documents contradict each other about the price."""


class Sample(Record, frozen=True, kw_only=True):
    """One measured request of a benchmark, successful or failed."""

    id: str
    """"<target>/<session>/<repetition>/<text id>", unique in its run."""
    target: str
    text_id: str
    text: str
    language: str
    category: str
    """Category of the text in its suite."""
    session: int
    repetition: int
    warmup: bool
    """Warm-up samples are left out of every result."""
    started_at: str
    """UTC, ISO 8601."""
    attempts: int
    """Submits sent, retries included."""
    polls: int
    """Status requests sent."""
    request_id: str | None = None
    """The provider's id of the job."""
    latency: Latency | None = None
    streaming: Streaming | None = None
    """`None` where the audio was not streamed, or its chunks were not timed."""
    audio: AudioFacts | None = None
    """Audio received; for speech to text, the audio sent."""
    transcript: str | None = None
    """The target's own transcript, for speech to text."""
    cost: Cost = Cost()
    failure: Failure | None = None
    is_lost: bool = False
    """Its request counts as spent, and nothing is known, or saved, of its result."""

    @property
    def is_measured(self) -> bool:
        """Whether it counts in results: not warm-up, and not lost because voicegauge was stopped."""
        return not self.warmup and not (self.failure is not None and self.failure.kind == "interrupted")


class Score(Record, frozen=True, kw_only=True):
    """Transcript and error counts of one sample by one ASR engine and normalizer."""

    sample_id: str
    audio_content: Literal["speech", "silence", "missing", "undecodable"]
    """Anything but "speech" counts as every unit deleted."""
    unit: Literal["word", "character"]
    """Characters for languages written without spaces between words."""
    reference: str
    """The normalized text."""
    hypothesis: str
    """The normalized transcript."""
    transcript: str
    """The transcript as the ASR engine wrote it."""
    units: int
    """Units in the reference."""
    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def error_rate(self) -> float:
        """Errors divided by reference units; for an empty reference, the number of insertions."""
        return self.errors / max(self.units, 1)

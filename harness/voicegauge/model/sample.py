"""One utterance of a benchmark: asked for, received, measured, and scored."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record
from voicegauge.model.job import Failure, Interval


class Latency(Record, frozen=True, kw_only=True):
    """Times of one sample in milliseconds, counted from the start of its (last) submit."""

    submit_latency_ms: float
    """Until the submit's answer was complete."""
    queue_ms: Interval | None = None
    """How long the job waited, known between two polls; `None` where there is no such state."""
    processing_ms: Interval | None = None
    """How long the job was worked on, known between two polls."""
    completion_ms: Interval | None = None
    """When the job was done, known between the last poll not done and the first done."""
    download_ms: float | None = None
    """The request that fetched the audio, for a job."""
    ttfb_ms: float | None = None
    """Until the first byte of the answer that carries the audio."""
    ttfa_ms: float | None = None
    """Until the first byte of audio data."""
    ttfs_ms: float | None = None
    """Until the first audible speech is heard: `ttfa_ms` and the leading silence; later where a player would wait."""
    total_latency_ms: float | None = None
    """Until the last byte of audio: the time to file."""


class Streaming(Record, frozen=True, kw_only=True):
    """How audio came as a stream, in the answer to the request itself, to be played from the first piece on.

    Times are milliseconds from the start of the submit.
    """

    first_event_ms: float | None = None
    """Until the first event had come; `None` for plain bytes."""
    pieces: tuple[tuple[float, int], ...]
    """Each arrival as (time, bytes of audio until then); those within a millisecond are one."""
    gap_p50_ms: float | None = None
    """The median pause between two pieces; `None` where there is one alone."""
    gap_max_ms: float | None = None
    """The longest pause between two pieces."""
    speech_ms: float | None = None
    """Until the first audible speech had come: the bytes up to it, not the silence before it."""
    underruns: int | None = None
    """How often a player that starts with the first audio would have run out of it."""
    stalled_ms: float | None = None
    """How long that player would have waited in all."""


class AudioFacts(Record, frozen=True, kw_only=True):
    """What was measured on the audio received."""

    sha256: str
    file: str
    """Path relative to the run's folder."""
    bytes: int
    media_type: str | None
    container: str | None
    """"wav", "mp3", "flac", "ogg", ...; `None` where it could not be decoded."""
    sample_rate_hz: int | None = None
    channels: int | None = None
    raw_format: str | None = None
    """For samples without a header: "pcm_s16le", "mulaw", ..., as the contract declares them."""
    audio_s: float | None = None
    leading_silence_s: float | None = None
    rms_dbfs: float | None = None


class Cost(Record, frozen=True, kw_only=True):
    """What one sample cost, by the contract's price and by what the provider said it charged."""

    price_usd: float | None = None
    price_credits: float | None = None
    charged_usd: float | None = None
    charged_credits: float | None = None
    disputed: bool = False
    """The documents disagree about the price."""


class Sample(Record, frozen=True, kw_only=True):
    """One utterance asked for, received and measured. A failed one is a sample too."""

    id: str
    """"<target>/<session>/<repetition>/<text id>", unique in its run."""
    target: str
    text_id: str
    text: str
    language: str
    category: str
    session: int
    repetition: int
    warmup: bool
    started_at: str
    """UTC, ISO 8601."""
    attempts: int
    polls: int
    request_id: str | None = None
    latency: Latency | None = None
    streaming: Streaming | None = None
    """Where the audio came as a stream that was timed."""
    audio: AudioFacts | None = None
    """What was received; what was sent, where speech was to be written down."""
    transcript: str | None = None
    """What the target itself heard, where speech was to be written down."""
    cost: Cost = Cost()
    failure: Failure | None = None


class Score(Record, frozen=True, kw_only=True):
    """Transcript and error counts of one sample under one ASR and one normalizer."""

    sample_id: str
    heard: Literal["speech", "silence", "missing", "undecodable"]
    """Anything but "speech" counts as every unit deleted."""
    unit: Literal["word", "character"]
    """Characters for languages written without spaces between words."""
    reference: str
    """The text, normalised."""
    hypothesis: str
    """The transcript, normalised."""
    transcript: str
    """What the ASR said."""
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
        """Errors over reference units; 1 per insertion where the reference is empty."""
        return self.errors / max(self.units, 1)

"""A sample of a benchmark, what was found in its audio, and samples as rows of tables and data frames.

The records form no reference cycles, so the garbage collector need not visit them (`gc=False`): a large run has half a
million.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from voicegauge.errors import MissingExtraError
from voicegauge.files import PARQUET_MARK
from voicegauge.model.base import Count, NonNegativeNumber, Number, Record
from voicegauge.model.exchange import ExchangeExcerpt, Failure, Interruption, TranscriptTiming

if TYPE_CHECKING:
    import pandas as pd


class Interval(Record, frozen=True, kw_only=True):
    """Lower and upper bound, in milliseconds, of a time that polling cannot determine exactly."""

    low_ms: Number
    """The earliest moment or shortest time that is possible, in milliseconds."""
    high_ms: NonNegativeNumber
    """The latest moment or longest time that is possible, in milliseconds."""


class RequestPhases(Record, frozen=True, kw_only=True, gc=False):
    """How long each phase of the last submit took, in milliseconds, and the connection that it used."""

    connection_wait_ms: Number
    """Duration of the wait for a free connection."""
    dns_ms: Number | None
    """Duration of the name lookup; `None` on a reused connection, and for a URL with an IP address."""
    connect_ms: Number | None
    """Duration of the TCP connect; `None` on a reused connection."""
    tls_ms: Number | None
    """Duration of the TLS handshake; `None` on a reused connection, and with plain HTTP."""
    send_ms: Number
    """Duration of sending the request."""
    flush_ms: Number | None = None
    """Time from the first text to the flush of a turn over a WebSocket; `None` if no flush was sent."""
    server_ms: Number
    """Time from the last byte of the request to the first byte of the response."""
    transfer_ms: Number
    """Time from the first byte of the response to the last one."""
    is_new_connection: bool
    """Whether a connection was opened for the request."""
    http_version: str
    """HTTP version of the connection, such as "HTTP/1.1"; empty if it is not known."""


class Latency(Record, frozen=True, kw_only=True, gc=False):
    """Times of one sample in milliseconds.

    A time "until" an event is counted from the first byte of the first submit, on an open connection. If a submit at a
    fixed rate has to wait because the maximum number of requests is in flight, the time is counted from the start of
    this wait. Retries and the waits between them count. A time is `None` if its event did not occur or was not timed.
    """

    submit_latency_ms: NonNegativeNumber
    """Time until the response to the last submit was complete."""
    retries_ms: Number = 0.0
    """Time from the first submit to the last retry; 0 without retries."""
    start_delay_ms: Number | None = None
    """At a fixed rate, the time from the moment at which the first submit was due until it was sent; otherwise
    `None`."""
    queue_ms: Interval | None = None
    """Lower and upper bound of the time until a job left the queue, which lies between two polls; `None` if the
    contract documents no queue state."""
    processing_ms: Interval | None = None
    """Lower and upper bound of a job's processing time, because its start and end lie between two polls."""
    completion_ms: Interval | None = None
    """Lower and upper bound of the time until a job ended, because the end lies between the last poll that reported it
    as unfinished and the first that reported its final state."""
    download_ms: NonNegativeNumber | None = None
    """Duration of the request that downloaded the audio of a job."""
    ttfb_ms: NonNegativeNumber | None = None
    """Time until the first byte of the response that carries the audio."""
    ttfa_ms: NonNegativeNumber | None = None
    """Time until the first byte of audio data, not counting a file header."""
    ttfs_ms: NonNegativeNumber | None = None
    """Time to first audible speech: `ttfa_ms` plus the leading silence, plus any stall of a player before speech."""
    total_latency_ms: NonNegativeNumber | None = None
    """Time until the last byte of audio, including polling and download."""


class StreamArrivals(Record, frozen=True, kw_only=True, gc=False):
    """Arrival of audio that was streamed in the response to the submit, and its simulated playback.

    Times are in milliseconds, and begin at the same moment as the times in `Latency`. A value that cannot be computed,
    such as the arrival of speech in audio that cannot be decoded, is `None`.
    """

    first_event_ms: Number | None = None
    """Time until the first event of an event stream; `None` for a plain byte stream."""
    chunks: tuple[tuple[Number, Count], ...]
    """For each chunk, its arrival time and the number of audio bytes received so far. Chunks that arrive within a
    millisecond are merged."""
    gap_p50_ms: Number | None = None
    """Median gap between two chunks; `None` if there is only one chunk."""
    gap_max_ms: Number | None = None
    """Longest gap between two chunks; `None` if there is only one chunk."""
    first_speech_ms: Number | None = None
    """Arrival time of the first audible speech, without the playing time of the silence before it."""
    underruns: Count | None = None
    """Number of times that a player runs out of audio if it starts to play as soon as the first audio arrives."""
    stalled_ms: Number | None = None
    """Total time in milliseconds for which a player that starts with the first audio stalls without audio."""
    worst_deficit_ms: Number | None = None
    """Longest time by which audio arrives too late for a player that never stalls; 0 if none does. A player that waits
    for so long before it starts has no underrun."""


class AudioFacts(Record, frozen=True, kw_only=True, gc=False):
    """Measurements of one audio file; `None` stands for what cannot be measured, as in audio that cannot be decoded."""

    sha256: str
    """SHA-256 of the file."""
    file_path: str
    """Path of the file, relative to the run's folder."""
    size_bytes: Count
    """Size of the file in bytes."""
    media_type: str | None
    """The media type that the provider declared for the audio; `None` if it declared none."""
    container: str | None
    """Container format, such as "wav", "mp3", "flac" or "ogg"; `None` if it was not recognized."""
    sample_rate_hz: Count | None = None
    """Sample rate of the decoded audio."""
    channels: Count | None = None
    """Number of channels."""
    raw_format: str | None = None
    """Encoding of audio without a header, such as "pcm_s16le" or "mulaw", as the contract declares it."""
    audio_duration_s: NonNegativeNumber | None = None
    """Duration of the audio in seconds."""
    leading_silence_s: Number | None = None
    """Duration before the first audible speech, ignoring clicks and background noise."""
    speech_onset_s: Number | None = None
    """Duration before the first 10 ms whose RMS is above 0.01, which is how the Coval benchmark defines the first
    audible speech; `None` if there is no such frame. Coval adds it to the round trip, `ttfa_ms`, to compute the time to
    first audible speech."""
    rms_dbfs: Number | None = None
    """Level of the whole audio: its RMS in dB relative to full scale."""
    loudness_lufs: Number | None = None
    """Integrated loudness (ITU-R BS.1770-5) of the mono mix; `None` for silence and for less than 0.4 s."""
    clipped_share: NonNegativeNumber | None = None
    """Share of samples at full scale that have a neighbour at full scale, from 0 to 1."""
    dc_offset: Number | None = None
    """Mean of the samples, relative to full scale."""
    noise_floor_dbfs: Number | None = None
    """Level that a tenth of the frames of 10 ms do not exceed; `None` if they are digitally silent."""
    bandwidth_hz: NonNegativeNumber | None = None
    """Frequency above which the spectrum ends abruptly; half of the sample rate if it does not."""
    is_upsampled: bool | None = None
    """Whether lossless audio was made at a lower sample rate than it states."""
    click_count: Count | None = None
    """Number of jumps between two samples that are far larger than the changes around them."""
    spoken_s: NonNegativeNumber | None = None
    """Duration from the first to the last sound without the longest pause, in seconds; `None` without any sound."""
    pitch_hz: NonNegativeNumber | None = None
    """Median pitch of the voice; `None` with too little speech."""
    spectral_centroid_hz: NonNegativeNumber | None = None
    """Mean frequency of the spectrum of the voice up to 3,600 Hz; `None` with too little speech."""


class Cost(Record, frozen=True, kw_only=True, gc=False):
    """The documented price of one sample and the charge that the provider reported."""

    price_usd: NonNegativeNumber | None = None
    """The price in US dollars by the newest document that binds the provider; `None` if there is none."""
    price_credits: NonNegativeNumber | None = None
    """The documented price in the provider's credits; `None` if it is not known."""
    charged_usd: NonNegativeNumber | None = None
    """The reported charge in US dollars; `None` if it is not known."""
    charged_credits: NonNegativeNumber | None = None
    """The reported charge in the provider's credits; `None` if it is not known."""
    reserved_usd: NonNegativeNumber | None = None
    """The highest price in US dollars that a document leads to, which the budget reserved; `None` if it is unknown."""


class Sample(Record, frozen=True, kw_only=True, gc=False):
    """One measured request of a benchmark, successful or failed."""

    id: str
    """"<target>/<session>/<repetition>/<text id>", unique in its run."""
    target: str
    """Id of the target."""
    text_id: str
    """Id of the text in its suite."""
    text: str
    language: str
    category: str
    """Category of the text in its suite."""
    session: Count
    """Number of the session, counted from 1."""
    repetition: Count
    """Number of the repetition of the text in its session, counted from 1."""
    is_warmup: bool
    """Whether this is a warm-up sample; those are excluded from every result."""
    started_at: str
    """Time at which the request was started: UTC, in ISO 8601 format."""
    submit_count: Count
    """Number of submit requests that were sent, including retries."""
    retried_statuses: tuple[Count, ...] = ()
    """HTTP statuses after which the submit was repeated, in order. Those that an earlier, interrupted process received
    are missing, and lost connections have none."""
    poll_count: Count
    """Number of status requests that were sent."""
    job_id: str | None = None
    """The provider's id of the job; `None` if there was no job."""
    latency: Latency | None = None
    request_phases: RequestPhases | None = None
    """Phases of the last submit; `None` if it was not timed."""
    streaming: StreamArrivals | None = None
    """How the streamed audio arrived; `None` if the audio was not streamed or its chunks were not timed."""
    audio: AudioFacts | None = None
    """The received audio, or for speech to text, the audio that was sent; `None` if there is none."""
    transcript: str | None = None
    """For speech to text, the transcript that the target returned; `None` if it returned none."""
    cost: Cost = Cost()
    failure: Failure | None = None
    failed_exchange: ExchangeExcerpt | None = None
    """The exchange in which the delivery failed. It is kept for one sample of each target, kind of failure and
    status."""
    max_own_lag_ms: Number | None = None
    """Longest time for which voicegauge itself was too busy to notice anything while the sample was in progress;
    `None` if this was not measured."""
    is_disturbed: bool = False
    """Whether voicegauge itself was too busy for more than 10 ms and more than 1% of the total latency."""
    ramp_step: Count | None = None
    """Number of the step of a ramp in which the request was sent, from 1; `None` if it belongs to no step."""
    place: str | None = None
    """Where the worker is that sent the request; `None` if the machine that planned the run sent it."""
    interruption: Interruption | None = None
    """How the target reacted when the previous turn, with the same text, was interrupted; `None` if no turn was
    interrupted."""
    transcript_timing: TranscriptTiming | None = None
    """When the target reported texts and the end of the turn, if the recording was streamed to it over a WebSocket."""
    is_billing_ambiguous: bool = False
    """Whether the price of the request counts as spent although the result is unknown or was not saved."""

    @property
    def is_counted(self) -> bool:
        """Whether results count the sample: it is not a warm-up, and was not lost with voicegauge or its worker."""
        return not self.is_warmup and not (self.failure is not None and self.failure.kind == "interrupted")


ListeningOutcome = Literal["right", "wrong", "doubtful", "not judged"]
"""What listening to a clip has shown. `right`: it says its text, as far as its words are recognized, and has no defect.
`wrong`: it says something else, is not speech, or has a defect. `doubtful`: it may not say its text. `not judged`:
nothing can be said about its words, and its sound has no defect."""


class ListeningVerdict(Record, frozen=True, kw_only=True, gc=False):
    """What the audio of one sample says, compared with its text."""

    sample_id: str
    outcome: ListeningOutcome
    rule: str | None = None
    """Id of the rule that a check would report, such as "spoken-text-other"; `None` unless `outcome` is wrong or
    doubtful."""
    explanation: str
    """What was found, with times, or why nothing was judged."""
    start_s: Number | None = None
    """Time at which the defect is audible, in seconds from the start of the audio; `None` if it has no particular
    time."""


class QualityPrediction(Record, frozen=True, kw_only=True, gc=False):
    """Predicted ratings of one sample by listeners, from 1 (bad) to 5 (excellent). They are imprecise for one clip."""

    sample_id: str
    speech: Number
    """Rating of the speech, ignoring the background (SIG of ITU-T P.835)."""
    background: Number
    """Rating of the background (BAK of P.835)."""
    overall: Number
    """Overall rating (OVRL of P.835)."""
    p808: Number
    """Overall rating by the model of ITU-T P.808."""


class MeasuredVoice(Record, frozen=True, kw_only=True, gc=False):
    """The voice of one sample, as an encoder of voices describes it."""

    sample_id: str
    vector: str
    """The vector of the voice, of length 1, as 16-bit floating-point numbers in little-endian order, in base64."""
    similarity: Number | None = None
    """Similarity to the voice sample: 0 for the mean of other speakers of the same texts, 1 for the sample itself.
    `None` for a target that clones no voice, and for a run without a similarity scale."""


class EntityScore(Record, frozen=True, kw_only=True, gc=False):
    """Whether a number, a date or another entity of a text was recognized in an accepted reading."""

    kind: str
    """Kind of the entity: number, money, date, time, phone, code, unit, name and others."""
    written: str
    """The entity as it is written in the text."""
    is_right: bool
    """Whether the transcript has one of the entity's accepted readings without an error."""
    recognized: str
    """The words of the transcript at the position of the entity."""


class ReadingScore(Record, frozen=True, kw_only=True, gc=False):
    """Errors of a transcript that no accepted reading of its text explains: "ten AM" counts as right for "10:00 AM"."""

    normalizer: str
    """Name and version of the accepted readings, such as "readings-en/2"."""
    reference_unit_count: Count
    """Number of units of the accepted reading that is closest to the transcript."""
    hits: Count
    """Number of units of that reading that the transcript has."""
    substitutions: Count
    """Number of units of the closest accepted reading that were recognized as another unit."""
    deletions: Count
    """Number of units that were not recognized."""
    insertions: Count
    """Number of recognized units that the accepted reading does not have."""
    entities: tuple[EntityScore, ...] = ()
    """The entities of the text, in its order."""

    @property
    def errors(self) -> int:
        """Number of errors: substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wrong_entities(self) -> tuple[EntityScore, ...]:
        """The entities of which no accepted reading was recognized."""
        return tuple(entity for entity in self.entities if not entity.is_right)

    @property
    def entity_count(self) -> int:
        """Number of entities of the text."""
        return len(self.entities)

    @property
    def wrong_entities_text(self) -> str:
        """The wrong entities with what was recognized; empty without any."""
        return "; ".join(f"{one.written} recognized as {one.recognized or 'nothing'}" for one in self.wrong_entities)


class Score(Record, frozen=True, kw_only=True, gc=False):
    """Transcript and error counts of one sample, determined with one ASR engine and one normalizer."""

    sample_id: str
    audio_content: Literal["speech", "noise", "silence", "missing", "undecodable"]
    """What the audio contains; noise is any steady sound. If it is not "speech", every unit of the reference counts as
    deleted."""
    unit: Literal["word", "character"]
    """The unit in which errors are counted: "character" for languages written without spaces, else "word"."""
    reference: str
    """The text of the sample after normalization."""
    hypothesis: str
    """The transcript after normalization."""
    transcript: str
    """The transcript as the ASR engine returned it, before normalization."""
    reference_unit_count: Count
    """Number of units in `reference`."""
    hits: Count
    """Number of units of the reference that the hypothesis has unchanged."""
    substitutions: Count
    """Number of units of the reference that were recognized as another unit."""
    deletions: Count
    """Number of units of the reference that were not recognized."""
    insertions: Count
    """Number of recognized units that the reference does not have."""
    readings: ReadingScore | None = None
    """The errors by accepted readings; `None` in runs that were scored without them, and for very long texts."""

    @property
    def errors(self) -> int:
        """Number of errors: substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def error_rate(self) -> float:
        """Number of errors divided by the number of reference units; for an empty reference, the number of errors."""
        return self.errors / max(self.reference_unit_count, 1)


# Defines the columns of a table with one row per sample, which CSV files, Parquet files and data frames have.


ColumnType = Literal["text", "integer", "number", "boolean", "timestamp"]
"""The type of a column. `timestamp` is a time in UTC with microseconds."""
ColumnValue = str | int | float | bool | datetime | None


class SampleRow(NamedTuple):
    """One sample with the facts about its run that the table shows."""

    run_id: str
    provenance: str
    is_rehearsal: bool
    fault_ids: str
    """Ids of the injected faults, joined by spaces; empty without any."""
    region: str | None
    suite: str
    sample: Sample
    asr: str | None
    """The ASR engine of the scores; `None` if the run was not scored."""
    score: Score | None
    listening: ListeningVerdict | None
    """Whether the audio says its text; `None` if that was not judged."""
    predicted_quality: QualityPrediction | None = None
    """How listeners would rate the audio; `None` if it was not predicted."""
    voice: MeasuredVoice | None = None
    """The voice of the sample; `None` if voices were not compared."""

    @property
    def status(self) -> str:
        """The word "failure" for a sample without a result, "success" for any other."""
        return "success" if self.sample.failure is None else "failure"

    @property
    def score_asr(self) -> str | None:
        """The ASR engine of the sample's score; `None` if the sample has no score."""
        return self.asr if self.score is not None else None


class SampleColumn(NamedTuple):
    """One column of the table, as `sample_columns.yaml` describes it."""

    name: str
    type: ColumnType
    presence: Literal["required", "optional"]
    """Whether every row has a value, or the value of a row may be missing."""
    unit: str
    """Unit of the numbers in the column; empty for other values."""
    attribute_names: tuple[str, ...]
    """Names of the attributes that lead from a `SampleRow` to the value, such as ("sample", "audio", "sha256")."""
    meaning: str
    """One sentence that explains the column."""

    def read_value(self, row: SampleRow) -> ColumnValue:
        """Return the value of the column for a row; `None` if the row has none."""
        value: Any = row
        for attribute in self.attribute_names:
            value = getattr(value, attribute)
            if value is None:
                return None
        column_type = self.type
        if column_type == "timestamp":
            return datetime.fromisoformat(value).astimezone(UTC)
        return float(value) if column_type == "number" else value


SAMPLE_COLUMNS = msgspec.yaml.decode(
    Path(__file__).with_name("sample_columns.yaml").read_bytes(), type=tuple[SampleColumn, ...]
)
"""The columns, in order."""


# Writes tables of samples as Parquet, and converts them to pandas data frames. Both need the extra `data`.


def write_parquet(rows: Iterable[SampleRow], file: IO[bytes]) -> None:
    """Write one row per sample to an open file, with the columns and types of `SAMPLE_COLUMNS`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    table = _build_arrow_table(rows)
    _import_optional_library("pyarrow.parquet").write_table(table, file)


def build_data_frame(rows: Iterable[SampleRow]) -> pd.DataFrame:
    """Return one row per sample, with the columns of `SAMPLE_COLUMNS` and pandas' nullable types.

    Raises:
        MissingExtraError: pandas or pyarrow is not installed.
    """
    pandas: Any = _import_optional_library("pandas")
    arrow = _import_optional_library("pyarrow")
    dtypes = {
        arrow.string(): pandas.StringDtype(),
        arrow.int64(): pandas.Int64Dtype(),
        arrow.float64(): pandas.Float64Dtype(),
        arrow.bool_(): pandas.BooleanDtype(),
    }
    frame: pd.DataFrame = _build_arrow_table(rows).to_pandas(types_mapper=dtypes.get)
    return frame


def _build_arrow_table(rows: Iterable[SampleRow]) -> Any:
    arrow = _import_optional_library("pyarrow")
    types: dict[ColumnType, Any] = {
        "text": arrow.string(),
        "integer": arrow.int64(),
        "number": arrow.float64(),
        "boolean": arrow.bool_(),
        "timestamp": arrow.timestamp("us", tz="UTC"),
    }
    # Once for all columns: an iterator would be used up by the first one.
    all_rows = list(rows)
    fields, columns = [], []
    for column in SAMPLE_COLUMNS:
        is_optional = column.presence == "optional"
        metadata = {"unit": column.unit, "meaning": column.meaning}
        fields.append(arrow.field(column.name, types[column.type], nullable=is_optional, metadata=metadata))
        columns.append(arrow.array([column.read_value(row) for row in all_rows], type=types[column.type]))
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields, metadata={"written_by": PARQUET_MARK}))


def _import_optional_library(library_name: str) -> Any:
    try:
        return importlib.import_module(library_name)
    except ImportError as error:
        raise MissingExtraError(f"{library_name.partition('.')[0]}, which tables of samples need,", "data") from error

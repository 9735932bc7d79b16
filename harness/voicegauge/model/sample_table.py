"""The samples of runs as table rows and data frames."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from voicegauge.errors import MissingExtraError
from voicegauge.files import PARQUET_MARK
from voicegauge.model.sample import ListeningVerdict, MeasuredVoice, QualityPrediction, Sample, Score

if TYPE_CHECKING:
    import pandas as pd


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


class SampleColumn(NamedTuple):
    """One column of the table."""

    name: str
    type: ColumnType
    unit: str
    """Unit of the numbers in the column; empty for other values."""
    meaning: str
    """One sentence that explains the column."""
    read_value: Callable[[SampleRow], ColumnValue]
    """A function that returns the value of the column for a row."""
    can_be_missing: bool = True
    """Whether the value of a row may be missing."""


def _build_column(name: str, column_type: ColumnType, unit: str, meaning: str, attribute_path: str) -> SampleColumn:
    """Return a column that reads the attribute `attribute_path` of a row, such as "sample.audio.sha256"."""
    names = attribute_path.split(".")

    def read(row: SampleRow) -> ColumnValue:
        value: Any = row
        for attribute in names:
            if value is None:
                return None
            value = getattr(value, attribute)
        return float(value) if column_type == "number" and value is not None else value

    return SampleColumn(name, column_type, unit, meaning, read)


def _build_required_column(
    name: str, column_type: ColumnType, unit: str, meaning: str, attribute_path: str
) -> SampleColumn:
    return _build_column(name, column_type, unit, meaning, attribute_path)._replace(can_be_missing=False)


def _read_start_time(row: SampleRow) -> datetime:
    return datetime.fromisoformat(row.sample.started_at).astimezone(UTC)


def _read_success_or_failure(row: SampleRow) -> str:
    return "success" if row.sample.failure is None else "failure"


def _count_entities(row: SampleRow) -> ColumnValue:
    readings = row.score.readings if row.score is not None else None
    return len(readings.entities) if readings is not None else None


def _describe_wrong_entities(row: SampleRow) -> ColumnValue:
    readings = row.score.readings if row.score is not None else None
    return readings.describe_wrong_entities() if readings is not None else None


_RUN_AND_REQUEST_COLUMNS = (
    _build_required_column("run_id", "text", "", "Id of the run.", "run_id"),
    _build_required_column("provenance", "text", "", "`emulated` or `live`: what was measured.", "provenance"),
    _build_required_column(
        "is_rehearsal",
        "boolean",
        "",
        "Whether something else answered than the service: the emulator, or a server on this machine in its place.",
        "is_rehearsal",
    ),
    _build_required_column(
        "fault_ids", "text", "", "Ids of the faults that were injected, joined by spaces.", "fault_ids"
    ),
    _build_column("region", "text", "", "Where the run was measured from, as `--region` names it.", "region"),
    _build_column("place", "text", "", "Where the worker is that sent the request (`--dask`).", "sample.place"),
    _build_required_column("suite", "text", "", "Id and version of the suite: `smoke@1`.", "suite"),
    _build_required_column("sample_id", "text", "", "Id of the sample, unique in its run.", "sample.id"),
    _build_required_column("target", "text", "", "The measured target: `<provider>/<name>`.", "sample.target"),
    _build_required_column("session", "integer", "", "Number of the session.", "sample.session"),
    _build_required_column("repetition", "integer", "", "Number of the repetition of the text.", "sample.repetition"),
    _build_column("ramp_step", "integer", "", "Number of the step of a ramp, from 1.", "sample.ramp_step"),
    _build_required_column(
        "warmup", "boolean", "", "Whether it is a warm-up sample, which no result counts.", "sample.is_warmup"
    ),
    _build_required_column("text_id", "text", "", "Id of the text in its suite.", "sample.text_id"),
    _build_required_column("language", "text", "", "Language of the text, as a BCP 47 code.", "sample.language"),
    _build_required_column("category", "text", "", "Category of the text in its suite.", "sample.category"),
    _build_required_column("text", "text", "", "The text.", "sample.text"),
    SampleColumn(
        "started_at", "timestamp", "UTC", "When the request was started.", _read_start_time, can_be_missing=False
    ),
    SampleColumn(
        "status",
        "text",
        "",
        "`success`, or `failure` for a sample without a result; failed samples have a row as well.",
        _read_success_or_failure,
        can_be_missing=False,
    ),
    _build_required_column("attempts", "integer", "requests", "Submits, including retries.", "sample.submit_count"),
    _build_required_column("polls", "integer", "requests", "Status requests.", "sample.poll_count"),
    _build_column("request_id", "text", "", "The provider's id of the job.", "sample.job_id"),
    _build_column("failure", "text", "", "Kind of the failure, such as `rate_limited`.", "sample.failure.kind"),
    _build_column("failure_status", "integer", "", "HTTP status of the failure.", "sample.failure.http_status"),
    _build_column("failure_message", "text", "", "What happened.", "sample.failure.message"),
    _build_required_column(
        "is_lost",
        "boolean",
        "",
        "Whether it counts as paid although its result is unknown.",
        "sample.is_billing_ambiguous",
    ),
)

_LATENCY_COLUMNS = (
    ("submit_latency", "Time until the response to the last submit was complete."),
    ("ttfb", "Time to the first byte of the response with the audio."),
    ("ttfa", "Time to the first byte of audio."),
    ("ttfs", "Time until a player has played the silence before speech, and plays the first speech."),
    ("total_latency", "Time to the last byte of audio, with polls and download."),
    ("download", "Duration of the download of a job's audio."),
    ("retries", "Time from the first submit to the last one."),
    ("start_delay", "At a fixed rate: how much later than due the first submit was sent."),
)
"""Columns of `Latency` with a single time: the name without unit, and the meaning."""
_INTERVAL_COLUMNS = (
    ("queue", "Time until a job left the queue"),
    ("processing", "Processing time of a job"),
    ("completion", "Time until a job ended"),
)
"""Columns of `Latency` with a lower and an upper bound: the name without unit, and the meaning."""
_PHASE_COLUMNS = (
    ("connection_wait", "wait for a free connection"),
    ("dns", "name lookup"),
    ("connect", "TCP connect"),
    ("tls", "TLS handshake"),
    ("send", "sending the request"),
    ("flush", "from the first text to the flush of a turn over a WebSocket"),
    ("server", "from the last byte sent to the first byte received"),
    ("transfer", "from the first byte received to the last one"),
)
"""Columns of `RequestPhases`: the name without unit, and the phase in words."""


_INTERRUPTION_COLUMNS = (
    ("last_audio_ms", "ms", "Last audio of the interrupted turn before, after its cancellation."),
    ("late_audio_s", "s", "Speech that arrived after the cancellation."),
    ("next_audio_ms", "ms", "First audio of this turn, after the cancellation."),
)

_TRANSCRIPT_TIMING_COLUMNS = (
    ("first_text_ms", "ms", "First text of a streamed recording, after the start of its speech."),
    ("final_delay_ms", "ms", "First reported end of the turn, after the end of speech; negative before it."),
    ("flip_count", "", "Words of texts that the text after them took back."),
    ("partial_word_count", "", "Words of texts that another text followed."),
)


def _build_time_columns() -> Iterable[SampleColumn]:
    for name, meaning in _LATENCY_COLUMNS:
        yield _build_column(f"{name}_ms", "number", "ms", meaning, f"sample.latency.{name}_ms")
    for name, meaning in _INTERVAL_COLUMNS:
        for bound in ("low", "high"):
            text = f"{meaning}, {'at least' if bound == 'low' else 'at most'}."
            yield _build_column(f"{name}_{bound}_ms", "number", "ms", text, f"sample.latency.{name}_ms.{bound}_ms")
    for name, meaning in _PHASE_COLUMNS:
        text = f"Phase of the last submit: {meaning}."
        yield _build_column(f"phase_{name}_ms", "number", "ms", text, f"sample.request_phases.{name}_ms")
    yield _build_column(
        "is_new_connection",
        "boolean",
        "",
        "Whether the last submit opened a connection.",
        "sample.request_phases.is_new_connection",
    )
    yield _build_column(
        "http_version", "text", "", "HTTP version of the last submit.", "sample.request_phases.http_version"
    )
    for name, unit, meaning in _INTERRUPTION_COLUMNS:
        yield _build_column(f"interruption_{name}", "number", unit, meaning, f"sample.interruption.{name}")
    for name, unit, meaning in _TRANSCRIPT_TIMING_COLUMNS:
        yield _build_column(f"transcript_timing_{name}", "number", unit, meaning, f"sample.transcript_timing.{name}")
    yield _build_column(
        "max_lag_ms", "number", "ms", "Longest time for which voicegauge itself was too busy.", "sample.max_own_lag_ms"
    )
    yield _build_required_column(
        "is_disturbed", "boolean", "", "Whether that may have changed the times.", "sample.is_disturbed"
    )


_STREAM_COLUMNS: tuple[tuple[str, ColumnType, str, str], ...] = (
    ("first_event_ms", "number", "ms", "Time to the first event of an event stream."),
    ("first_speech_ms", "number", "ms", "Arrival of the audio with the first speech, which is played at `ttfs_ms`."),
    ("gap_p50_ms", "number", "ms", "Median gap between two chunks."),
    ("gap_max_ms", "number", "ms", "Longest gap between two chunks."),
    ("underruns", "integer", "", "How often a player runs out of audio that starts at once."),
    ("stalled_ms", "number", "ms", "For how long it stalls."),
    ("worst_deficit_ms", "number", "ms", "Buffer that a player without a stall needs."),
)
_QUALITY_COLUMNS: tuple[tuple[str, ColumnType, str, str], ...] = (
    ("loudness_lufs", "number", "LUFS", "Integrated loudness (ITU-R BS.1770-5)."),
    ("clipped_share", "number", "", "Share of samples at full scale beside another one at full scale."),
    ("dc_offset", "number", "", "Mean of the samples, relative to full scale."),
    ("noise_floor_dbfs", "number", "dBFS", "Level that a tenth of the frames do not exceed."),
    ("bandwidth_hz", "number", "Hz", "Frequency above which the spectrum ends abruptly."),
    ("is_upsampled", "boolean", "", "Whether the audio was made at a lower sample rate than it states."),
    ("click_count", "integer", "", "Jumps between two samples that are far larger than those around them."),
    ("spoken_s", "number", "s", "Duration from the first to the last sound without the longest pause."),
    ("pitch_hz", "number", "Hz", "Median pitch of the voice."),
    ("spectral_centroid_hz", "number", "Hz", "Mean frequency of the spectrum of the voice, up to 3,600 Hz."),
)
_RATING_COLUMNS = (
    ("speech", "Predicted rating of the speech from 1 to 5 (SIG of ITU-T P.835); imprecise for one clip."),
    ("background", "Predicted rating of the background (BAK of P.835)."),
    ("overall", "Predicted overall rating (OVRL of P.835)."),
    ("p808", "Predicted overall rating by the model of ITU-T P.808."),
)
_RESULT_COLUMNS = (
    *(
        _build_column(f"stream_{name}", column_type, unit, meaning, f"sample.streaming.{name}")
        for name, column_type, unit, meaning in _STREAM_COLUMNS
    ),
    _build_column("audio_duration_s", "number", "s", "Duration of the audio.", "sample.audio.audio_duration_s"),
    _build_column("audio_sha256", "text", "", "SHA-256 of the audio file.", "sample.audio.sha256"),
    _build_column("audio_size_bytes", "integer", "bytes", "Size of the audio file.", "sample.audio.size_bytes"),
    _build_column("audio_container", "text", "", "Container format, such as `wav`.", "sample.audio.container"),
    _build_column("audio_sample_rate_hz", "integer", "Hz", "Sample rate.", "sample.audio.sample_rate_hz"),
    _build_column("audio_channels", "integer", "", "Number of channels.", "sample.audio.channels"),
    _build_column(
        "audio_leading_silence_s", "number", "s", "Silence before the speech.", "sample.audio.leading_silence_s"
    ),
    _build_column(
        "audio_speech_onset_s",
        "number",
        "s",
        "Silence before the first 10 ms with an RMS above 0.01.",
        "sample.audio.speech_onset_s",
    ),
    *(
        _build_column(f"audio_{name}", column_type, unit, meaning, f"sample.audio.{name}")
        for name, column_type, unit, meaning in _QUALITY_COLUMNS
    ),
    *(
        _build_column(f"predicted_{name}", "number", "", meaning, f"predicted_quality.{name}")
        for name, meaning in _RATING_COLUMNS
    ),
    _build_column(
        "voice_similarity",
        "number",
        "",
        "Similarity to the voice sample: 0 for other speakers of the same texts, 1 for the sample itself.",
        "voice.similarity",
    ),
    _build_column(
        "price_usd", "number", "USD", "Price by the newest document that binds the provider.", "sample.cost.price_usd"
    ),
    _build_column("price_credits", "number", "credits", "Documented price in credits.", "sample.cost.price_credits"),
    _build_column("charged_usd", "number", "USD", "Charge that the provider reported.", "sample.cost.charged_usd"),
    _build_column(
        "charged_credits",
        "number",
        "credits",
        "Charge in credits that the provider reported.",
        "sample.cost.charged_credits",
    ),
    _build_column(
        "reserved_usd", "number", "USD", "Highest price that a document leads to.", "sample.cost.reserved_usd"
    ),
    _build_column(
        "listening_outcome",
        "text",
        "",
        "What listening has shown: `right`, `wrong`, `doubtful` or `not judged`.",
        "listening.outcome",
    ),
    _build_column("listening_rule", "text", "", "Rule that the audio breaks.", "listening.rule"),
    _build_column("listening", "text", "", "What was found, or why nothing was judged.", "listening.explanation"),
    _build_column("listening_start_s", "number", "s", "Time at which the defect is audible.", "listening.start_s"),
    SampleColumn("asr", "text", "", "ASR engine of the scores.", lambda row: row.asr if row.score else None),
    _build_column(
        "audio_content", "text", "", "`speech`, `noise`, `silence`, `missing` or `undecodable`.", "score.audio_content"
    ),
    _build_column("unit", "text", "", "What errors are counted in: `word` or `character`.", "score.unit"),
    _build_column("units", "integer", "", "Units of the reference.", "score.reference_unit_count"),
    _build_column("hits", "integer", "", "Units that were recognized.", "score.hits"),
    _build_column("substitutions", "integer", "", "Units that were replaced.", "score.substitutions"),
    _build_column("deletions", "integer", "", "Units that are missing.", "score.deletions"),
    _build_column("insertions", "integer", "", "Units that were added.", "score.insertions"),
    _build_column("error_rate", "number", "", "Errors divided by units: WER or CER.", "score.error_rate"),
    _build_column(
        "reading_units", "integer", "", "Units of the closest accepted reading.", "score.readings.reference_unit_count"
    ),
    _build_column(
        "reading_errors", "integer", "", "Errors by accepted readings: `ten AM` is `10:00 AM`.", "score.readings.errors"
    ),
    SampleColumn("entities", "integer", "", "Numbers, dates, names and other entities of the text.", _count_entities),
    SampleColumn(
        "wrong_entities",
        "text",
        "",
        "Entities of which no accepted reading was recognized, and what was recognized.",
        _describe_wrong_entities,
    ),
    _build_column("reference", "text", "", "The normalized text.", "score.reference"),
    _build_column("hypothesis", "text", "", "The normalized transcript.", "score.hypothesis"),
    _build_column("transcript", "text", "", "The transcript of the ASR engine.", "score.transcript"),
)

SAMPLE_COLUMNS: tuple[SampleColumn, ...] = (*_RUN_AND_REQUEST_COLUMNS, *_build_time_columns(), *_RESULT_COLUMNS)
"""The columns, in order. Names and types are stable: a later version may add columns, also between others."""


# Writes tables of samples as Parquet, and converts them to pandas data frames. Both need the extra `data`.


def write_parquet(rows: Iterable[SampleRow], file: IO[bytes]) -> None:
    """Write one row per sample to an open file, with the columns and types of `SAMPLE_COLUMNS`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    table = _build_arrow_table(rows)
    _import_library("pyarrow.parquet").write_table(table, file)


def build_data_frame(rows: Iterable[SampleRow]) -> pd.DataFrame:
    """Return one row per sample, with the columns of `SAMPLE_COLUMNS` and pandas' nullable types.

    Raises:
        MissingExtraError: pandas or pyarrow is not installed.
    """
    pandas: Any = _import_library("pandas")
    arrow = _import_library("pyarrow")
    dtypes = {
        arrow.string(): pandas.StringDtype(),
        arrow.int64(): pandas.Int64Dtype(),
        arrow.float64(): pandas.Float64Dtype(),
        arrow.bool_(): pandas.BooleanDtype(),
    }
    frame: pd.DataFrame = _build_arrow_table(rows).to_pandas(types_mapper=dtypes.get)
    return frame


def _build_arrow_table(rows: Iterable[SampleRow]) -> Any:
    arrow = _import_library("pyarrow")
    types: dict[ColumnType, Any] = {
        "text": arrow.string(),
        "integer": arrow.int64(),
        "number": arrow.float64(),
        "boolean": arrow.bool_(),
        "timestamp": arrow.timestamp("us", tz="UTC"),
    }
    all_rows = list(rows)
    fields, columns = [], []
    for column in SAMPLE_COLUMNS:
        metadata = {"unit": column.unit, "meaning": column.meaning}
        fields.append(arrow.field(column.name, types[column.type], nullable=column.can_be_missing, metadata=metadata))
        columns.append(arrow.array([column.read_value(row) for row in all_rows], type=types[column.type]))
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields, metadata={"written_by": PARQUET_MARK}))


def _import_library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name.partition('.')[0]}, which tables of samples need,", "data") from error

"""Computes the metrics of each saved run of a folder, and stores them in an SQLite file.

Each run has a row with the modification time and the size of its run.json. The run is read again only if one of them
has changed.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, Self

import msgspec
import numpy as np

from voicegauge.bench import DEFAULT_TEXT_LENGTH
from voicegauge.bench.run_store import RUN_FILE_NAME, load_run
from voicegauge.bench.target_cost import compute_target_cost
from voicegauge.bench.target_samples import TargetSamples, group_target_samples, list_places
from voicegauge.errors import DataError, StorageError
from voicegauge.files import check_writable
from voicegauge.model.base import MAX_NUMBER, Count, Provenance, Record
from voicegauge.model.run import MeasuredTarget, Run, ScoreSet
from voicegauge.model.sample import Latency, Sample
from voicegauge.speech.listening import count_spoken_letters

# Computes the metrics of one saved run for a history of runs: one value for each target and metric.


HistoryMetric = Literal[
    "total_latency_ms",
    "ttfa_ms",
    "wer",
    "cer",
    "failures",
    "wrong_audio",
    "letters_per_s",
    "pitch_hz",
    "spectral_centroid_hz",
    "voice_similarity",
    "usd_per_1m_characters",
]
HistoryUnit = Literal["ms", "rate", "letters/s", "hz", "similarity", "usd"]
VOICE_METRICS: tuple[HistoryMetric, ...] = ("letters_per_s", "pitch_hz", "spectral_centroid_hz", "voice_similarity")
"""Metrics of the voice of a target, of which a change in either direction counts as a regression."""

_FAULTS_PREFIX = "faults "
"""Start of the part of a configuration's description that names the injected faults."""
MAX_OBSERVATION_COUNT = 2**53
"""Largest number of samples, words or characters that is accepted: a damaged run may contain any number."""

UNIT_BY_METRIC: dict[HistoryMetric, HistoryUnit] = {
    "total_latency_ms": "ms",
    "ttfa_ms": "ms",
    "wer": "rate",
    "cer": "rate",
    "failures": "rate",
    "wrong_audio": "rate",
    "letters_per_s": "letters/s",
    "pitch_hz": "hz",
    "spectral_centroid_hz": "hz",
    "voice_similarity": "similarity",
    "usd_per_1m_characters": "usd",
}
"""The unit of the values of each metric."""


class HistoryValue(Record, frozen=True, kw_only=True):
    """One metric of one target in one run."""

    metric: HistoryMetric
    value: float
    """Median time in milliseconds, share from 0 to 1, letters per second of speech, mean frequency in Hz, mean
    similarity to the voice sample, or US dollars per million characters."""
    observation_count: Count
    """Number of samples; for error rates, of words or characters."""
    unit: HistoryUnit
    left_out_count: Count = 0
    """For metrics of a voice, the number of further clips that do not count: wrong ones, and copies of another clip."""

    def __post_init__(self) -> None:
        """Reject a value that no run has; the store of a stranger's repository may have one."""
        if not abs(self.value) <= MAX_NUMBER or (self.value < 0 and self.unit != "similarity"):
            raise ValueError(f"{self.value} cannot be a {self.metric}")


class HistoryTarget(Record, frozen=True, kw_only=True):
    """One target of a run: its metrics, and what its contract stated at the time."""

    target_id: str
    contract_version: str
    contract_sha256: str
    price_text: str
    """The documented price as text, such as "$0.015 / request"."""
    metrics: tuple[HistoryValue, ...]
    counted_count: Count = 0
    """Number of samples that the metrics count."""
    lost_count: Count = 0
    """Number of further samples, which were sent, but have no saved result."""


class HistoryRun(Record, frozen=True, kw_only=True):
    """The metrics of one run, or of one place of it, and the facts that decide with what they can be compared."""

    run_file_path: str
    """Path of the run's run.json, relative to the folder of the history."""
    run_id: str
    created_at: str
    """Time at which the run was started: UTC, in ISO 8601 format."""
    provenance: Provenance
    region: str | None
    """The region that the run names; `None` if it names none."""
    place: str
    """Where the workers are whose samples count (`bench --dask`); empty if one machine sent all requests."""
    configuration_description: str
    """The configuration of the run in words: suite, number of texts, load, faults, base URLs, and the places that share
    the load. Runs are comparable only if their configurations are the same."""
    scoring_description: str
    """ASR engine and normalizer of the error rates as text; empty if the run was not scored."""
    listening_description: str
    """Method by which the audio was judged; empty if nobody listened to it."""
    voice_sample_description: str
    """The voice sample that targets got, such as "voice sample 1a2b3c4d"; empty if none got a file."""
    voice_encoder_description: str
    """The encoder of the similarities to the voice sample; empty if voices were not compared."""
    voicegauge_version: str
    """Version of voicegauge that measured the run."""
    targets: tuple[HistoryTarget, ...]

    @property
    def night(self) -> str:
        """The calendar day, UTC, on which the run was started, such as "2026-11-23"."""
        return self.created_at[:10]


def compute_metrics_by_place(run: Run, run_file_path: str) -> list[HistoryRun]:
    """Return the metrics of a run from each place; those of the whole run if one machine sent all requests.

    A place that has lost all of its samples is among them, without metrics. For errors, see `compute_run_metrics`.
    """
    places = {sample.place for sample in run.samples if not sample.is_warmup}
    if places <= {None}:
        return [compute_run_metrics(run, run_file_path)]
    if not any(sample.is_counted for sample in run.samples):
        raise DataError("has no sample: all were lost")
    return [compute_run_metrics(run, run_file_path, place) for place in sorted(places, key=str)]


def compute_run_metrics(run: Run, run_file_path: str, place: str | None = None) -> HistoryRun:
    """Return the metrics of every target of a run.

    Args:
        run: the run; its counted samples and newest scores are used.
        run_file_path: path of its run.json, relative to the folder of the history.
        place: where the samples were measured; `None` for those that no named place has measured.

    Raises:
        DataError: `place` is `None` and none of its samples counts, or the scores do not contain every sample of the
            run.
    """
    manifest = run.manifest
    scores = run.score_sets[-1] if run.score_sets else None
    own = tuple(sample for sample in run.samples if sample.place == place)
    if place is None and not any(sample.is_counted for sample in own):
        is_lost = any(not sample.is_warmup for sample in own)
        raise DataError(f"has no sample: {'all were lost' if is_lost else 'it was stopped too early'}")
    own_run = msgspec.structs.replace(run, samples=own)
    samples = group_target_samples(own_run, scores, run.listening, voices=run.voices)
    lost_counts = Counter(sample.target for sample in own_run.select_lost_samples())
    voice_path = manifest.voice_sample_path
    return HistoryRun(
        run_file_path=run_file_path,
        run_id=manifest.run_id,
        created_at=datetime.fromisoformat(manifest.created_at).astimezone(UTC).isoformat(),
        provenance=manifest.provenance,
        region=manifest.region,
        place=place or "",
        configuration_description=_describe_configuration(run, own),
        scoring_description=_describe_scoring(scores),
        listening_description=run.listening.method if run.listening is not None else "",
        voice_sample_description="" if voice_path is None else f"voice sample {Path(voice_path).stem[:8]}",
        voice_encoder_description=run.voices.method if run.voices is not None else "",
        voicegauge_version=manifest.voicegauge_version,
        targets=tuple(
            _compute_target_metrics(
                samples[target.id],
                target,
                takes_audio=manifest.kind != "speech",
                lost_count=lost_counts[target.id],
            )
            for target in manifest.targets
        ),
    )


def has_injected_faults(configuration_description: str) -> bool:
    """Whether a configuration, as `HistoryRun` describes it, has faults that were injected into the emulator."""
    return any(part.startswith(_FAULTS_PREFIX) for part in configuration_description.split(", "))


def _describe_configuration(run: Run, own_samples: Iterable[Sample]) -> str:
    manifest, suite, places = run.manifest, run.manifest.suite, list_places(run)
    own_text_count = len({sample.text_id for sample in own_samples if not sample.is_warmup})
    parts = [
        *([manifest.kind] if manifest.kind != "speech" else []),
        f"{suite.id}/{suite.version} ({suite.sha256[:8]})",
        f"{own_text_count} of {suite.text_count} texts" if places else f"{suite.text_count} texts",
        run.describe_load(),
        *([f"places {' + '.join(places)}"] if places else []),
        *(["HTTP/2"] if manifest.uses_http2 else []),
        *([f"{_FAULTS_PREFIX}{' + '.join(manifest.fault_ids)}"] if manifest.fault_ids else []),
        *(f"{name} at {url}" for name, url in sorted(manifest.base_urls.items())),
    ]
    return ", ".join(parts)


def _describe_scoring(scores: ScoreSet | None) -> str:
    if scores is None:
        return ""
    settings = "".join(f", {name} {value}" for name, value in sorted(scores.settings.items()))
    return f"{scores.asr}, {scores.normalizer}{settings}"


def _compute_target_metrics(
    target_samples: TargetSamples, target: MeasuredTarget, *, takes_audio: bool, lost_count: int
) -> HistoryTarget:
    failures, samples = target_samples.count_failures_and_samples()
    wrong, judged = target_samples.count_wrong_and_judged()
    is_streamed = any(sample.streaming is not None for sample in target_samples.samples)
    metrics = [
        _compute_median_time(target_samples, "total_latency_ms", lambda latency: latency.total_latency_ms),
        _compute_median_time(target_samples, "ttfa_ms", lambda latency: latency.ttfa_ms) if is_streamed else None,
        # Without any delivery there is no error rate, only failures.
        _compute_error_rate(target_samples, "wer") if failures < samples else None,
        _compute_error_rate(target_samples, "cer") if failures < samples else None,
        _build_history_value("failures", failures / samples, samples) if samples else None,
        _build_history_value("wrong_audio", wrong / judged, judged) if judged else None,
        *(() if takes_audio else compute_voice_metrics(target_samples)),
    ]
    # Targets that take audio are not priced by characters; a changed price is an event all the same.
    if not takes_audio and samples:
        price = compute_target_cost(target, target_samples.samples, DEFAULT_TEXT_LENGTH).usd_per_1m_characters
        if price is not None:
            metrics.append(_build_history_value("usd_per_1m_characters", price, samples))
    return HistoryTarget(
        target_id=target.id,
        contract_version=target.contract_version,
        contract_sha256=target.contract_sha256,
        price_text=target.price.description,
        metrics=tuple(metric for metric in metrics if metric is not None),
        counted_count=samples,
        lost_count=lost_count,
    )


def _build_history_value(metric: HistoryMetric, value: float, sample_count: int) -> HistoryValue:
    if not math.isfinite(value) or sample_count > MAX_OBSERVATION_COUNT:
        raise DataError(f"{metric} is not a plausible number")
    return HistoryValue(metric=metric, value=float(value), observation_count=sample_count, unit=UNIT_BY_METRIC[metric])


def _compute_median_time(
    samples: TargetSamples, metric: HistoryMetric, select_time: Callable[[Latency], float | None]
) -> HistoryValue | None:
    times = [timed.time_ms for timed in samples.collect_times(select_time)]
    return _build_history_value(metric, float(np.median(times)), len(times)) if times else None


def _compute_error_rate(samples: TargetSamples, metric: Literal["wer", "cer"]) -> HistoryValue | None:
    counts = samples.count_errors_by_sample("word" if metric == "wer" else "character")
    units = sum(count.reference_units for count in counts)
    return _build_history_value(metric, sum(count.errors for count in counts) / units, units) if units else None


def compute_voice_metrics(target_samples: TargetSamples) -> list[HistoryValue]:
    """Return the metrics of the voice of one target: pace, pitch and spectrum, and similarity if it was compared.

    Of frequencies and similarities, the lowest and the highest tenth of the clips do not count.
    """
    delivered = [(sample.text, sample.audio) for sample in target_samples.voice.samples if sample.audio is not None]
    spoken = [(count_spoken_letters(text), facts.spoken_s) for text, facts in delivered if facts.spoken_s]
    total_s = sum(spoken_s for _, spoken_s in spoken)
    pace = sum(letters for letters, _ in spoken) / total_s if total_s > 0 else 0.0
    metrics = [_build_history_value("letters_per_s", pace, len(spoken))] if pace > 0 else []
    values_by_metric: dict[HistoryMetric, list[tuple[str, float]]] = {
        "pitch_hz": target_samples.collect_audio_facts(lambda facts: facts.pitch_hz),
        "spectral_centroid_hz": target_samples.collect_audio_facts(lambda facts: facts.spectral_centroid_hz),
        "voice_similarity": target_samples.collect_similarities(),
    }
    for metric, values in values_by_metric.items():
        if values:
            # A clip whose pitch was measured an octave too high would move the mean of all clips.
            left_out = len(values) // 10
            trimmed = sorted(value for _, value in values)[left_out : len(values) - left_out]
            metrics.append(_build_history_value(metric, float(np.mean(trimmed)), len(values)))
    left_out_clips = target_samples.voice.left_out
    left_out_count = left_out_clips.wrong_count + left_out_clips.copy_count
    return [msgspec.structs.replace(one, left_out_count=left_out_count) for one in metrics]


# Stores what a history needs from runs in an SQLite file, which can be rebuilt from the runs at any time.


STORE_FILE_NAME = ".voicegauge-history.sqlite"
"""Name of the store in the folder of the runs."""
STORE_VERSION = 9
"""Version of the tables and of what is measured; it is increased when either of them changes."""
IN_MEMORY_PATH = Path(":memory:")
"""Path that makes SQLite keep a store in memory instead of a file."""
LOCK_TIMEOUT_S = 2.0
"""Time to wait, in seconds, while another process has locked the file."""

_CREATE_TABLES_SQL = """
CREATE TABLE runs (
  run_file_path TEXT NOT NULL, place TEXT NOT NULL, modified_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
  run_id TEXT NOT NULL, created_at TEXT NOT NULL, provenance TEXT NOT NULL, region TEXT,
  configuration_description TEXT NOT NULL, scoring_description TEXT NOT NULL, listening_description TEXT NOT NULL,
  voice_sample_description TEXT NOT NULL, voice_encoder_description TEXT NOT NULL, voicegauge_version TEXT NOT NULL,
  PRIMARY KEY (run_file_path, place)
);
CREATE TABLE targets (
  run_file_path TEXT NOT NULL, place TEXT NOT NULL, target_id TEXT NOT NULL, contract_version TEXT NOT NULL,
  contract_sha256 TEXT NOT NULL, price_text TEXT NOT NULL, counted_count INTEGER NOT NULL, lost_count INTEGER NOT NULL,
  PRIMARY KEY (run_file_path, place, target_id),
  FOREIGN KEY (run_file_path, place) REFERENCES runs ON DELETE CASCADE
);
CREATE TABLE metrics (
  run_file_path TEXT NOT NULL, place TEXT NOT NULL, target_id TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL,
  observation_count INTEGER NOT NULL, unit TEXT NOT NULL, left_out_count INTEGER NOT NULL,
  PRIMARY KEY (run_file_path, place, target_id, metric),
  FOREIGN KEY (run_file_path, place, target_id) REFERENCES targets ON DELETE CASCADE
);
"""


class FileState(NamedTuple):
    """Modification time and size of a file; if either differs, the file has changed."""

    modified_ns: int
    size_bytes: int


class HistoryStore:
    """The stored runs of a folder, a context manager that opens and closes the SQLite file.

    Every method raises `sqlite3.Error` if the file cannot be used.
    """

    def __init__(self, file: Path) -> None:
        """Open `file`; it is created if it is missing, and emptied if it has another version.

        Raises:
            sqlite3.Error: the file cannot be used.
        """
        self._connection = sqlite3.connect(file, timeout=LOCK_TIMEOUT_S)
        try:
            # A crash may damage the file, which is then rebuilt: no second file, and no waiting for the disk.
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute("PRAGMA trusted_schema = OFF")  # the file may be part of a stranger's repository
            self._connection.execute("PRAGMA cell_size_check = ON")
            if self._connection.execute("PRAGMA user_version").fetchone() != (STORE_VERSION,):
                self._create_tables()
            self._require_expected_tables()
        except UnicodeDecodeError as error:  # of a message of SQLite, which quotes the names in a damaged file
            self._connection.close()
            raise sqlite3.DatabaseError("the file is damaged") from error
        except sqlite3.Error:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _create_tables(self) -> None:
        dropped = "".join(f"DROP TABLE IF EXISTS {table};" for table in ("metrics", "targets", "runs"))
        self._connection.executescript(
            f"BEGIN;{dropped}{_CREATE_TABLES_SQL}PRAGMA user_version = {STORE_VERSION};COMMIT;"
        )

    def _require_expected_tables(self) -> None:
        """Reject a database file that contains anything except the expected tables.

        Triggers, or views in place of tables, could run forever.

        Raises:
            sqlite3.DatabaseError: it has another schema.
        """
        statements = {one.strip() for one in _CREATE_TABLES_SQL.split(";") if one.strip()}
        found = self._connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchmany(100)
        if len(found) != len(statements) or {sql for (sql,) in found} != statements:
            raise sqlite3.DatabaseError("the file has another schema")

    def read_file_states(self) -> dict[str, FileState]:
        """Return the size and modification time that the file of each run had when the run was stored, by path."""
        rows = self._connection.execute("SELECT DISTINCT run_file_path, modified_ns, size_bytes FROM runs")
        return {path: FileState(modified_ns, size_bytes) for path, modified_ns, size_bytes in rows}

    def add_run(self, run: HistoryRun, file_state: FileState) -> None:
        """Store a run; it replaces an earlier one with the same path and place."""
        key = run.run_file_path, run.place
        with self._connection:
            self._connection.execute("DELETE FROM runs WHERE run_file_path = ? AND place = ?", key)
            self._insert("runs", _collect_column_values(run) | file_state._asdict())
            for target in run.targets:
                target_key = dict(zip(("run_file_path", "place"), key, strict=True))
                self._insert("targets", target_key | _collect_column_values(target))
                for metric in target.metrics:
                    self._insert(
                        "metrics", target_key | {"target_id": target.target_id} | _collect_column_values(metric)
                    )

    def _insert(self, table: str, row: Mapping[str, object]) -> None:
        """Insert a row, given by the names of its columns, which are names of fields of our own records."""
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        self._connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608

    def remove_run(self, path: str) -> None:
        """Remove the run with this path, from all places, if it is stored."""
        with self._connection:
            self._connection.execute("DELETE FROM runs WHERE run_file_path = ?", (path,))

    def read_runs(self) -> list[HistoryRun]:
        """Return all stored runs, oldest first.

        Raises:
            msgspec.ValidationError: a row is damaged.
        """
        self._connection.row_factory = sqlite3.Row
        metrics: dict[tuple[str, str, str], list[HistoryValue]] = {}
        for row in self._connection.execute("SELECT * FROM metrics ORDER BY rowid"):
            found = {name: row[name] for name in HistoryValue.__struct_fields__}
            metrics.setdefault((row["run_file_path"], row["place"], row["target_id"]), []).append(
                msgspec.convert(found, HistoryValue)
            )
        targets: dict[tuple[str, str], list[HistoryTarget]] = {}
        for row in self._connection.execute("SELECT * FROM targets ORDER BY rowid"):
            # Iteration over a row yields values, not names.
            key = row["run_file_path"], row["place"]
            fields = {name: row[name] for name in row.keys() if name not in ("run_file_path", "place")}  # noqa: SIM118
            fields["metrics"] = metrics.get((*key, row["target_id"]), [])
            targets.setdefault(key, []).append(msgspec.convert(fields, HistoryTarget))
        return [
            msgspec.convert(
                {name: row[name] for name in row.keys() if name not in FileState._fields}  # noqa: SIM118
                | {"targets": targets.get((row["run_file_path"], row["place"]), [])},
                HistoryRun,
            )
            for row in self._connection.execute("SELECT * FROM runs ORDER BY created_at, run_file_path, place")
        ]


def _collect_column_values(record: HistoryRun | HistoryTarget | HistoryValue) -> dict[str, object]:
    """Return the fields of a record that are columns, by name; records inside are rows of other tables."""
    return {
        name: value for name, value in msgspec.to_builtins(record).items() if not isinstance(value, list | tuple | dict)
    }


# Reads the runs of a folder into its store: each run once, and again only if its file has changed.


ProgressReporter = Callable[[int, int], None]
"""Function that is called with the number of files read so far and the number of all files."""

_SQLITE_ERRORS_OF_UNDAMAGED_STORE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
}
"""SQLite error codes of a store that is not damaged, but locked by another process, or not writable."""


class SkippedRun(Record, frozen=True, kw_only=True):
    """A run, or a folder, that is left out of a history."""

    path: str
    """Path relative to the folder of the history."""
    reason: str
    """Why the run or folder is left out."""


class RunsInFolder(NamedTuple):
    """The runs of a folder, and the runs and folders in it that were left out."""

    runs: list[HistoryRun]
    """The runs, oldest first."""
    skipped_runs: list[SkippedRun]


def read_runs_in_folder(folder: Path, report_progress: ProgressReporter = lambda _done, _total: None) -> RunsInFolder:
    """Return the runs in a folder; a run that the folder's store has is not read again.

    A damaged store is deleted and filled again. If the store cannot be written now, every run is read.

    Args:
        folder: the folder; runs may be at any depth. Links to folders are not followed.
        report_progress: see `ProgressReporter`.

    Raises:
        DataError: the folder cannot be read.
    """
    unreadable_folders: list[SkippedRun] = []
    files = _find_run_files(folder, unreadable_folders)
    kept = folder / STORE_FILE_NAME
    # The second attempt is with a new file.
    for store_file in (kept, kept, IN_MEMORY_PATH) if _is_writable(kept) else (IN_MEMORY_PATH,):
        try:
            with HistoryStore(store_file) as store:
                skipped = _update_store(store, folder, files, report_progress)
                content = _drop_repeated_runs(store.read_runs())
        except (sqlite3.Error, msgspec.ValidationError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of an extended code is a detail
            if code not in _SQLITE_ERRORS_OF_UNDAMAGED_STORE:
                with contextlib.suppress(OSError):
                    kept.unlink(missing_ok=True)
            continue
        return RunsInFolder(content.runs, [*unreadable_folders, *skipped, *content.skipped_runs])
    raise DataError(f"{folder}: SQLite cannot keep its runs, not even in memory")


def _is_writable(store_file: Path) -> bool:
    """Whether the file can be written, and neither the file nor its folder is a link that leads elsewhere."""
    try:
        check_writable(store_file)
    except StorageError:
        return False
    return True


def _find_run_files(folder: Path, unreadable_folders: list[SkippedRun]) -> list[Path]:
    def record_unreadable_folder(error: OSError) -> None:
        """Note that a folder is left out; the folder of the history itself must be readable."""
        where = Path(error.filename or folder)
        if where == folder:
            raise DataError(f"{folder}: cannot be read: {error.strerror}: give the folder that contains the runs")
        unreadable_folders.append(
            SkippedRun(path=str(where.relative_to(folder)), reason=f"cannot be read: {error.strerror}")
        )

    walk = os.walk(folder, onerror=record_unreadable_folder)
    return sorted(Path(parent) / RUN_FILE_NAME for parent, _, names in walk if RUN_FILE_NAME in names)


def _update_store(
    store: HistoryStore, folder: Path, run_files: Sequence[Path], report_progress: ProgressReporter
) -> list[SkippedRun]:
    """Add new and changed runs to the store, remove runs whose file is gone, and return the runs that were left out."""
    known_states = store.read_file_states()
    skipped: list[SkippedRun] = []
    # Size and time of a file instead of its digest, for which every file would have to be read.
    for done, file in enumerate(run_files):
        report_progress(done, len(run_files))
        path = str(file.relative_to(folder))
        try:
            status = file.stat()
            state = FileState(status.st_mtime_ns, status.st_size)
            if known_states.pop(path, None) != state:
                store.remove_run(path)
                for metrics in _load_run_metrics(file, path):
                    store.add_run(metrics, state)
        except (DataError, OSError) as error:
            reason = str(error).removeprefix(f"{file}: ")
            skipped.append(SkippedRun(path=path, reason=reason))
    # What is left here has no file any more.
    for path in known_states:
        store.remove_run(path)
    return skipped


def _load_run_metrics(file: Path, relative_path: str) -> list[HistoryRun]:
    run = load_run(file)
    if not run.manifest.is_finished:
        is_live = run.manifest.provenance is Provenance.LIVE
        advice = (
            "the command that started it resumes it" if is_live else "measure it again; an emulated run is not resumed"
        )
        raise DataError(f"is not finished: {advice}")
    return compute_metrics_by_place(run, relative_path)


def _drop_repeated_runs(runs: Sequence[HistoryRun]) -> RunsInFolder:
    """Return the runs without copies: a run that is counted twice would look like a second measurement."""
    first_by_content: dict[HistoryRun, HistoryRun] = {}
    skipped: dict[SkippedRun, None] = {}  # each once, however many places it has
    for run in runs:
        first = first_by_content.setdefault(msgspec.structs.replace(run, run_file_path=""), run)
        if first is not run:
            skipped[SkippedRun(path=run.run_file_path, reason=f"is a copy of {first.run_file_path}")] = None
    return RunsInFolder(list(first_by_content.values()), list(skipped))

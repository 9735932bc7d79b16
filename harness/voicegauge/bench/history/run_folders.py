"""Reads the runs of a folder into its store: each run once, and again only if its file has changed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench.history.history_run import HistoryRun, compute_run_metrics
from voicegauge.bench.history.history_store import IN_MEMORY_PATH, STORE_FILE_NAME, FileState, HistoryStore
from voicegauge.bench.running import RUN_FILE_NAME, load_run
from voicegauge.errors import DataError, StorageError
from voicegauge.files import check_writable
from voicegauge.model import Provenance, Record

ProgressReporter = Callable[[int, int], None]
"""Function that is called with the number of files read so far and the number of all files."""

_ERRORS_OF_UNDAMAGED_FILES = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
}
"""SQLite error codes of a store that is not damaged, but locked by another process, or not writable."""


class SkippedRun(Record, frozen=True, kw_only=True):
    """A run, or a folder, that is left out of a history."""

    path: str
    """Path relative to the folder of the history."""
    reason: str


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
            if code not in _ERRORS_OF_UNDAMAGED_FILES:
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
    known = store.read_file_states()
    skipped: list[SkippedRun] = []
    for done, file in enumerate(run_files):
        report_progress(done, len(run_files))
        path = str(file.relative_to(folder))
        try:
            status = file.stat()
            state = FileState(status.st_mtime_ns, status.st_size)
            if known.pop(path, None) != state:
                store.remove_run(path)
                store.add_run(_load_run_metrics(file, path), state)
        except (DataError, OSError) as error:
            reason = str(error).removeprefix(f"{file}: ")
            skipped.append(SkippedRun(path=path, reason=reason))
    for path in known:
        store.remove_run(path)
    return skipped


def _load_run_metrics(file: Path, relative_path: str) -> HistoryRun:
    run = load_run(file)
    if not run.manifest.is_finished:
        is_live = run.manifest.provenance is Provenance.LIVE
        advice = (
            "the command that started it resumes it" if is_live else "measure it again; an emulated run is not resumed"
        )
        raise DataError(f"is not finished: {advice}")
    return compute_run_metrics(run, relative_path)


def _drop_repeated_runs(runs: Sequence[HistoryRun]) -> RunsInFolder:
    """Return the runs without copies: a run that is counted twice would look like a second measurement."""
    first_by_content: dict[HistoryRun, HistoryRun] = {}
    skipped = []
    for run in runs:
        first = first_by_content.setdefault(msgspec.structs.replace(run, run_file_path=""), run)
        if first is not run:
            skipped.append(SkippedRun(path=run.run_file_path, reason=f"is a copy of {first.run_file_path}"))
    return RunsInFolder(list(first_by_content.values()), skipped)

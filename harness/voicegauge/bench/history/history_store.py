"""Stores what a history needs from runs in an SQLite file, which can be rebuilt from the runs at any time.

Each run has a row with the modification time and the size of its run.json. The run is read again only if one of them
has changed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from voicegauge.bench.history.history_run import HistoryRun, HistoryTarget, HistoryValue

STORE_FILE_NAME = ".voicegauge-history.sqlite"
STORE_VERSION = 3
"""Version of the tables and of what is measured; it is increased when either of them changes."""
IN_MEMORY_PATH = Path(":memory:")
"""Path that makes SQLite keep a store in memory instead of a file."""
LOCK_TIMEOUT_S = 2.0
"""Time to wait, in seconds, while another process has locked the file."""

_CREATE_TABLES_SQL = """
CREATE TABLE runs (
  path TEXT PRIMARY KEY, modified_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL, run_id TEXT NOT NULL,
  created_at TEXT NOT NULL, provenance TEXT NOT NULL, region TEXT, setup TEXT NOT NULL, scoring TEXT NOT NULL,
  voicegauge TEXT NOT NULL
);
CREATE TABLE targets (
  path TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, target TEXT NOT NULL, contract_version TEXT NOT NULL,
  contract_sha256 TEXT NOT NULL, price TEXT NOT NULL, PRIMARY KEY (path, target)
);
CREATE TABLE metrics (
  path TEXT NOT NULL, target TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL, n INTEGER NOT NULL,
  unit TEXT NOT NULL, PRIMARY KEY (path, target, metric),
  FOREIGN KEY (path, target) REFERENCES targets ON DELETE CASCADE
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
            if self._connection.execute("PRAGMA user_version").fetchone() != (STORE_VERSION,):
                self._create_tables()
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

    def read_file_states(self) -> dict[str, FileState]:
        """Return the size and modification time that the file of each run had when the run was stored, by path."""
        rows = self._connection.execute("SELECT path, modified_ns, size_bytes FROM runs")
        return {path: FileState(modified_ns, size_bytes) for path, modified_ns, size_bytes in rows}

    def add_run(self, run: HistoryRun, file_state: FileState) -> None:
        """Store a run; it replaces an earlier one with the same path."""
        with self._connection:
            self._connection.execute("DELETE FROM runs WHERE path = ?", (run.run_file_path,))
            self._connection.execute(
                "INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?,?)",
                (
                    *(
                        run.run_file_path,
                        file_state.modified_ns,
                        file_state.size_bytes,
                        run.run_id,
                        run.created_at,
                        run.provenance.value,
                    ),
                    *(run.region, run.configuration_description, run.scoring_description, run.voicegauge_version),
                ),
            )
            for target in run.targets:
                self._connection.execute(
                    "INSERT INTO targets VALUES (?,?,?,?,?)",
                    (
                        run.run_file_path,
                        target.target_id,
                        target.contract_version,
                        target.contract_sha256,
                        target.price_text,
                    ),
                )
                self._connection.executemany(
                    "INSERT INTO metrics VALUES (?,?,?,?,?,?)",
                    [
                        (run.run_file_path, target.target_id, one.metric, one.value, one.observation_count, one.unit)
                        for one in target.metrics
                    ],
                )

    def remove_run(self, path: str) -> None:
        """Remove the run with this path, if it is stored."""
        with self._connection:
            self._connection.execute("DELETE FROM runs WHERE path = ?", (path,))

    def read_runs(self) -> list[HistoryRun]:
        """Return all stored runs, oldest first.

        Raises:
            msgspec.ValidationError: a row is damaged.
        """
        self._connection.row_factory = sqlite3.Row
        metrics: dict[tuple[str, str], list[HistoryValue]] = {}
        for row in self._connection.execute("SELECT * FROM metrics ORDER BY rowid"):
            found = {name: row[name] for name in ("metric", "value", "n", "unit")}
            metrics.setdefault((row["path"], row["target"]), []).append(msgspec.convert(found, HistoryValue))
        targets: dict[str, list[HistoryTarget]] = {}
        for row in self._connection.execute("SELECT * FROM targets ORDER BY rowid"):
            fields = {name: row[name] for name in row.keys() if name != "path"}  # noqa: SIM118 - a row yields values
            fields["metrics"] = metrics.get((row["path"], row["target"]), [])
            targets.setdefault(row["path"], []).append(msgspec.convert(fields, HistoryTarget))
        return [
            msgspec.convert(
                {name: row[name] for name in row.keys() if name not in FileState._fields}  # noqa: SIM118
                | {"targets": targets.get(row["path"], [])},
                HistoryRun,
            )
            for row in self._connection.execute("SELECT * FROM runs ORDER BY created_at, path")
        ]

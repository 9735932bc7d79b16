"""Transcripts kept between runs, by what was heard and who heard it.

A recogniser is pinned, so that the digest of the audio, the recogniser's id and settings and
the language decide the transcript. Several processes may write at once.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from voicegauge.data import cache_folder
from voicegauge.speech.asr.transcribe import TRANSCRIPTION_VERSION, Transcription

_WAIT_S = 30.0
"""How long a writer waits for another one."""
_TABLE = """CREATE TABLE IF NOT EXISTS transcript (
    key TEXT PRIMARY KEY, heard TEXT NOT NULL, transcript TEXT NOT NULL
) WITHOUT ROWID"""


class TranscriptCache:
    """Transcripts of one recogniser.

    A cache that cannot be read or written is an empty one: nothing depends on it but time.
    """

    def __init__(self, asr_id: str, settings: Mapping[str, str], folder: Path | None = None) -> None:
        """Open the cache of the recogniser `asr_id`, set like that, in `folder`, by default `cache_folder()`."""
        self._asr = f"{asr_id} {json.dumps(dict(settings), sort_keys=True)}"
        self._path = (folder or cache_folder()) / "transcripts.sqlite3"

    def get(self, audio: str, language: str) -> Transcription | None:
        """Give what was heard in `audio`, whose digest is among what names it; `None` where it was not heard yet."""
        with contextlib.suppress(sqlite3.Error, OSError), self._connection() as connection:
            row = connection.execute(
                "SELECT heard, transcript FROM transcript WHERE key = ?", (self._key(audio, language),)
            ).fetchone()
            return Transcription(row[0], row[1]) if row else None
        return None

    def put(self, audio: str, language: str, hearing: Transcription) -> None:
        """Keep what was heard."""
        with contextlib.suppress(sqlite3.Error, OSError), self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO transcript VALUES (?, ?, ?)",
                (self._key(audio, language), hearing.content, hearing.transcript),
            )

    def _key(self, audio: str, language: str) -> str:
        return f"{TRANSCRIPTION_VERSION} {audio} {language} {self._asr}"

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_WAIT_S)
        try:
            with connection:  # commits, or rolls back
                connection.execute(_TABLE)
                yield connection
        finally:
            connection.close()

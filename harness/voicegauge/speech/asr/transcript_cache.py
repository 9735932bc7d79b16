"""Saves transcripts between runs, by audio and ASR engine.

The weights and settings of an engine are pinned. Therefore a transcript depends only on the audio, the language, and
the id and settings of the engine. Several processes may write to the cache at the same time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from voicegauge.data_folders import get_cache_folder
from voicegauge.speech.asr.transcription import TRANSCRIPTION_VERSION, Transcription

_LOCK_TIMEOUT_S = 30.0
"""Seconds for which a process waits while another process is writing."""
_CREATE_TABLE_SQL = """CREATE TABLE IF NOT EXISTS transcription (
    key TEXT PRIMARY KEY, content TEXT NOT NULL, transcript TEXT NOT NULL
) WITHOUT ROWID"""


class TranscriptCache:
    """Saved transcripts of one ASR engine.

    A cache that cannot be read or written behaves like an empty one, because its only purpose is to save time.
    """

    def __init__(self, asr_id: str, settings: Mapping[str, str], folder: Path | None = None) -> None:
        """Open the cache of one engine.

        Args:
            asr_id: `id` of the engine.
            settings: `settings` of the engine.
            folder: folder that contains the database; `get_cache_folder()` if `None`.
        """
        self._asr = f"{asr_id} {json.dumps(dict(settings), sort_keys=True)}"
        self._path = (folder or get_cache_folder()) / "transcripts.sqlite3"

    def get(self, audio_key: str, language: str) -> Transcription | None:
        """Return the saved transcription of the audio with the key `audio_key`; `None` if no transcription is saved.

        Args:
            audio_key: digest of the audio. If the samples have no header, their declared format is appended.
            language: language of the speech.
        """
        with contextlib.suppress(sqlite3.Error, OSError), self._open_connection() as connection:
            row = connection.execute(
                "SELECT content, transcript FROM transcription WHERE key = ?", (self._build_key(audio_key, language),)
            ).fetchone()
            return Transcription(row[0], row[1]) if row else None
        return None

    def put(self, audio_key: str, language: str, transcription: Transcription) -> None:
        """Save a transcription; `get` returns it for the same `audio_key` and `language`."""
        with contextlib.suppress(sqlite3.Error, OSError), self._open_connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO transcription VALUES (?, ?, ?)",
                (self._build_key(audio_key, language), transcription.audio_content, transcription.transcript),
            )

    def _build_key(self, audio_key: str, language: str) -> str:
        return f"{TRANSCRIPTION_VERSION} {audio_key} {language} {self._asr}"

    @contextlib.contextmanager
    def _open_connection(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S)
        try:
            with connection:  # commits, or rolls back after an error
                connection.execute(_CREATE_TABLE_SQL)
                yield connection
        finally:
            connection.close()

"""Transcribes audio with an engine and keeps the transcripts.

The weights and settings of an engine are pinned. Therefore a transcript depends only on the audio, the language, and
the id and settings of the engine. Several processes may write to the cache at the same time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from voicegauge.data_folders import get_cache_folder
from voicegauge.speech.asr_interface import ASR_SAMPLE_RATE_HZ, Asr, Samples
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import resample
from voicegauge.speech.speech_signal import is_steady_sound
from voicegauge.speech.transcripts import AudioContent

# Transcribes encoded audio: decodes it, detects silence, resamples it and recognizes the speech.


TRANSCRIPTION_VERSION = 3
"""Version of the way that audio is prepared for transcription. It is increased when decoding, the detection of silence
and noise, or resampling change, so that older cached transcripts are not used."""


class Transcription(NamedTuple):
    """The transcript of a piece of audio, or the reason why there is no transcript."""

    audio_content: AudioContent
    """The kind of content in the audio, such as "speech" or "silence"."""
    transcript: str
    """The recognized text. It is empty if `audio_content` is not "speech"."""


def transcribe_audio_batch(asr: Asr, audio_clips: Sequence[EncodedAudio], language: str) -> list[Transcription]:
    """Decode and resample `audio_clips`, and transcribe those that contain speech, all at once.

    Silence, noise and hum are not passed to the engine, because speech recognizers make up words for them. The result
    has a transcription for each of `audio_clips`, in their order.
    """
    transcriptions: list[Transcription] = []
    clips: dict[int, Samples] = {}
    for index, audio in enumerate(audio_clips):
        if audio.decoded_audio is None:
            transcriptions.append(Transcription("undecodable", ""))
        elif audio.is_silent:
            transcriptions.append(Transcription("silence", ""))
        elif is_steady_sound(audio.decoded_audio.samples, audio.decoded_audio.sample_rate_hz):
            transcriptions.append(Transcription("noise", ""))
        else:
            transcriptions.append(Transcription("speech", ""))
            clips[index] = resample(audio.decoded_audio.samples, audio.decoded_audio.sample_rate_hz, ASR_SAMPLE_RATE_HZ)
    for index, transcript in zip(clips, asr.transcribe_batch(list(clips.values()), language), strict=True):
        transcriptions[index] = Transcription("speech", transcript)
    return transcriptions


# Saves transcripts between runs, by audio and ASR engine.


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

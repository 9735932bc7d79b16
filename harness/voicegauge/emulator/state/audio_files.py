"""Stores generated audio that clients download by name."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MAX_STORED_BYTES = 256 * 2**20
"""Maximum size of all stored audio; the oldest files are dropped first, so that long runs do not exhaust memory."""


class GeneratedAudio(NamedTuple):
    """Generated audio, encoded as an audio file."""

    audio_bytes: bytes
    audio_format: str
    """Name of the audio format, one of `OUTPUT_FORMATS` of `audio.output_formats`."""


class AudioFileStore:
    """Stores audio files under their names, up to a total size."""

    def __init__(self) -> None:
        """Start without files."""
        self._files: OrderedDict[str, GeneratedAudio] = OrderedDict()
        self._bytes = 0

    def store_file(self, name: str, audio: GeneratedAudio) -> None:
        """Store audio under `name`, and drop the oldest files if the limit is exceeded."""
        self._files[name] = audio
        self._bytes += len(audio.audio_bytes)
        while self._bytes > MAX_STORED_BYTES and len(self._files) > 1:
            self._bytes -= len(self._files.popitem(last=False)[1].audio_bytes)

    def find_file(self, name: str) -> GeneratedAudio | None:
        """Return the file `name`; `None` if it was never stored or has been dropped."""
        return self._files.get(name)

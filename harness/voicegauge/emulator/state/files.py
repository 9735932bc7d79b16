"""Audio that the emulator has made and that is fetched by name."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MAX_STORED_BYTES = 256 * 2**20
"""Older files are forgotten, so that a long run does not grow without end."""


class EncodedAudio(NamedTuple):
    """Audio that was made."""

    data: bytes
    format: str
    """As `speech.transcoding` names it."""


class AudioFileStore:
    """Files by name, the newest ones."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self._files: OrderedDict[str, EncodedAudio] = OrderedDict()
        self._bytes = 0

    def store(self, name: str, made: EncodedAudio) -> None:
        """Keep `made` under a new `name`."""
        self._files[name] = made
        self._bytes += len(made.data)
        while self._bytes > MAX_STORED_BYTES and len(self._files) > 1:
            self._bytes -= len(self._files.popitem(last=False)[1].data)

    def find(self, name: str) -> EncodedAudio | None:
        """The file called `name`; `None` where there is none (any more)."""
        return self._files.get(name)

"""Recordings where they lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from voicegauge.errors import DataError
from voicegauge.recording.har_file import Recording, load_har


def find_recordings(folder: Path) -> list[Path]:
    """The HAR files below `folder`: `<provider>/*.har`, or its own."""
    return sorted([*folder.glob("*.har"), *folder.glob("*/*.har")])


def load_recordings(paths: Iterable[Path], *, only: str = "") -> list[Recording]:
    """The recordings at `paths`: HAR files, or folders of them.

    Args:
        paths: files and folders.
        only: a part of the names of the groups to take ("a full delivery"); all for none.

    Raises:
        DataError: a path is missing, a folder holds none, a file is none, or no group has that name.
    """
    found = []
    for path in paths:
        files = find_recordings(path) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path}: holds no recording (*.har)")
        found += [_only(load_har(file), only) for file in files]
    if only and not any(recording.exchanges for recording in found):
        raise DataError(f"no recorded group has {only!r} in its name")
    return found


def _only(recording: Recording, name: str) -> Recording:
    chosen = tuple(exchange for exchange in recording.exchanges if name in (exchange.group or ""))
    return msgspec.structs.replace(recording, exchanges=chosen)

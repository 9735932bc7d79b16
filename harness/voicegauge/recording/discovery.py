"""Finds recordings in folders and loads them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from voicegauge.data_folders import RECORDINGS_FOLDER_NAME
from voicegauge.errors import DataError
from voicegauge.recording.har import Recording, load_har


def find_recordings(path: Path) -> list[Path]:
    """Return the sorted paths of the HAR files in a folder and in its direct sub-folders (one for each provider).

    If `path` is a file, the result is this file alone.
    """
    return sorted([*path.glob("*.har"), *path.glob("*/*.har")]) if path.is_dir() else [path]


def find_provider_recordings(provider_id: str, bundled_folder: Path | None = None) -> list[Path]:
    """Return the recordings of a provider: the user's own, and the bundled ones.

    A file in `RECORDINGS_FOLDER_NAME` replaces the bundled file of the same name.

    Args:
        provider_id: id of the provider.
        bundled_folder: folder of the bundled recordings, with a sub-folder for each provider; `None` for a contract
            that is not bundled.
    """
    own = sorted((Path(RECORDINGS_FOLDER_NAME) / provider_id).glob("*.har"))
    names = {path.name for path in own}
    bundled = sorted((bundled_folder / provider_id).glob("*.har")) if bundled_folder is not None else []
    return [*own, *(path for path in bundled if path.name not in names)]


def load_recordings(paths: Iterable[Path], *, conversation_id_part: str = "") -> list[Recording]:
    """Load HAR files, and all HAR files in folders.

    Args:
        paths: HAR files, and folders that contain HAR files.
        conversation_id_part: load only conversations whose `conversation_id` contains this text, such as "a full
            delivery". By default, all exchanges are loaded.

    Raises:
        DataError: a path is missing, a folder contains no recording, a file is not a recording, or no conversation
                matches.
    """
    recordings = []
    for path in paths:
        files = find_recordings(path)
        if not files:
            raise DataError(f"{path}: contains no recording (*.har)")
        recordings += [_filter_conversations(load_har(file), conversation_id_part) for file in files]
    if conversation_id_part and not any(recording.exchanges for recording in recordings):
        raise DataError(f"no recorded conversation has {conversation_id_part!r} in its id")
    return recordings


def _filter_conversations(recording: Recording, conversation_id_part: str) -> Recording:
    exchanges = tuple(
        exchange for exchange in recording.exchanges if conversation_id_part in (exchange.conversation_id or "")
    )
    return msgspec.structs.replace(recording, exchanges=exchanges)

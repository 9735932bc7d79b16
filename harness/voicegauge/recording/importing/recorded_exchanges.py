"""Reads the exchanges of any recording without a contract, from a file or all files in a folder."""

from __future__ import annotations

from pathlib import Path

from voicegauge.errors import DataError
from voicegauge.model import Exchange
from voicegauge.recording.har import load_har
from voicegauge.recording.importing.file_formats import is_recording, parse_interaction_file
from voicegauge.recording.importing.import_recording import to_exchange
from voicegauge.recording.importing.parsed_interaction import NotImportedError

MAX_FILES = 1000
"""Maximum number of files of a folder."""
_SUFFIXES = (".har", ".json", ".yaml", ".yml")


def read_recorded_exchanges(path: Path) -> list[Exchange]:
    """Return the exchanges of a file, or of all recordings below a folder, in order. They are not redacted.

    Interactions that cannot be imported are left out, and in a folder also files that are not recordings.

    Raises:
        DataError: the file is not a recording, or the folder has none or too many files.
    """
    if not path.is_dir():
        return _read_file(path)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    if len(files) > MAX_FILES:
        raise DataError(f"{path}: has more than {MAX_FILES} files: name a folder with fewer")
    exchanges = []
    for file in files:
        try:
            exchanges += _read_file(file)
        except DataError:
            continue
    if not exchanges:
        raise DataError(f"{path}: contains no recording: expected HAR files or cassettes with exchanges")
    return exchanges


def _read_file(path: Path) -> list[Exchange]:
    if is_recording(path):
        return list(load_har(path).exchanges)
    exchanges = []
    for interaction in parse_interaction_file(path).interactions:
        try:
            exchanges.append(to_exchange(interaction.parse()))
        except NotImportedError:
            continue
    return exchanges

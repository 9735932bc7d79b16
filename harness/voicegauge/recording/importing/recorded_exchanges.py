"""Reads the exchanges of recordings in any supported format, from a file or a whole folder; needs no contract."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from voicegauge.errors import DataError
from voicegauge.model import Exchange
from voicegauge.recording.har import load_har
from voicegauge.recording.importing.file_formats import is_recording, parse_interaction_file
from voicegauge.recording.importing.import_recording import convert_to_exchange
from voicegauge.recording.importing.parsed_interaction import NotImportedError

MAX_RECORDING_FILES = 1000
"""Largest number of files that a folder of recordings may have."""
_RECORDING_SUFFIXES = (".har", ".json", ".yaml", ".yml")


class RecordedExchanges(NamedTuple):
    """The exchanges of recordings, in order. They are not redacted."""

    exchanges: list[Exchange]
    unreadable_item_messages: list[str]
    """One line for each file and each kind of interaction that could not be read, with the reason."""


def read_recorded_exchanges(path: Path) -> RecordedExchanges:
    """Return the exchanges of a file, or of all recordings below a folder.

    Interactions that cannot be imported are skipped, and so are files of a folder that are not recordings.

    Raises:
        DataError: the file is not a recording, or the folder has none or too many files.
    """
    if not path.is_dir():
        return _read_file(path)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _RECORDING_SUFFIXES and file.is_file())
    if len(files) > MAX_RECORDING_FILES:
        raise DataError(f"{path}: has more than {MAX_RECORDING_FILES} files: name a folder with fewer")
    exchanges: list[Exchange] = []
    unreadable_item_messages: list[str] = []
    for file in files:
        try:
            recorded = _read_file(file)
        except DataError as error:
            unreadable_item_messages.append(str(error))
            continue
        exchanges += recorded.exchanges
        unreadable_item_messages += recorded.unreadable_item_messages
    if not exchanges:
        raise DataError(f"{path}: contains no recording: expected HAR files or cassettes with exchanges")
    return RecordedExchanges(exchanges, unreadable_item_messages)


def _read_file(path: Path) -> RecordedExchanges:
    if is_recording(path):
        return RecordedExchanges(list(load_har(path).exchanges), [])
    exchanges: list[Exchange] = []
    reasons: Counter[str] = Counter()
    for interaction in parse_interaction_file(path).interactions:
        try:
            exchanges.append(convert_to_exchange(interaction.parse()))
        except NotImportedError as error:
            reasons[str(error)] += 1
    return RecordedExchanges(exchanges, [f"{path}: exchanges: {count}; {why}" for why, count in reasons.items()])

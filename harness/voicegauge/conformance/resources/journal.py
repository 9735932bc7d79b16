"""Keeps a journal of the resources that a live check creates, so that the next run can delete them after a crash.

Each run has its own file, which it locks: FOLDER/<provider>/<random name>.jsonl. A file that no process has locked
belongs to a run that was killed, or that could not delete everything. There is one JSON line per event:

    {"event": "account", "checksum": CHECKSUM}
    {"event": "listed", "operation": "createVoice", "ids": [...]}
    {"event": "requested", "request": 1, "operation": "createVoice", "origin": "https://api.acme.example", "at": TIME}
    {"event": "created", "request": 1, "id": "voice_1"}
    {"event": "not_created", "request": 2}
    {"event": "deleted", "request": 1}
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from voicegauge.client import Journal, read_events
from voicegauge.conformance.resources.events import AccountEvent, ResourceEvent, ResourceHistory
from voicegauge.errors import DataError, StorageError


class ResourceJournal:
    """The journal of one run, which is created by its first event."""

    def __init__(self, folder: Path, account_checksum: str) -> None:
        """Prepare a journal; nothing is written yet.

        Args:
            folder: the folder of the provider's journals, which no other provider shares.
            account_checksum: the checksum of the API key.
        """
        self._path = folder / f"{uuid.uuid4().hex}.jsonl"
        self._checksum = account_checksum
        self._journal: Journal | None = None

    def write(self, event: ResourceEvent) -> None:
        """Append `event`, and wait until it is on disk.

        Raises:
            StorageError: the journal cannot be written.
        """
        if self._journal is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot write {self._path}: {error.strerror}") from error
            self._journal = Journal(self._path, is_durable=True)
            self._journal.write(AccountEvent(checksum=self._checksum))
        self._journal.write(event)

    def close(self, *, keep_file: bool) -> None:
        """Close the journal, and delete its file unless `keep_file` says that a later run has something to delete."""
        if self._journal is not None:
            with self._journal:
                if not keep_file:
                    self._path.unlink(missing_ok=True)


class LeftoverJournal:
    """The journal of a run that has ended, locked so that no other process deletes the same resources."""

    def __init__(self, journal: Journal) -> None:
        """Read a locked journal.

        Raises:
            DataError: the file is damaged.
        """
        self._journal = journal
        self.history = ResourceHistory(read_events(journal.path, ResourceEvent))
        """What the run left."""

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal, and delete its file if nothing is left."""
        with self._journal:
            if not self.history.undeleted_resources:
                self._journal.path.unlink(missing_ok=True)

    def write(self, event: ResourceEvent) -> None:
        """Append what became of a resource.

        Raises:
            StorageError: the journal cannot be written.
        """
        self._journal.write(event)
        self.history.apply_event(event)


def lock_ended_journals(folder: Path) -> Iterator[Journal]:
    """Yield the journals in the folder of a provider whose run has ended, locked. The caller closes them."""
    for path in sorted(folder.glob("*.jsonl")):
        try:
            yield Journal(path, is_durable=True)
        except (DataError, StorageError):
            continue  # its run is still active, or it belongs to another user


def compute_account_checksum(api_key: str | None) -> str:
    """Return a checksum of an API key that tells accounts apart, and from which the key cannot be computed."""
    return hashlib.blake2b((api_key or "").encode(), digest_size=4, person=b"voicegauge").hexdigest()

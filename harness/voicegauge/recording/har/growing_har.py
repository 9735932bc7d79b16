"""Writes a HAR file exchange by exchange. After each exchange, the file is complete and can be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from voicegauge.errors import DataError, StorageError
from voicegauge.files import check_writable, open_file, write_file
from voicegauge.model import Exchange
from voicegauge.recording.har import har_structs as har
from voicegauge.recording.har.har_reading import MAX_HAR_BYTES
from voicegauge.recording.har.har_writing import build_har_entry, build_har_metadata
from voicegauge.recording.har.recording import Recording
from voicegauge.recording.har.sidecar_files import SidecarWriter, find_sidecar_names, remove_orphaned_sidecars
from voicegauge.version import __version__

_RESERVED_METADATA_BYTES = 2**16
"""Number of bytes that are kept free for the end of the file, where the metadata is."""
_COPY_BLOCK_BYTES = 2**20


class GrowingHar:
    """A HAR file to which redacted exchanges are added one by one.

    For each addition, a new file is written beside the old one and then renamed, so that a killed process leaves a
    complete file. The earlier exchanges are copied from the old file and not kept in memory.
    """

    def __init__(self, path: Path) -> None:
        """Prepare to write `path`. Nothing is written before the first exchange.

        Raises:
            StorageError: `path` exists or cannot be written.
        """
        if path.exists():
            raise StorageError(f"{path} exists: name another file, or delete it")
        check_writable(path)
        self.path = path
        self._end = 0
        """Offset after the last entry; 0 if there is no file yet."""

    def add_exchange(self, exchange: Exchange, recording: Recording) -> None:
        """Add a redacted exchange.

        Args:
            exchange: the exchange to add.
            recording: describes the origin of the exchanges; its own `exchanges` are not written.

        Raises:
            DataError: the file would become too large to be read.
            StorageError: the file cannot be written.
        """
        self._add_exchanges([exchange], recording)

    def replace_exchanges(self, exchanges: Sequence[Exchange], recording: Recording) -> None:
        """Replace all exchanges at once, and delete the sidecar files that are no longer used.

        Args:
            exchanges: redacted exchanges.
            recording: describes the origin of the exchanges; its own `exchanges` are not written.

        Raises:
            DataError: the file would become too large to be read.
            StorageError: the file cannot be written.
        """
        previous = find_sidecar_names(self.path)
        self._end = 0
        self._add_exchanges(exchanges, recording)
        remove_orphaned_sidecars(self.path.parent, previous)

    def _add_exchanges(self, exchanges: Sequence[Exchange], recording: Recording) -> None:
        sidecar_writer = SidecarWriter()
        entries = (build_har_entry(exchange, recording.recorded_at, sidecar_writer) for exchange in exchanges)
        content = b",\n".join(map(msgspec.json.encode, entries))
        content = (b",\n" if self._end else self._build_head()) + content
        if self._end + len(content) > MAX_HAR_BYTES - _RESERVED_METADATA_BYTES:
            raise DataError(f"{self.path}: is full: {MAX_HAR_BYTES // 2**20} MiB are the most that can be read again")
        # The sidecar files are written first, so that no HAR file refers to missing files.
        for name, body in sidecar_writer.files.items():
            write_file(self.path.parent / name, body)
        tail = b'\n],"_voicegauge":' + msgspec.json.encode(build_har_metadata(recording)) + b"}}\n"
        self._append_before_tail(content, tail)
        self._end += len(content)

    def _build_head(self) -> bytes:
        creator = msgspec.json.encode(har.HarCreator(name="voicegauge", version=__version__))
        return b'{"log":{"version":"1.2","creator":' + creator + b',"entries":[\n'

    def _append_before_tail(self, content: bytes, tail: bytes) -> None:
        if not self._end:
            write_file(self.path, content + tail)
            return
        check_writable(self.path)
        real = self.path.resolve()
        partial = real.with_name(f".{real.name}.{os.getpid()}.partial")
        try:
            partial.unlink(missing_ok=True)  # of a process with the same id that was killed, or a stranger's link
            try:
                with open_file(real) as source, partial.open("xb") as file:
                    remaining = self._end
                    while remaining:
                        part = source.read(min(_COPY_BLOCK_BYTES, remaining))
                        if not part:
                            raise StorageError(f"{self.path}: was shortened by another program")
                        file.write(part)
                        remaining -= len(part)
                    file.write(content)
                    file.write(tail)
                partial.replace(real)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror or error}") from error

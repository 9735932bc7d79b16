"""Writes and reads sidecar files, which are stored next to a HAR file and contain its binary bodies and long bodies.

The name of a sidecar file consists of the SHA-256 of its content and an extension.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from voicegauge.errors import DataError
from voicegauge.files import open_file, read_file

MAX_SIDECAR_BYTES = 64 * 2**20
MAX_INLINE_BYTES = 256 * 2**10
"""Maximum size of a body inside the HAR file. Larger bodies are written to sidecar files, so that editors can open the
HAR file."""
_SIDECAR_REFERENCE_PATTERN = re.compile(rb'"_file": ?"([0-9a-f]{64}\.[a-z0-9]{1,5})"')
_EXTENSION_BY_MEDIA_TYPE = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "application/json": "json",
}


class SidecarWriter:
    """Collects the bodies that are not stored inside the HAR file. Equal bodies share one sidecar file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        """The collected bodies by the name of their sidecar file."""

    def store_body(self, body: bytes, media_type: str) -> tuple[str, str | None]:
        """Store `body`; return (text, `None`) if it is short text, otherwise ("", name of its sidecar file)."""
        if len(body) <= MAX_INLINE_BYTES:
            try:
                return body.decode(), None
            except UnicodeDecodeError:
                pass
        name = f"{hashlib.sha256(body).hexdigest()}.{_EXTENSION_BY_MEDIA_TYPE.get(media_type, 'bin')}"
        self.files[name] = body
        return "", name


class SidecarReader:
    """Reads the bodies of one HAR file.

    A sidecar file is read and verified only once, even if several entries name it.
    """

    def __init__(self, har_path: Path) -> None:
        self._har_path = har_path
        self._bodies: dict[str, bytes] = {}

    def read_body(self, inline_text: str, sidecar_name: str | None) -> bytes:
        """Return the content of the sidecar file `sidecar_name`, or `inline_text` as bytes if `sidecar_name` is `None`.

        Raises:
            DataError: the sidecar file is missing, is too large, or was changed.
        """
        if sidecar_name is None:
            return inline_text.encode()
        if sidecar_name not in self._bodies:
            path = self._har_path.parent / sidecar_name
            body = read_file_within_limit(path, MAX_SIDECAR_BYTES)
            if hashlib.sha256(body).hexdigest() != sidecar_name.partition(".")[0]:
                raise DataError(f"{path}: was changed since {self._har_path.name} was recorded: its SHA-256 differs")
            self._bodies[sidecar_name] = body
        return self._bodies[sidecar_name]


def read_file_within_limit(path: Path, max_bytes: int) -> bytes:
    """Read a file of at most `max_bytes`.

    Raises:
        DataError: the file cannot be read, or is larger than `max_bytes`.
    """
    try:
        with open_file(path) as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > max_bytes:
        raise DataError(f"{path}: is larger than {max_bytes} bytes")
    return raw


def find_sidecar_names(har_path: Path) -> set[str]:
    """Return the names of the sidecar files that a HAR file refers to; none if the HAR file cannot be read."""
    try:
        return {found[1].decode() for found in _SIDECAR_REFERENCE_PATTERN.finditer(read_file(har_path))}
    except OSError:
        return set()


def remove_orphaned_sidecars(folder: Path, sidecar_names: set[str]) -> None:
    """Delete those of the sidecar files `sidecar_names` that no HAR file in `folder` refers to any more."""
    for har_path in folder.glob("*.har") if sidecar_names else ():
        sidecar_names -= find_sidecar_names(har_path)
    for name in sidecar_names:
        (folder / name).unlink(missing_ok=True)

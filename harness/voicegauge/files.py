"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from voicegauge.errors import UsageError


def check_writable(path: Path) -> None:
    """Refuse what `write_file` could never write, so that no work, and no money, is spent on it.

    Raises:
        UsageError: `path` is no regular file, or the folder that it would lie in cannot be written to.
    """
    try:
        real = path.resolve()
        if real.is_symlink():
            raise UsageError(f"cannot write {path}: links in a circle")
        if real.exists() and not real.is_file():
            raise UsageError(f"cannot write {path}: not a regular file")
        folder = next(parent for parent in real.parents if parent.exists())
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, before Python 3.13
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        says = "may not be written to" if folder.is_dir() else "is no folder"
        raise UsageError(f"cannot write {path}: {folder} {says}")


def write_file(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all; folders on the way are made, a link is followed.

    The bytes go to a hidden file beside it that then takes its name, so that a
    reader never sees half of it.

    Raises:
        UsageError: the disk is full, or `path` may not be written; says which path and why.
    """
    check_writable(path)
    try:
        real = path.resolve()
        real.parent.mkdir(parents=True, exist_ok=True)
        partial = real.with_name(f".{real.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(content)
            partial.replace(real)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {path}: {_reason(error)}") from error


def _reason(error: Exception) -> object:
    return error.strerror if isinstance(error, OSError) else error

"""Writes files atomically."""

from __future__ import annotations

import os
from pathlib import Path

from voicegauge.errors import UsageError


def check_writable(path: Path) -> None:
    """Check that `write_file` can write `path`, before time and money are spent on its content.

    Raises:
        UsageError: `path` is not a regular file, or its folder is not writable.
    """
    try:
        real = path.resolve()
        if real.is_symlink():
            raise UsageError(f"cannot write {path}: its links form a cycle")
        if real.exists() and not real.is_file():
            raise UsageError(f"cannot write {path}: not a regular file")
        folder = next(parent for parent in real.parents if parent.exists())
    except (OSError, RuntimeError, ValueError) as error:  # a cycle of links, before Python 3.13
        raise UsageError(f"cannot write {path}: {_describe_error(error)}") from error
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        reason = "is not writable" if folder.is_dir() else "is not a folder"
        raise UsageError(f"cannot write {path}: {folder} {reason}")


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` completely or not at all. Missing folders are created, and links are followed.

    The bytes are written to a hidden file in the same folder, which is then renamed to `path`. A rename within a folder
    is atomic, so a reader never sees a half-written file.

    Raises:
        UsageError: the disk is full, or `path` is not writable.
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
        raise UsageError(f"cannot write {path}: {_describe_error(error)}") from error


def _describe_error(error: Exception) -> object:
    return error.strerror if isinstance(error, OSError) else error

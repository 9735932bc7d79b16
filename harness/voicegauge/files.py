"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from voicegauge.errors import UsageError


def write_file(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all; folders on the way are made, a link is followed.

    The bytes go to a hidden file beside it that then takes its name, so that a
    reader never sees half of it.

    Raises:
        UsageError: the disk is full, or `path` may not be written; says which path and why.
    """
    try:
        real = path.resolve()
        if real.exists() and not real.is_file():
            raise UsageError(f"cannot write {path}: not a regular file")
        real.parent.mkdir(parents=True, exist_ok=True)
        partial = real.with_name(f".{real.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(content)
            partial.replace(real)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot write {path}: {reason}") from error

"""Loads FFmpeg with a limit on the memory that FFmpeg allocates for a hostile file."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
from ctypes.util import find_library
from pathlib import Path
from typing import Any

from voicegauge.errors import MissingExtraError

MAX_ALLOCATION_BYTES = 32 * 2**20
"""Maximum size of one block of memory. An MP4 file of one kilobyte can declare a table of a billion samples, each of
which takes 32 bytes in an index of FFmpeg. Half an hour of speech has fewer than 200,000."""


def require_av() -> None:
    """Check that PyAV is installed, before something is sent or paid for that needs it.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    if importlib.util.find_spec("av") is None:
        raise MissingExtraError("PyAV, which reads and writes AAC, M4A and WebM and measures MP3,", "emulator")


@functools.cache
def load_av() -> Any:
    """Import PyAV, and limit the allocations of the FFmpeg libraries that PyAV has loaded.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    require_av()
    import av

    for path in _find_libavutil_paths(Path(av.__file__).parent):
        with contextlib.suppress(OSError, AttributeError):  # decoding also works without the limit
            ctypes.CDLL(path).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES))  # PyAV does not offer this function
    return av


def _find_libavutil_paths(package_path: Path) -> list[str]:
    """Return the paths of the libavutil libraries that PyAV contains; if there are none, that of the system."""
    bundled = [*package_path.parent.glob("av.libs/libavutil*"), *package_path.glob(".dylibs/libavutil*")]
    system = find_library("avutil")
    return [str(path) for path in bundled] or ([system] if system else [])

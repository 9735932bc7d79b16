"""Keeps what is computed once from installed packages, such as unpacked weights, in the user's cache folder."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

from voicegauge.data_folders import CACHE_VARIABLE, get_cache_folder
from voicegauge.errors import UsageError


def find_or_create_in_cache(folder_name: str, name: str, save: Callable[[Path], None]) -> Path:
    """Return the path of the file or folder `name` in a folder of the cache; if it is missing, create it with `save`.

    The file or folder does not appear in the cache before it is complete, and several processes may create it at once.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    home = get_cache_folder() / folder_name
    path = home / name
    if path.exists():
        return path
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _create_temporary_folder(home) as scratch:
            save(scratch / name)
            (scratch / name).replace(path)
    except OSError as error:
        if path.exists():  # another process created it at the same time
            return path
        raise UsageError(f"{home}: cannot be written ({error.strerror}): set {CACHE_VARIABLE}") from error
    return path


@contextlib.contextmanager
def _create_temporary_folder(parent_folder: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=parent_folder))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)

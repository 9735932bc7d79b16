"""Finds the folders of bundled data (contracts, suites, fixtures) and those of the user, and fills the cache."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

from voicegauge.errors import UsageError

_PACKAGE_FOLDER = Path(__file__).resolve().parent
RECORDINGS_FOLDER_NAME = "fixtures"
"""Folder of the working directory in which recordings are written and looked for unless another folder is named."""
CACHE_VARIABLE = "VOICEGAUGE_CACHE"
"""Environment variable with the path of the cache folder."""
STATE_VARIABLE = "VOICEGAUGE_STATE"
"""Environment variable with the path of the state folder."""


def find_bundled_folder(folder_name: str) -> Path:
    """Return the bundled folder `folder_name` ("contracts", "benchmarks" or "fixtures").

    A wheel contains the folders as package data. An editable install uses the folders of the checkout, so that edits
    take effect immediately.
    """
    packaged = _PACKAGE_FOLDER / "data" / folder_name
    return packaged if packaged.is_dir() else _PACKAGE_FOLDER.parents[1] / folder_name


def find_profiles_folder() -> Path:
    """Return the folder of the profiles. Each profile is a folder with its own contract."""
    return _PACKAGE_FOLDER / "profiles"


def get_state_folder() -> Path:
    """Return the path of the folder for data that must survive until the next run. The folder may not exist yet.

    It is the value of VOICEGAUGE_STATE if that is set, otherwise a folder in the user's state folder.
    """
    named = os.environ.get(STATE_VARIABLE)
    if named:
        return Path(named)
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "voicegauge"
    return folder.resolve()  # as for the cache folder


def get_cache_folder() -> Path:
    """Return the path of the cache folder, which may not exist yet.

    It is the value of VOICEGAUGE_CACHE if that is set, otherwise a folder in the user's cache folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicegauge"
    return folder.resolve()  # `check_writable` allows the links that the user made here


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

"""Reads regular files only, writes files atomically, and finds folders: of bundled data, of the user, of the cache."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

from voicegauge.errors import DataError, StorageError, UsageError

MAX_FILE_BYTES = 2**30
"""Maximum size of a file that is read completely."""
_MARK_SEARCH_BYTES = 2**16
"""Number of bytes at the start and at the end of a file in which its mark is looked for."""
PAGE_MARK = b"default-src &#39;none&#39;; style-src &#39;"
"""What every page that voicegauge writes has near its start: its Content-Security-Policy, with escaped apostrophes."""
BASELINE_MARK = b'"voicegauge/baseline/'
"""What every baseline that voicegauge writes has near its start: the name of its schema."""
MARKDOWN_MARK = b"<!-- voicegauge report -->"
"""What every report in Markdown has below its headings: a comment, which is not shown."""
PARQUET_MARK = b"voicegauge report"
"""What every Parquet file that voicegauge writes has in the metadata near its end."""


def resolve_links(path: Path) -> Path:
    """Return the absolute path with all links followed. Links that form a cycle are left as they are."""
    return Path(os.path.realpath(path))  # `Path.resolve` raises an error for such a link


def require_files_in_folder(files: Sequence[Path], folder: Path) -> list[Path]:
    """Return `files`, which were found in `folder`, after a check that none is a link that leads out of the folder.

    A folder may be part of a stranger's repository, and what is read is quoted in errors and reports.

    Raises:
        DataError: a link leads to a file outside of the folder.
    """
    real_folder = resolve_links(folder)
    for file in files:
        if not resolve_links(file).is_relative_to(real_folder):
            raise DataError(f"{file}: a link leads out of the folder {folder}: name the file that it leads to instead")
    return [*files]


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading in binary mode; links are followed.

    A FIFO or a device is not opened: reading it might never end, or change its state.

    Raises:
        OSError: the file cannot be opened or is not a regular file.
    """
    _require_regular_file(path, path.stat().st_mode)
    # A FIFO that replaced the file since the first look would block an open without O_NONBLOCK until somebody writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    try:
        _require_regular_file(path, os.fstat(descriptor).st_mode)  # it may have been replaced since the first look
    except OSError:
        file.close()
        raise
    return file


def _require_regular_file(path: Path, stat_mode: int) -> None:
    if not stat.S_ISREG(stat_mode):
        number = errno.EISDIR if stat.S_ISDIR(stat_mode) else errno.EINVAL
        reason = "is a folder, not a file" if stat.S_ISDIR(stat_mode) else "not a regular file"
        raise OSError(number, reason, str(path))


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a regular file of at most `max_bytes` bytes.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is larger than `max_bytes`.
    """
    with open_file(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes} bytes", str(path))
    return content


def check_writable(path: Path) -> None:
    """Check that `write_file` can write `path`, before time and money are spent on its content.

    Raises:
        StorageError: `path` is not a regular file, its folder is not writable, or a link leads out of the folder.
    """
    try:
        real = path.resolve()
        if real.is_symlink():
            raise StorageError(f"cannot write {path}: its links form a cycle")
        if real.exists() and not real.is_file():
            raise StorageError(
                f"cannot write {path}: {'is a folder, name a file' if real.is_dir() else 'not a regular file'}"
            )
        _reject_links_to_other_folders(path, real)
        folder = next(parent for parent in real.parents if parent.exists())
    except (OSError, RuntimeError, ValueError) as error:  # a cycle of links, before Python 3.13
        raise StorageError(f"cannot write {path}: {_describe_error(error)}") from error
    if not folder.is_dir():
        raise StorageError(f"cannot write {path}: {folder} is not a folder")
    try:
        # Permissions do not say it all: /proc and a file system that is mounted read-only look writable to root.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise StorageError(f"cannot write {path}: {folder} is not writable ({_describe_error(error)})") from error


def _reject_links_to_other_folders(path: Path, resolved_path: Path) -> None:
    """Check that the links in `path` do not lead to another folder: they may be part of a stranger's repository.

    A path that is written as one below the current folder must lead to a file below the current folder. Any other
    path was chosen by the user, and only a link in its last component is checked.

    Raises:
        StorageError: `resolved_path`, to which the links of `path` lead, is in another folder.
    """
    absolute, here = Path(os.path.abspath(path)), Path.cwd()  # noqa: PTH100 - `resolve` would follow the links
    folder = here if absolute.is_relative_to(here) else absolute.parent
    if not resolved_path.is_relative_to(folder.resolve()):
        raise StorageError(
            f"cannot write {path}: a link leads to {resolved_path}, outside of {folder}: name that path instead"
        )


def check_replaceable(path: Path, mark: bytes) -> None:
    """Check that `path` does not exist, is empty, or has `mark` near its start or end, as files of voicegauge have.

    Pages, reports and baselines are checked: a person names them, and may name a file of their own by mistake. Files
    for other programs, such as JUnit XML, are not: jobs write them again and again, and nothing marks them reliably.

    Raises:
        StorageError: another program or the user wrote the file, or it cannot be read.
    """
    if path.is_file():
        try:
            with path.open("rb") as file:
                head = file.read(_MARK_SEARCH_BYTES)
                file.seek(max(path.stat().st_size - _MARK_SEARCH_BYTES, 0))
                tail = file.read(_MARK_SEARCH_BYTES)
        except OSError as error:
            raise StorageError(f"cannot replace {path}: {_describe_error(error)}") from error
        if head and mark not in head and mark not in tail:
            raise StorageError(f"{path} was not written by voicegauge: name another file, or delete it")


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` completely or not at all. Missing folders are created.

    Links are followed if they do not lead out of the folder. The bytes are written to a hidden file in the same folder,
    which is then renamed to `path`. A rename within a folder is atomic, so a reader never sees a half-written file.

    Raises:
        StorageError: `path` cannot be written, for example because the disk is full, or `check_writable` rejects it.
    """
    check_writable(path)
    try:
        real = path.resolve()
        real.parent.mkdir(parents=True, exist_ok=True)
        partial = real.with_name(f".{real.name}.{os.getpid()}-{threading.get_ident()}.partial")
        partial.unlink(missing_ok=True)  # of a process with the same id that was killed, or a stranger's link
        try:
            with partial.open("xb") as file:
                file.write(content)
            partial.replace(real)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot write {path}: {_describe_error(error)}") from error


def _describe_error(error: Exception) -> object:
    """Return the reason for an error; of an `OSError`, without its number and the path."""
    return error.strerror if isinstance(error, OSError) else error


# Finds the folders of the data bundled with voicegauge (contracts, suites, fixtures), and the user's folders.


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

    It is the value of VOICEGAUGE_STATE if that is set, otherwise `voicegauge` in XDG_STATE_HOME or ~/.local/state.
    """
    return _get_user_folder(STATE_VARIABLE, "XDG_STATE_HOME", Path(".local", "state"))


def get_cache_folder() -> Path:
    """Return the path of the cache folder, which may not exist yet.

    It is the value of VOICEGAUGE_CACHE if that is set, otherwise `voicegauge` in XDG_CACHE_HOME or ~/.cache.
    """
    return _get_user_folder(CACHE_VARIABLE, "XDG_CACHE_HOME", Path(".cache"))


def _get_user_folder(own_variable: str, xdg_variable: str, path_in_home: Path) -> Path:
    if named := os.environ.get(own_variable):
        return Path(named)
    folder = Path(os.environ.get(xdg_variable) or Path.home() / path_in_home) / "voicegauge"
    # The links in it are the user's own. `check_writable` would reject them if they were not resolved here.
    return folder.resolve()


def find_or_create_in_cache(folder_name: str, name: str, save: Callable[[Path], None]) -> Path:
    """Return the path of the file or folder `name` in a folder of the cache; if it is missing, create it with `save`.

    `save` writes to the temporary path that it is given. The file or folder does not appear in the cache before it is
    complete, and several processes may create it at once.

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

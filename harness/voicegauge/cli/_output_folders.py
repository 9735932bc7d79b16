"""Decides where a settings file that the user did not name may let a command write.

Such a file may be a stranger's, and so may be the repository around it. It must not let a command replace a file of the
repository, or write what something else executes or reads: hooks and settings in hidden folders, modules and `.pth`
files of a virtual environment. Outputs therefore go into a folder that voicegauge itself created for them. That it did
is remembered outside of the repository, with a random token that is also in a file in the folder: a repository can
contain a folder of the same name, but does not know the token. The inode of the folder would not do, because file
systems use the number of a deleted folder again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from pathlib import Path, PurePath

from voicegauge.data_folders import get_state_folder
from voicegauge.files import read_file, write_file

OUTPUT_SUFFIXES = frozenset(
    {".csv", ".har", ".htm", ".html", ".json", ".md", ".parquet", ".patch", ".sarif", ".svg", ".xml", ".yaml"}
)
"""Suffixes of files that such a settings file may name. No program executes files with these suffixes by their name."""
_MARKER_NAME = ".voicegauge-outputs"
"""Name of the file with the token, in the folder of outputs."""
_MAX_RECORD_BYTES = 2**20


@dataclasses.dataclass
class _OutputRecord:
    """What is remembered about a folder of outputs."""

    token: str
    files: list[str] = dataclasses.field(default_factory=list)
    """Paths of the files that commands wrote, relative to the folder."""


def find_output_problem(value: str, folder: Path, *, is_folder: bool) -> str | None:
    """Return why a settings file in `folder` must not name this output; `None` if it may.

    Args:
        value: the path, as the settings file has it.
        folder: the folder of the settings file.
        is_folder: whether the output is a folder, not a file.
    """
    parts = PurePath(value).parts
    if PurePath(value).is_absolute() or ".." in parts or not is_path_inside(folder, value):
        return f"{value!r} is outside of this folder"
    if any(part.startswith(".") for part in parts):
        return f"{value!r} is hidden"
    if len(parts) < (1 if is_folder else 2):
        return f"{value!r} is not in a folder of its own, such as reports/{value or 'out.json'}"
    if not is_folder and PurePath(value).suffix.lower() not in OUTPUT_SUFFIXES:
        return f"{value!r} has a suffix that no output has"
    return _find_problem_of_existing(folder / parts[0], PurePath(*parts[1:]), is_folder=is_folder)


def _find_problem_of_existing(root: Path, path_in_root: PurePath, *, is_folder: bool) -> str | None:
    if not root.is_symlink() and not root.exists():
        return None
    record = _read_record(root)
    if record is None:
        return f"{root.name!r} is a folder that voicegauge did not create"
    if not is_folder and (root / path_in_root).exists() and str(path_in_root) not in record.files:
        return f"'{root.name}/{path_in_root}' is a file that voicegauge did not write"
    return None


def claim_output(value: PurePath, folder: Path, *, is_folder: bool) -> None:
    """Create the folder of an output for which `find_output_problem` found no problem, and remember it.

    Raises:
        StorageError: a file cannot be written.
    """
    root = folder / value.parts[0]
    record = _read_record(root) or _OutputRecord(secrets.token_hex(16))
    name = str(PurePath(*value.parts[1:]))
    if not is_folder and name not in record.files:
        record.files.append(name)
    write_file(root / _MARKER_NAME, record.token.encode())
    write_file(_get_record_file(root), json.dumps(dataclasses.asdict(record)).encode())


def _read_record(root: Path) -> _OutputRecord | None:
    """Return what is remembered about a folder; `None` if voicegauge did not create the folder that is there now."""
    if root.is_symlink() or not root.is_dir():
        return None
    try:
        record = _OutputRecord(**json.loads(read_file(_get_record_file(root), _MAX_RECORD_BYTES)))
        token = read_file(root / _MARKER_NAME, _MAX_RECORD_BYTES).decode()
    except (OSError, ValueError, TypeError):
        return None
    return record if token == record.token else None


def _get_record_file(root: Path) -> Path:
    return get_state_folder() / "outputs" / f"{hashlib.sha256(bytes(root.resolve())).hexdigest()[:16]}.json"


def is_path_inside(folder: Path, path: str) -> bool:
    """Whether a path relative to `folder` is below it, also if links are followed. A URL is not."""
    if "://" in path:
        return False
    try:
        return (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a cycle of links, or a NUL character
        return False

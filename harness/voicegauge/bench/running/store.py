"""A run on disk: a folder that holds `run.json`, `journal.jsonl` and `audio/`.

`run.json` is replaced whole or not at all; audio files are named by their digest,
so that equal answers are kept once and no name comes from the wire.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import msgspec

from voicegauge.bench.running.journal import read_journal
from voicegauge.errors import DataError, UsageError
from voicegauge.files import write_file
from voicegauge.model import RUN_SCHEMA_VERSION, Run
from voicegauge.speech.audio import sniff_container

RUN_FILE = "run.json"
AUDIO_FOLDER = "audio"


def create_run_folder(out: Path, name: str) -> Path:
    """Make the folder of a new run below `out`: `name`, or `name` with a number where that is taken.

    Raises:
        UsageError: it cannot be made.
    """
    for attempt in itertools.count(1):
        folder = out / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"cannot make {folder}: {error.strerror}: name another place with --out") from error
        return folder
    raise AssertionError("the numbers do not end")


def find_unfinished_run(out: Path, plan_sha256: str) -> Path | None:
    """The newest interrupted run below `out` of the plan with that digest.

    Only one that bought something is worth going on with; files that are no runs are passed over.
    """
    for file in sorted(out.glob(f"*/{RUN_FILE}"), reverse=True):
        try:
            manifest = load_run(file).manifest
            past = read_journal(file.parent)
        except DataError:
            continue
        if not manifest.finished and manifest.plan_sha256 == plan_sha256 and past.has_paid_results:
            return file.parent
    return None


class _Version(msgspec.Struct):
    """Just enough of a run file to tell whether the rest can be read."""

    class _Manifest(msgspec.Struct):
        schema_version: int

    manifest: _Manifest


def run_folder(path: Path) -> Path:
    """The folder of the run that `path` (the folder, or its run.json) names."""
    return path if path.is_dir() else path.parent


def save_run(folder: Path, run: Run) -> Path:
    """Write `run` to the folder's run.json, whole or not at all, and return the path.

    Raises:
        UsageError: the file cannot be written.
    """
    path = folder / RUN_FILE
    write_file(path, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return path


def load_run(path: Path) -> Run:
    """The run in the folder `path`, or in the run.json `path`.

    Of a run that was killed, the samples are those of its journal.

    Raises:
        DataError: there is none, it is broken, or another version of voicegauge wrote it;
            says how to mend it.
    """
    file = path / RUN_FILE if path.is_dir() else path
    try:
        raw = file.read_bytes()
    except OSError as error:
        hint = ": name the folder of a run" if isinstance(error, FileNotFoundError) else ""
        raise DataError(f"{file}: cannot be read: {error.strerror}{hint}") from error
    try:
        version = msgspec.json.decode(raw, type=_Version).manifest.schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{file}: is no saved run: {error}") from error
    if version > RUN_SCHEMA_VERSION:
        raise DataError(
            f"{file}: was written by a newer voicegauge (run format {version}, "
            f"this one reads {RUN_SCHEMA_VERSION}): pip install -U voicegauge"
        )
    if version < RUN_SCHEMA_VERSION:
        raise DataError(
            f"{file}: was written by an older voicegauge (run format {version}, "
            f"this one reads {RUN_SCHEMA_VERSION}): run the benchmark again"
        )
    try:
        run = msgspec.json.decode(raw, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{file}: is a damaged run: {error}") from error
    if not run.manifest.finished and not run.samples:
        run = msgspec.structs.replace(run, samples=tuple(read_journal(file.parent).finished.values()))
    return run


def save_audio(folder: Path, audio: bytes) -> tuple[str, str]:
    """Keep `audio` under its digest, with the ending that its first bytes ask for.

    Args:
        folder: of the run.
        audio: as it was received.

    Returns:
        The SHA-256 digest, and the file's path relative to `folder`.

    Raises:
        UsageError: the file cannot be written.
    """
    digest = hashlib.sha256(audio).hexdigest()
    name = f"{AUDIO_FOLDER}/{digest}.{sniff_container(audio) or 'bin'}"
    if not (folder / name).exists():
        write_file(folder / name, audio)
    return digest, name

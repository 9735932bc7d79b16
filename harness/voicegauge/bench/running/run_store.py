"""Saves and loads runs. A run is a folder with `run.json`, `journal.jsonl` and `audio/`.

`run.json` is replaced completely or not at all. Audio files are named after their digest, so that
equal audio is saved once and no file name is taken from a response.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from voicegauge.bench.running.journal import read_journal
from voicegauge.bench.running.purchases import JournalState
from voicegauge.errors import DataError, UsageError
from voicegauge.files import check_writable, read_file, write_file
from voicegauge.model import RUN_SCHEMA_VERSION, Run, Sample
from voicegauge.speech.audio import sniff_container

RUN_FILE_NAME = "run.json"
AUDIO_FOLDER_NAME = "audio"

DAMAGE_ADVICE = "; restore the file, or measure again"
"""What to do about a damaged file, at the end of an error message."""


def create_run_folder(runs_folder: Path, name: str) -> Path:
    """Create the folder of a new run in `runs_folder`, called `name`, or `name` with a number if that exists already.

    Raises:
        UsageError: the folder cannot be created.
    """
    for attempt in itertools.count(1):
        folder = runs_folder / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            check_writable(folder / RUN_FILE_NAME)
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except UsageError as error:
            raise UsageError(f"{error}: choose another folder with --out") from error
        except OSError as error:
            raise UsageError(f"cannot create {folder}: {error.strerror}: choose another folder with --out") from error
        return folder
    raise AssertionError("itertools.count never ends")


class ManifestOutline(msgspec.Struct):
    """The part of a manifest that every version of voicegauge can read."""

    class ObjectWithId(msgspec.Struct):
        """An object whose id is the only field that is read."""

        id: str

    schema_version: int
    is_finished: bool = msgspec.field(default=False, name="finished")
    plan_sha256: str = ""
    max_cost_usd: float | None = None
    suite: ObjectWithId | None = None
    targets: list[ObjectWithId] = []


class _RunOutline(msgspec.Struct):
    manifest: ManifestOutline


def load_manifest_outline(run_file: Path) -> ManifestOutline | None:
    """Return the outline of a run.json of any version; `None` if the file is not one."""
    try:
        return _decode_manifest_outline(read_file(run_file))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _decode_manifest_outline(run_json: bytes) -> ManifestOutline:
    return msgspec.json.decode(run_json, type=_RunOutline).manifest


def find_run_folder(path: Path) -> Path:
    """Return the folder of a run; `path` is this folder or its run.json."""
    return path if path.is_dir() else path.parent


def save_run(run_folder: Path, run: Run) -> Path:
    """Write `run` to run.json in `run_folder`, completely or not at all.

    Returns:
        The path of run.json.

    Raises:
        UsageError: the file cannot be written.
    """
    path = run_folder / RUN_FILE_NAME
    write_file(path, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    return path


def load_run(path: Path) -> Run:
    """Load a saved run. If the process that measured it was killed, its samples are read from the journal.

    Args:
        path: the run's folder or its run.json.

    Raises:
        DataError: there is no run, the run is damaged, or an incompatible version of voicegauge wrote it;
            the message says how to solve the problem.
    """
    file = path / RUN_FILE_NAME if path.is_dir() else path
    try:
        raw = read_file(file)
    except OSError as error:
        hint = ": give the folder of a run" if isinstance(error, FileNotFoundError) else ""
        raise DataError(f"{file}: cannot be read: {error.strerror}{hint}") from error
    try:
        run = msgspec.json.decode(raw, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _check_format_version(file, raw)
        raise DataError(f"{file}: is a damaged run: {_add_sample_number(str(error), raw)}{DAMAGE_ADVICE}") from error
    if run.manifest.schema_version != RUN_SCHEMA_VERSION:
        _check_format_version(file, raw)
    if not run.manifest.is_finished and not run.samples:
        run = _add_journaled_samples(run, read_journal(file.parent))
    if reason := _describe_damage(run):
        raise DataError(f"{file}: is a damaged run: {reason}{DAMAGE_ADVICE}")
    return run


def _add_sample_number(message: str, run_json: bytes) -> str:
    """Return a message of msgspec with the number of the invalid sample in place of "..." in `$.samples[...]`."""
    if "$.samples[...]" not in message:
        return message
    for number, sample in enumerate(msgspec.json.decode(run_json)["samples"]):
        try:
            msgspec.convert(sample, Sample)
        except msgspec.ValidationError:
            return message.replace("$.samples[...]", f"$.samples[{number}]")
    return message


def _describe_damage(run: Run) -> str | None:
    """Return where and how a run contradicts itself, in one line; `None` if it does not."""
    if not _is_timestamp(run.manifest.created_at):
        return f"manifest.created_at is not a date and time: {run.manifest.created_at!r}"
    if repeated := _find_repeated_id([target.id for target in run.manifest.targets]):
        return f"manifest.targets has {repeated!r} twice"
    if repeated := _find_repeated_id([sample.id for sample in run.samples]):
        return f"two samples have the id {repeated!r}"
    for number, score_set in enumerate(run.score_sets):
        if repeated := _find_repeated_id([score.sample_id for score in score_set.scores]):
            return f"score_sets[{number}] has two scores of the sample {repeated!r}"
    undated = next((sample for sample in run.samples if not _is_timestamp(sample.started_at)), None)
    if undated is not None:
        return f"started_at of the sample {undated.id!r} is not a date and time: {undated.started_at!r}"
    return None


def _find_repeated_id(ids: Sequence[str]) -> str | None:
    if len(set(ids)) == len(ids):
        return None
    return next(one for one, count in Counter(ids).items() if count > 1)


def _is_timestamp(text: str) -> bool:
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _add_journaled_samples(run: Run, journal_state: JournalState) -> Run:
    unfinished = (
        one.sample_with_open_job for one in journal_state.histories.values() if one.sample_with_open_job is not None
    )
    return msgspec.structs.replace(
        run,
        samples=(*journal_state.finished_samples.values(), *unfinished),
        ambiguous_requests=journal_state.ambiguous_requests,
        open_jobs=tuple(journal_state.open_jobs.values()),
    )


def _check_format_version(run_file: Path, run_json: bytes) -> None:
    """Check only the format version, so that a run of another version is not reported as damaged.

    Raises:
        DataError: the file is not a run, or has another format version.
    """
    try:
        version = _decode_manifest_outline(run_json).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{run_file}: is not a saved run: {error}{DAMAGE_ADVICE}") from error
    if version > RUN_SCHEMA_VERSION:
        raise DataError(
            f"{run_file}: was written by a newer voicegauge (run format {version}, "
            f"this one reads {RUN_SCHEMA_VERSION}): pip install -U voicegauge"
        )
    if version < RUN_SCHEMA_VERSION:
        raise DataError(
            f"{run_file}: was written by an older voicegauge (run format {version}, "
            f"this one reads {RUN_SCHEMA_VERSION}): run the benchmark again"
        )


def save_audio(run_folder: Path, audio: bytes) -> tuple[str, str]:
    """Save `audio` in a file named after its digest, with the file name extension of its actual container.

    Args:
        run_folder: folder of the run.
        audio: the audio as it was received.

    Returns:
        The SHA-256 digest, and the path of the file relative to `run_folder`.

    Raises:
        UsageError: the file cannot be written.
    """
    digest = hashlib.sha256(audio).hexdigest()
    name = f"{AUDIO_FOLDER_NAME}/{digest}.{sniff_container(audio) or 'bin'}"
    if not (run_folder / name).exists():
        write_file(run_folder / name, audio)
    return digest, name

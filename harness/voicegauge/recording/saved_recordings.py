"""Finds and loads saved recordings, computes their age, and compares them with newly recorded exchanges."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.data_folders import RECORDINGS_FOLDER_NAME
from voicegauge.errors import DataError
from voicegauge.files import require_files_in_folder
from voicegauge.formats.bodies import UnreadableBodyError, read_json
from voicegauge.model.base import Record
from voicegauge.model.exchange import Exchange
from voicegauge.recording._har_format import get_start_time
from voicegauge.recording.conversations import Recording, collect_exchanges_by_conversation_id
from voicegauge.recording.har_files import load_har

# Compares a saved recording with newly recorded exchanges, to summarize the differences before replacing the file.


class RecordingChanges(Record, frozen=True, kw_only=True):
    """How many exchanges of a recording were added, removed, changed or left unchanged when it was replaced."""

    added_count: int = 0
    removed_count: int = 0
    changed_count: int = 0
    unchanged_count: int = 0
    differing_fields: tuple[str, ...] = ()
    """The fields that differ in the changed exchanges, such as "getStatus response /status"; most frequent first."""


def compare_recordings(old_recording: Recording | None, new_exchanges: Sequence[Exchange]) -> RecordingChanges:
    """Count how many exchanges were added, removed, changed or left unchanged.

    In each conversation, the first older exchange is compared with the first newer one, the second with the second, and
    so on. Conversations are matched by their id. Every exchange counts as added if `old_recording` is `None`.
    """
    before, after = (
        collect_exchanges_by_conversation_id(old_recording.exchanges if old_recording is not None else ()),
        collect_exchanges_by_conversation_id(new_exchanges),
    )
    added = removed = changed = same = 0
    field_counts: Counter[str] = Counter()
    for group in {**before, **after}:
        old_group, new_group = before.get(group, ()), after.get(group, ())
        added += max(len(new_group) - len(old_group), 0)
        removed += max(len(old_group) - len(new_group), 0)
        for old_exchange, new_exchange in zip(old_group, new_group, strict=False):
            differing = set(_list_differing_fields(old_exchange, new_exchange))
            changed, same = changed + bool(differing), same + (not differing)
            field_counts.update(differing)
    fields = tuple(sorted(field_counts, key=lambda field: (-field_counts[field], field)))
    return RecordingChanges(
        added_count=added,
        removed_count=removed,
        changed_count=changed,
        unchanged_count=same,
        differing_fields=fields,
    )


def _list_differing_fields(old_exchange: Exchange, new_exchange: Exchange) -> Iterator[str]:
    # Header values and query parameters are ignored, because dates, ids and signatures differ in every recording.
    if old_exchange.request.url.partition("?")[0] != new_exchange.request.url.partition("?")[0]:
        yield f"{new_exchange.operation} URL"
    if old_exchange.response.status != new_exchange.response.status:
        yield f"{new_exchange.operation} status {old_exchange.response.status} to {new_exchange.response.status}"
    for side, before, after in (
        ("request", old_exchange.request, new_exchange.request),
        ("response", old_exchange.response, new_exchange.response),
    ):
        names = {name.lower() for name, _ in before.headers} ^ {name.lower() for name, _ in after.headers}
        yield from (f"{new_exchange.operation} {side} header {name}" for name in names)
        yield from (
            f"{new_exchange.operation} {side} {pointer}"
            for pointer in _list_differing_pointers(before.body, after.body)
        )


def _list_differing_pointers(old_body: bytes, new_body: bytes) -> Iterator[str]:
    if old_body == new_body:
        return
    try:
        old, new = dict(_flatten_json(read_json(old_body))), dict(_flatten_json(read_json(new_body)))
    except UnreadableBodyError:
        yield "body"
        return
    yield from (pointer or "body" for pointer in {**old, **new} if old.get(pointer) != new.get(pointer))


def _flatten_json(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield the JSON pointer and the JSON text of every scalar and every empty container in `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items or not value:
        yield pointer, json.dumps(value, sort_keys=True)
        return
    for key, item in items:
        yield from _flatten_json(item, f"{pointer}/{key}")


# Finds recordings in folders and loads them.


def find_recordings(path: Path) -> list[Path]:
    """Return the sorted paths of the HAR files in a folder and in its direct sub-folders (one for each provider).

    If `path` is a file, the result is this file alone.

    Raises:
        DataError: a link leads to a file outside of the folder.
    """
    if not path.is_dir():
        return [path]
    return require_files_in_folder(sorted([*path.glob("*.har"), *path.glob("*/*.har")]), path)


def find_provider_recordings(provider_id: str, bundled_folder: Path | None = None) -> list[Path]:
    """Return the recordings of a provider: the user's own, and the bundled ones.

    A file in `RECORDINGS_FOLDER_NAME` replaces the bundled file of the same name.

    Args:
        provider_id: id of the provider.
        bundled_folder: folder of the bundled recordings, with a sub-folder for each provider; `None` for a contract
            that is not bundled.
    """
    own_folder = Path(RECORDINGS_FOLDER_NAME)
    own = require_files_in_folder(sorted((own_folder / provider_id).glob("*.har")), own_folder)
    names = {path.name for path in own}
    bundled = sorted((bundled_folder / provider_id).glob("*.har")) if bundled_folder is not None else []
    return [*own, *(path for path in bundled if path.name not in names)]


def load_recordings(paths: Iterable[Path], *, conversation_id_part: str = "") -> list[Recording]:
    """Load HAR files, and all HAR files in folders.

    Args:
        paths: HAR files, and folders that contain HAR files.
        conversation_id_part: load only conversations whose `conversation_id` contains this text, such as "a full
            delivery". By default, all exchanges are loaded.

    Raises:
        DataError: a path is missing, a folder contains no recording, a file is not a recording, or no conversation
                matches.
    """
    recordings = []
    for path in paths:
        files = find_recordings(path)
        if not files:
            raise DataError(f"{path}: contains no recording (*.har)")
        recordings += [_filter_conversations(load_har(file), conversation_id_part) for file in files]
    if conversation_id_part and not any(recording.exchanges for recording in recordings):
        raise DataError(f"no recorded conversation has {conversation_id_part!r} in its id")
    return recordings


def _filter_conversations(recording: Recording, conversation_id_part: str) -> Recording:
    exchanges = tuple(
        exchange for exchange in recording.exchanges if conversation_id_part in (exchange.conversation_id or "")
    )
    return msgspec.structs.replace(recording, exchanges=exchanges)


# Computes the age of recorded traffic, from which callers decide whether a recording is stale.


def get_recording_time(recording: Recording, exchange: Exchange) -> dt.datetime:
    """Return the UTC time at which `exchange` was sent; the time of `recording` if the exchange has no timing.

    Raises:
        DataError: the time of the exchange or of the recording is invalid.
    """
    try:
        started_at = get_start_time(exchange)
        if started_at is not None:
            return dt.datetime.fromtimestamp(started_at, dt.UTC)
        moment = dt.datetime.fromisoformat(recording.recorded_at)
    except (ValueError, OverflowError, OSError) as error:
        raise DataError(f"a recording of {recording.provider} has an invalid time: {error}") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def compute_age_days(recording: Recording, exchange: Exchange, now: dt.datetime) -> float:
    """Return the number of days from the time at which `exchange` was recorded to `now`."""
    return (now - get_recording_time(recording, exchange)).total_seconds() / 86_400

"""Compares a saved recording with newly recorded exchanges, to summarize the differences before replacing the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from voicegauge.formats import UnreadableBodyError, read_json
from voicegauge.model import Exchange, Record
from voicegauge.recording.har import Recording, exchanges_by_group


class RecordingChanges(Record, frozen=True, kw_only=True):
    """Numbers of exchanges that were added, removed, changed or left the same when a recording was replaced."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    same: int = 0
    fields: tuple[str, ...] = ()
    """What differs in the changed exchanges, such as "getStatus response /status"; most frequent differences first."""


def compare_recordings(old: Recording | None, exchanges: Sequence[Exchange]) -> RecordingChanges:
    """Compare the exchanges of each group one by one; if `old` is `None`, every exchange counts as added."""
    before, after = exchanges_by_group(old.exchanges if old is not None else ()), exchanges_by_group(exchanges)
    added = removed = changed = same = 0
    field_counts: Counter[str] = Counter()
    for group in {**before, **after}:
        old_group, new_group = before.get(group, ()), after.get(group, ())
        added += max(len(new_group) - len(old_group), 0)
        removed += max(len(old_group) - len(new_group), 0)
        for old_exchange, new_exchange in zip(old_group, new_group, strict=False):
            differing = set(_differing_fields(old_exchange, new_exchange))
            changed, same = changed + bool(differing), same + (not differing)
            field_counts.update(differing)
    fields = tuple(sorted(field_counts, key=lambda field: (-field_counts[field], field)))
    return RecordingChanges(added=added, removed=removed, changed=changed, same=same, fields=fields)


def _differing_fields(old: Exchange, new: Exchange) -> Iterator[str]:
    # Header values and query parameters are ignored, because dates, ids and signatures differ in every recording.
    if old.request.url.partition("?")[0] != new.request.url.partition("?")[0]:
        yield f"{new.operation} URL"
    if old.response.status != new.response.status:
        yield f"{new.operation} status {old.response.status} to {new.response.status}"
    for side, before, after in (("request", old.request, new.request), ("response", old.response, new.response)):
        names = {name.lower() for name, _ in before.headers} ^ {name.lower() for name, _ in after.headers}
        yield from (f"{new.operation} {side} header {name}" for name in names)
        yield from (f"{new.operation} {side} {pointer}" for pointer in _differing_pointers(before.body, after.body))


def _differing_pointers(before: bytes, after: bytes) -> Iterator[str]:
    if before == after:
        return
    try:
        old, new = dict(_flatten(read_json(before))), dict(_flatten(read_json(after)))
    except UnreadableBodyError:
        yield "body"
        return
    yield from (pointer or "body" for pointer in {**old, **new} if old.get(pointer) != new.get(pointer))


def _flatten(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield the JSON pointer and the JSON text of every scalar and every empty container in `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items or not value:
        yield pointer, json.dumps(value, sort_keys=True)
        return
    for key, item in items:
        yield from _flatten(item, f"{pointer}/{key}")

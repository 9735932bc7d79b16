"""How two recordings of the same cases differ, in a few words for the person who is asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from voicegauge.formats import UnreadableBodyError, read_json
from voicegauge.model import Exchange, Record
from voicegauge.recording.har_file import Recording, exchanges_by_group


class RecordingChanges(Record, frozen=True, kw_only=True):
    """How a file would differ from what is there, in exchanges."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    same: int = 0
    fields: tuple[str, ...] = ()
    """What is different in those that changed, the most frequent first: "getStatus response /status"."""


def compare_recordings(old: Recording | None, exchanges: Sequence[Exchange]) -> RecordingChanges:
    """Compare what a file holds with what it would hold, exchange by exchange within each group."""
    before, after = exchanges_by_group(old.exchanges if old is not None else ()), exchanges_by_group(exchanges)
    added = removed = changed = same = 0
    fields: Counter[str] = Counter()
    for name in {**before, **after}:
        was, now = before.get(name, ()), after.get(name, ())
        added += max(len(now) - len(was), 0)
        removed += max(len(was) - len(now), 0)
        for one, other in zip(was, now, strict=False):
            different = set(_differences(one, other))
            changed, same = changed + bool(different), same + (not different)
            fields.update(different)
    often = tuple(sorted(fields, key=lambda field: (-fields[field], field)))
    return RecordingChanges(added=added, removed=removed, changed=changed, same=same, fields=often)


def _differences(old: Exchange, new: Exchange) -> Iterator[str]:
    if old.request.url.partition("?")[0] != new.request.url.partition("?")[0]:
        yield f"{new.operation} URL"
    if old.response.status != new.response.status:
        yield f"{new.operation} status {old.response.status} to {new.response.status}"
    for side, was, now in (("request", old.request, new.request), ("response", old.response, new.response)):
        names = {name.lower() for name, _ in was.headers} ^ {name.lower() for name, _ in now.headers}
        yield from (f"{new.operation} {side} header {name}" for name in names)
        yield from (f"{new.operation} {side} {place}" for place in _body_differences(was.body, now.body))


def _body_differences(was: bytes, now: bytes) -> Iterator[str]:
    if was == now:
        return
    try:
        old, new = dict(_leaves(read_json(was))), dict(_leaves(read_json(now)))
    except UnreadableBodyError:
        yield "body"
        return
    yield from (place or "body" for place in {**old, **new} if old.get(place) != new.get(place))


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items or not value:
        yield place, json.dumps(value, sort_keys=True)
        return
    for key, item in items:
        yield from _leaves(item, f"{place}/{key}")

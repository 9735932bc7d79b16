"""Compares a saved recording with newly recorded exchanges, to summarize the differences before replacing the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from voicegauge.formats import UnreadableBodyError, read_json
from voicegauge.model import Exchange, Record
from voicegauge.recording.har import Recording, collect_exchanges_by_conversation_id


class RecordingChanges(Record, frozen=True, kw_only=True):
    """How many exchanges of a recording were added, removed, changed or left unchanged when it was replaced."""

    added_count: int = msgspec.field(default=0, name="added")
    removed_count: int = msgspec.field(default=0, name="removed")
    changed_count: int = msgspec.field(default=0, name="changed")
    unchanged_count: int = msgspec.field(default=0, name="same")
    differing_fields: tuple[str, ...] = msgspec.field(default=(), name="fields")
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

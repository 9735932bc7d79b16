"""Cuts lists into the pages that requests ask for, as `x-pagination` describes them."""

from __future__ import annotations

from typing import Any

from voicegauge.contract.extension.resources import PaginationSpec
from voicegauge.emulator._request import (
    ParsedRequest,
    Rejection,
    can_have_value_at,
    find_default_value,
    read_value_at,
    write_value_at,
)
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._schema_values import iterate_schemas_at
from voicegauge.formats.locations import MISSING, Location

_CURSOR_PREFIX = "after-"
"""Beginning of the emulator's cursors of the kind `token`; the number of items before the page follows."""


def select_page(response: EmulatedResponse, request: ParsedRequest, pagination_spec: PaginationSpec) -> None:
    """Keep the items of the requested page, and write whether and where the list goes on. `response` is changed.

    Raises:
        Rejection: the request names a page in a way that the emulator never offered.
    """
    items = read_value_at(response.body, pagination_spec.items_location)
    if not isinstance(items, list):
        return
    size = _read_number(request, pagination_spec.page_size_location) or max(len(items), 1)
    start = _find_first_index(items, size, request, pagination_spec)
    page, end = items[start : start + size], start + size
    has_more = end < len(items)
    response.body = write_value_at(response.body, pagination_spec.items_location, page)
    for location, value in (
        (pagination_spec.has_more_location, has_more),
        (pagination_spec.total_count_location, len(items)),
        (pagination_spec.page_count_location, -(-len(items) // size)),
    ):
        if location is not None and can_have_value_at(response.documented_media_type, response.body, location):
            response.body = write_value_at(response.body, location, value)
    if pagination_spec.next_cursor_location is not None:
        cursor = _build_next_cursor(page, end, start // size, pagination_spec) if has_more else None
        _write_next_cursor(response, pagination_spec.next_cursor_location, cursor)


def _find_first_index(items: list[Any], size: int, request: ParsedRequest, pagination_spec: PaginationSpec) -> int:
    location, kind = pagination_spec.cursor_location, pagination_spec.cursor_kind
    cursor = request.read_value(location) if location is not None else MISSING
    if location is None or cursor in (MISSING, None, ""):
        return 0
    if kind == "item-id":
        ids = [item.get(pagination_spec.item_id_field) if isinstance(item, dict) else None for item in items]
        return ids.index(cursor) + 1 if cursor in ids else len(items)  # nothing follows an unknown item
    text = str(cursor).removeprefix(_CURSOR_PREFIX) if kind == "token" else str(cursor)
    if not text.isdecimal() or (kind == "token" and text == str(cursor)):
        raise Rejection("invalid", location.field_name, f"{location.field_name}: no list has the page {cursor!r:.80}")
    return max(int(text) - pagination_spec.first_page_number, 0) * size if kind == "page" else int(text)


def _read_number(request: ParsedRequest, location: Location | None) -> int | None:
    if location is None:
        return None
    value = request.read_value(location)
    value = find_default_value(request, location) if value is MISSING else value
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _build_next_cursor(page: list[Any], end: int, index: int, pagination_spec: PaginationSpec) -> Any:
    kind = pagination_spec.cursor_kind
    if kind == "item-id":
        return page[-1].get(pagination_spec.item_id_field)
    if kind == "page":
        return index + 1 + pagination_spec.first_page_number
    return f"{_CURSOR_PREFIX}{end}" if kind == "token" else end


def _write_next_cursor(response: EmulatedResponse, location: Location, cursor: Any) -> None:
    """Write the cursor; on the last page null, or an empty text if the schema allows no null."""
    media = response.documented_media_type
    if cursor is None and media is not None:
        types = [
            schema.get("type") for schema in iterate_schemas_at(media.schemas, media.schema, location.pointer_tokens)
        ]
        cursor = "" if types and "string" in types else None
    response.body = write_value_at(response.body, location, cursor)

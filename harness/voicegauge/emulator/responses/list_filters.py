"""Filters the lists of a response by the query of its request."""

from __future__ import annotations

from typing import Any

from voicegauge.emulator.http import ParsedRequest


def filter_lists(body: dict[str, Any], request: ParsedRequest) -> None:
    """Keep the list items that match the query: each documented parameter filters by the field of the same name.

    `body` is changed in place. Items without such a field are kept. Counts that equaled the length of the list are
    updated.
    """
    documented = {one.name for one in request.operation.parameters if one.message_part == "query"}
    requested = {name: value for name, value in request.query_parameters.items() if name in documented}
    for name, items in list(body.items()):
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            continue
        left = [i for i in items if all(key not in i or i[key] == value for key, value in requested.items())]
        body[name] = left
        for other, count in body.items():
            if count == len(items) and isinstance(count, int) and not isinstance(count, bool):
                body[other] = len(left)

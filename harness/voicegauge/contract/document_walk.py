"""One walk over a document: its objects, without the data that only looks like objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.formats import escape

EXTENSIONS = frozenset(
    (
        *("x-provider", "x-speech", "x-job", "x-pricing", "x-limits", "x-source"),
        *("x-transcription", "x-conversion", "x-resource", "x-batch", "x-chat", "x-webhook", "x-stream"),
    )
)
"""The keys whose grammar is `voicegauge.contract.extension`."""
_NAMES = frozenset(
    (
        *("callbacks", "content", "definitions", "dependentSchemas", "encoding", "examples", "headers", "links"),
        *("parameters", "paths", "pathItems", "patternProperties", "properties", "requestBodies", "responses"),
        *("schemas", "securitySchemes", "variables", "webhooks", "$defs"),
        *("plans", "sources", "states", "targets", "uploads"),
    )
)
"""Keys whose mappings have names for keys: a property may be called `default`."""
_DATA = frozenset({"const", "constants", "default", "enum", "example", "map", "mapping", "value", "x-advice"})
"""Keys whose values are a provider's data, not a part of the document."""


def walk_objects(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a document with its pointer, in the document's order.

    Mappings from names to objects ("properties") are stepped through; examples,
    defaults and other vendors' `x-` keys are left out.
    """
    yield from _walk(data, "", named=False)


def _walk(value: Any, pointer: str, *, named: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if not named:
            yield pointer, value
        for key, item in value.items():
            if named or not _is_data(key, item):
                inside = not named and key in _NAMES and isinstance(item, dict)
                yield from _walk(item, f"{pointer}/{escape(key)}", named=inside)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{pointer}/{index}", named=False)


def _is_data(key: str, item: Any) -> bool:
    if key in _DATA or (key.startswith("x-") and key not in EXTENSIONS):
        return True
    return key == "examples" and isinstance(item, list)

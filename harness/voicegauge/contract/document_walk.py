"""Iterates over the objects of a document. Values that are plain data, such as examples, are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.formats import escape_pointer_token

EXTENSION_KEYS = frozenset(
    (
        *("x-provider", "x-speech", "x-job", "x-pricing", "x-limits", "x-source"),
        *("x-transcription", "x-conversion", "x-resource", "x-batch", "x-chat", "x-webhook", "x-stream"),
        *("x-idempotency", "x-submit"),
    )
)
"""The keys whose grammar `voicegauge.contract.extension` defines."""
EMBEDDED_FILES_KEY = "x-files"
"""Key under which the other files of a document are embedded, each under a number."""
_NAME_MAPPING_KEYS = frozenset(
    (
        *("callbacks", "content", "definitions", "dependentSchemas", "encoding", "examples", "headers", "links"),
        *("parameters", "paths", "pathItems", "patternProperties", "properties", "requestBodies", "responses"),
        *("schemas", "securitySchemes", "variables", "webhooks", "$defs"),
        *("plans", "sources", "states", "targets", "uploads"),
        EMBEDDED_FILES_KEY,
    )
)
"""Keys whose values map names to objects, such as `properties`. The names are not keywords: a property may be called
`default`."""
_KEYS_WITH_PLAIN_DATA = frozenset(
    {"const", "constants", "default", "enum", "example", "map", "mapping", "value", "x-advice"}
)
"""Keys whose values are plain data of the provider, such as an example. Objects in the data are not parts of the
document."""


def walk_objects(document_data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a document with its JSON pointer, in document order.

    Mappings from names to objects such as `properties` are not objects themselves. Examples, defaults and `x-` keys of
    other vendors are skipped.
    """
    pending: list[tuple[str, Any, bool]] = [("", document_data, False)]
    while pending:
        pointer, value, has_names = pending.pop()
        if not has_names and isinstance(value, dict):
            yield pointer, value
        inner = _list_inner_values(pointer, value, keys_are_names=has_names)
        inner.reverse()
        pending += inner


def _list_inner_values(pointer: str, value: Any, *, keys_are_names: bool) -> list[tuple[str, Any, bool]]:
    """Return each mapping or list directly in `value`: its pointer, itself, and whether its keys are names.

    Keys are names below a key such as `properties`. `keys_are_names` says whether those of `value` itself are.
    """
    if isinstance(value, list):
        return [(f"{pointer}/{i}", item, False) for i, item in enumerate(value) if isinstance(item, (dict, list))]
    return [
        (
            f"{pointer}/{escape_pointer_token(key)}",
            item,
            not keys_are_names and key in _NAME_MAPPING_KEYS and isinstance(item, dict),
        )
        for key, item in (value.items() if isinstance(value, dict) else ())
        if isinstance(item, (dict, list)) and (keys_are_names or not _is_plain_data(key, item))
    ]


def _is_plain_data(key: str, item: Any) -> bool:
    if key in _KEYS_WITH_PLAIN_DATA or (
        key.startswith("x-") and key not in EXTENSION_KEYS and key != EMBEDDED_FILES_KEY
    ):
        return True
    return key == "examples" and isinstance(item, list)

"""Writes the schemas of OpenAPI 3.0 as those of OpenAPI 3.1, which are JSON Schema 2020-12.

The differences: https://learn.openapis.org/upgrading/v3.0-to-v3.1.html
"""

from __future__ import annotations

from typing import Any

from voicegauge.contract.document_walk import walk_objects

_BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def upgrade_openapi_30(data: dict[str, Any]) -> None:
    """Change a document of OpenAPI 3.0 in place, so that it is one of OpenAPI 3.1 with the same meaning."""
    data["openapi"] = "3.1.0"
    for _, node in list(walk_objects(data)):
        _upgrade_bounds(node)
        _upgrade_nullable(node)


def _upgrade_bounds(node: dict[str, Any]) -> None:
    """Replace `exclusiveMinimum: true` next to `minimum: 0` by `exclusiveMinimum: 0`."""
    for exclusive, inclusive in _BOUNDS:
        if isinstance(node.get(exclusive), bool):
            is_exclusive = node.pop(exclusive)
            if is_exclusive and inclusive in node:
                node[exclusive] = node.pop(inclusive)


def _upgrade_nullable(node: dict[str, Any]) -> None:
    """Replace `nullable: true`, which counts only beside a type (OpenAPI 3.0.3, section 4.7.24.1)."""
    if not isinstance(node.get("nullable"), bool):
        return
    is_nullable = node.pop("nullable")
    if is_nullable and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]

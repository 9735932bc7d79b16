"""Converts documents of all supported versions of OpenAPI to one form, with schemas of JSON Schema 2020-12.

The differences of 3.0 and 3.1: https://learn.openapis.org/upgrading/v3.0-to-v3.1.html
"""

from __future__ import annotations

from typing import Any

from voicegauge.contract.document_walk import walk_objects
from voicegauge.formats import Document

_SUPPORTED_OPENAPI_VERSIONS = ("3.0.", "3.1.", "3.2.")
_BOUND_KEYWORD_PAIRS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


def check_openapi_version(document: Document) -> None:
    """Check that a document has a version of OpenAPI that can be read.

    Raises:
        ContractError: it has another version.
    """
    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith(_SUPPORTED_OPENAPI_VERSIONS):
        key = "swagger" if "swagger" in document.data else "openapi"
        found = f"not {document.data[key]!r}" if key in document.data else "but has no key 'openapi'"
        raise document.build_error(f"/{key}", f"must be an OpenAPI document of version 3.0, 3.1 or 3.2, {found}")


def normalize_openapi(document: Document) -> None:
    """Change the data of a document in place, so that it is OpenAPI 3.1 or 3.2 with the same meaning.

    Raises:
        ContractError: the document has another version.
    """
    check_openapi_version(document)
    data = document.data
    is_30 = data["openapi"].startswith("3.0.")
    if is_30:
        data["openapi"] = "3.1.0"
    for _, node in list(walk_objects(data)):
        _expand_boolean_properties(node)
        if is_30:
            _upgrade_bounds(node)
            _upgrade_nullable(node)


def _expand_boolean_properties(node: dict[str, Any]) -> None:
    """Replace the schemas `true` and `false` of properties by objects with the same meaning."""
    properties = node.get("properties")
    if isinstance(properties, dict) and any(isinstance(schema, bool) for schema in properties.values()):
        objects: dict[bool, dict[str, Any]] = {True: {}, False: {"not": {}}}
        node["properties"] = {k: objects[v] if isinstance(v, bool) else v for k, v in properties.items()}


def _upgrade_bounds(node: dict[str, Any]) -> None:
    """Replace `exclusiveMinimum: true` next to `minimum: 0` by `exclusiveMinimum: 0`."""
    for exclusive, inclusive in _BOUND_KEYWORD_PAIRS:
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

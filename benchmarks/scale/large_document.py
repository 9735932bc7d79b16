"""Documents of thousands of operations whose schemas refer to each other, as the largest that services publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REFERENCE_DEPTH = 10
"""Number of schemas of which each refers to the next one, as in the largest documents."""
FIELDS_PER_SCHEMA = 25


def write_documents(folder: Path, operations: int) -> tuple[Path, Path]:
    """Write a document with `operations` operations, and a later version in which every fiftieth has changed."""
    old, new = folder / "old.json", folder / "new.json"
    old.write_text(json.dumps(_build_document(operations, changes_every=None)))
    new.write_text(json.dumps(_build_document(operations, changes_every=50)))
    return old, new


def _build_document(operations: int, *, changes_every: int | None) -> dict[str, Any]:
    schemas = {f"s{number}": _build_schema(number, operations) for number in range(operations)}
    paths = {}
    for number in range(operations):
        schema = {"$ref": f"#/components/schemas/s{number}"}
        if changes_every is not None and number % changes_every == 0:
            schema = {"type": "object", "required": ["added"], "properties": {"added": {"type": "string"}}}
        paths[f"/v1/things{number}/{{id}}"] = {
            "post": {
                "operationId": f"post{number}",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": schema}}},
                "responses": {
                    "200": {
                        "description": "OK",
                        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/s{number}"}}},
                    }
                },
            }
        }
    info = {"title": "Large", "version": "1" if changes_every is None else "2"}
    return {"openapi": "3.0.3", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _build_schema(number: int, operations: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        f"field{index}": {"type": "string", "maxLength": 5000, "description": f"Field {index} of thing {number}."}
        for index in range(FIELDS_PER_SCHEMA)
    }
    if number % REFERENCE_DEPTH:  # what it refers to, and a list of others, which form cycles
        fields["parent"] = {"$ref": f"#/components/schemas/s{number - 1}"}
    fields["others"] = {"type": "array", "items": {"$ref": f"#/components/schemas/s{(7 * number + 1) % operations}"}}
    fields["expandable"] = {
        "anyOf": [{"type": "string"}, {"$ref": f"#/components/schemas/s{(number + REFERENCE_DEPTH) % operations}"}]
    }
    return {"type": "object", "properties": fields, "required": ["field0"]}

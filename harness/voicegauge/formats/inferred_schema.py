"""Infers JSON Schemas from observed values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_JSON_TYPE_BY_CLASS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_MAX_INFERRED_DEPTH = 8
"""Largest depth of inferred schemas. Deeper values get an empty schema, so that a patch is short enough to review."""
_MAX_INFERRED_PROPERTIES = 60
"""Largest number of properties of an object. An object with more is taken for a map whose keys are data."""


def infer_schema(values: Sequence[Any], nesting_depth: int = 0) -> dict[str, Any]:
    """Infer a schema that all `values` satisfy, with types and properties only.

    Required properties, enums and ranges are left out, because a small number of samples cannot show them.

    Args:
        values: the JSON values of one field.
        nesting_depth: number of levels of nesting above the values.
    """
    types = sorted({_get_json_type(value) for value in values})
    if not types or nesting_depth > _MAX_INFERRED_DEPTH:
        return {}
    if set(types) == {"integer", "number"}:
        types = ["number"]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    objects = [value for value in values if isinstance(value, dict)]
    names = dict.fromkeys(name for one in objects for name in one)
    if names and len(names) <= _MAX_INFERRED_PROPERTIES:
        by_name = {name: [one[name] for one in objects if name in one] for name in names}
        schema["properties"] = {name: infer_schema(inner, nesting_depth + 1) for name, inner in by_name.items()}
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = infer_schema(items, nesting_depth + 1)
    return schema


def _get_json_type(value: Any) -> str:
    return _JSON_TYPE_BY_CLASS[type(value)]

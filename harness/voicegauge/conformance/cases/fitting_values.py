"""Finds one value that fits a schema: the documented example or default if there is one, else an invented value."""

from __future__ import annotations

from typing import Any

from voicegauge.contract import MISSING, Schemas

_TEXT_FOR_SCHEMA_WITHOUT_FORMAT = "Good morning"
_TEXT_BY_FORMAT_KEYWORD = {
    "uri": "https://example.com/voice.wav",
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "email": "someone@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def find_fitting_value(schemas: Schemas, schema: Any) -> Any:
    """Return a value that fits `schema`, or `MISSING` if none is found.

    An invented value fits bounds, enumerations and required properties. No value is invented for a pattern, which only
    an example or a default can match.
    """
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return _TEXT_FOR_SCHEMA_WITHOUT_FORMAT
    for key in ("example", "default", "const"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("oneOf", "anyOf"):
        for branch in schema.get(key, ()):
            value = find_fitting_value(schemas, branch)
            if value is not MISSING:
                return value
    types = schema.get("type", "object" if "properties" in schema else "string")
    json_type = types if isinstance(types, str) else types[0]
    return _VALUE_BUILDER_BY_JSON_TYPE.get(json_type, _return_missing)(schemas, schema)


def _return_missing(schemas: Schemas, schema: dict[str, Any]) -> Any:
    del schemas, schema
    return MISSING


def _build_text_fitting_schema(schemas: Schemas, schema: dict[str, Any]) -> Any:
    del schemas
    if "pattern" in schema:
        return MISSING
    text = _TEXT_BY_FORMAT_KEYWORD.get(schema.get("format", ""), _TEXT_FOR_SCHEMA_WITHOUT_FORMAT)
    text = text.ljust(schema.get("minLength", 0), "a")
    return text[: schema.get("maxLength", len(text))]


def _build_number_fitting_schema(schemas: Schemas, schema: dict[str, Any]) -> Any:
    del schemas
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    return min(1, schema.get("maximum", 1))


def _build_list_fitting_schema(schemas: Schemas, schema: dict[str, Any]) -> Any:
    items = [find_fitting_value(schemas, schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
    return MISSING if MISSING in items else items


def _build_object_fitting_schema(schemas: Schemas, schema: dict[str, Any]) -> Any:
    properties = schema.get("properties", {})
    fields = {name: find_fitting_value(schemas, properties.get(name, {})) for name in schema.get("required", ())}
    return MISSING if MISSING in fields.values() else fields


_VALUE_BUILDER_BY_JSON_TYPE = {
    "string": _build_text_fitting_schema,
    "integer": _build_number_fitting_schema,
    "number": _build_number_fitting_schema,
    "boolean": lambda _schemas, _schema: True,
    "null": lambda _schemas, _schema: None,
    "array": _build_list_fitting_schema,
    "object": _build_object_fitting_schema,
}

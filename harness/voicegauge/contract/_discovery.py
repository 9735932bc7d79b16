"""Converts discovery documents of Google's interfaces to OpenAPI 3.1, so that everything else reads one grammar.

The grammar: https://developers.google.com/discovery/v1/reference/apis. Discovery documents do not list the required
fields of a body; their descriptions begin with "Required." (https://google.aip.dev/203). The parameters that all of
Google's interfaces share, such as `alt` and `fields`, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.formats.located_yaml import Document, escape_pointer_token

_DISCOVERY_KIND = "discovery#restDescription"
_SCHEMA_KEYS = ("type", "format", "pattern", "enum", "description", "readOnly", "deprecated")
_REQUIRED_DESCRIPTION_PATTERN = re.compile(r"\s*Required\.")
_PATH_PARAMETER_PATTERN = re.compile(r"{\+?(\w+)}")


class _Method(NamedTuple):
    pointer: str
    """JSON pointer of the method in the discovery document."""
    data: dict[str, Any]


def is_discovery(document: Document) -> bool:
    """Whether a document is a discovery document of one of Google's interfaces."""
    return document.data.get("kind") == _DISCOVERY_KIND


def convert_discovery(document: Document) -> Document:
    """Return a discovery document as OpenAPI 3.1; parts keep the lines of the original."""
    data = document.data
    paths: dict[str, dict[str, Any]] = {}
    lines = dict(document.lines)
    for method in _iterate_methods(data, ""):
        path = "/" + str(method.data.get("flatPath", method.data.get("path", ""))).replace("{+", "{")
        verb = str(method.data.get("httpMethod", "GET")).lower()
        paths.setdefault(path, {})[verb] = _convert_method(method.data, path)
        place = f"/paths/{escape_pointer_token(path)}/{verb}"
        if method.pointer in document.lines:
            lines[place] = document.lines[method.pointer]
    schemas = data.get("schemas", {})
    for name in schemas:
        if f"/schemas/{escape_pointer_token(name)}" in document.lines:
            line = document.lines[f"/schemas/{escape_pointer_token(name)}"]
            lines[f"/components/schemas/{escape_pointer_token(name)}"] = line
    converted = {
        "openapi": "3.1.0",
        "info": {"title": str(data.get("title", "")), "version": str(data.get("revision", data.get("version", "")))},
        "servers": [{"url": f"{data.get('rootUrl', '')}{data.get('servicePath', '')}".rstrip("/")}],
        "paths": paths,
        "components": {"schemas": {name: _convert_schema(schema) for name, schema in schemas.items()}},
    }
    return Document(document.path, converted, lines, document.sha256)


def _iterate_methods(resource: dict[str, Any], pointer: str) -> Iterator[_Method]:
    for name, method in resource.get("methods", {}).items():
        yield _Method(f"{pointer}/methods/{escape_pointer_token(name)}", method)
    for name, child in resource.get("resources", {}).items():
        yield from _iterate_methods(child, f"{pointer}/resources/{escape_pointer_token(name)}")


def _convert_method(method: dict[str, Any], path: str) -> dict[str, Any]:
    in_path = _PATH_PARAMETER_PATTERN.findall(path)
    stated = method.get("parameters", {})
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in dict.fromkeys(in_path)
    ]
    parameters += [
        {
            "name": name,
            "in": parameter["location"],
            "required": bool(parameter.get("required")),
            "schema": _convert_schema(parameter),
        }
        for name, parameter in stated.items()
        if parameter.get("location") in ("query", "header")
    ]
    operation: dict[str, Any] = {
        "operationId": method.get("id", path),
        "summary": method.get("description", ""),
        "parameters": parameters,
        "responses": {"200": {"description": "The result", "content": _build_json_content(method.get("response"))}},
    }
    if "request" in method:
        operation["requestBody"] = {"required": True, "content": _build_json_content(method["request"])}
    return operation


def _build_json_content(reference: dict[str, Any] | None) -> dict[str, Any]:
    return {"application/json": {"schema": _convert_schema(reference or {})}}


def _convert_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": f"#/components/schemas/{schema['$ref']}"}
    converted = {key: schema[key] for key in _SCHEMA_KEYS if key in schema}
    if converted.get("type") == "any":
        del converted["type"]
    for key in ("minimum", "maximum"):  # numbers that are written as texts
        if key in schema and re.fullmatch(r"-?\d+(\.\d+)?", str(schema[key])):
            converted[key] = float(schema[key])
    if "items" in schema:
        converted["items"] = _convert_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        converted["additionalProperties"] = _convert_schema(schema["additionalProperties"])
    properties = schema.get("properties", {})
    if properties:
        converted["properties"] = {name: _convert_schema(one) for name, one in properties.items()}
        required = [name for name, one in properties.items() if _is_required(one)]
        if required:
            converted["required"] = required
    if schema.get("repeated"):
        return {"type": "array", "items": converted}
    return converted


def _is_required(schema: dict[str, Any]) -> bool:
    return _REQUIRED_DESCRIPTION_PATTERN.match(str(schema.get("description", ""))) is not None

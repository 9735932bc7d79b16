"""Rewrites of a document that do not change its meaning."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

Json = Any
Rewrite = Callable[[dict[str, Any], Random], dict[str, Any]]

_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPPINGS = ("properties", "patternProperties", "dependentSchemas")
_BELOW = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_OURS = ("x-advice", "x-provider", "x-speech", "x-job", "x-transcription", "x-conversion", "x-socket")
"""Extensions in which `title` is a field rather than an annotation."""
_DATA = ("example", "examples", "value", "default", "const", "enum", *_OURS)
_PROSE = ("description", "summary", "title", "example", "examples", "x-source", "externalDocs")


def in_schemas(change: Callable[[dict[str, Any]], Json]) -> Rewrite:
    """Rewrite every schema, the inner ones first."""

    def rewrite(document: dict[str, Any], _random: Random) -> dict[str, Any]:
        found: dict[str, Any] = _outside(document, change)
        return found

    return rewrite


def _outside(node: Json, change: Callable[[dict[str, Any]], Json]) -> Json:
    if isinstance(node, list):
        return [_outside(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {}
    for key, item in node.items():
        if key == "schemas":
            changed[key] = {name: _schema(schema, change) for name, schema in item.items()}
        elif key == "schema":
            changed[key] = _schema(item, change)
        else:
            changed[key] = item if key in _DATA else _outside(item, change)
    return changed


def _schema(schema: Json, change: Callable[[dict[str, Any]], Json]) -> Json:
    if not isinstance(schema, dict):
        return schema
    changed = dict(schema)
    for key, value in schema.items():
        if key in _LISTS:
            changed[key] = [_schema(branch, change) for branch in value]
        elif key in _MAPPINGS:
            changed[key] = {name: _schema(inner, change) for name, inner in value.items()}
        elif key in _BELOW:
            changed[key] = _schema(value, change)
    return change(changed)


def shuffled(node: Json, random: Random) -> Json:
    """Keys in another order."""
    if isinstance(node, list):
        return [shuffled(item, random) for item in node]
    if not isinstance(node, dict):
        return node
    keys = list(node)
    random.shuffle(keys)
    return {key: shuffled(node[key], random) for key in keys}


def inlined(document: dict[str, Any], _random: Random) -> dict[str, Any]:
    """Every reference replaced by its target, with the keys next to it added."""

    def follow(node: Json, inside: tuple[str, ...]) -> Json:
        if isinstance(node, list):
            return [follow(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        siblings = {key: follow(item, inside) for key, item in node.items() if key != "$ref"}
        if not isinstance(reference, str) or reference in inside:
            return {**siblings, "$ref": reference} if reference else siblings
        target: Json = document
        for token in reference[2:].split("/"):
            target = target[token.replace("~1", "/").replace("~0", "~")]
        return {**follow(target, (*inside, reference)), **siblings}

    changed: dict[str, Any] = follow(document, ())
    return changed


def _ref_in_all_of(schema: dict[str, Any]) -> Json:
    if "$ref" not in schema or "allOf" in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**rest, "allOf": [{"$ref": schema["$ref"]}]}


def _wrapped(schema: dict[str, Any]) -> Json:
    return {"allOf": [schema]}


def _single_branch(schema: dict[str, Any]) -> Json:
    return {"anyOf": [schema]}


def _type_list(schema: dict[str, Any]) -> Json:
    return {**schema, "type": [schema["type"]]} if isinstance(schema.get("type"), str) else schema


def _nullable(schema: dict[str, Any]) -> Json:
    """As OpenAPI 3.0 writes it, whether 3.1 has a list of types or a branch."""
    types = schema.get("type")
    if isinstance(types, list) and len(types) == 2 and "null" in types:
        return {**schema, "type": next(name for name in types if name != "null"), "nullable": True}
    branches = schema.get("anyOf", [])
    if len(branches) == 2 and {"type": "null"} in branches:
        other = next(branch for branch in branches if branch != {"type": "null"})
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**rest, "nullable": True, "allOf": [other]}
    return schema


def _null_branch(schema: dict[str, Any]) -> Json:
    types = schema.get("type")
    if not (isinstance(types, list) and len(types) == 2 and "null" in types) or "enum" in schema:
        return schema
    inner = {**schema, "type": next(name for name in types if name != "null")}
    siblings = {key: inner.pop(key) for key in ("description", "default", "x-source", "deprecated") if key in inner}
    return {**siblings, "anyOf": [inner, {"type": "null"}]}


def _branch_per_value(schema: dict[str, Any]) -> Json:
    values = schema.get("enum")
    if not isinstance(values, list) or len(values) < 2 or not isinstance(schema.get("type"), str) or None in values:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("type", "enum")}
    return {**rest, "oneOf": [{"type": schema["type"], "enum": [value]} for value in values]}


def _const_as_enum(schema: dict[str, Any]) -> Json:
    if "const" not in schema:
        return schema
    return {**{key: value for key, value in schema.items() if key != "const"}, "enum": [schema["const"]]}


def _reversed(schema: dict[str, Any]) -> Json:
    changed = dict(schema)
    for key in ("required", "enum", "anyOf", "oneOf", "allOf"):
        if isinstance(changed.get(key), list):
            changed[key] = list(reversed(changed[key]))
    return changed


def _needless(schema: dict[str, Any]) -> Json:
    """Keywords that say nothing."""
    if "$ref" in schema:
        return schema
    return {"minLength": 0, "minItems": 0, "uniqueItems": False, "deprecated": False, "required": [], **schema}


def without_prose(document: dict[str, Any], _random: Random) -> dict[str, Any]:
    """Texts and examples rewritten or gone."""

    def strip(node: Json, *, names: bool) -> Json:
        if isinstance(node, list):
            return [strip(item, names=False) for item in node]
        if not isinstance(node, dict):
            return node
        named = ("properties", "headers", "schemas", "content", "responses", "callbacks", "securitySchemes")
        return {
            key: item if key in _DATA and not names else strip(item, names=not names and key in named)
            for key, item in node.items()
            if names or key not in _PROSE
        }

    unchanged_keys = ("info", "x-provider", "x-limits")
    changed = {
        key: item if key in unchanged_keys else strip(item, names=key == "paths") for key, item in document.items()
    }
    changed["info"] = {**changed["info"], "description": "Described differently."}
    return changed


def other_path_names(document: dict[str, Any], _random: Random) -> dict[str, Any]:
    """Path parameters under other names."""
    changed = copy.deepcopy(document)
    changed["paths"] = {path.replace("{", "{the_"): item for path, item in changed["paths"].items()}

    def rename(node: Json) -> None:
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            rename(item)
        if isinstance(node, dict) and node.get("in") == "path" and not str(node["name"]).startswith("the_"):
            node["name"] = f"the_{node['name']}"

    rename(changed)
    return changed


def shared_parameters(document: dict[str, Any], _random: Random) -> dict[str, Any]:
    """Parameters of a path's only operation, moved to the path."""
    changed = copy.deepcopy(document)
    for item in changed["paths"].values():
        operations = [part for key, part in item.items() if key in ("get", "post", "delete", "put", "patch")]
        if len(operations) == 1 and "parameters" in operations[0]:
            item["parameters"] = [*item.get("parameters", []), *operations[0].pop("parameters")]
    return changed


def other_component_names(document: dict[str, Any], _random: Random) -> dict[str, Any]:
    """Schemas under other names, the references with them."""

    def rename(node: Json) -> Json:
        if isinstance(node, list):
            return [rename(item) for item in node]
        if not isinstance(node, dict):
            return node
        changed = {key: rename(item) for key, item in node.items()}
        if isinstance(changed.get("$ref"), str):
            changed["$ref"] = changed["$ref"].replace("#/components/schemas/", "#/components/schemas/The")
        return changed

    changed: dict[str, Any] = rename(document)
    schemas = changed.get("components", {}).get("schemas", {})
    if schemas:
        changed["components"]["schemas"] = {f"The{name}": schema for name, schema in schemas.items()}
    return changed


REWRITES: dict[str, Rewrite] = {
    "other key order": shuffled,
    "references inlined": inlined,
    "references in an allOf of one": in_schemas(_ref_in_all_of),
    "every schema in an allOf of one": in_schemas(_wrapped),
    "every schema in an anyOf of one": in_schemas(_single_branch),
    "single types as lists": in_schemas(_type_list),
    "nullable as OpenAPI 3.0 has it": in_schemas(_nullable),
    "a branch for each value": in_schemas(_branch_per_value),
    "null as a branch": in_schemas(_null_branch),
    "const as an enumeration of one": in_schemas(_const_as_enum),
    "other order of names and branches": in_schemas(_reversed),
    "keywords that say nothing": in_schemas(_needless),
    "other prose and examples": without_prose,
    "other names of path parameters": other_path_names,
    "parameters moved to the path": shared_parameters,
    "other names of components": other_component_names,
}

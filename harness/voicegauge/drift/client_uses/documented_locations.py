"""Finds out which locations the requests and responses of an operation have, according to an OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from voicegauge.drift.client_uses.recorded_uses import OperationPattern
from voicegauge.drift.general_headers import STANDARD_HEADERS
from voicegauge.formats import (
    EVERY_ITEM,
    Document,
    Location,
    is_form,
    is_json,
    read_pointer,
    unescape_pointer_token,
)

_UNLISTED_REQUEST_HEADERS = frozenset(("accept", "authorization", "content-type", "cookie", "host", "user-agent"))
"""Request headers that count as documented, because documents rarely list them as parameters."""
_CHILD_KEYWORDS = ("properties", "patternProperties", "items", "prefixItems")
"""Keywords whose schemas describe the fields of an object or the items of a list."""
_BRANCH_KEYWORDS = ("allOf", "anyOf", "oneOf")
_CONDITIONAL_KEYWORDS = ("then", "else")
"""Keywords whose schema applies to the value itself under a condition."""


class DocumentedLocations:
    """The locations that an OpenAPI document describes in the requests and responses of one operation."""

    def __init__(self, document: Document, operation_pattern: OperationPattern) -> None:
        """Find the operation of `operation_pattern` in `document`."""
        self._document = document
        self._path_item = self._resolve_references(document.data["paths"][operation_pattern.path])
        self._operation = self._path_item[operation_pattern.method]
        self._path = operation_pattern.path

    def has_location(self, location: Location, *, is_in_request: bool) -> bool:
        """Whether the document describes a value at the location, or allows any value there.

        An object for which the document lists no properties allows any value inside it. The bodies of errors are an
        exception: many documents describe errors by such objects, without meaning that errors may contain everything.
        """
        if location.is_in_body:
            schemas = self._list_body_schemas(is_in_request=is_in_request)
            return any(
                self._has_value(
                    schema, location.pointer_tokens, accept_unlisted_content=is_in_request or status.startswith("2")
                )
                for status, schema in schemas
            )
        if location.message_part == "header":
            unlisted = _UNLISTED_REQUEST_HEADERS if is_in_request else STANDARD_HEADERS
            names = {
                name.lower() for name in self._list_parameter_names("header", is_in_request=is_in_request)
            } | unlisted
            return location.name.lower() in names
        names = set(self._list_parameter_names(location.message_part, is_in_request=is_in_request))
        return location.name.partition("[")[0] in names or location.name in names

    def list_sibling_locations(self, location: Location, *, is_in_request: bool) -> list[str]:
        """Return the documented locations beside `location`: fields of the same object, or parameters of the same kind.

        If the object is not documented, the fields of its nearest documented parent are returned.
        """
        if not location.is_in_body:
            return [
                f"{location.message_part}.{name}"
                for name in self._list_parameter_names(location.message_part, is_in_request=is_in_request)
            ]
        schemas, pointer_tokens = (
            [schema for _, schema in self._list_body_schemas(is_in_request=is_in_request)],
            location.pointer_tokens,
        )
        parent = Location("body")
        for pointer_token in pointer_tokens[:-1]:
            children = [child for schema in schemas for child in self._list_children(schema, pointer_token)]
            if not children:
                break
            schemas, parent = children, parent.child(pointer_token)
        names = dict.fromkeys(name for schema in schemas for name in self._list_child_names(schema))
        return [str(parent.child(name)) for name in names]

    def _list_body_schemas(self, *, is_in_request: bool) -> list[tuple[str, Any]]:
        """Return (status, schema) for each documented body. The status is empty if the bodies are those of requests."""
        owners = {"": self._operation.get("requestBody")} if is_in_request else self._get_responses()
        return [
            (str(status), self._resolve_references(media).get("schema", _build_default_schema(name)))
            for status, owner in owners.items()
            for name, media in _get_mapping(self._resolve_references(owner), "content").items()
        ]

    def _get_responses(self) -> dict[str, Any]:
        return _get_mapping(self._operation, "responses")

    def _list_parameter_names(self, location_kind: str, *, is_in_request: bool) -> list[str]:
        """Return the documented names of request parameters in one place, such as "query", or of response headers."""
        if not is_in_request:
            responses = (
                [self._resolve_references(response) for response in self._get_responses().values()]
                if location_kind == "header"
                else []
            )
            return list(dict.fromkeys(name for response in responses for name in _get_mapping(response, "headers")))
        owners = (self._path_item, self._operation)
        parameters = [self._resolve_references(item) for owner in owners for item in _get_list(owner, "parameters")]
        components = _get_mapping(self._document.data, "components")
        schemes = [self._resolve_references(item) for item in _get_mapping(components, "securitySchemes").values()]
        names = [
            str(item["name"]) for item in (*parameters, *schemes) if item.get("in") == location_kind and "name" in item
        ]
        return list(
            dict.fromkeys([*names, *(re.findall(r"\{([^}]*)\}", self._path) if location_kind == "path" else ())])
        )

    def _has_value(self, schema: Any, pointer_tokens: Sequence[str], *, accept_unlisted_content: bool) -> bool:
        if not pointer_tokens:
            return True
        children = self._list_children(schema, pointer_tokens[0])
        if any(self._has_value(child, pointer_tokens[1:], accept_unlisted_content=True) for child in children):
            return True
        return accept_unlisted_content and not children and self._allows_any_content(schema)

    def _allows_any_content(self, schema: Any) -> bool:
        """Whether a schema allows objects or lists without stating what they contain."""
        parts = list(self._iterate_applied_schemas(schema, set()))
        if any(key in part for part in parts for key in _CHILD_KEYWORDS):
            return False
        stated = [part["type"] for part in parts if "type" in part]
        types = {name for value in stated for name in (value if isinstance(value, list) else [value])}
        return not types or bool(types & {"object", "array"})

    def _list_children(self, schema: Any, pointer_token: str) -> list[Any]:
        """Return the schemas inside `schema` that describe one child of a value: a field of an object or a list item.

        `pointer_token` is the name of the field or the index of the item.
        """
        parts = self._iterate_applied_schemas(schema, set())
        return [child for part in parts for child in _iterate_children(part, pointer_token)]

    def _list_child_names(self, schema: Any) -> Iterator[str]:
        for part in self._iterate_applied_schemas(schema, set()):
            yield from _get_mapping(part, "properties")
            if "items" in part or "prefixItems" in part:
                yield EVERY_ITEM

    def _iterate_applied_schemas(self, schema: Any, followed_references: set[str]) -> Iterator[dict[str, Any]]:
        """Yield `schema` and all schemas inside it that may apply to the same value."""
        if not isinstance(schema, dict):
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed_references:
            followed_references.add(reference)
            yield from self._iterate_applied_schemas(self._resolve_references(schema), followed_references)
        for key in _BRANCH_KEYWORDS:
            for branch in _get_list(schema, key):
                yield from self._iterate_applied_schemas(branch, followed_references)
        for key in _CONDITIONAL_KEYWORDS:
            yield from self._iterate_applied_schemas(schema.get(key), followed_references)

    def _resolve_references(self, value: Any) -> dict[str, Any]:
        """Return the mapping that the `$ref` of `value` leads to; `value` itself if it is a mapping without `$ref`.

        The result is empty if there is no such mapping.
        """
        seen: set[str] = set()
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            reference = value["$ref"]
            if reference in seen or not reference.startswith("#/"):
                return {}
            seen.add(reference)
            pointer_tokens = [
                unescape_pointer_token(pointer_token) for pointer_token in unquote(reference)[2:].split("/")
            ]
            value = read_pointer(self._document.data, pointer_tokens)
        return value if isinstance(value, dict) else {}


def _build_default_schema(media_type: str) -> dict[str, Any]:
    """Return the schema that is assumed for a body without a documented schema.

    It allows any value for JSON and forms, and a text for other media types.
    """
    has_values = media_type == "*/*" or is_json(media_type) or is_form(media_type)
    return {} if has_values else {"type": "string"}


def _iterate_children(schema: dict[str, Any], pointer_token: str) -> Iterator[Any]:
    properties = _get_mapping(schema, "properties")
    patterns = _get_mapping(schema, "patternProperties")
    if pointer_token == EVERY_ITEM:
        yield from (*properties.values(), *patterns.values())
    elif pointer_token in properties:
        yield properties[pointer_token]
    else:
        yield from (child for pattern, child in patterns.items() if _may_match_pattern(pattern, pointer_token))
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        yield schema["additionalProperties"]
    if pointer_token == EVERY_ITEM or pointer_token.isdecimal():
        yield from _get_list(schema, "prefixItems")
        if "items" in schema:
            yield schema["items"]


def _may_match_pattern(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern of the document. A pattern that Python cannot read matches every name."""
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return True


def _get_mapping(container: Any, key: str) -> dict[str, Any]:
    value = container.get(key) if isinstance(container, dict) else None
    return value if isinstance(value, dict) else {}


def _get_list(container: Any, key: str) -> list[Any]:
    value = container.get(key) if isinstance(container, dict) else None
    return value if isinstance(value, list) else []

"""Converts other descriptions to OpenAPI 3.1: discovery documents of Google, and Swagger 2.

The grammar: https://developers.google.com/discovery/v1/reference/apis. Discovery documents do not list the required
fields of a body; their descriptions begin with "Required." (https://google.aip.dev/203). The parameters that all of
Google's interfaces share, such as `alt` and `fields`, are left out.

The differences: https://swagger.io/specification/v2/ against https://spec.openapis.org/oas/v3.0.3. Paths and operations
keep their places, so that overlays and error messages name the places of the original.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.contract.document_parts import HTTP_METHODS
from voicegauge.contract.schemas import MAX_REASON_CHARACTERS
from voicegauge.formats.located_yaml import Document, escape_pointer_token, format_json_pointer

_DISCOVERY_KIND = "discovery#restDescription"
"""The value of `kind` that a discovery document has."""
_COPIED_DISCOVERY_SCHEMA_KEYS = ("type", "format", "pattern", "enum", "description", "readOnly", "deprecated")
"""Keys of a discovery schema that mean the same in OpenAPI, and are copied."""
_REQUIRED_DESCRIPTION_PATTERN = re.compile(r"\s*Required\.")
"""Matches the description of a property that is required: discovery documents say so in words only."""
_PATH_PARAMETER_PATTERN = re.compile(r"{\+?(\w+)}")
"""Matches a parameter in a path: "{name}", or "{+name}" if its value may have slashes."""


class _DiscoveryMethod(NamedTuple):
    """A method of a discovery document, which becomes an operation."""

    pointer: str
    """JSON pointer of the method in the discovery document."""
    method_data: dict[str, Any]
    """The method as the document has it."""


def convert_to_openapi(document: Document) -> Document:
    """Return a document in Swagger 2.0 or of Google's discovery service as OpenAPI, and any other as it is.

    Raises:
        ContractError: the document is not valid Swagger.
    """
    if document.data.get("kind") == _DISCOVERY_KIND:
        return _convert_discovery(document)
    return _convert_swagger(document) if str(document.data.get("swagger", "")) == "2.0" else document


def _convert_discovery(document: Document) -> Document:
    """Return a discovery document as OpenAPI 3.1; parts keep the lines of the original."""
    data = document.data
    paths: dict[str, dict[str, Any]] = {}
    lines = dict(document.line_by_pointer)
    for method in _iterate_discovery_methods(data, ""):
        path = "/" + str(method.method_data.get("flatPath", method.method_data.get("path", ""))).replace("{+", "{")
        verb = str(method.method_data.get("httpMethod", "GET")).lower()
        paths.setdefault(path, {})[verb] = _convert_discovery_method(method.method_data, path)
        place = f"/paths/{escape_pointer_token(path)}/{verb}"
        if method.pointer in document.line_by_pointer:
            lines[place] = document.line_by_pointer[method.pointer]
    schemas = data.get("schemas", {})
    for name in schemas:
        if f"/schemas/{escape_pointer_token(name)}" in document.line_by_pointer:
            line = document.line_by_pointer[f"/schemas/{escape_pointer_token(name)}"]
            lines[f"/components/schemas/{escape_pointer_token(name)}"] = line
    converted = {
        "openapi": "3.1.0",
        "info": {"title": str(data.get("title", "")), "version": str(data.get("revision", data.get("version", "")))},
        "servers": [{"url": f"{data.get('rootUrl', '')}{data.get('servicePath', '')}".rstrip("/")}],
        "paths": paths,
        "components": {"schemas": {name: _convert_discovery_schema(schema) for name, schema in schemas.items()}},
    }
    return Document(document.path, converted, lines, document.sha256)


def _iterate_discovery_methods(resource: dict[str, Any], pointer: str) -> Iterator[_DiscoveryMethod]:
    for name, method in resource.get("methods", {}).items():
        yield _DiscoveryMethod(f"{pointer}/methods/{escape_pointer_token(name)}", method)
    for name, child in resource.get("resources", {}).items():
        yield from _iterate_discovery_methods(child, f"{pointer}/resources/{escape_pointer_token(name)}")


def _convert_discovery_method(method: dict[str, Any], path: str) -> dict[str, Any]:
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
            "schema": _convert_discovery_schema(parameter),
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
    return {"application/json": {"schema": _convert_discovery_schema(reference or {})}}


def _convert_discovery_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"$ref": f"#/components/schemas/{schema['$ref']}"}
    converted = {key: schema[key] for key in _COPIED_DISCOVERY_SCHEMA_KEYS if key in schema}
    if converted.get("type") == "any":
        # JSON Schema says so by leaving the type out.
        del converted["type"]
    for key in ("minimum", "maximum"):  # numbers that are written as texts
        if key in schema and re.fullmatch(r"-?\d+(\.\d+)?", str(schema[key])):
            converted[key] = float(schema[key])
    if "items" in schema:
        converted["items"] = _convert_discovery_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        converted["additionalProperties"] = _convert_discovery_schema(schema["additionalProperties"])
    properties = schema.get("properties", {})
    if properties:
        converted["properties"] = {name: _convert_discovery_schema(one) for name, one in properties.items()}
        descriptions = {name: str(one.get("description", "")) for name, one in properties.items()}
        required = [name for name, text in descriptions.items() if _REQUIRED_DESCRIPTION_PATTERN.match(text)]
        if required:
            converted["required"] = required
    if schema.get("repeated"):
        return {"type": "array", "items": converted}
    return converted


_OPENAPI_PREFIX_BY_SWAGGER_PREFIX = {
    "#/definitions/": "#/components/schemas/",
    "#/parameters/": "#/components/parameters/",
    "#/responses/": "#/components/responses/",
}
"""Beginnings of references: OpenAPI keeps shared parts below `components`."""
_PARAMETER_SCHEMA_KEYS = frozenset(
    {
        *("type", "format", "items", "default", "enum", "pattern", "multipleOf", "uniqueItems"),
        *("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
        *("maxLength", "minLength", "maxItems", "minItems"),
    }
)
"""Keys of a Swagger parameter or header that belong to its schema in OpenAPI 3."""
_OPENAPI_3_KEYWORDS = frozenset({"deprecated", "nullable", "writeOnly", "oneOf", "anyOf"})
"""Keywords of OpenAPI 3 that are kept if a Swagger document has them, with their meaning in OpenAPI 3."""
_IN_VALUES_OF_BODY_PARAMETERS = ("body", "formData")
"""Places of Swagger parameters that are the body of a request, or a field of its form, in OpenAPI 3."""
_DEFINITION_DEPTH = 2
"""Number of keys that lead to a schema of `definitions`."""
_DEFAULT_MEDIA_TYPE = "application/json"
"""Media type of bodies for which a Swagger document names none."""
_FILE_MEDIA_TYPE = "application/octet-stream"
"""Media type of files for which a Swagger document names none."""
_OAUTH2_FLOW_BY_SWAGGER_NAME = {"application": "clientCredentials", "accessCode": "authorizationCode"}
"""The names of flows in OpenAPI 3 that differ from those in Swagger, by the name in Swagger."""


def _convert_swagger(document: Document) -> Document:
    """Return a Swagger 2.0 document as OpenAPI 3.0.

    Raises:
        ContractError: the document is not valid; the message has the line of the first error.
    """
    errors = _create_swagger_validator().iter_errors(_leave_out_openapi_3_keywords(document.data))
    # Of the schemas in `definitions`, those that are used are checked after the conversion: official documents have
    # many faults in the others.
    error = next(
        (
            one
            for one in errors
            if not (len(one.instance_path) > _DEFINITION_DEPTH and one.instance_path[0] == "definitions")
        ),
        None,
    )
    if error is not None:
        reason = " ".join(error.message.split())[:MAX_REASON_CHARACTERS]
        raise document.build_error(format_json_pointer(error.instance_path), f"is not valid Swagger 2.0: {reason}")
    moved = {
        new.removeprefix("#").rstrip("/") + pointer[len(old) - 2 :]: line
        for old, new in _OPENAPI_PREFIX_BY_SWAGGER_PREFIX.items()
        for pointer, line in document.line_by_pointer.items()
        if pointer.startswith(old.removeprefix("#"))
    }
    lines = {**document.line_by_pointer, **moved}
    return Document(document.path, _SwaggerConversion(document.data).convert(), lines, document.sha256)


@functools.cache
def _create_swagger_validator() -> Any:
    import jsonschema_rs
    from openapi_spec_validator.schemas import schema_v2

    return jsonschema_rs.Draft4Validator(dict(schema_v2))


def _leave_out_openapi_3_keywords(document_part: Any) -> Any:
    """Return `document_part` without the keywords that many write in Swagger 2.0 although only OpenAPI 3 has them."""
    if isinstance(document_part, dict):
        return {
            key: _leave_out_openapi_3_keywords(item)
            for key, item in document_part.items()
            if key not in _OPENAPI_3_KEYWORDS
        }
    return (
        [_leave_out_openapi_3_keywords(item) for item in document_part]
        if isinstance(document_part, list)
        else document_part
    )


class _SwaggerConversion:
    """Converts one Swagger 2.0 document."""

    def __init__(self, swagger: dict[str, Any]) -> None:
        self._swagger = _rewrite_swagger_references(copy.deepcopy(swagger))

    def convert(self) -> dict[str, Any]:
        swagger = self._swagger
        kept = {
            key: value
            for key, value in swagger.items()
            if key in {"info", "tags", "externalDocs", "security"} or key.startswith("x-")
        }
        paths = swagger.get("paths", {})
        return {
            "openapi": "3.0.3",
            **kept,
            "servers": [{"url": url} for url in self._list_server_urls()],
            "paths": {path: self._convert_path_item(item) for path, item in paths.items()},
            "components": self._convert_components(),
        }

    def _list_server_urls(self) -> list[str]:
        """Return a list of one server URL; https is preferred, because keys are sent to the server."""
        host, base = self._swagger.get("host", ""), self._swagger.get("basePath", "").rstrip("/")
        schemes = self._swagger.get("schemes", ["https"])
        # Keys are sent to the server, so that plain http is the last resort.
        scheme = "https" if "https" in schemes else next(iter(schemes), "https")
        if not host and not base:  # Azure's documents have the host as a template, such as "{endpoint}/texttospeech"
            template = str(self._swagger.get("x-ms-parameterized-host", {}).get("hostTemplate", ""))
            base = template.rpartition("}")[2].rstrip("/")
        return [f"{scheme}://{host}{base}"] if host else ([base] if base else [])

    def _convert_components(self) -> dict[str, Any]:
        swagger = self._swagger
        components: dict[str, Any] = {"schemas": swagger.get("definitions", {})}
        parameters = swagger.get("parameters", {}).items()
        plain = {
            name: _convert_swagger_parameter(one)
            for name, one in parameters
            if one.get("in") not in _IN_VALUES_OF_BODY_PARAMETERS
        }
        responses = {
            name: self._convert_response(response, self._swagger.get("produces", []))
            for name, response in swagger.get("responses", {}).items()
        }
        schemes = {
            name: _convert_swagger_security_scheme(scheme)
            for name, scheme in swagger.get("securityDefinitions", {}).items()
        }
        optional = {"parameters": plain, "responses": responses, "securitySchemes": schemes}
        return components | {key: value for key, value in optional.items() if value}

    def _convert_path_item(self, path_item: Any) -> Any:
        if not isinstance(path_item, dict):
            return path_item
        shared_parameters = [self._resolve_parameter(one) for one in path_item.get("parameters", [])]
        converted = {
            key: self._convert_operation(value, shared_parameters)
            if key in HTTP_METHODS and isinstance(value, dict)
            else value
            for key, value in path_item.items()
            if key != "parameters"
        }
        plain = [
            _convert_swagger_parameter(one)
            for one in shared_parameters
            if one.get("in") not in _IN_VALUES_OF_BODY_PARAMETERS
        ]
        return {**converted, "parameters": plain} if plain else converted

    def _resolve_parameter(self, parameter: dict[str, Any]) -> dict[str, Any]:
        """Resolve a reference to a body or form parameter, because OpenAPI 3 describes such a parameter elsewhere."""
        name = str(parameter.get("$ref", "")).removeprefix("#/components/parameters/")
        found = self._swagger.get("parameters", {}).get(name)
        return found if isinstance(found, dict) else parameter

    def _convert_operation(self, operation: dict[str, Any], shared_parameters: list[dict[str, Any]]) -> dict[str, Any]:
        own = [self._resolve_parameter(one) for one in operation.get("parameters", [])]
        consumed_media_types = operation.get("consumes", self._swagger.get("consumes", []))
        produced_media_types = operation.get("produces", self._swagger.get("produces", []))
        left_out = {"parameters", "consumes", "produces", "responses", "schemes"}
        converted = {key: value for key, value in operation.items() if key not in left_out}
        plain = [_convert_swagger_parameter(one) for one in own if one.get("in") not in _IN_VALUES_OF_BODY_PARAMETERS]
        if plain:
            converted["parameters"] = plain
        body = _build_request_body([*shared_parameters, *own], consumed_media_types)
        if body is not None:
            converted["requestBody"] = body
        converted["responses"] = {
            status: self._convert_response(response, produced_media_types)
            for status, response in operation.get("responses", {}).items()
        }
        return converted

    def _convert_response(self, response: Any, produced_media_types: list[str]) -> Any:
        if not isinstance(response, dict) or "$ref" in response:
            return response
        schema = response.get("schema")
        converted = {key: value for key, value in response.items() if key not in {"schema", "examples", "headers"}}
        if "headers" in response:
            converted["headers"] = {
                name: _convert_swagger_parameter(header) for name, header in response["headers"].items()
            }
        if schema is not None:
            is_file = schema.get("type") == "file"
            body = {"schema": {"type": "string", "format": "binary"} if is_file else schema}
            examples = response.get("examples", {})
            converted["content"] = {
                media_type: {**body, **({"example": examples[media_type]} if media_type in examples else {})}
                for media_type in _choose_media_types(produced_media_types, is_file=is_file)
            }
        return converted


def _rewrite_swagger_references(document_part: Any) -> Any:
    if isinstance(document_part, list):
        return [_rewrite_swagger_references(item) for item in document_part]
    if not isinstance(document_part, dict):
        return document_part
    rewritten = {key: _rewrite_swagger_references(item) for key, item in document_part.items()}
    reference = rewritten.get("$ref")
    if isinstance(reference, str):
        for old, new in _OPENAPI_PREFIX_BY_SWAGGER_PREFIX.items():
            if reference.startswith(old):
                rewritten["$ref"] = new + reference.removeprefix(old)
    return rewritten


def _convert_swagger_parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """Convert a parameter or a response header of Swagger 2.0 to OpenAPI 3, with its schema under `schema`."""
    if "$ref" in parameter:
        return parameter
    kept = {key: value for key, value in parameter.items() if key not in {*_PARAMETER_SCHEMA_KEYS, "collectionFormat"}}
    return {**kept, "schema": {key: value for key, value in parameter.items() if key in _PARAMETER_SCHEMA_KEYS}}


def _build_request_body(parameters: list[dict[str, Any]], consumed_media_types: list[str]) -> dict[str, Any] | None:
    body = next((one for one in parameters if one.get("in") == "body"), None)
    if body is not None:
        media_types = consumed_media_types or [_DEFAULT_MEDIA_TYPE]
        content = {media_type: {"schema": body.get("schema", {})} for media_type in media_types}
        return {"required": body.get("required", False), "content": content}
    fields = [one for one in parameters if one.get("in") == "formData"]
    if not fields:
        return None
    has_file = any(field.get("type") == "file" for field in fields)
    media_type = "multipart/form-data" if has_file else "application/x-www-form-urlencoded"
    properties = {field["name"]: _build_form_field(field) for field in fields if "name" in field}
    required = [field["name"] for field in fields if field.get("required") and "name" in field]
    schema = {"type": "object", "properties": properties, **({"required": required} if required else {})}
    # A list for all operations of the document may have no media type of a form.
    chosen = [one for one in consumed_media_types if one.startswith("multipart/") or "urlencoded" in one]
    return {"required": bool(required), "content": {one: {"schema": schema} for one in chosen or [media_type]}}


def _build_form_field(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in parameter.items() if key in _PARAMETER_SCHEMA_KEYS}
    if schema.get("type") == "file":
        schema |= {"type": "string", "format": "binary"}
    return {**schema, **({"description": parameter["description"]} if "description" in parameter else {})}


def _choose_media_types(produced_media_types: list[str], *, is_file: bool) -> list[str]:
    """Return the media types of one response. Swagger has one list for all responses of an operation, errors too."""
    files = [
        one for one in produced_media_types if one.startswith(("audio/", "video/", "image/")) or one == _FILE_MEDIA_TYPE
    ]
    if is_file:
        return files or [_FILE_MEDIA_TYPE]
    return [one for one in produced_media_types if one not in files] or [_DEFAULT_MEDIA_TYPE]


def _convert_swagger_security_scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    if scheme.get("type") == "basic":
        return {**scheme, "type": "http", "scheme": "basic"}
    if scheme.get("type") != "oauth2":
        return scheme
    flow = scheme.get("flow", "")
    urls = {key: scheme[key] for key in ("authorizationUrl", "tokenUrl") if key in scheme}
    kept = {key: value for key, value in scheme.items() if key in {"type", "description"} or key.startswith("x-")}
    return {
        **kept,
        "flows": {_OAUTH2_FLOW_BY_SWAGGER_NAME.get(flow, flow): {**urls, "scopes": scheme.get("scopes", {})}},
    }

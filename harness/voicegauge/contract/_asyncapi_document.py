"""Embeds an AsyncAPI document of version 2.6 or 3.0 in the document of a contract.

It stands beside the OpenAPI document. It is embedded with its lines, so that references, sources, disputes and errors
work in both.

https://www.asyncapi.com/docs/reference/specification/v2.6.0 and v3.0.0.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from voicegauge.contract._overlays import apply_overlay, find_extended_file, is_overlay
from voicegauge.contract.document_parts import ASYNCAPI_KEY, walk_objects
from voicegauge.formats.located_yaml import Document, escape_pointer_token, read_document, unescape_pointer_token
from voicegauge.formats.locations import MISSING, read_pointer

_SUPPORTED_VERSIONS = ("2.", "3.0.")
_FILE_NAMES = tuple(
    f"{name}.{suffix}" for name in ("asyncapi-overlay", "asyncapi") for suffix in ("yaml", "yml", "json")
)
_OPENAPI_INFO_KEYS = frozenset(("title", "summary", "description", "termsOfService", "contact", "license", "version"))
_HTTP_SCHEME_BY_PROTOCOL = {"ws": "http", "wss": "https", "http": "http", "https": "https"}

# Finds the file, and embeds it in the document of a contract.


def find_asyncapi_file(openapi_path: Path) -> Path | None:
    """Return the AsyncAPI document, or its overlay, beside an OpenAPI document `<provider>/openapi.yaml`."""
    if openapi_path.stem not in ("openapi", "overlay"):
        return None
    found = (openapi_path.with_name(name) for name in _FILE_NAMES)
    return next((path for path in found if path.is_file()), None)


def is_asyncapi(document: Document) -> bool:
    """Whether a document is an AsyncAPI document."""
    return "asyncapi" in document.data


def read_asyncapi_document(path: Path) -> Document:
    """Read an AsyncAPI document, or the overlay of one.

    Raises:
        ContractError: a file cannot be read, has another version, or an overlay does not fit.
    """
    document = read_document(path)
    if is_overlay(document):
        document = apply_overlay(document, read_document(find_extended_file(document)))
    version = document.data.get("asyncapi")
    if not isinstance(version, str) or not version.startswith(_SUPPORTED_VERSIONS):
        raise document.build_error("/asyncapi", f"must be an AsyncAPI document of version 2 or 3.0, not {version!r}")
    return document


def embed_asyncapi(document: Document, asyncapi: Document) -> Document:
    """Return the document of a contract with an AsyncAPI document embedded under the key `x-asyncapi`.

    The servers of the AsyncAPI document are added to the servers, as http or https, its security schemes to those of
    the contract, and the sources of its `x-provider` to the sources.

    Raises:
        ContractError: a server or a security scheme of the AsyncAPI document cannot be used, or a scheme has the name
            of another one of the contract.
    """
    data = copy.copy(document.data)
    embedded = _rewrite_references(copy.deepcopy(asyncapi.data))
    own_provider = embedded.pop("x-provider", {})
    data[ASYNCAPI_KEY] = embedded
    provider = data.get("x-provider", {})
    if isinstance(provider, dict) and isinstance(own_provider, dict):
        sources = {**get_mapping(provider, "sources"), **get_mapping(own_provider, "sources")}
        data["x-provider"] = {**own_provider, **provider, "sources": sources}
    data["servers"] = _add_servers(asyncapi, list(data.get("servers", [])))
    components = dict(get_mapping(data, "components"))
    own_schemes, schemes = _convert_security_schemes(asyncapi), get_mapping(components, "securitySchemes")
    for name in own_schemes.keys() & schemes.keys():
        if any(own_schemes[name].get(key) != schemes[name].get(key) for key in ("type", "in", "name", "scheme")):
            pointer = f"/components/securitySchemes/{escape_pointer_token(name)}"
            raise asyncapi.build_error(pointer, f"differs from the security scheme {name!r} of the OpenAPI document")
    components["securitySchemes"] = {**own_schemes, **schemes}
    data["components"] = components
    digest = hashlib.sha256(f"{document.sha256} {asyncapi.sha256}".encode()).hexdigest()
    parts = {"": (document, ""), f"/{ASYNCAPI_KEY}": (asyncapi, "")}
    return Document(document.path, data, {}, digest, parts)


def build_standalone_document(asyncapi: Document) -> Document:
    """Return the document of a provider that has no OpenAPI document, because it has WebSockets only.

    Raises:
        ContractError: as for `embed_asyncapi`. Also if the document has no `x-provider`.
    """
    if "x-provider" not in asyncapi.data:
        raise asyncapi.build_error("", "needs x-provider: id, title, key_variable and sources")
    document = embed_asyncapi(build_empty_document(asyncapi), asyncapi)
    parts = {"": (asyncapi, ""), f"/{ASYNCAPI_KEY}": (asyncapi, ""), "/x-provider": (asyncapi, "/x-provider")}
    return Document(asyncapi.path, document.data, {}, asyncapi.sha256, parts)


def build_empty_document(asyncapi: Document) -> Document:
    """Return an OpenAPI document without operations, with the title and version of an AsyncAPI document."""
    own_info = get_mapping(asyncapi.data, "info")
    # AsyncAPI 3.0 has more keys there, such as `tags` and `externalDocs`.
    info = {key: value for key, value in own_info.items() if key in _OPENAPI_INFO_KEYS or key.startswith("x-")}
    skeleton = {"openapi": "3.1.0", "info": {"title": "", "version": "0", **info}, "paths": {}}
    return Document(asyncapi.path, skeleton, {"": 1}, asyncapi.sha256)


def attach_asyncapi(document: Document, asyncapi: Document) -> Document:
    """Return an OpenAPI document in which `asyncapi` is embedded under the key `x-asyncapi`.

    Nothing else is changed.
    """
    data = {**document.data, ASYNCAPI_KEY: _rewrite_references(copy.deepcopy(asyncapi.data))}
    digest = hashlib.sha256(f"{document.sha256} {asyncapi.sha256}".encode()).hexdigest()
    return Document(document.path, data, {}, digest, {"": (document, ""), f"/{ASYNCAPI_KEY}": (asyncapi, "")})


def get_mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping at a key; an empty one if there is none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _rewrite_references(value: Any) -> Any:
    """Let references of the AsyncAPI document lead into its copy, in place; return the value."""
    for _, node in walk_objects(value):
        if isinstance(node.get("$ref"), str) and node["$ref"].startswith("#/"):
            node["$ref"] = f"#/{ASYNCAPI_KEY}{_escape_slashes(value, node['$ref'])[1:]}"
        if isinstance(node.get("nullable"), bool):  # a key of OpenAPI 3.0, which generated documents have nevertheless
            is_nullable = node.pop("nullable")
            if is_nullable and isinstance(node.get("type"), str):
                node["type"] = [node["type"], "null"]
    return value


def _escape_slashes(root: Any, reference: str) -> str:
    """Return a reference with the slashes of names escaped, if it leads somewhere only then; otherwise the reference.

    Generated documents, such as Deepgram's, write a name like "speak/v1.Flush" as it is.
    """
    tokens = unquote(reference).split("/")[1:]
    if read_pointer(root, [unescape_pointer_token(token) for token in tokens]) is not MISSING:
        return reference
    names, node = list[str](), root
    while tokens:
        joined = ("/".join(tokens[:count]) for count in range(1, len(tokens) + 1))
        name = next((one for one in joined if isinstance(node, dict) and one in node), None)
        if name is None:
            return reference
        names.append(name)
        node, tokens = node[name], tokens[name.count("/") + 1 :]
    return "#/" + "/".join(map(escape_pointer_token, names))


def build_server_url(server: Mapping[str, Any]) -> str | None:
    """Return the URL of a server of an AsyncAPI document with http or https; `None` if it is not a WebSocket server.

    Version 2 has `url`, which may lack the scheme; version 3 has `host` and `pathname`.
    """
    protocol = str(server.get("protocol", "wss")).lower()
    scheme = _HTTP_SCHEME_BY_PROTOCOL.get(protocol)
    if scheme is None:
        return None
    url = str(server.get("url") or f"{server.get('host', '')}{server.get('pathname', '')}")
    for name, variable in get_mapping(server, "variables").items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    if "://" in url:
        own, _, rest = url.partition("://")
        return f"{_HTTP_SCHEME_BY_PROTOCOL.get(own.lower(), scheme)}://{rest}".rstrip("/")
    return f"{scheme}://{url}".rstrip("/")


def _add_servers(asyncapi: Document, servers: list[Any]) -> list[Any]:
    known = {str(server.get("url", "")).rstrip("/") for server in servers if isinstance(server, dict)}
    for name, server in get_mapping(asyncapi.data, "servers").items():
        url = build_server_url(server) if isinstance(server, dict) else None
        if url is None:
            reason = "needs a URL or host, and the protocol ws or wss"
            raise asyncapi.build_error(f"/servers/{escape_pointer_token(name)}", reason)
        if url not in known:
            known.add(url)
            servers.append({"url": url, "x-name": str(server.get("x-name", name))})
    return servers


def _convert_security_schemes(asyncapi: Document) -> dict[str, Any]:
    """Return the security schemes of an AsyncAPI document as those of OpenAPI, which has fewer types."""
    converted = {}
    for name, scheme in get_mapping(get_mapping(asyncapi.data, "components"), "securitySchemes").items():
        kept = dict(scheme)
        if kept.get("type") == "httpApiKey":
            kept["type"] = "apiKey"
        elif kept.get("type") == "httpBearer":
            kept = {**kept, "type": "http", "scheme": "bearer"}
        converted[name] = kept
    return converted

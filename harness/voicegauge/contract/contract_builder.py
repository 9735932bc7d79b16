"""Builds a `Contract` from a document: its servers, operations and parameters, and the records of its `x-` keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.contract import Contract, Operation, Server
from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.extension import (
    BatchSpec,
    ChatSpec,
    ConversionSpec,
    IdempotencySpec,
    JobSpec,
    KeySpec,
    LimitsSpec,
    PriceSpec,
    ProviderSpec,
    ResourceSpec,
    SpeechSpec,
    StreamSpec,
    SubmitSpec,
    TranscriptionSpec,
    WebhookSpec,
)
from voicegauge.contract.record_reader import convert_record
from voicegauge.contract.schemas import Schemas
from voicegauge.formats import Document, escape_pointer_token

_HEADERS_DESCRIBED_ELSEWHERE = ("accept", "authorization", "content-type")
"""Headers that OpenAPI describes by media types and security schemes instead of parameters."""
HTTP_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_SpecT = TypeVar("_SpecT")


class _PathItem(NamedTuple):
    """A path with its path item, whose reference was resolved."""

    path: str
    pointer: str
    path_item_data: dict[str, Any]


def build_contract(document: Document, schemas: Schemas) -> Contract:
    """Build the contract of a document, without the consistency checks of `load_contract`.

    Raises:
        ContractError: the document does not fit the grammar of the `x-` keys.
    """
    root = document.data
    if "x-provider" not in root:
        raise document.build_error("", "needs x-provider: id, title, key_env and sources")
    contract = Contract(
        document=document,
        provider=convert_record(document, root["x-provider"], "/x-provider", ProviderSpec),
        schemas=schemas,
        servers=_read_servers(document, schemas),
        limits=convert_record(document, root.get("x-limits", {}), "/x-limits", LimitsSpec),
        key_specs=_read_key_specs(document),
        read_operations=_read_operations,
    )
    _ = contract.operations  # read now, so that errors are raised here
    return contract


def _read_key_specs(document: Document) -> dict[str, KeySpec]:
    schemes = document.data.get("components", {}).get("securitySchemes", {})
    pointers = {name: f"/components/securitySchemes/{escape_pointer_token(name)}/x-key" for name in schemes}
    return {
        name: convert_record(document, scheme.get("x-key", {}), pointers[name], KeySpec)
        for name, scheme in schemes.items()
    }


def _iterate_path_items(document: Document, schemas: Schemas) -> Iterator[_PathItem]:
    for path, item in document.data.get("paths", {}).items():
        if path.startswith("/"):  # other keys are extensions
            data, pointer = schemas.resolve_reference(item, f"/paths/{escape_pointer_token(path)}")
            yield _PathItem(path, pointer, data)


def _read_servers(document: Document, schemas: Schemas) -> dict[str, Server]:
    nodes = [("/servers", document.data.get("servers", []))]
    for _, base, item in _iterate_path_items(document, schemas):
        nodes.append((f"{base}/servers", item.get("servers", [])))
        nodes += [(f"{base}/{m}/servers", item[m].get("servers", [])) for m in HTTP_METHODS if m in item]
    found: dict[str, Server] = {}
    for pointer, servers in nodes:
        for index, node in enumerate(servers):
            server = _read_server(document, f"{pointer}/{index}", node)
            for known in found.values():
                if (known.name == server.name) != (known.url == server.url):
                    reason = f"the servers {known.name!r} and {server.name!r} share a name or a URL: set x-name"
                    raise document.build_error(f"{pointer}/{index}", reason)
            found[server.name] = server
    if not found:
        raise document.build_error("", "needs servers: at least one with an absolute URL")
    return found


def _read_server(document: Document, pointer: str, node: dict[str, Any]) -> Server:
    url = str(node.get("url", ""))
    for name, variable in node.get("variables", {}).items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # a port that is not a number
        is_usable = False
    if not is_usable or re.search(r"[\s{}?#]", url):
        reason = f"server url {url!r} must be absolute, with http or https, without user, query and fragment"
        raise document.build_error(pointer, reason)
    return Server(str(node.get("x-name", urlsplit(url).netloc)), url.rstrip("/"))


def _read_operations(contract: Contract) -> Iterator[Operation]:
    document = contract.document
    default_server = next(iter(contract.servers.values()))
    for item in _iterate_path_items(document, contract.schemas):
        for method in HTTP_METHODS:
            if method not in item.path_item_data:
                continue
            node = item.path_item_data[method]
            pointer = f"{item.pointer}/{method}"
            if not node.get("operationId"):
                raise document.build_error(pointer, "needs an operationId")
            servers = node.get("servers") or item.path_item_data.get("servers")
            server = _read_server(document, pointer, servers[0]) if servers else default_server
            yield _read_operation(contract, item, method, server)


def _read_operation(contract: Contract, path_item: _PathItem, method: str, server: Server) -> Operation:
    document, node, pointer = contract.document, path_item.path_item_data[method], f"{path_item.pointer}/{method}"

    def read_extension(key: str, record_type: type[_SpecT]) -> _SpecT | None:
        if key not in node:
            return None
        value, at = contract.schemas.resolve_reference(node[key], f"{pointer}/{key}")
        return convert_record(document, value, at, record_type)

    shared = [
        (f"{path_item.pointer}/parameters/{i}", p) for i, p in enumerate(path_item.path_item_data.get("parameters", []))
    ]
    own = [(f"{pointer}/parameters/{i}", p) for i, p in enumerate(node.get("parameters", []))]
    pricing = read_extension("x-pricing", PriceSpec)
    return Operation(
        schemas=contract.schemas,
        pointer=pointer,
        part_data=node,
        contract=contract,
        id=node["operationId"],
        method=method.upper(),
        path=path_item.path,
        parameters=tuple(_read_parameters(contract.schemas, [*shared, *own])),
        server=server,
        security=tuple(node.get("security", document.data.get("security", []))),
        speech=read_extension("x-speech", SpeechSpec),
        job=read_extension("x-job", JobSpec),
        pricing=pricing.select_plan(contract.account_plans) if pricing is not None else None,
        limits=_merge_limits(contract.limits, read_extension("x-limits", LimitsSpec)),
        resource=read_extension("x-resource", ResourceSpec),
        stream=read_extension("x-stream", StreamSpec),
        batch=read_extension("x-batch", BatchSpec),
        chat=read_extension("x-chat", ChatSpec),
        webhook=read_extension("x-webhook", WebhookSpec),
        idempotency=read_extension("x-idempotency", IdempotencySpec),
        submit=read_extension("x-submit", SubmitSpec),
        audio_input=read_extension("x-transcription", TranscriptionSpec)
        or read_extension("x-conversion", ConversionSpec),
    )


def _merge_limits(document_limits: LimitsSpec, operation_limits: LimitsSpec | None) -> LimitsSpec:
    """Return an operation's own limits, completed with the limits at the root of the document."""
    overrides = {
        name: value for name in LimitsSpec.__struct_fields__ if (value := getattr(operation_limits, name, None))
    }
    return msgspec.structs.replace(document_limits, **overrides)


def _read_parameters(schemas: Schemas, pointers_and_nodes: list[tuple[str, Any]]) -> Iterator[Parameter]:
    """Yield the parameters in `pointers_and_nodes`.

    A parameter of the operation replaces the same parameter of the path item (OpenAPI, section 4.8.9.1). Headers that
    other parts of a document describe are not parameters (section 4.8.12.1).
    """
    found: dict[tuple[str, str], Parameter] = {}
    for at, node in pointers_and_nodes:
        data, pointer = schemas.resolve_reference(node, at)
        if data["in"] == "header" and data["name"].lower() in _HEADERS_DESCRIBED_ELSEWHERE:
            continue
        is_required = data.get("required", False) or data["in"] == "path"
        found[data["in"], data["name"]] = Parameter(schemas, pointer, data, data["name"], data["in"], is_required)
    yield from found.values()

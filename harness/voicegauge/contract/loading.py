"""From a file to a `Contract`, refusing with file, line and reason what cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.consistency import (
    check_consistency,
    check_objects,
    check_resources,
    check_schemas,
    check_streams,
)
from voicegauge.contract.contract import Contract, Operation, Parameter, Server
from voicegauge.contract.extension import (
    BatchSpec,
    ChatSpec,
    ConversionSpec,
    JobSpec,
    LimitsSpec,
    PriceSpec,
    ProviderSpec,
    ResourceSpec,
    SpeechSpec,
    StreamSpec,
    TargetSpec,
    TranscriptionSpec,
    WebhookSpec,
)
from voicegauge.contract.record_reader import convert_record
from voicegauge.contract.schema import Schemas
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, Target
from voicegauge.contract.webhooks import check_webhooks
from voicegauge.data import data_dir
from voicegauge.errors import ContractError
from voicegauge.formats import Document, escape, read_document

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_PATH = re.compile(r"(?:[^{}]|\{[^{}]+\})*")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_T = TypeVar("_T")


def load_contract(path: Path) -> Contract:
    """Load the document at `path`.

    Raises:
        ContractError: it is unreadable, no valid OpenAPI 3.1, or breaks the grammar of
            the `x-` keys; the error names file, line and reason.
    """
    document = read_document(path)
    bundled = data_dir("contracts") in path.resolve().parents
    schemas = Schemas(document)
    _check_version(document)
    check_objects(schemas, document)
    if not bundled:  # the test suite checks those; the validator costs 0.7 s to import
        check_schemas(schemas, document)
        _check_openapi(document)
    contract = build_contract(document, schemas)
    check_consistency(contract)
    check_resources(contract)
    check_webhooks(contract)
    check_streams(contract)
    return contract


def build_contract(document: Document, schemas: Schemas) -> Contract:
    """The contract of a document that was read or made, without the checks of `load_contract`.

    Raises:
        ContractError: it breaks the grammar of the `x-` keys.
    """
    root = document.data
    if "x-provider" not in root:
        raise document.error("", "needs x-provider: id, title, key_env and sources")
    provider = convert_record(document, root["x-provider"], "/x-provider", ProviderSpec)
    _check_id(document, "/x-provider/id", "provider id", provider.id)
    contract = Contract(
        document=document,
        provider=provider,
        schemas=schemas,
        servers=_servers(document, schemas),
        limits=convert_record(document, root.get("x-limits", {}), "/x-limits", LimitsSpec),
    )
    operations = {operation.id: operation for operation in _operations(contract)}
    object.__setattr__(contract, "operations", operations)
    served = list(_served(contract))
    object.__setattr__(contract, "targets", {one.name: one for one in served if isinstance(one, Target)})
    object.__setattr__(
        contract, "audio_input_targets", {one.name: one for one in served if isinstance(one, AudioInputTarget)}
    )
    return contract


def _check_version(document: Document) -> None:
    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1."):
        raise document.error("/openapi", f"must be an OpenAPI 3.1 document, not {version!r}")


def _check_openapi(document: Document) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    paths = document.data.get("paths")
    for path in paths if isinstance(paths, dict) else ():
        if not _PATH.fullmatch(path):  # the validator stumbles over these
            raise document.error(f"/paths/{escape(path)}", f"the braces of the path {path!r} do not match")
    for error in OpenAPIV31SpecValidator(document.data).iter_errors():
        pointer = "".join(f"/{escape(str(token))}" for token in getattr(error, "absolute_path", ()))
        reason = (str(error.args[0]) if error.args else str(error)).strip().splitlines()[0]
        raise document.error(pointer, f"is no valid OpenAPI: {reason[:200]}")


def _check_id(document: Document, pointer: str, what: str, name: str) -> None:
    if not _ID.fullmatch(name):
        raise document.error(pointer, f"{what} {name!r} must be of a-z, 0-9, '.', '_' and '-'")


def _path_items(document: Document, schemas: Schemas) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, pointer and data of every path item."""
    for path, item in document.data.get("paths", {}).items():
        if path.startswith("/"):
            data, pointer = schemas.resolve(item, f"/paths/{escape(path)}")
            yield path, pointer, data


def _servers(document: Document, schemas: Schemas) -> dict[str, Server]:
    nodes = [("/servers", document.data.get("servers", []))]
    for _, base, item in _path_items(document, schemas):
        nodes.append((f"{base}/servers", item.get("servers", [])))
        nodes += [(f"{base}/{m}/servers", item[m].get("servers", [])) for m in METHODS if m in item]
    found: dict[str, Server] = {}
    for pointer, servers in nodes:
        for index, node in enumerate(servers):
            server = _server(document, f"{pointer}/{index}", node)
            for known in found.values():
                if (known.name == server.name) != (known.url == server.url):
                    reason = f"the servers {known.name!r} and {server.name!r} share a name or a url: set x-name"
                    raise document.error(f"{pointer}/{index}", reason)
            found[server.name] = server
    if not found:
        raise document.error("", "needs servers: at least one with an absolute url")
    return found


def _server(document: Document, pointer: str, node: dict[str, Any]) -> Server:
    url = str(node.get("url", ""))
    for name, variable in node.get("variables", {}).items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s{}?#]", url):
        reason = f"server url {url!r} must be absolute, with http or https, without user, query and fragment"
        raise document.error(pointer, reason)
    return Server(str(node.get("x-name", urlsplit(url).netloc)), url.rstrip("/"))


def _operations(contract: Contract) -> Iterator[Operation]:
    document = contract.document
    default_server = next(iter(contract.servers.values()))
    for path, base, item in _path_items(document, contract.schemas):
        for method in METHODS:
            if method not in item:
                continue
            pointer = f"{base}/{method}"
            node = item[method]
            name = node.get("operationId")
            if not name:
                raise document.error(pointer, "needs an operationId")
            servers = node.get("servers") or item.get("servers")
            server = _server(document, pointer, servers[0]) if servers else default_server
            shared = [(f"{base}/parameters/{i}", p) for i, p in enumerate(item.get("parameters", []))]
            yield _operation(contract, (path, method, pointer), node, server, shared)


def _operation(
    contract: Contract,
    where: tuple[str, str, str],
    node: dict[str, Any],
    server: Server,
    shared: list[tuple[str, Any]],
) -> Operation:
    document, (path, method, pointer) = contract.document, where

    def extension(key: str, kind: type[_T]) -> _T | None:
        if key not in node:
            return None
        value, at = contract.schemas.resolve(node[key], f"{pointer}/{key}")
        return convert_record(document, value, at, kind)

    own = [(f"{pointer}/parameters/{i}", p) for i, p in enumerate(node.get("parameters", []))]
    return Operation(
        contract=contract,
        pointer=pointer,
        data=node,
        id=node["operationId"],
        method=method.upper(),
        path=path,
        parameters=tuple(_parameters(contract, [*shared, *own])),
        server=server,
        security=tuple(node.get("security", document.data.get("security", []))),
        speech=extension("x-speech", SpeechSpec),
        job=extension("x-job", JobSpec),
        pricing=extension("x-pricing", PriceSpec),
        limits=_laid_over(contract.limits, extension("x-limits", LimitsSpec)),
        resource=extension("x-resource", ResourceSpec),
        stream=extension("x-stream", StreamSpec),
        batch=extension("x-batch", BatchSpec),
        chat=extension("x-chat", ChatSpec),
        webhook=extension("x-webhook", WebhookSpec),
        audio_input=extension("x-transcription", TranscriptionSpec) or extension("x-conversion", ConversionSpec),
    )


def _laid_over(common: LimitsSpec, own: LimitsSpec | None) -> LimitsSpec:
    """An operation's own limits, and the root's for whatever it says nothing of."""
    said = {name: value for name in LimitsSpec.__struct_fields__ if (value := getattr(own, name, None))}
    return msgspec.structs.replace(common, **said)


def _parameters(contract: Contract, places: list[tuple[str, Any]]) -> Iterator[Parameter]:
    found: dict[tuple[str, str], Parameter] = {}
    for at, value in places:
        data, pointer = contract.schemas.resolve(value, at)
        required = data.get("required", False) or data["in"] == "path"
        found[data["in"], data["name"]] = Parameter(contract, pointer, data, data["name"], data["in"], required)
    yield from found.values()


def _served(contract: Contract) -> Iterator[BaseTarget]:
    seen: set[str] = set()
    for operation in contract.operations.values():
        heard = "x-transcription" if isinstance(operation.audio_input, TranscriptionSpec) else "x-conversion"
        for key, use in (("x-speech", operation.speech), (heard, operation.audio_input)):
            for name, spec in use.targets.items() if use is not None else ():
                pointer = f"{operation.pointer}/{key}/targets/{escape(name)}"
                _check_id(contract.document, pointer, "target", name)
                if name in seen:
                    raise contract.document.error(pointer, f"target {name!r} stands twice")
                seen.add(name)
                if isinstance(spec, TargetSpec):
                    yield Target(name, operation, spec, pointer)
                else:
                    yield AudioInputTarget(name, operation, spec, pointer)


def find_contract_files(folder: Path) -> list[Path]:
    """The documents below `folder`: `<provider>/openapi.yaml`, or a file of its own.

    Raises:
        ContractError: there is none.
    """
    if folder.is_file():
        return [folder]
    found = sorted(
        path
        for pattern in ("*.yaml", "*.yml", "*.json", "*/openapi.yaml", "*/openapi.yml", "*/openapi.json")
        for path in folder.glob(pattern)
    )
    if not found:
        raise ContractError(folder, None, "no contract here: expected <provider>/openapi.yaml")
    return found

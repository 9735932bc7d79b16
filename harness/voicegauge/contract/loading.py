"""From a file to a `Contract`, refusing with file, line and reason what cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.contract import Contract, Operation, Parameter, Server, Target
from voicegauge.contract.document import Document, escape, read_document
from voicegauge.contract.extension import JobSpec, Limits, Price, Provider, Speech
from voicegauge.contract.places import parse_place
from voicegauge.contract.schema import Schemas
from voicegauge.data import data_dir
from voicegauge.errors import ContractError

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
_ID = re.compile(r"^[a-z0-9][a-z0-9._-]*$")
_T = TypeVar("_T")


def load_contract(path: Path) -> Contract:
    """Load the document at `path`.

    Raises:
        ContractError: it is unreadable, no valid OpenAPI 3.1, or breaks the grammar of
            the `x-` keys; the error names file, line and reason.
    """
    document = read_document(path)
    _check_openapi(document)
    root = document.data
    if "x-provider" not in root:
        raise document.error("", "needs x-provider: id, title, key_env and sources")
    provider = _convert(document, root["x-provider"], "/x-provider", Provider)
    _check_id(document, "/x-provider/id", "provider id", provider.id)
    contract = Contract(
        document=document,
        provider=provider,
        schemas=Schemas(document),
        servers=_servers(document),
        limits=_convert(document, root.get("x-limits", {}), "/x-limits", Limits),
    )
    operations = {operation.id: operation for operation in _operations(contract)}
    object.__setattr__(contract, "operations", operations)
    object.__setattr__(contract, "targets", dict(_targets(contract)))
    _check_references(contract)
    return contract


def _check_openapi(document: Document) -> None:
    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1."):
        raise document.error("/openapi", f"must be an OpenAPI 3.1 document, not {version!r}")
    if data_dir("contracts") in document.path.resolve().parents:
        return  # the test suite validates these; the validator costs 0.7 s to import
    from openapi_spec_validator import OpenAPIV31SpecValidator

    for error in OpenAPIV31SpecValidator(document.data).iter_errors():  # type: ignore[arg-type]
        pointer = "".join(f"/{escape(str(token))}" for token in getattr(error, "absolute_path", ()))
        raise document.error(pointer, f"is no valid OpenAPI: {str(error.args[0])[:200]}")


def _convert(document: Document, value: Any, pointer: str, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(_long_form(value, kind), kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at ")
        inner = where.strip("`").removeprefix("$").removeprefix("key in ")
        tokens = re.findall(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]", inner)
        deeper = pointer
        for name, index, _any in tokens:
            deeper += f"/{escape(name or index)}" if name or index else ""
        raise document.error(deeper, f"{pointer.rpartition('/')[2]}: {reason}") from error


def _long_form(value: Any, kind: type[Any]) -> Any:
    """A bare string among the words of `x-speech.request` is short for `{at: ...}`."""
    if kind is Speech and isinstance(value, dict) and isinstance(value.get("request"), dict):
        words = value["request"].items()
        return {**value, "request": {w: {"at": s} if isinstance(s, str) else s for w, s in words}}
    return value


def _check_id(document: Document, pointer: str, what: str, name: str) -> None:
    if not _ID.match(name):
        raise document.error(pointer, f"{what} {name!r} must be of a-z, 0-9, '.', '_' and '-'")


def _servers(document: Document) -> dict[str, Server]:
    nodes = [("/servers", document.data.get("servers", []))]
    for path, item in document.data.get("paths", {}).items():
        base = f"/paths/{escape(path)}"
        nodes.append((f"{base}/servers", item.get("servers", [])))
        nodes += [(f"{base}/{m}/servers", item[m].get("servers", [])) for m in METHODS if m in item]
    found: dict[str, Server] = {}
    for pointer, servers in nodes:
        for index, node in enumerate(servers):
            server = _server(document, f"{pointer}/{index}", node)
            if found.setdefault(server.name, server).url != server.url:
                raise document.error(f"{pointer}/{index}", f"two servers are named {server.name!r}: set x-name")
    if not found:
        raise document.error("", "needs servers: at least one with an absolute url")
    return found


def _server(document: Document, pointer: str, node: dict[str, Any]) -> Server:
    url = str(node.get("url", ""))
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise document.error(pointer, f"server url {url!r} must be absolute, with http or https")
    return Server(str(node.get("x-name", parts.netloc)), url.rstrip("/"))


def _operations(contract: Contract) -> Iterator[Operation]:
    document = contract.document
    default_server = next(iter(contract.servers.values()))
    seen: set[str] = set()
    for path, item in document.data.get("paths", {}).items():
        for method in METHODS:
            if method not in item:
                continue
            pointer = f"/paths/{escape(path)}/{method}"
            node = item[method]
            name = node.get("operationId")
            if not name:
                raise document.error(pointer, "needs an operationId")
            if name in seen:
                raise document.error(pointer, f"operationId {name!r} stands twice")
            seen.add(name)
            servers = node.get("servers") or item.get("servers")
            server = _server(document, pointer, servers[0]) if servers else default_server
            yield _operation(contract, path, method, pointer, node, server)


def _operation(
    contract: Contract, path: str, method: str, pointer: str, node: dict[str, Any], server: Server
) -> Operation:
    document = contract.document

    def extension(key: str, kind: type[_T]) -> _T | None:
        if key not in node:
            return None
        value, at = contract.schemas.resolve(node[key], f"{pointer}/{key}")
        return _convert(document, value, at, kind)

    return Operation(
        contract=contract,
        pointer=pointer,
        data=node,
        id=node["operationId"],
        method=method.upper(),
        path=path,
        parameters=tuple(_parameters(contract, path, pointer, node)),
        server=server,
        security=tuple(node.get("security", document.data.get("security", []))),
        speech=extension("x-speech", Speech),
        job=extension("x-job", JobSpec),
        pricing=extension("x-pricing", Price),
        limits=_laid_over(contract.limits, extension("x-limits", Limits)),
    )


def _laid_over(common: Limits, own: Limits | None) -> Limits:
    """An operation's own limits, and the root's for whatever it says nothing of."""
    said = {name: value for name in Limits.__struct_fields__ if (value := getattr(own, name, None))}
    return msgspec.structs.replace(common, **said)


def _parameters(contract: Contract, path: str, pointer: str, node: dict[str, Any]) -> Iterator[Parameter]:
    shared = contract.document.data["paths"][path].get("parameters", [])
    places = [(f"/paths/{escape(path)}/parameters/{i}", p) for i, p in enumerate(shared)]
    places += [(f"{pointer}/parameters/{i}", p) for i, p in enumerate(node.get("parameters", []))]
    found: dict[tuple[str, str], Parameter] = {}
    for at, value in places:
        data, at = contract.schemas.resolve(value, at)
        required = data.get("required", False) or data["in"] == "path"
        found[data["in"], data["name"]] = Parameter(contract, at, data, data["name"], data["in"], required)
    yield from found.values()


def _targets(contract: Contract) -> Iterator[tuple[str, Target]]:
    seen: set[str] = set()
    for operation in contract.operations.values():
        if operation.speech is None:
            continue
        for name, spec in operation.speech.targets.items():
            pointer = f"{operation.pointer}/x-speech/targets/{escape(name)}"
            _check_id(contract.document, pointer, "target", name)
            if name in seen:
                raise contract.document.error(pointer, f"target {name!r} stands twice")
            seen.add(name)
            yield name, Target(name, operation, spec, pointer)


def _check_references(contract: Contract) -> None:
    """Operation ids, states and places that one `x-` key names must exist."""
    for operation in contract.operations.values():
        if operation.speech is not None:
            _check_speech(contract, operation, operation.speech)
        if operation.job is not None:
            _check_job(contract, operation, operation.job)


def _check_speech(contract: Contract, operation: Operation, speech: Speech) -> None:
    document, at = contract.document, f"{operation.pointer}/x-speech"
    if "text" not in speech.request:
        raise document.error(f"{at}/request", "x-speech.request must say where the text goes")
    for word, slot in speech.request.items():
        _check_place(document, f"{at}/request/{word}", slot.at)
    answer = speech.answer
    if (answer.job is None) == (answer.audio is None):
        raise document.error(f"{at}/answer", "x-speech.answer must have either job or audio")
    if answer.job is not None:
        status = contract.operations.get(answer.job)
        if status is None or status.job is None:
            raise document.error(f"{at}/answer/job", f"{answer.job!r} is no operation with x-job")


def _check_job(contract: Contract, operation: Operation, job: JobSpec) -> None:
    document, at = contract.document, f"{operation.pointer}/x-job"
    for name, state in job.states.items():
        for following in state.next:
            if following not in job.states:
                raise document.error(f"{at}/states/{escape(name)}/next", f"{following!r} is no state of this job")
        if bool(state.next) == bool(state.end):
            raise document.error(
                f"{at}/states/{escape(name)}", f"state {name!r} must have either next or end: success | failure"
            )
    if not any(state.end == "success" for state in job.states.values()):
        raise document.error(f"{at}/states", "no state ends in success")
    for key in ("state", "id", "reason", "model", "created", "updated", "completed", "charged"):
        place = getattr(job, key)
        if place is not None:
            _check_place(document, f"{at}/{key}", place)
    for key in ("result", "cancel"):
        named = getattr(job, key)
        if named is not None and named not in contract.operations:
            raise document.error(f"{at}/{key}", f"{named!r} is no operation of this document")


def _check_place(document: Document, pointer: str, place: str) -> None:
    try:
        parse_place(place)
    except ValueError as error:
        raise document.error(pointer, str(error)) from error


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

"""Loads contracts: reads a document, converts its x- keys to records, and checks it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract._consistency import check_consistency, check_references, check_schemas
from voicegauge.contract.asyncapi import read_socket_operations
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import read_contract_document, validate_openapi
from voicegauge.contract.document_parts import HTTP_METHODS, Parameter, convert_record, fill_server_variables
from voicegauge.contract.extension.jobs import (
    BatchSpec,
    ChatSpec,
    JobSpec,
    PaginationSpec,
    ResourceSpec,
    StreamSpec,
    SubmitSpec,
    WebhookSpec,
)
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, KeySpec, LimitsSpec, ListOperation, ProviderSpec
from voicegauge.contract.extension.speech import ConversionSpec, SpeechSpec, TranscriptionSpec
from voicegauge.contract.operation import Operation, Server
from voicegauge.contract.schemas import Schemas
from voicegauge.data_folders import find_bundled_folder, find_profiles_folder
from voicegauge.formats.located_yaml import Document, escape_pointer_token, split_json_pointer, unescape_pointer_token
from voicegauge.formats.locations import Location, read_pointer

# Builds a `Contract` from a document: its servers, operations and parameters, and the records of its `x-` keys.


_HEADERS_DESCRIBED_ELSEWHERE = ("accept", "authorization", "content-type")
"""Headers that OpenAPI describes by media types and security schemes instead of parameters."""
_SpecT = TypeVar("_SpecT")


class _PathItem(NamedTuple):
    """A path of the document with its path item, after references were resolved."""

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
        raise document.build_error(
            "", "needs x-provider: id, title, key_variable and sources; `voicegauge init FILE` proposes it"
        )
    contract = Contract(
        document=document,
        provider=convert_record(document, root["x-provider"], "/x-provider", ProviderSpec),
        schemas=schemas,
        servers=_read_servers(document, schemas),
        limits=convert_record(document, root.get("x-limits", {}), "/x-limits", LimitsSpec),
        key_specs=_read_key_specs(document),
        read_operations=_read_operations,
        read_socket_operations=read_socket_operations,
    )
    _ = contract.operations, contract.socket_operations  # read now, so that errors are raised here
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
    encrypted_urls = {_read_server_url(node).rstrip("/") for _, servers in nodes for node in servers}
    for pointer, servers in nodes:
        for index, node in enumerate(servers):
            server = _read_server(document, f"{pointer}/{index}", node)
            if "x-name" not in node and server.url.replace("http://", "https://", 1) in encrypted_urls - {server.url}:
                continue  # Amazon's documents list each host twice; a key is sent encrypted where that is possible
            for known in found.values():
                if (known.name == server.name) != (known.url == server.url):
                    reason = f"the servers {known.name!r} and {server.name!r} share a name or a URL: set x-name"
                    raise document.build_error(f"{pointer}/{index}", reason)
            found[server.name] = server
    if not found:
        raise document.build_error("", "needs servers: at least one with an absolute URL")
    return found


def _read_server_url(node: dict[str, Any]) -> str:
    return fill_server_variables(str(node.get("url", "")), node.get("variables"))


def _read_server(document: Document, pointer: str, node: dict[str, Any]) -> Server:
    url = _read_server_url(node)
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # a port that is not a number
        is_usable = False
    if not is_usable or re.search(r"[\s{}?#]", url):
        reason = (
            f"server url {url!r} must be absolute, with http or https, without user, query and fragment, and have a "
            "default for each variable"
        )
        raise document.build_error(pointer, reason)
    if not url.isascii():  # the user who allows a key for a host must not take it for another one
        reason = f"server url {url!r} must be ASCII: write other letters of its host as xn--..., of its path as %.."
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
        pagination=read_extension("x-pagination", PaginationSpec),
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


# Loads contracts from files. A document that cannot be used is rejected with file, line and reason.


MAX_CHECKED_VOICES = 4
"""Number of voices of a user's own server that are used. Some servers have hundreds, which would make a check long."""


def load_contract(path: Path) -> Contract:
    """Load and check the document at `path`.

    Raises:
        ContractError: the file cannot be read, is not a valid OpenAPI document, or does not fit the grammar of
            the `x-` keys; the message has file, line and reason.
    """
    document = read_contract_document(path)
    schemas = Schemas(document)
    check_references(schemas, document)
    if not is_bundled(path):  # the test suite validates the bundled ones; importing the validator takes 0.7 s
        check_schemas(schemas, document)
        validate_openapi(document)
    contract = build_contract(document, schemas)
    check_consistency(contract)
    return contract


def is_bundled(path: Path) -> bool:
    """Whether the document at `path` is part of voicegauge."""
    parents = path.resolve().parents
    return find_bundled_folder("contracts") in parents or find_profiles_folder() in parents


def adapt_contract_to_server(
    contract: Contract,
    *,
    model_names: Sequence[str],
    voice_names: Sequence[str],
    missing_operation_ids: Sequence[str] = (),
) -> Contract:
    """Return the contract of a server of the user's own that has these models and voices.

    A target whose model or voice the server does not have uses the first model or voice that the server has. If the
    voices of the server are known, requests with another voice are invalid.

    Args:
        contract: a contract with `self_hosted`.
        model_names: names of the models; empty if they are not known.
        voice_names: names of the voices; empty if they are not known. At most `MAX_CHECKED_VOICES` are used, those
            that the contract names first.
        missing_operation_ids: ids of the operations that the server does not have and need not have.

    Raises:
        ContractError: a name is not one that the contract allows.
    """
    named = {target.target_spec.default_voice for target in contract.targets.values()}
    voice_names = sorted(voice_names, key=lambda voice: voice not in named)[:MAX_CHECKED_VOICES]
    document_data = copy.deepcopy(contract.document.data)
    spec = contract.provider.self_hosted
    for operation in contract.operations.values():
        extension = _find_extension_with_targets(operation)
        if extension is None or spec is None:
            continue
        for target in _read_value_at_pointer(document_data, operation.pointer)[extension]["targets"].values():
            if spec.model_list is not None and model_names:
                _replace_missing_model(target, str(spec.model_list.request_field_location), model_names)
            if voice_names and operation.speech is not None and target.get("default_voice") not in voice_names:
                target["default_voice"] = voice_names[0]
        if spec.model_list is not None and model_names:
            _correct_request_examples(document_data, operation, spec.model_list.request_field_location, model_names)
        if spec.voice_lists and voice_names and operation.speech is not None:
            _limit_field_to_names(document_data, operation, spec.voice_lists[0].request_field_location, voice_names)
    for name in missing_operation_ids:
        path, method = (unescape_pointer_token(token) for token in contract.operations[name].pointer.split("/")[2:])
        del document_data["paths"][path][method]
    if spec is not None:
        _remove_voice_lists_without_operation(document_data, missing_operation_ids)
    document = contract.document.replace_data(document_data)
    schemas = Schemas(document)
    adapted = build_contract(document, schemas)
    check_consistency(adapted)
    return adapted


def _find_extension_with_targets(operation: Operation) -> str | None:
    """Return the `x-` key with the targets of an operation that speaks or transcribes; `None` for any other."""
    if operation.speech is not None:
        return "x-speech"
    return "x-transcription" if isinstance(operation.audio_input, TranscriptionSpec) else None


def replace_missing_voices(contract: Contract, voice_names: Sequence[str]) -> Contract:
    """Return the contract for an account with `voice_names`: the first one replaces other voices of targets.

    The contract itself is returned if the account has the voices of all targets.
    """
    document_data = copy.deepcopy(contract.document.data)
    is_changed = False
    for operation in contract.operations.values():
        if operation.speech is None:
            continue
        for target in _read_value_at_pointer(document_data, operation.pointer)["x-speech"]["targets"].values():
            if target.get("default_voice") not in (None, *voice_names):
                target["default_voice"], is_changed = voice_names[0], True
                by_language = target.get("default_voice_by_language", {}).items()
                target["default_voice_by_language"] = {key: one for key, one in by_language if one in voice_names}
    document = contract.document.replace_data(document_data)
    return build_contract(document, Schemas(document)) if is_changed else contract


def replace_key_variable(contract: Contract, variable_name: str) -> Contract:
    """Return a copy of `contract` that reads the server's key from the environment variable `variable_name`.

    Raises:
        ContractError: `variable_name` is not the name of an environment variable.
    """
    document_data = copy.deepcopy(contract.document.data)
    document_data["x-provider"]["key_variable"] = variable_name
    document = contract.document.replace_data(document_data)
    return build_contract(document, Schemas(document))


def limit_to_listed_names(contract: Contract) -> Contract:
    """Return the contract of a server that has only the models and voices in the documented examples of its lists.

    A contract without `self_hosted` is returned as it is.
    """
    spec = contract.provider.self_hosted
    if spec is None:
        return contract
    voices = _read_documented_names(contract, spec.voice_lists)
    models = _read_documented_names(contract, [spec.model_list] if spec.model_list is not None else [])
    return adapt_contract_to_server(contract, model_names=models, voice_names=voices) if voices or models else contract


def _read_documented_names(contract: Contract, server_lists: Sequence[ListOperation]) -> tuple[str, ...]:
    names = [
        name
        for server_list in server_lists
        for response in contract.operations[server_list.operation_id].responses.values()
        for media in response.media_types.values()
        for example in media.examples
        for name in server_list.read_names(example.value)
    ]
    return tuple(dict.fromkeys(names))


def _remove_voice_lists_without_operation(document_data: dict[str, Any], missing_operation_ids: Sequence[str]) -> None:
    lists = document_data["x-provider"]["self_hosted"]
    lists["voice_lists"] = [
        one for one in lists.get("voice_lists", []) if one["operation_id"] not in missing_operation_ids
    ]


def _replace_missing_model(target_data: dict[str, Any], model_location: str, model_names: Sequence[str]) -> None:
    constants = target_data.setdefault("request_constants", {})
    if constants.get(model_location) not in model_names:
        constants[model_location] = model_names[0]
    if model_location in target_data.get("request_patterns", {}):
        target_data["request_patterns"][model_location] = "|".join(map(re.escape, model_names))


def _limit_field_to_names(
    document_data: dict[str, Any], operation: Operation, location: Location, names: Sequence[str]
) -> None:
    """Allow only `names` in the field at `location`."""
    schemas, field = operation.schemas, location.pointer_tokens[-1]
    for media in operation.request_media.values():
        body_schema, pointer = schemas.resolve_reference(media.part_data.get("schema", {}), f"{media.pointer}/schema")
        if field not in body_schema.get("properties", {}):
            continue
        pointer = f"{pointer}/properties/{escape_pointer_token(field)}"
        schema = _read_value_at_pointer(
            document_data, schemas.resolve_reference(body_schema["properties"][field], pointer)[1]
        )
        schema["enum"] = list(names)
        document = next(iter(operation.contract.provider.sources))
        note = "The server's own list."
        schema["x-source"] = {"document_name": document, "is_inferred": True, "note": note}
        schema.pop("examples", None)
    _correct_request_examples(document_data, operation, location, names)


def _correct_request_examples(
    document_data: dict[str, Any], operation: Operation, location: Location, names: Sequence[str]
) -> None:
    """Replace the value of the field at `location` in documented requests, if it is not one of `names`."""
    field = location.pointer_tokens[-1]
    for media in operation.request_media.values():
        for example in _read_value_at_pointer(document_data, media.pointer).get("examples", {}).values():
            value = example.get("value")
            if isinstance(value, dict) and value.get(field) not in (None, *names):
                value[field] = names[0]


def _read_value_at_pointer(document_data: dict[str, Any], pointer: str) -> Any:
    return read_pointer(document_data, split_json_pointer(pointer))

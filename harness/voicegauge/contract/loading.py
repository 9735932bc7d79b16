"""Loads contracts: reads a document, converts its x- keys to records, and checks it; and lists all that are known."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract._consistency import check_consistency, check_references, check_schemas
from voicegauge.contract.asyncapi import read_socket_operations
from voicegauge.contract.contract import (
    BaseTarget,
    Contract,
    SocketTarget,
    Target,
)
from voicegauge.contract.document_assembly import find_contract_files, read_contract_document, validate_openapi
from voicegauge.contract.document_parts import HTTP_METHODS, Parameter, convert_record
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
from voicegauge.contract.operation import Operation, Server, read_server_url
from voicegauge.contract.price_computation import check_credit_price
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError, UnknownNameError, UsageError
from voicegauge.files import find_bundled_folder, find_profiles_folder
from voicegauge.formats.located_yaml import Document, escape_pointer_token, unescape_pointer_token
from voicegauge.formats.locations import Location, read_json_pointer

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
        key_specs={
            name: convert_record(
                document,
                scheme.get("x-key", {}),
                f"/components/securitySchemes/{escape_pointer_token(name)}/x-key",
                KeySpec,
            )
            for name, scheme in root.get("components", {}).get("securitySchemes", {}).items()
        },
        read_operations=_read_operations,
        read_socket_operations=read_socket_operations,
    )
    _ = contract.operations, contract.socket_operations  # read now, so that errors are raised here
    return contract


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
    encrypted_urls = {read_server_url(node).rstrip("/") for _, servers in nodes for node in servers}
    for pointer, servers in nodes:
        for index, node in enumerate(servers):
            server = Server.read(document, f"{pointer}/{index}", node)
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
            server = Server.read(document, pointer, servers[0]) if servers else default_server
            yield _read_operation(contract, item, method, server)


def _read_operation(contract: Contract, path_item: _PathItem, method: str, server: Server) -> Operation:
    document, node, pointer = contract.document, path_item.path_item_data[method], f"{path_item.pointer}/{method}"

    def read_extension(key: str, record_type: type[_SpecT]) -> _SpecT | None:
        if key not in node:
            return None
        value, at = contract.schemas.resolve_reference(node[key], f"{pointer}/{key}")
        return convert_record(document, value, at, record_type)

    # Those of the path item first, so that those of the operation replace them in `_read_parameters`.
    shared = [
        (f"{path_item.pointer}/parameters/{i}", p) for i, p in enumerate(path_item.path_item_data.get("parameters", []))
    ]
    own = [(f"{pointer}/parameters/{i}", p) for i, p in enumerate(node.get("parameters", []))]
    pricing, limits = read_extension("x-pricing", PriceSpec), read_extension("x-limits", LimitsSpec)
    # An empty value of the operation, such as no plans, does not hide those of the root.
    own_limits = {name: value for name in LimitsSpec.__struct_fields__ if (value := getattr(limits, name, None))}
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
        limits=msgspec.structs.replace(contract.limits, **own_limits),
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
    # The plain data is changed and read again, so that values in requests are checked as those of a written contract.
    document_data = copy.deepcopy(contract.document.data)
    spec = contract.provider.self_hosted
    for operation in contract.operations.values():
        transcribes = isinstance(operation.audio_input, TranscriptionSpec)
        if spec is None or (operation.speech is None and not transcribes):
            continue
        key = "x-transcription" if operation.speech is None else "x-speech"
        for target in read_json_pointer(document_data, operation.pointer)[key]["targets"].values():
            if spec.model_list is not None and model_names:
                _replace_missing_model(target, str(spec.model_list.request_field_location), model_names)
            if voice_names and operation.speech is not None and target.get("default_voice") not in voice_names:
                target["default_voice"] = voice_names[0]
        if spec.model_list is not None and model_names:
            _correct_request_examples(document_data, operation, spec.model_list.request_field_location, model_names)
        if spec.voice_lists and voice_names and operation.speech is not None:
            _limit_field_to_names(document_data, operation, spec.voice_lists[0].request_field_location, voice_names)
    # Left in, they would be requested, and their absence reported as a violation.
    for name in missing_operation_ids:
        path, method = (unescape_pointer_token(token) for token in contract.operations[name].pointer.split("/")[2:])
        del document_data["paths"][path][method]
    if spec is not None:
        lists = document_data["x-provider"]["self_hosted"]
        lists["voice_lists"] = [
            one for one in lists.get("voice_lists", []) if one["operation_id"] not in missing_operation_ids
        ]
    adapted = _replace_document_data(contract, document_data)
    check_consistency(adapted)
    return adapted


def _replace_document_data(contract: Contract, document_data: dict[str, Any]) -> Contract:
    document = contract.document.replace_data(document_data)
    return build_contract(document, Schemas(document))


def replace_missing_voices(contract: Contract, voice_names: Sequence[str]) -> Contract:
    """Return the contract for an account with `voice_names`: the first one replaces other voices of targets.

    The contract itself is returned if the account has the voices of all targets. `voice_names` must not be empty.
    """
    document_data = copy.deepcopy(contract.document.data)
    is_changed = False
    for operation in contract.operations.values():
        if operation.speech is None:
            continue
        for target in read_json_pointer(document_data, operation.pointer)["x-speech"]["targets"].values():
            if target.get("default_voice") not in (None, *voice_names):
                target["default_voice"], is_changed = voice_names[0], True
                by_language = target.get("default_voice_by_language", {}).items()
                target["default_voice_by_language"] = {key: one for key, one in by_language if one in voice_names}
    return _replace_document_data(contract, document_data) if is_changed else contract


def replace_key_variable(contract: Contract, variable_name: str) -> Contract:
    """Return a copy of `contract` that reads the server's key from the environment variable `variable_name`.

    Raises:
        ContractError: `variable_name` is not the name of an environment variable.
    """
    document_data = copy.deepcopy(contract.document.data)
    document_data["x-provider"]["key_variable"] = variable_name
    return _replace_document_data(contract, document_data)


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


def _replace_missing_model(target_data: dict[str, Any], model_location: str, model_names: Sequence[str]) -> None:
    constants = target_data.setdefault("request_constants", {})
    if constants.get(model_location) not in model_names:
        constants[model_location] = model_names[0]
    if model_location in target_data.get("request_patterns", {}):
        target_data["request_patterns"][model_location] = "|".join(map(re.escape, model_names))


def _limit_field_to_names(
    document_data: dict[str, Any], operation: Operation, location: Location, names: Sequence[str]
) -> None:
    """Allow only `names` in the field at `location`, and replace other values in documented requests."""
    schemas, field = operation.schemas, location.pointer_tokens[-1]
    for media in operation.request_media.values():
        body_schema, pointer = schemas.resolve_reference(media.part_data.get("schema", {}), f"{media.pointer}/schema")
        if field not in body_schema.get("properties", {}):
            continue
        pointer = f"{pointer}/properties/{escape_pointer_token(field)}"
        schema = read_json_pointer(
            document_data, schemas.resolve_reference(body_schema["properties"][field], pointer)[1]
        )
        # So that planned requests with another voice are invalid ones, which the server should reject.
        schema["enum"] = list(names)
        document = next(iter(operation.contract.provider.sources))
        note = "The server's own list."
        schema["x-source"] = {"document_name": document, "is_inferred": True, "note": note}
        schema.pop("examples", None)  # which may be names that this server does not have
    _correct_request_examples(document_data, operation, location, names)


def _correct_request_examples(
    document_data: dict[str, Any], operation: Operation, location: Location, names: Sequence[str]
) -> None:
    """Replace the value of the field at `location` in documented requests, if it is not one of `names`."""
    field = location.pointer_tokens[-1]
    for media in operation.request_media.values():
        for example in read_json_pointer(document_data, media.pointer).get("examples", {}).values():
            value = example.get("value")
            if isinstance(value, dict) and value.get(field) not in (None, *names):
                value[field] = names[0]


# The catalogue of all contracts: the bundled ones, and those in folders of the user.


_LISTING_COMMAND = "voicegauge providers"


class Catalogue:
    """The available contracts, by provider id."""

    def __init__(self, contracts: Iterable[Contract], bundled_paths: Mapping[str, Path] | None = None) -> None:
        """Collect contracts. If several have the same provider id, the last one counts.

        Args:
            contracts: contracts that are loaded already.
            bundled_paths: files of bundled contracts by provider id, each of which is loaded when it is needed. A
                contract in `contracts` with the same id replaces it. `None` for no files.
        """
        self._loaded_by_id = {contract.id: contract for contract in contracts}
        self.bundled_paths = bundled_paths or {}
        """The files of the bundled contracts by provider id."""
        self.provider_ids = tuple(sorted({*self._loaded_by_id, *self.bundled_paths}))
        """The ids of all providers, sorted."""

    def _find_contract(self, provider_id: str) -> Contract | None:
        # Bundled contracts are loaded on first use: reading all takes longer than most commands.
        if provider_id not in self._loaded_by_id and provider_id in self.bundled_paths:
            self._loaded_by_id[provider_id] = _load_bundled_contract(self.bundled_paths[provider_id])
        return self._loaded_by_id.get(provider_id)

    def __iter__(self) -> Iterator[Contract]:
        """Iterate over the contracts, sorted by provider id."""
        return map(self.find_provider, self.provider_ids)

    def replace_contracts(self, contracts: Iterable[Contract]) -> Catalogue:
        """Return a catalogue in which `contracts` replace those with the same provider ids."""
        return Catalogue([*self._loaded_by_id.values(), *contracts], self.bundled_paths)

    def select_account_plans(self, plan_names: Collection[str]) -> Catalogue:
        """Return a catalogue whose prices are those of the account plans `plan_names`."""
        return Catalogue(contract.select_account_plans(plan_names) for contract in self) if plan_names else self

    def replace_credit_prices(self, usd_by_provider: Mapping[str, float]) -> Catalogue:
        """Return a catalogue with other prices of one credit in dollars, by provider.

        Raises:
            UnknownNameError: no contract has that provider id.
            UsageError: the provider has no credits, or a price is not a number from 0 to `MAX_CREDIT_USD`.
        """
        for name, usd in usd_by_provider.items():
            check_credit_price(name, usd)
        changed = {name: self.find_provider(name).replace_credit_price(usd) for name, usd in usd_by_provider.items()}
        return self.replace_contracts(changed.values()) if changed else self

    @property
    def targets(self) -> dict[str, Target]:
        """All speech targets by full id."""
        return {target.id: target for contract in self for target in contract.targets.values()}

    def find_provider(self, provider_id: str) -> Contract:
        """Return the contract of a provider.

        Raises:
            UnknownNameError: no contract has that provider id.
        """
        contract = self._find_contract(provider_id)
        if contract is None:
            raise UnknownNameError("provider", provider_id, self.provider_ids, listing_command=_LISTING_COMMAND)
        return contract

    @property
    def socket_targets(self) -> dict[str, SocketTarget]:
        """All targets that speak over a WebSocket, by full id."""
        return {t.id: t for contract in self for t in contract.socket_targets.values()}

    def select_targets(self, names: Sequence[str], *, with_sockets: bool = False) -> list[BaseTarget]:
        """Return the targets for names such as "provider" or "provider/target"; all speech targets if `names` is empty.

        A provider stands for its speech targets; a target that audio is sent to is selected by its own name, or by its
        provider if that has no speech targets. A target that speaks over a WebSocket is selected by its own name, or
        with its provider if `with_sockets` is set or the provider has no other target.

        Raises:
            ContractError: a provider has no target.
            UnknownNameError: a name is neither a provider nor a target.
            UsageError: a name is that of an operation; the message names its targets.
        """
        if not names:
            targets: list[BaseTarget] = list(self.targets.values())
            if with_sockets:
                targets += self.socket_targets.values()
                targets += [one for contract in self for one in contract.transcription_socket_targets.values()]
            return targets
        chosen = {target.id: target for name in names for target in self._find_targets(name, with_sockets=with_sockets)}
        return list(chosen.values())

    def _find_targets(self, name: str, *, with_sockets: bool) -> list[BaseTarget]:
        provider, _, target_name = name.partition("/")
        contract = self._find_contract(provider)
        if contract is not None and name == provider:
            return _list_provider_targets(contract, with_sockets=with_sockets)
        targets = {target.name: target for target in contract.iterate_targets()} if contract is not None else {}
        if target_name not in targets:
            raise self._build_unknown_target_error(name)
        return [targets[target_name]]

    def _build_unknown_target_error(self, name: str) -> UsageError:
        provider, _, operation_id = name.partition("/")
        contract = self._find_contract(provider)
        operation = contract.operations.get(operation_id) if contract is not None else None
        if operation is None:
            names = [target.id for one in self for target in one.iterate_targets()]
            return UnknownNameError(
                "target", name, names, other_names=self.provider_ids, listing_command=_LISTING_COMMAND
            )
        served = ", ".join(target.id for target in operation.targets)
        hint = f"name a target of it ({served})" if served else f"name {provider}, which stands for all operations"
        return UsageError(f"{name} is an operation, not a target: {hint}")


def _list_provider_targets(contract: Contract, *, with_sockets: bool) -> list[BaseTarget]:
    """Return the targets that the name of a provider stands for.

    Raises:
        ContractError: there are none.
    """
    found: list[BaseTarget] = [*contract.targets.values()] or [*contract.audio_input_targets.values()]
    if with_sockets or not found:
        found += contract.socket_targets.values()
        found += contract.transcription_socket_targets.values()
    if not found:
        found += [target for one in contract.operations.values() if (target := one.job_target) is not None]
    if not found:
        raise contract.document.build_error(
            "/paths", "describes no target: x-speech on an operation names its targets, x-submit one that starts a job"
        )
    return found


def load_catalogue(folders: Sequence[Path] = ()) -> Catalogue:
    """Load the bundled contracts and those in `folders`, which replace bundled ones with the same id.

    Raises:
        ContractError: a document cannot be used, or would send the key of a bundled contract to other servers; or a
        folder has two contracts with the same id.
    """
    bundled_paths = _list_bundled_paths(find_bundled_folder("contracts"))
    own = [contract for folder in folders for contract in _load_folder(folder)]
    for contract in own:
        if contract.id in bundled_paths:
            _reject_unsafe_replacement(contract, _load_bundled_contract(bundled_paths[contract.id]))
    return Catalogue(own, bundled_paths)


def _load_folder(folder: Path) -> Collection[Contract]:
    """Load the contracts in a folder.

    Raises:
        ContractError: two have the same id, so that it is not clear which one counts.
    """
    by_id: dict[str, Contract] = {}
    for contract in map(load_contract, find_contract_files(folder)):
        other = by_id.setdefault(contract.id, contract)
        if other is not contract:
            paths = f"{other.document.path}, {contract.document.path}"
            raise ContractError(
                folder, None, f"{contract.id} is defined twice: {paths}: change one id, or name one file"
            )
    return by_id.values()


def _reject_unsafe_replacement(user_contract: Contract, bundled_contract: Contract) -> None:
    """Check that a replacement of a bundled contract sends the same key to the same servers.

    Raises:
        ContractError: the replacement sends the key to other servers, which a user who names the provider would not
        expect.
    """
    servers = _list_server_origins(user_contract) - _list_server_origins(bundled_contract)
    if servers:
        change = f"names {min(servers)}, which is not among its servers"
    elif set(user_contract.key_variables) != set(bundled_contract.key_variables):
        names, bundled_names = (" and ".join(one.key_variables) for one in (user_contract, bundled_contract))
        change = f"takes the key from {names}, not from {bundled_names}"
    else:
        return
    raise user_contract.document.build_error(
        "/x-provider/id",
        f"{user_contract.id} is a bundled contract, and this document {change}: choose another id",
    )


def _list_server_origins(contract: Contract) -> set[str]:
    """Return scheme, host and port of each server of the contract, as one text."""
    urls = (urlsplit(server.url) for server in contract.servers.values())
    return {f"{url.scheme}://{url.netloc.lower()}" for url in urls}


@functools.cache
def _list_bundled_paths(folder: Path) -> Mapping[str, Path]:
    """Return the files of the bundled contracts by provider id, which is the name of a contract's folder."""
    return MappingProxyType({path.parent.name: path for path in find_contract_files(folder)})


def _load_bundled_contract(path: Path) -> Contract:
    return _load_cached_contract(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _load_cached_contract(path: Path, modification_time_ns: int) -> Contract:
    """Load a bundled contract, once per process because contracts are immutable, and again if the file was modified."""
    del modification_time_ns  # only part of the cache key
    return load_contract(path)

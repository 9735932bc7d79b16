"""Compares two documents as a whole, and chooses how the contracts and recordings at two paths are compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from voicegauge.contract.catalogue import load_catalogue
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import (
    describe_other_document,
    find_contract_files,
    read_document_with_sockets,
    read_openapi_document,
)
from voicegauge.contract.document_parts import OPENAPI_METHODS
from voicegauge.contract.loading import load_contract
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._client_use_loading import load_client_uses
from voicegauge.drift._client_uses import adjust_levels_for_client
from voicegauge.drift._document_node import DocumentNode
from voicegauge.drift._extension_comparison import compare_document_extensions
from voicegauge.drift._operation_comparison import (
    OperationKey,
    compare_operations,
    compare_security_schemes,
    compare_servers,
    has_operations,
    select_operations,
)
from voicegauge.drift._recorded_traffic import RecordedTraffic, interpret_recordings, load_recordings
from voicegauge.drift._socket_comparison import compare_channels
from voicegauge.drift._traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift._traffic_vs_traffic import compare_traffic
from voicegauge.drift.contract_patch import ContractPatch, build_contract_patch
from voicegauge.drift.drift_report import ComparedInput, DriftChange, DriftReport, build_report
from voicegauge.errors import ContractError, DataError, UsageError
from voicegauge.formats.located_yaml import Document, escape_pointer_token

# Checks that those parts of an OpenAPI document that a comparison reads are mappings or lists, as OpenAPI requires.


_Shape = dict[str, Any] | list[Any]
"""The structure that a value must have. If the shape is a dictionary, the value must be a mapping; the dictionary has
the shape of the value of each key, and "*" stands for all other keys. If the shape is a list, the value must be a list;
the shape has one item, which is the shape of all items of the value."""
_ANY_MAPPING_SHAPE: _Shape = {}
_CONTENT_SHAPE: _Shape = {"*": _ANY_MAPPING_SHAPE}
_RESPONSE_SHAPE: _Shape = {
    "headers": {"*": _ANY_MAPPING_SHAPE},
    "content": _CONTENT_SHAPE,
    "links": {"*": _ANY_MAPPING_SHAPE},
}
_OPERATION_SHAPE: _Shape = {
    "parameters": [_ANY_MAPPING_SHAPE],
    "requestBody": {"content": _CONTENT_SHAPE},
    "responses": {"*": _RESPONSE_SHAPE},
    "callbacks": {"*": _ANY_MAPPING_SHAPE},
    "servers": [_ANY_MAPPING_SHAPE],
    "security": [_ANY_MAPPING_SHAPE],
}
_PATH_ITEM_SHAPE: _Shape = {
    "parameters": [_ANY_MAPPING_SHAPE],
    "servers": [_ANY_MAPPING_SHAPE],
    **dict.fromkeys(OPENAPI_METHODS, _OPERATION_SHAPE),
}
_DOCUMENT_SHAPE: _Shape = {
    "info": _ANY_MAPPING_SHAPE,
    "servers": [_ANY_MAPPING_SHAPE],
    "security": [_ANY_MAPPING_SHAPE],
    "paths": {"*": _PATH_ITEM_SHAPE},
    "webhooks": {"*": _PATH_ITEM_SHAPE},
    "components": {"*": _ANY_MAPPING_SHAPE, "securitySchemes": {"*": _ANY_MAPPING_SHAPE}},
}


def check_document_shape(document: Document) -> None:
    """Check that the parts of an OpenAPI 3 document are mappings or lists where OpenAPI requires them.

    `null` counts as absent. References are not followed.

    Raises:
        ContractError: a part has another type, or the document has neither paths nor webhooks nor components.
    """
    if all(document.data.get(key) is None for key in ("paths", "webhooks", "components")):
        raise document.build_error("", "describes no API: it has neither 'paths' nor 'webhooks' nor 'components'")
    _check_shape(document, "", document.data, _DOCUMENT_SHAPE)


def _check_shape(document: Document, pointer: str, value: Any, required_shape: _Shape) -> None:
    if value is None:
        return
    if isinstance(required_shape, list):
        if not isinstance(value, list):
            raise _build_shape_error(document, pointer, value, "a list")
        for index, item in enumerate(value):
            _check_shape(document, f"{pointer}/{index}", item, required_shape[0])
        return
    if not isinstance(value, dict):
        raise _build_shape_error(document, pointer, value, "a mapping")
    for key, item in value.items() if required_shape else ():
        nested = required_shape.get(key, None if key.startswith("x-") else required_shape.get("*"))
        if nested is not None:
            _check_shape(document, f"{pointer}/{escape_pointer_token(key)}", item, nested)


def _build_shape_error(document: Document, pointer: str, value: Any, expected_type: str) -> ContractError:
    kind = {bool: "a boolean", str: "a text", dict: "a mapping", list: "a list"}.get(type(value), "a number")
    return document.build_error(pointer, f"is not valid OpenAPI: {pointer} must be {expected_type}, not {kind}")


# Compares two whole OpenAPI documents.


def compare_contracts(old_path: Path, new_path: Path, client_use_paths: Sequence[str] = ()) -> DriftReport:
    """Compare two OpenAPI 3 documents, including their `x-` extensions if both are voicegauge contracts.

    The AsyncAPI documents beside them, or in place of them, are compared too.

    Args:
        old_path: the path of the older document.
        new_path: the path of the newer document.
        client_use_paths: recordings of a client and files that declare what it uses; the levels of the changes are
            then those that they have for this client.

    Raises:
        UsageError: an item of `client_use_paths` does not exist, or has no request to the API.
        DataError: a recording of the client cannot be read.
        ContractError: a document cannot be read, is not an OpenAPI 3 document, contains a reference that points to
            nothing, or contains an extension that is not valid.
    """
    old_document, new_document = (_require_openapi_3(read_document_with_sockets(path)) for path in (old_path, new_path))
    for document in (old_document, new_document):
        check_document_shape(document)
    changes = _compare_documents(
        DocumentNode(old_document, "", old_document.data), DocumentNode(new_document, "", new_document.data)
    )
    unreadable_files: tuple[str, ...] = ()
    if client_use_paths:
        uses = load_client_uses(client_use_paths, old_document, new_document)
        changes, unreadable_files = adjust_levels_for_client(changes, uses), tuple(uses.unreadable_file_messages)
    inputs = _build_compared_input(old_document), _build_compared_input(new_document)
    report = build_report("contracts", *inputs, changes)
    return msgspec.structs.replace(report, unreadable_client_file_messages=unreadable_files)


def compare_operations_with_official_document(
    contract_path: Path, official_document: Document, operation_keys: Collection[OperationKey]
) -> DriftReport:
    """Compare some operations of a contract with the same operations of an official document.

    Args:
        contract_path: the path of the contract.
        official_document: the official document. References to other files are errors, so that the document cannot
            disclose files of this machine.
        operation_keys: the operations that are compared.

    Raises:
        ContractError: a document is not an OpenAPI 3 document, has no operations, is not valid where it describes
            `operation_keys`, or contains a reference that points to nothing.
    """
    if not has_operations(_require_openapi_3(official_document)):
        raise official_document.build_error("/paths", "has no operations: name the provider's own OpenAPI document")
    old_document, new_document = (
        select_operations(_require_openapi_3(document), operation_keys)
        for document in (read_openapi_document(contract_path), official_document)
    )
    check_document_shape(new_document)
    changes = _compare_documents(
        DocumentNode(old_document, "", old_document.data), DocumentNode(new_document, "", new_document.data)
    )
    return build_report("contracts", _build_compared_input(old_document), _build_compared_input(new_document), changes)


def _require_openapi_3(document: Document) -> Document:
    version = str(document.data.get("openapi", ""))
    if not version.startswith("3."):
        found = f"not {version!r}" if version else describe_other_document(document)
        raise document.build_error("/openapi", f"must be an OpenAPI 3 document, {found}")
    if not isinstance(document.data.get("paths", {}), dict):
        raise document.build_error("/paths", "must be a mapping from paths to their operations")
    return document


def _build_compared_input(document: Document) -> ComparedInput:
    info = document.data.get("info")
    title, version = (str(info.get(key, "")) if isinstance(info, dict) else "" for key in ("title", "version"))
    described = document.data.get("x-provider")
    provider = described.get("id") if isinstance(described, dict) else None
    return ComparedInput(
        file=str(document.path),
        title=title,
        version=version,
        provider=provider if isinstance(provider, str) else None,
    )


def _compare_documents(old_root: DocumentNode, new_root: DocumentNode) -> Iterator[DriftChange]:
    api_part = ApiPart()
    yield from compare_document_extensions(api_part, old_root, new_root)
    yield from compare_servers(
        api_part.create_nested_part("servers"), old_root.get_child("servers"), new_root.get_child("servers")
    )
    yield from compare_security_schemes(api_part, old_root, new_root)
    yield from compare_operations(api_part, old_root, new_root)
    yield from compare_channels(api_part, old_root, new_root)


# Compares recordings given by their path: finds the contract of a recording and the recordings in a folder.


def load_traffic(contract: Contract, path: Path) -> RecordedTraffic:
    """Load the recordings of a file or a folder.

    Args:
        contract: the contract of the recorded provider.
        path: the path of a recording or of a folder of recordings.

    Raises:
        DataError: there is no recording, a recording cannot be read, or a recording was made with another provider.
    """
    return interpret_recordings(contract, str(path), load_recordings(path))


def compare_recording_with_contract(contract_path: Path, recording_path: Path) -> DriftReport:
    """Compare recorded traffic with its contract.

    Args:
        contract_path: the path of the contract.
        recording_path: the path of a recording or of a folder of recordings.

    Raises:
        ContractError: the contract is not valid.
        DataError: the recording cannot be read, or was made with another provider.
    """
    return compare_traffic_with_contract(load_traffic(load_contract(contract_path), recording_path))


def compare_recording_files(old_path: Path, new_path: Path, contract_folders: Sequence[Path] = ()) -> DriftReport:
    """Compare two recordings of one provider.

    Args:
        old_path: the path of the older recording or of a folder of recordings.
        new_path: the path of the newer recording or of a folder of recordings.
        contract_folders: folders of contracts in addition to the bundled ones.

    Raises:
        DataError: a recording cannot be read, or its provider has no contract.
    """
    recordings = load_recordings(old_path)
    provider = recordings[0][1].provider
    catalogue = load_catalogue(contract_folders)
    if provider not in catalogue.provider_ids:
        raise DataError(
            f"{old_path}: is a recording of {provider}, which has no known contract: name its folder with --contracts"
        )
    contract = catalogue.find_provider(provider)
    return compare_traffic(interpret_recordings(contract, str(old_path), recordings), load_traffic(contract, new_path))


# Chooses how two inputs are compared, depending on whether each is a contract or a recording.


InputKind = Literal["contract", "recording"]

_COMPARISON_BY_INPUT_KINDS: dict[tuple[InputKind, InputKind], Callable[[Path, Path, Sequence[Path]], DriftReport]] = {
    ("contract", "contract"): lambda old, new, _: compare_contracts(old, new),
    ("contract", "recording"): lambda old, new, _: compare_recording_with_contract(old, new),
    ("recording", "recording"): compare_recording_files,
}
"""The function that compares two inputs, by the kinds of the older and the newer input. Its arguments are the paths of
both inputs and the folders of contracts."""
_MAX_CONTRACTS_LISTED = 5
"""Largest number of contracts listed in an error message, so that the message stays on one line."""


def compare_inputs(
    old_path_or_provider_id: str,
    new_path_or_provider_id: str,
    contract_folders: Sequence[Path] = (),
    client_use_paths: Sequence[str] = (),
) -> DriftReport:
    """Compare two contracts, two recordings, or a contract with recorded traffic.

    Args:
        old_path_or_provider_id: path of the older contract or recording, or id of a known provider.
        new_path_or_provider_id: path of the newer contract or recording, or id of a known provider. If traffic is
            compared with a contract, the traffic is the newer input.
        contract_folders: folders of contracts in addition to the bundled ones, over which they take precedence.
        client_use_paths: for two contracts: recordings of a client, files that declare what the client uses, or
            "voicegauge" for the client of voicegauge. The levels of the changes are then those that they have for this
            client.

    Raises:
        UsageError: an input is neither a contract nor a recording, the two cannot be compared with each other, or
            `client_use_paths` is given although the inputs are not two contracts.
        ContractError: a contract is not valid.
        DataError: a recording cannot be read.
    """
    (old_kind, old_path), (new_kind, new_path) = (
        _find_input(old_path_or_provider_id, contract_folders),
        _find_input(new_path_or_provider_id, contract_folders),
    )
    if (old_kind, new_kind) not in _COMPARISON_BY_INPUT_KINDS:
        supported = ", ".join(f"a {one} with a {other}" for one, other in _COMPARISON_BY_INPUT_KINDS)
        raise UsageError(f"cannot compare a {old_kind} with a {new_kind}; supported: {supported}")
    if client_use_paths:
        if (old_kind, new_kind) != ("contract", "contract"):
            raise UsageError(f"--uses needs two contracts to compare, not a {old_kind} and a {new_kind}")
        return compare_contracts(old_path, new_path, client_use_paths)
    return _COMPARISON_BY_INPUT_KINDS[old_kind, new_kind](old_path, new_path, contract_folders)


def propose_contract_patch(
    contract_path_or_provider_id: str, recording_path: str, contract_folders: Sequence[Path] = ()
) -> tuple[DriftReport, ContractPatch]:
    """Compare traffic with its contract, and propose additions to the contract that document what traffic shows.

    Args:
        contract_path_or_provider_id: path of the contract, or id of a known provider.
        recording_path: path of a recording or of a folder of recordings.
        contract_folders: folders of contracts in addition to the bundled ones, over which they take precedence.

    Raises:
        UsageError: `contract_path_or_provider_id` is not a contract, or `recording_path` is not a recording.
        ContractError: the contract is not valid.
        DataError: the recording cannot be read, or was made with another provider.
    """
    (old_kind, old_path), (new_kind, new_path) = (
        _find_input(contract_path_or_provider_id, contract_folders),
        _find_input(recording_path, contract_folders),
    )
    if (old_kind, new_kind) != ("contract", "recording"):
        raise UsageError(
            f"--propose needs a contract and a recording, not a {old_kind} and a {new_kind}: "
            "voicegauge drift CONTRACT RECORDING --propose FILE"
        )
    traffic = load_traffic(load_contract(old_path), new_path)
    report = compare_traffic_with_contract(traffic)
    return report, build_contract_patch(traffic, report)


def _find_input(path_or_provider_id: str, contract_folders: Sequence[Path]) -> tuple[InputKind, Path]:
    """Return the kind and the path of an input.

    A path takes precedence over a provider with the same id, unless it is a folder without contracts and recordings.
    """
    path = Path(path_or_provider_id)
    catalogue = load_catalogue(contract_folders)
    is_known = path_or_provider_id in catalogue.provider_ids
    if path.is_dir() and not (is_known and _is_unrelated_folder(path)):
        return _find_input_in_folder(path)
    if path.is_file():
        return ("recording" if path.suffix.lower() == ".har" else "contract"), path
    if path_or_provider_id in catalogue.provider_ids:
        known = catalogue.find_provider(path_or_provider_id).document.path
        return "contract", known.relative_to(Path.cwd()) if known.is_relative_to(Path.cwd()) else known
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path_or_provider_id}: not a regular file: name a contract, a recording or a provider")
    raise UsageError(
        f"{path_or_provider_id}: no such file or folder, and no provider with this id: voicegauge providers lists them"
    )


def _is_unrelated_folder(folder: Path) -> bool:
    if any(folder.rglob("*.har")):
        return False
    try:
        return not find_contract_files(folder)
    except ContractError:
        return True


def _find_input_in_folder(folder: Path) -> tuple[InputKind, Path]:
    if any(folder.rglob("*.har")):
        return "recording", folder
    documents = find_contract_files(folder)
    if len(documents) > 1:
        listed = ", ".join(str(document.relative_to(folder)) for document in documents[:_MAX_CONTRACTS_LISTED])
        raise UsageError(f"{folder} contains several contracts; name one of them: {listed}")
    return "contract", documents[0]

"""Compares two documents as a whole, contracts with official documents, and whatever two inputs of a command are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import (
    describe_document_without_openapi,
    find_contract_files,
    read_document_with_sockets,
    read_openapi_document,
)
from voicegauge.contract.document_conversion import convert_to_openapi
from voicegauge.contract.document_parts import OPENAPI_METHODS
from voicegauge.contract.extension.provider import ExplainedDifference, LeftOutOperations
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.contract.proposed_parts import list_likely_speech_operations
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._client_use_loading import load_client_uses
from voicegauge.drift._client_uses import ClientUses, adjust_levels_for_client
from voicegauge.drift._document_node import DocumentNode
from voicegauge.drift._extension_comparison import compare_document_extensions
from voicegauge.drift._message_comparison import compare_security_schemes
from voicegauge.drift._operation_comparison import (
    OperationKey,
    build_operation_key,
    compare_channels,
    compare_operations,
    compare_servers,
    has_operations,
    select_operations,
)
from voicegauge.drift._recorded_traffic import RecordedTraffic, interpret_recordings, load_recordings
from voicegauge.drift._traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift._traffic_vs_traffic import compare_traffic
from voicegauge.drift.contract_patch import ContractPatch, build_contract_patch
from voicegauge.drift.drift_report import (
    ComparedInput,
    DriftChange,
    DriftReport,
    FilePosition,
    KnownDifference,
    LeftOutOperation,
    OfficialComparison,
    build_report,
)
from voicegauge.errors import ContractError, DataError, UsageError
from voicegauge.formats.located_yaml import Document, escape_pointer_token, read_document, unescape_pointer_token
from voicegauge.printable_text import format_names

# Checks that those parts of an OpenAPI document that a comparison reads are mappings or lists, as OpenAPI requires.


_Shape = dict[str, Any] | list[Any]
"""The structure that a value must have. If the shape is a dictionary, the value must be a mapping; the dictionary has
the shape of the value of each key, and "*" stands for all other keys. If the shape is a list, the value must be a list;
the shape has one item, which is the shape of all items of the value."""
_ANY_MAPPING_SHAPE: _Shape = {}
"""A mapping whatever is in it."""
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


def _check_document_shape(document: Document) -> None:
    """Check that the parts of an OpenAPI 3 document are mappings or lists where OpenAPI requires them.

    `null` counts as absent. References are not followed.

    Raises:
        ContractError: a part has another type, or the document has neither paths nor webhooks nor components.
    """
    if all(document.data.get(key) is None for key in ("paths", "webhooks", "components")):
        raise document.build_error("", "describes no API: it has neither 'paths' nor 'webhooks' nor 'components'")
    _check_shape(document, "", document.data, _DOCUMENT_SHAPE)


def _check_shape(document: Document, pointer: str, document_part: Any, required_shape: _Shape) -> None:
    if document_part is None:
        return
    if isinstance(required_shape, list):
        if not isinstance(document_part, list):
            raise _build_shape_error(document, pointer, document_part, "a list")
        for index, item in enumerate(document_part):
            _check_shape(document, f"{pointer}/{index}", item, required_shape[0])
        return
    if not isinstance(document_part, dict):
        raise _build_shape_error(document, pointer, document_part, "a mapping")
    for key, item in document_part.items() if required_shape else ():
        nested = required_shape.get(key, None if key.startswith("x-") else required_shape.get("*"))
        if nested is not None:
            _check_shape(document, f"{pointer}/{escape_pointer_token(key)}", item, nested)


def _build_shape_error(document: Document, pointer: str, document_part: Any, expected_type: str) -> ContractError:
    kind = {bool: "a boolean", str: "a text", dict: "a mapping", list: "a list"}.get(type(document_part), "a number")
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
        _check_document_shape(document)
    if not client_use_paths:
        return _compare_documents(old_document, new_document)
    uses = load_client_uses(client_use_paths, old_document, new_document)
    report = _compare_documents(old_document, new_document, uses)
    return msgspec.structs.replace(report, unreadable_client_file_messages=tuple(uses.unreadable_file_messages))


def _compare_described_operations(
    contract_path: Path, official_document: Document, operation_keys: Collection[OperationKey]
) -> DriftReport:
    """Compare the operations of a contract that `operation_keys` names with those of an official document."""
    if not has_operations(_require_openapi_3(official_document)):
        raise official_document.build_error("/paths", "has no operations: name the provider's own OpenAPI document")
    old_document, new_document = (
        select_operations(_require_openapi_3(document), operation_keys)
        for document in (read_openapi_document(contract_path), official_document)
    )
    # Only what is compared: official documents have faults in other operations.
    _check_document_shape(new_document)
    return _compare_documents(old_document, new_document)


def _require_openapi_3(document: Document) -> Document:
    version = str(document.data.get("openapi", ""))
    if not version.startswith("3."):
        found = f"not {version!r}" if version else describe_document_without_openapi(document)
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


def _compare_documents(
    old_document: Document, new_document: Document, client_uses: ClientUses | None = None
) -> DriftReport:
    """Compare two documents; levels are for a client with the uses `client_uses`, or, if `None`, for any client."""
    changes = _iterate_changes(
        *(DocumentNode(document, "", document.data) for document in (old_document, new_document))
    )
    # Before equal changes are merged: the same change may affect the client in one operation and not in another.
    if client_uses is not None:
        changes = adjust_levels_for_client(changes, client_uses)
    return build_report("contracts", _build_compared_input(old_document), _build_compared_input(new_document), changes)


def _iterate_changes(old_root: DocumentNode, new_root: DocumentNode) -> Iterator[DriftChange]:
    api_part = ApiPart()
    yield from compare_document_extensions(api_part, old_root, new_root)
    yield from compare_servers(
        api_part.create_nested_part("servers"), old_root.get_child("servers"), new_root.get_child("servers")
    )
    yield from compare_security_schemes(api_part, old_root, new_root)
    yield from compare_operations(api_part, old_root, new_root)
    yield from compare_channels(api_part, old_root, new_root)


# Finds what was added, removed or changed in an official document since the contract was written from it.


DifferenceKind = Literal["addition", "removal", "changed value"]

_RULE_ID_PREFIXES_IGNORED_IN_OFFICIAL_DOCUMENTS = (
    "api-tag-",
    "api-operation-id-",
    "api-security-",
    "api-global-security-",
    "security-",
)
"""Starts of the ids of rules whose changes are ignored.

They are about tags and operation ids, which no client sends, and about API keys: official documents rarely state how
a key is sent, and contracts always do.
"""


class OfficialSource(NamedTuple):
    """The official document from which a contract was written: its name and its URL or path."""

    name: str
    """Name of the document in `x-provider.sources`."""
    url: str
    """URL or path from which the document is read."""


def find_official_source(contract: Contract, document_path_or_url: str | None = None) -> OfficialSource | None:
    """Find out which source of a contract is an OpenAPI document, and where this document is.

    Return `None` if the contract has no sources, or if none of them has the URL of an OpenAPI document and
    `document_path_or_url` is `None`.

    Args:
        contract: the contract, which lists its sources.
        document_path_or_url: file or URL of the document; by default the URL that the contract states. If the contract
            states no URL of an OpenAPI document, this file or URL is returned with the name of the source that most
            operations of the contract name.
    """
    sources = contract.provider.sources
    for name, source in sources.items():
        if source.openapi_url is not None:
            return OfficialSource(name, document_path_or_url or source.openapi_url)
    if document_path_or_url is None or not sources:
        return None
    path_items = contract.document.data.get("paths", {}).values()
    operations = [path_item[method] for path_item in path_items for method in path_item if method in OPENAPI_METHODS]
    counts = Counter(operation.get("x-source", {}).get("document_name") for operation in operations)
    return OfficialSource(max(sources, key=lambda name: counts[name]), document_path_or_url)


def compare_with_official_document(
    contract: Contract, official_source: OfficialSource, saved_document_path: Path
) -> OfficialComparison:
    """Compare the operations of `contract` with those of its official document.

    Args:
        contract: the contract that was written from the document.
        official_source: name and URL of the official document.
        saved_document_path: the file in which the document was saved; reports show the URL instead of it.

    Raises:
        ContractError: the document cannot be read, or is neither OpenAPI nor Swagger nor a discovery document.
    """
    url, source = official_source.url, contract.provider.sources[official_source.name]
    described = _list_operation_keys(contract.document.data)
    # Without the files that it refers to, which could be files of this machine.
    document = _move_server_path_into_paths(convert_to_openapi(read_document(saved_document_path)), described)
    report = _compare_described_operations(contract.document.path, document, described)
    known: list[KnownDifference] = []
    changes: dict[DifferenceKind | Literal["other"], list[DriftChange]] = defaultdict(list)
    for change in report.changes:
        if change.rule.startswith(_RULE_ID_PREFIXES_IGNORED_IN_OFFICIAL_DOCUMENTS):
            continue
        kind = _classify_difference(change)
        # What the official document adds has no source in the contract, which does not have it.
        taken = kind == "addition" or _is_taken_from_source(contract, change.old_position, official_source.name)
        moved = _replace_file_by_url(change, url)
        reason = next((one.reason for one in source.explained_differences if _explains_change(one, change)), None)
        if taken and reason is not None:
            known.append(KnownDifference(change=moved, reason=reason))
        else:
            changes[kind if taken else "other"].append(moved)
    left_out = tuple(_iterate_left_out_operations(source.left_out_operations, document.data, described))
    left_out_names = {one.operation for one in left_out}
    undescribed = [
        name
        for path, method in list_likely_speech_operations(document)
        if method != "get"
        and build_operation_key(path, method) not in described
        and (name := f"{method.upper()} {path}") not in left_out_names
    ]
    used = {*(one.reason for one in known), *(one.reason for one in left_out)}
    stated = [one.reason for one in source.explained_differences]
    stated += [one.reason for one in source.left_out_operations]
    return OfficialComparison(
        provider=contract.id,
        source_name=official_source.name,
        url=url,
        compared_on=source.compared_on,
        contract=report.old_input,
        official_document=msgspec.structs.replace(report.new_input, file=url),
        undescribed_operations=tuple(undescribed),
        additions=tuple(changes["addition"]),
        removals=tuple(changes["removal"]),
        changed_values=tuple(changes["changed value"]),
        differences_from_other_sources=tuple(changes["other"]),
        known_differences=tuple(known),
        unused_explanations=tuple(reason for reason in stated if reason not in used),
        left_out_operations=left_out,
        described_operation_count=len(described & _list_operation_keys(document.data)),
    )


def _iterate_left_out_operations(
    stated_exclusions: Sequence[LeftOutOperations],
    official_data: Any,
    described_operation_keys: frozenset[OperationKey],
) -> Iterator[LeftOutOperation]:
    """Yield the operations of the official document that the contract leaves out, each with the first reason for it."""
    for path, path_item in official_data.get("paths", {}).items() if stated_exclusions else ():
        for method in path_item:
            if method not in OPENAPI_METHODS or build_operation_key(path, method) in described_operation_keys:
                continue
            name = f"{method.upper()} {path}"
            for left_out in stated_exclusions:
                if any(_matches_pattern(name, pattern) for pattern in left_out.operations):
                    yield LeftOutOperation(operation=name, reason=left_out.reason)
                    break


def _explains_change(explanation: ExplainedDifference, change: DriftChange) -> bool:
    """Whether an explanation of the contract is about `change`."""
    return any(
        _matches_pattern(change.qualified_location, pattern) for pattern in explanation.locations
    ) and _matches_pattern(change.message, explanation.change)


def _matches_pattern(text: str, pattern: str) -> bool:
    """Whether `text` is `pattern`, in which "*" stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _classify_difference(change: DriftChange) -> DifferenceKind:
    words = change.rule.split("-")
    if "added" in words or words[0] == "new":
        return "addition"
    return "removal" if {"removed", "unset"} & set(words) else "changed value"


def _is_taken_from_source(contract: Contract, position: FilePosition | None, source_name: str) -> bool:
    """Whether the nearest `x-source` around `position` names `source_name`, and does not mark the fact as inferred.

    False if `position` is `None`.
    """
    node: Any = contract.document.data
    reference = None
    for token in (position.pointer if position is not None else "").split("/")[1:]:
        name = unescape_pointer_token(token)
        try:
            node = node[int(name)] if isinstance(node, list) else node[name]
        except (KeyError, IndexError, ValueError, TypeError):
            break  # The contract does not have the part itself: what counts is the part that it has.
        if isinstance(node, dict):
            reference = node.get("x-source", reference)
    return (
        isinstance(reference, dict)
        and reference.get("document_name") == source_name
        and not reference.get("is_inferred")
    )


def _replace_file_by_url(change: DriftChange, url: str) -> DriftChange:
    """Return the change with the URL of the official document in place of the temporary file."""
    position = change.new_position
    moved = None if position is None else msgspec.structs.replace(position, file=url)
    return msgspec.structs.replace(change, new_position=moved)


def _move_server_path_into_paths(document: Document, described_operation_keys: frozenset[OperationKey]) -> Document:
    """Return the official document with the path of its server moved into its paths, if the contract has it there.

    A document may have "/texttospeech" in the URL of its server and "/batchsyntheses" as a path, while the contract has
    "/texttospeech/batchsyntheses", because its other operations are on the same server.
    """
    urls = [server.get("url", "").rstrip("/") for server in document.data.get("servers", ())]
    bases = {urlsplit(url).path for url in urls}
    base = bases.pop() if len(bases) == 1 else ""
    moved = {
        "paths": {f"{base}{path}": item for path, item in document.data.get("paths", {}).items()},
        "servers": [{"url": url.removesuffix(base)} for url in urls if url != base],
    }
    if (
        not base
        or _list_operation_keys(document.data) & described_operation_keys
        or not _list_operation_keys(moved) & described_operation_keys
    ):
        return document
    return document.replace_data({**document.data, **moved})


def _list_operation_keys(document: Any) -> frozenset[OperationKey]:
    return frozenset(
        build_operation_key(path, method)
        for path, path_item in document.get("paths", {}).items()
        for method in path_item
        if method in OPENAPI_METHODS
    )


# Chooses how two inputs are compared, depending on whether each is a contract or a recording.


InputKind = Literal["contract", "recording"]

_MAX_CONTRACTS_NAMED_IN_ERROR = 5
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
    if (old_kind, new_kind) == ("recording", "contract"):
        supported = "a contract with a contract, a contract with a recording, a recording with a recording"
        raise UsageError(f"cannot compare a {old_kind} with a {new_kind}; supported: {supported}")
    if new_kind == "contract":
        return compare_contracts(old_path, new_path, client_use_paths)
    if client_use_paths:
        raise UsageError(f"--uses needs two contracts to compare, not a {old_kind} and a {new_kind}")
    if old_kind == "contract":
        return compare_traffic_with_contract(_load_traffic(load_contract(old_path), new_path))
    return _compare_recordings(old_path, new_path, contract_folders)


def _load_traffic(contract: Contract, path: Path) -> RecordedTraffic:
    """Load the recordings of a file or a folder, which must be of the provider of `contract`."""
    return interpret_recordings(contract, str(path), load_recordings(path))


def _compare_recordings(old_path: Path, new_path: Path, contract_folders: Sequence[Path]) -> DriftReport:
    recordings = load_recordings(old_path)
    provider = recordings[0][1].provider
    catalogue = load_catalogue(contract_folders)
    if provider not in catalogue.provider_ids:
        raise DataError(
            f"{old_path}: is a recording of {provider}, which has no known contract: name its folder with --contracts"
        )
    contract = catalogue.find_provider(provider)
    return compare_traffic(interpret_recordings(contract, str(old_path), recordings), _load_traffic(contract, new_path))


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
    traffic = _load_traffic(load_contract(old_path), new_path)
    report = compare_traffic_with_contract(traffic)
    return report, build_contract_patch(traffic, report)


def _find_input(path_or_provider_id: str, contract_folders: Sequence[Path]) -> tuple[InputKind, Path]:
    """Return the kind and the path of an input.

    A path takes precedence over a provider with the same id, unless it is a folder without contracts and recordings.
    """
    path = Path(path_or_provider_id)
    catalogue = load_catalogue(contract_folders)
    is_known = path_or_provider_id in catalogue.provider_ids
    if path.is_dir() and not (is_known and _has_no_comparable_input(path)):
        return _find_input_in_folder(path)
    if path.is_file():
        return ("recording" if path.suffix.lower() == ".har" else "contract"), path
    if is_known:
        known = catalogue.find_provider(path_or_provider_id).document.path
        return "contract", known.relative_to(Path.cwd()) if known.is_relative_to(Path.cwd()) else known
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path_or_provider_id}: not a regular file: name a contract, a recording or a provider")
    raise UsageError(
        f"{path_or_provider_id}: no such file or folder, and no provider with this id: voicegauge providers lists them"
    )


def _has_no_comparable_input(folder: Path) -> bool:
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
        listed = format_names(
            [str(document.relative_to(folder)) for document in documents], _MAX_CONTRACTS_NAMED_IN_ERROR
        )
        raise UsageError(f"{folder} contains several contracts; name one of them: {listed}")
    return "contract", documents[0]

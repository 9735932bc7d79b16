"""Checks the shape of two OpenAPI documents and compares them as a whole.

Nothing else is checked, because few published documents are valid in every detail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.contract.document_assembly import read_openapi_document
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._client_use_loading import load_client_uses
from voicegauge.drift._client_uses import adjust_levels_for_client
from voicegauge.drift._document_node import DocumentNode
from voicegauge.drift._extension_comparison import compare_document_extensions
from voicegauge.drift._operation_comparison import (
    HTTP_METHODS,
    OperationKey,
    compare_operations,
    compare_security_schemes,
    compare_servers,
    has_operations,
    select_operations,
)
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, build_report
from voicegauge.errors import ContractError
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
    **dict.fromkeys(HTTP_METHODS, _OPERATION_SHAPE),
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
    old_document, new_document = (_require_openapi_3(read_openapi_document(path)) for path in (old_path, new_path))
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
        found = f"not {version!r}" if version else "and has no key 'openapi'"
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

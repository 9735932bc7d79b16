"""Finds the files of contracts, and assembles the document of a contract from its files."""

from __future__ import annotations

import re
from pathlib import Path

from voicegauge.contract.documents.external_files import embed_external_files
from voicegauge.contract.documents.misspelled_keys import reject_misspelled_keys
from voicegauge.contract.documents.openapi_versions import normalize_openapi
from voicegauge.contract.documents.overlays import apply_overlay, find_extended_file, is_overlay
from voicegauge.contract.documents.selection import select_described_operations
from voicegauge.contract.documents.todo_marks import reject_unfinished_values
from voicegauge.errors import ContractError
from voicegauge.files import open_file
from voicegauge.formats import Document, read_document

_CONTRACT_FILE_PATTERNS = (
    *("*.yaml", "*.yml", "*.json"),
    *(f"*/{name}.{suffix}" for name in ("openapi", "overlay") for suffix in ("yaml", "yml", "json")),
)
_OVERLAY_KEY_PATTERN = re.compile(rb"""^\s*["{]?\s*"?overlay"?\s*:""", re.MULTILINE)
_SEARCHED_HEAD_BYTES = 4096
"""Number of bytes at the beginning of a file that are searched for the key `overlay`, which only overlays have."""


def read_openapi_document(path: Path) -> Document:
    """Read an OpenAPI document, with the other files that it refers to.

    If `path` is an overlay, the result is the document that it extends, with only the operations that the overlay
    describes. References to other files lead into the result.

    Raises:
        ContractError: a file cannot be read, a value is marked TODO, or the overlay is not valid, has a misspelled key
            or does not fit the document.
    """
    document = read_document(path)
    reject_unfinished_values(document)
    if not is_overlay(document):
        return embed_external_files(document)
    reject_misspelled_keys(document)
    base = embed_external_files(read_document(find_extended_file(document)))
    if is_overlay(base):
        raise document.build_error("/extends", f"{base.path} is itself an overlay")
    changed = apply_overlay(document, base)
    changed.data = select_described_operations(changed)
    return changed


def read_contract_document(path: Path) -> Document:
    """Read the document of a contract as `read_openapi_document` does, and convert it to OpenAPI 3.1 or 3.2.

    Raises:
        ContractError: a file cannot be read, is not OpenAPI 3.0, 3.1 or 3.2, has a misspelled key, or an overlay does
            not fit.
    """
    document = read_openapi_document(path)
    if not is_overlay_file(path):  # the document that an overlay extends is the provider's, with keys of its own
        reject_misspelled_keys(document)
    normalize_openapi(document)
    return document


def find_overlay_base(path: Path) -> Path | None:
    """Return the file that an overlay extends; `None` if `path` is an OpenAPI document.

    Raises:
        ContractError: a file cannot be read, or the overlay is not valid.
    """
    return find_extended_file(read_document(path)) if is_overlay_file(path) else None


def find_contract_files(folder: Path) -> list[Path]:
    """Return the contract files in `folder`: single files, `<provider>/openapi.yaml` and `<provider>/overlay.yaml`.

    A document that an overlay in the same folder extends is not a contract by itself. If `folder` is itself a file,
    return only that file.

    Raises:
        ContractError: there are none, or an overlay is not valid.
    """
    if folder.is_file():
        return [folder]
    found = sorted(path for pattern in _CONTRACT_FILE_PATTERNS for path in folder.glob(pattern))
    if not found:
        raise ContractError(
            folder, None, "no contract found: expected <provider>/openapi.yaml or <provider>/overlay.yaml"
        )
    bases = {find_extended_file(read_document(path)).resolve() for path in found if is_overlay_file(path)}
    return [path for path in found if path.resolve() not in bases]


def is_overlay_file(path: Path) -> bool:
    """Whether a file is an OpenAPI Overlay, judged by its first lines."""
    try:
        with open_file(path) as file:
            return _OVERLAY_KEY_PATTERN.search(file.read(_SEARCHED_HEAD_BYTES)) is not None
    except OSError:
        return False

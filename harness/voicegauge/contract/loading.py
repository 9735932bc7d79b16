"""Loads contracts from files. A document that cannot be used is rejected with file, line and reason."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from voicegauge.contract.consistency import check_consistency, check_references, check_schemas
from voicegauge.contract.contract import Contract
from voicegauge.contract.contract_builder import build_contract
from voicegauge.contract.schemas import MAX_REASON_CHARACTERS, Schemas, to_pointer
from voicegauge.data import data_dir
from voicegauge.errors import ContractError
from voicegauge.formats import Document, escape_pointer_token, read_document

_PATH_TEMPLATE = re.compile(r"(?:[^{}]|\{[^{}]+\})*")
_FILE_PATTERNS = ("*.yaml", "*.yml", "*.json", "*/openapi.yaml", "*/openapi.yml", "*/openapi.json")


def load_contract(path: Path) -> Contract:
    """Load and check the document at `path`.

    Raises:
        ContractError: the file cannot be read, is not a valid OpenAPI 3.1 document, or does not fit the grammar of
            the `x-` keys; the message has file, line and reason.
    """
    document = read_document(path)
    schemas = Schemas(document)
    _check_version(document)
    check_references(schemas, document)
    if not is_bundled(path):  # the test suite validates the bundled ones; importing the validator takes 0.7 s
        check_schemas(schemas, document)
        _check_openapi(document)
    contract = build_contract(document, schemas)
    check_consistency(contract)
    return contract


def is_bundled(path: Path) -> bool:
    """Whether the document at `path` is part of voicegauge."""
    return data_dir("contracts") in path.resolve().parents


def _check_version(document: Document) -> None:
    version = document.data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1."):
        raise document.error("/openapi", f"must be an OpenAPI 3.1 document, not {version!r}")


def _check_openapi(document: Document) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    paths = document.data.get("paths")
    for path in paths if isinstance(paths, dict) else ():
        if not _PATH_TEMPLATE.fullmatch(path):  # the validator raises a ValueError for these
            raise document.error(
                f"/paths/{escape_pointer_token(path)}", f"the braces of the path {path!r} do not match"
            )
    # The method itself would keep every document in a cache without a limit.
    iter_errors = inspect.unwrap(OpenAPIV31SpecValidator.iter_errors)
    for error in iter_errors(OpenAPIV31SpecValidator(document.data)):
        pointer = to_pointer(list(getattr(error, "absolute_path", ())))
        reason = (str(error.args[0]) if error.args else str(error)).strip().splitlines()[0]
        raise document.error(pointer, f"is not valid OpenAPI: {reason[:MAX_REASON_CHARACTERS]}")


def find_contract_files(folder: Path) -> list[Path]:
    """Return the contract files in `folder`: single files and `<provider>/openapi.yaml`.

    If `folder` is itself a file, return only that file.

    Raises:
        ContractError: there are none.
    """
    if folder.is_file():
        return [folder]
    found = sorted(path for pattern in _FILE_PATTERNS for path in folder.glob(pattern))
    if not found:
        raise ContractError(folder, None, "no contract found: expected <provider>/openapi.yaml")
    return found

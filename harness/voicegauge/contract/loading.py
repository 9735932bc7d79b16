"""Loads contracts from files. A document that cannot be used is rejected with file, line and reason."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from voicegauge.contract.consistency import check_consistency, check_references, check_schemas
from voicegauge.contract.contract import Contract
from voicegauge.contract.contract_builder import build_contract
from voicegauge.contract.documents import read_contract_document
from voicegauge.contract.schemas import MAX_REASON_CHARACTERS, Schemas, to_pointer
from voicegauge.data import find_bundled_folder
from voicegauge.formats import Document, escape_pointer_token

_PATH_TEMPLATE_PATTERN = re.compile(r"(?:[^{}]|\{[^{}]+\})*")


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
        _check_openapi_structure(document)
    contract = build_contract(document, schemas)
    check_consistency(contract)
    return contract


def is_bundled(path: Path) -> bool:
    """Whether the document at `path` is part of voicegauge."""
    return find_bundled_folder("contracts") in path.resolve().parents


def _check_openapi_structure(document: Document) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator

    paths = document.data.get("paths")
    for path in paths if isinstance(paths, dict) else ():
        if not _PATH_TEMPLATE_PATTERN.fullmatch(path):  # the validator raises a ValueError for these
            raise document.error(
                f"/paths/{escape_pointer_token(path)}", f"the braces of the path {path!r} do not match"
            )
    # The method itself would keep every document in a cache without a limit.
    is_32 = document.data["openapi"].startswith("3.2.")
    validator = OpenAPIV32SpecValidator if is_32 else OpenAPIV31SpecValidator
    for error in inspect.unwrap(validator.iter_errors)(validator(document.data)):
        pointer = to_pointer(list(getattr(error, "absolute_path", ())))
        reason = (str(error.args[0]) if error.args else str(error)).strip().splitlines()[0]
        raise document.error(pointer, f"is not valid OpenAPI: {reason[:MAX_REASON_CHARACTERS]}")

"""Loads contracts from files. A document that cannot be used is rejected with file, line and reason."""

from __future__ import annotations

from pathlib import Path

from voicegauge.contract.consistency import check_consistency, check_references, check_schemas
from voicegauge.contract.contract import Contract
from voicegauge.contract.contract_builder import build_contract
from voicegauge.contract.documents import read_contract_document, validate_openapi
from voicegauge.contract.schemas import Schemas
from voicegauge.data import find_bundled_folder


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
    return find_bundled_folder("contracts") in path.resolve().parents

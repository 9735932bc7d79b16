"""Loads contracts for tests with little repeated work."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from voicegauge.contract import loading
from voicegauge.contract._consistency import check_consistency
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.loading import build_contract
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.located_yaml import Document, read_document

MINIMAL_CONTRACT = """\
openapi: 3.1.0
info: {title: Acme, version: "1"}
servers: [{url: "https://api.acme.test"}]
x-provider: {id: acme, title: Acme, key_variable: ACME_KEY, sources: {acme.txt: {title: Acme, date: 2026-01-01}}}
paths:
  /speak:
    post:
      operationId: speak
      x-speech:
        request_fields: {text: body#/text}
        response: {audio: {location: body, delivery_method: bytes}}
        targets: {voice-1: {title: Voice one}}
      requestBody:
        content: {application/json: {schema: {type: object}}}
      responses: {"200": {description: Speech, content: {audio/wav: {}}}}
"""
"""A contract of one target, acme/voice-1, without a price."""

_load_contract, _validate_openapi = loading.load_contract, loading.validate_openapi
_check_schemas = loading.check_schemas
_valid: set[str] = set()
"""SHA-256 of the documents that the OpenAPI validator accepted."""
_with_valid_schemas: set[str] = set()
"""SHA-256 of the documents whose schemas were accepted."""


def load_trusted(path: Path) -> Contract:
    """Load a contract as a bundled one: without the OpenAPI validator, which takes most of the time.

    For small edits of a document that is validated elsewhere.
    """
    document = read_document(path)
    schemas = Schemas(document)
    loading.check_references(schemas, document)
    contract = build_contract(document, schemas)
    check_consistency(contract)
    return contract


def load_text(folder: Path, text: str) -> Contract:
    """Write a contract to a file in `folder`, and load it as `load_trusted` does."""
    path = folder / "openapi.yaml"
    path.write_text(text, encoding="utf-8")
    return load_trusted(path)


def validate_once(patch: pytest.MonkeyPatch) -> None:
    """Run the OpenAPI validator and the checks of schemas only once for documents of equal content."""

    def check(document: Document) -> None:
        if document.sha256 not in _valid:
            _validate_openapi(document)
            _valid.add(document.sha256)

    def check_schemas(schemas: Schemas, document: Document) -> None:
        if document.sha256 not in _with_valid_schemas:
            _check_schemas(schemas, document)
            _with_valid_schemas.add(document.sha256)

    patch.setattr(loading, "validate_openapi", check)
    patch.setattr(loading, "check_schemas", check_schemas)


_OTHER_FILE_PATTERN = re.compile(r"""\$ref["']?: *["']?[^"'# ]|extends|externalValue|^asyncapi""", re.MULTILINE)


def load_once(patch: pytest.MonkeyPatch) -> None:
    """Keep the contracts that commands load from a single file until its content changes. Contracts are immutable."""

    @functools.lru_cache(maxsize=64)
    def load(path: Path, folder: Path, content: str) -> Contract:
        del folder, content  # parts of the cache key
        return _load_contract(path)

    @functools.wraps(_load_contract)
    def load_or_reuse(path: Path) -> Contract:
        names = {other.name.partition(".")[0] for other in path.parent.iterdir()} if path.is_file() else set()
        if not names or names & {"asyncapi", "asyncapi-overlay"}:
            return _load_contract(path)
        content = path.read_bytes().decode(errors="replace")
        return _load_contract(path) if _OTHER_FILE_PATTERN.search(content) else load(path, Path.cwd(), content)

    patch.setattr(loading, "load_contract", load_or_reuse)


def build_path_value(parameter: Parameter, segment: str) -> str:
    """Return `segment`, or a name with slashes of such segments if the pattern of a path parameter asks for one."""
    pattern = str(parameter.schema.get("pattern", "")) if parameter.may_have_slashes else ""
    return pattern.strip("^$").replace("[^/]+", segment) or segment

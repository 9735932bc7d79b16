"""Two documents compared as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voicegauge.drift.contracts.document_node import DocumentNode
from voicegauge.drift.contracts.extension_keys import compare_document_extensions
from voicegauge.drift.contracts.operations import compare_operations, compare_servers
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.contracts.security import compare_security_schemes
from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport, make_report
from voicegauge.formats import Document, read_document


def compare_contracts(old: Path, new: Path) -> DriftReport:
    """What changed from the OpenAPI document `old` to `new`.

    Any OpenAPI 3 document will do; the `x-` keys are compared where both have them.

    Raises:
        ContractError: one of them cannot be read, is no OpenAPI 3 document, has a reference
            that leads nowhere, or an `x-` key that breaks its grammar.
    """
    before, after = _read(old), _read(new)
    changes = _changes(DocumentNode(before, "", before.data), DocumentNode(after, "", after.data))
    return make_report("contracts", _side(before), _side(after), changes)


def _read(path: Path) -> Document:
    document = read_document(path)
    version = str(document.data.get("openapi", ""))
    if not version.startswith("3."):
        found = f"not {version!r}" if version else "and has no key 'openapi'"
        raise document.error("/openapi", f"must be an OpenAPI 3 document, {found}")
    if not isinstance(document.data.get("paths", {}), dict):
        raise document.error("/paths", "must be a mapping from paths to their operations")
    return document


def _side(document: Document) -> ComparedInput:
    info = document.data.get("info")
    title, version = (str(info.get(key, "")) if isinstance(info, dict) else "" for key in ("title", "version"))
    return ComparedInput(file=str(document.path), title=title, version=version)


def _changes(old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    scope = ComparisonScope()
    yield from compare_document_extensions(scope, old, new)
    yield from compare_servers(scope.inside("servers"), old.child("servers"), new.child("servers"))
    yield from compare_security_schemes(scope, old, new)
    yield from compare_operations(scope, old, new)

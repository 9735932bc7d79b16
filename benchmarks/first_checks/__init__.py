"""Official documents of twenty providers: what `voicegauge init` proposes for each, and what is left to do by hand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import yaml

import voicegauge
from voicegauge.api.documents import propose_overlay
from voicegauge.model.base import Record

DOCUMENTS = Path(__file__).parent / "documents.yaml"


class OfficialDocument(Record, frozen=True, kw_only=True):
    """A public document, and what its proposal leaves to a person."""

    repository: str
    """Owner and name of a public repository with the document."""
    path: str
    """Path of the document in the repository."""
    operations: tuple[str, ...] = ()
    """The operations that are named with `--operation`; without them, `init` finds those that speak."""
    completed: Mapping[str, str] = {}
    """Texts of the proposal that are replaced by hand, with what replaces them."""


class FirstCheck(Record, frozen=True, kw_only=True):
    """The first emulated check of a proposed contract."""

    line_count: int
    """Lines of the proposal."""
    marked_line_count: int
    """Lines that are marked TODO, prices aside: what the document does not state, or what was inferred."""
    completed_line_count: int
    """Lines that had to be changed by hand before the check."""
    request_count: int
    finding_count: int


def load_documents() -> dict[str, OfficialDocument]:
    """Return the documents by the name of their provider."""
    data = yaml.safe_load(DOCUMENTS.read_text(encoding="utf-8"))
    return msgspec.convert(data, dict[str, OfficialDocument])


def check_document(provider: str, official: OfficialDocument, document: Path) -> FirstCheck:
    """Propose a contract for a document, complete it as `official` says, and check the emulator with it.

    Raises:
        VoicegaugeError: the document is not usable, or the completed proposal is not.
    """
    provider_id = f"own-{provider}"
    with TemporaryDirectory() as folder:
        copy, overlay = Path(folder, document.name), Path(folder, "overlay.yaml")
        shutil.copy(document, copy)
        proposed = propose_overlay(copy, provider=provider_id, operations=official.operations).overlay
        completed = proposed
        for old, new in official.completed.items():
            completed = completed.replace(old, new)
        overlay.write_text(completed, encoding="utf-8")
        report = voicegauge.check(provider_id, contracts=overlay, emulated=True)
    lines = list(zip(proposed.splitlines(), completed.splitlines(), strict=True))
    return FirstCheck(
        line_count=len(lines),
        marked_line_count=sum("TODO" in line.partition("# beside it")[0] for line, _ in lines[1:]),
        completed_line_count=sum(old != new for old, new in lines),
        request_count=sum(report.exchange_count_by_provenance.values()),
        finding_count=len(report.findings),
    )

"""Reads what a client uses from recordings of its requests, and from files that declare it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge.drift.client_uses.client_uses import ClientUses
from voicegauge.drift.client_uses.declared_uses import add_declared_uses
from voicegauge.drift.client_uses.recorded_uses import OperationMatcher, add_recorded_uses
from voicegauge.drift.client_uses.voicegauge_uses import add_voicegauge_uses
from voicegauge.errors import ContractError, DataError, UsageError
from voicegauge.files import open_file
from voicegauge.formats import MAX_DOCUMENT_BYTES, Document, read_document

VOICEGAUGE_CLIENT = "voicegauge"
"""Stands for voicegauge itself as the client, instead of the path of a file. What voicegauge sends and reads is then
taken from the `x-` keys of the contract."""
_DECLARATION_SUFFIXES = (".yaml", ".yml")
_EMPTY_DECLARATION_HINT = "declare below operations what the client sends and reads, or name a recording"
_RECORDING_KEYS = {"interactions", "http_interactions", "log"}
"""Top-level keys that recordings have and declarations do not have. They distinguish the two kinds of YAML files."""
_RECORDING_SUFFIXES = (".har", ".json", ".yaml", ".yml")


def load_client_uses(client_use_paths: Sequence[str], old_document: Document, new_document: Document) -> ClientUses:
    """Read what a client uses of an API.

    Args:
        client_use_paths: recordings of the client or folders of them, YAML files that declare uses, or
            `VOICEGAUGE_CLIENT`.
        old_document: the OpenAPI document that the client was written for.
        new_document: the newer document. A client may use what only this document has.

    Raises:
        UsageError: an item of `client_use_paths` does not exist, or contains no request to the API.
        ContractError: a file declares something that neither document has, or declares nothing.
        DataError: a recording that `client_use_paths` names cannot be read. Unreadable files of a folder are listed
            in `unreadable_file_messages` instead.
    """
    client_uses, matcher = ClientUses(), OperationMatcher(old_document)
    for source in client_use_paths:
        if source == VOICEGAUGE_CLIENT:
            add_voicegauge_uses(client_uses, matcher)
            continue
        path = Path(source)
        if not path.exists():
            raise UsageError(f"--uses {source}: no such file or folder")
        files = _list_recordings(path) if path.is_dir() else [path]
        if path.is_dir() and not files:
            raise UsageError(f"--uses {source}: contains no recording")
        declaration = None if path.is_dir() or path.suffix == ".har" else _read_declaration(path)
        if declaration is not None:
            add_declared_uses(client_uses, declaration, matcher, OperationMatcher(new_document))
        elif not sum(_add_uses_of_file(client_uses, file, matcher, skip_if_unreadable=path.is_dir()) for file in files):
            raise UsageError(f"--uses {source}: has no request to an operation of {old_document.path}")
    return client_uses


def _add_uses_of_file(
    client_uses: ClientUses, file: Path, matcher: OperationMatcher, *, skip_if_unreadable: bool
) -> int:
    """Add what the client sends in a recording to `client_uses`. Return the number of recorded requests to the API."""
    try:
        return add_recorded_uses(client_uses, file, matcher)
    except DataError as error:
        if not skip_if_unreadable:
            raise
        client_uses.unreadable_file_messages.append(str(error))
        return 0


def _list_recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in _RECORDING_SUFFIXES and path.is_file())


def _read_declaration(path: Path) -> Document | None:
    """Return the document of a file that declares uses; `None` if it is a recording, such as a VCR cassette."""
    try:
        document = read_document(path)
    except ContractError:
        if _is_empty_file(path):
            raise ContractError(path, None, f"is empty: {_EMPTY_DECLARATION_HINT}") from None
        return None  # cassettes may have tags of YAML that declarations cannot have
    if "operations" in document.data:
        return document
    if path.suffix in _DECLARATION_SUFFIXES and not document.data.keys() & _RECORDING_KEYS:
        raise ContractError(path, None, f"has no key 'operations': {_EMPTY_DECLARATION_HINT}")
    return None


def _is_empty_file(path: Path) -> bool:
    """Whether a file contains only comments and the document markers of YAML."""
    with open_file(path) as file:
        lines = [line.strip() for line in file.read(MAX_DOCUMENT_BYTES).splitlines()]
    return all(line in (b"", b"---", b"...", b"{}") or line.startswith(b"#") for line in lines)

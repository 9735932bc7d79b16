"""Embeds the other files that a document refers to, so that every reference leads into one document."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

from voicegauge.contract.document_walk import EMBEDDED_FILES_KEY
from voicegauge.errors import ContractError
from voicegauge.formats import (
    MISSING,
    Document,
    escape_pointer_token,
    read_document,
    read_pointer,
    unescape_pointer_token,
)

MAX_FILES = 500
"""Maximum number of files of one document, so that files that refer to each other come to an end."""


def embed_external_files(document: Document) -> Document:
    """Return the document with all files that it refers to embedded under the key `x-files`.

    A path item that is in another file is put in place of its reference. A reference to a file that cannot be read
    stays as it is, and is reported if it is followed.
    """
    if not any(_is_external_reference(reference) for reference in _iterate_references(document.data)):
        return document
    embedding = _FileEmbedder(document)
    data = embedding.rewrite_references(document.data, document, "", "")
    paths = data.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        if isinstance(item, dict) and str(item.get("$ref", "")).startswith(f"#/{EMBEDDED_FILES_KEY}/"):
            embedding.put_path_item(data, path, item["$ref"])
    data[EMBEDDED_FILES_KEY] = embedding.files
    return Document(document.path, data, {}, document.sha256, embedding.parts)


def _is_external_reference(reference: str) -> bool:
    return not reference.startswith("#") and "://" not in reference


def _iterate_references(value: Any) -> list[str]:
    found, pending = [], [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("$ref"), str):
                found.append(item["$ref"])
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return found


class _FileEmbedder:
    """Reads each file that a document refers to once, and numbers the files in the order of their first reference."""

    def __init__(self, document: Document) -> None:
        self.files: dict[str, Any] = {}
        self.parts: dict[str, tuple[Document, str]] = {"": (document, "")}
        self._root_of_file = {document.path.resolve(): ""}

    def rewrite_references(self, value: Any, document: Document, root_pointer: str, pointer: str) -> Any:
        """Return a copy of `value`, a part of `document`, whose references point into the combined document.

        Args:
            value: the value, as plain data.
            document: the file that contains it.
            root_pointer: JSON pointer, in the combined document, at which that file is embedded.
            pointer: JSON pointer of the value in the file.
        """
        if isinstance(value, list):
            return [
                self.rewrite_references(item, document, root_pointer, f"{pointer}/{i}") for i, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        copied = {
            key: self.rewrite_references(item, document, root_pointer, f"{pointer}/{escape_pointer_token(key)}")
            for key, item in value.items()
        }
        if isinstance(value.get("$ref"), str):
            copied["$ref"] = self._rewrite_reference(value["$ref"], document, root_pointer)
        return copied

    def _rewrite_reference(self, reference: str, document: Document, root_pointer: str) -> str:
        if reference.startswith("#"):
            return f"#{root_pointer}{reference[1:]}"
        if not _is_external_reference(reference):
            return reference
        file, _, fragment = reference.partition("#")
        name = unquote(file)
        at = self._embed_file(document.path.parent / name) if "\0" not in name else None
        return reference if at is None else f"#{at}{fragment}"

    def _embed_file(self, path: Path) -> str | None:
        """Read a file, unless it was read before; return the JSON pointer of its content in the combined document."""
        known = path.resolve()
        if known in self._root_of_file:
            return self._root_of_file[known]
        if len(self.files) >= MAX_FILES:
            return None
        try:
            document = read_document(path)
        except ContractError:
            return None
        name = str(len(self.files) + 1)
        root = self._root_of_file[known] = f"/{EMBEDDED_FILES_KEY}/{name}"
        self.files[name] = {}
        self.parts[root] = (document, "")
        self.files[name] = self.rewrite_references(document.data, document, root, "")
        return root

    def put_path_item(self, document_data: dict[str, Any], path: str, reference: str) -> None:
        """Put the path item that `reference` leads to under `path` in `document_data`, in place of the reference."""
        pointer = unquote(reference[1:])
        pointer_tokens = [unescape_pointer_token(token) for token in pointer.split("/")[1:]]
        item = read_pointer({EMBEDDED_FILES_KEY: self.files}, pointer_tokens)
        if item is not MISSING:
            file = f"/{EMBEDDED_FILES_KEY}/{pointer_tokens[1]}"
            document_data["paths"][path] = item
            self.parts[f"/paths/{escape_pointer_token(path)}"] = (self.parts[file][0], pointer[len(file) :])

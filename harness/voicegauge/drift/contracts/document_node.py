"""A value of a document that knows where it stands, whether or not it is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from voicegauge.drift.report import FilePosition
from voicegauge.formats import MISSING, Document, escape, read_pointer, unescape

MAX_REFERENCES = 100
"""In a row, before a document is refused: they lead in a circle or nowhere useful."""


@dataclass(frozen=True)
class DocumentNode:
    """A value at a pointer; `value` is `MISSING` where the document has none there."""

    document: Document = field(repr=False, compare=False)
    pointer: str
    value: Any = field(repr=False, compare=False)

    @property
    def exists(self) -> bool:
        """Whether the document has it."""
        return self.value is not MISSING

    @property
    def position(self) -> FilePosition:
        """Where it stands; of something missing, the line of what would hold it."""
        return FilePosition(file=str(self.document.path), line=self.document.line(self.pointer), pointer=self.pointer)

    def child(self, key: str | int) -> DocumentNode:
        """The part below `key`; missing where this is no mapping, no list, or lacks it."""
        name, value = str(key), self.value
        inner = value.get(name, MISSING) if isinstance(value, dict) else read_pointer(value, [name])
        return DocumentNode(self.document, f"{self.pointer}/{escape(name)}", inner)

    def children(self) -> Iterator[tuple[str, DocumentNode]]:
        """The parts of a mapping by key, of a list by index, of anything else none."""
        if isinstance(self.value, dict):
            yield from ((key, self.child(key)) for key in self.value)
        elif isinstance(self.value, list):
            yield from ((str(index), self.child(index)) for index in range(len(self.value)))

    def get(self, key: str, default: Any = None) -> Any:
        """The plain value below `key`."""
        part = self.child(key)
        return part.value if part.exists else default

    def resolve(self) -> DocumentNode:
        """The part behind any `$ref`.

        Raises:
            ContractError: a reference leads nowhere, in a circle, or out of the document.
        """
        part = self
        for _ in range(MAX_REFERENCES):
            reference = part.child("$ref")
            if not isinstance(reference.value, str):
                return part
            part = reference.reference_target()
        raise self.document.error(self.pointer, "the references from here lead in a circle")

    def reference_target(self) -> DocumentNode:
        """The part that this text, the value of a `$ref`, points to.

        Raises:
            ContractError: it leads nowhere or out of the document.
        """
        text = str(self.value)
        if not text.startswith("#/"):
            raise self.document.error(self.pointer, f"$ref {text!r} must lead into this document: #/components/...")
        text = unquote(text)
        tokens = [unescape(token) for token in text[2:].split("/")]
        value = read_pointer(self.document.data, tokens)
        if value is MISSING:
            raise self.document.error(self.pointer, f"$ref {text!r} leads nowhere")
        return DocumentNode(self.document, text[1:], value)


def is_same_json(first: Any, second: Any) -> bool:
    """Whether two values are the same JSON: 1 and 1.0 are, 1 and true are not, the order of keys is nothing."""
    return canonical_json(first) == canonical_json(second)


def canonical_json(value: Any) -> bytes:
    """One text for all spellings of a JSON value."""
    return msgspec.json.encode(_plain(value), order="deterministic")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value

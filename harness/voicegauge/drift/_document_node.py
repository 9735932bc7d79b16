"""Gives access to the values in an OpenAPI document and to their positions in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from voicegauge.contract.schemas import MAX_REFERENCE_CHAIN_LENGTH, describe_unusable_reference
from voicegauge.drift.drift_report import FilePosition, find_file_position
from voicegauge.formats.located_yaml import Document, escape_pointer_token, unescape_pointer_token
from voicegauge.formats.locations import MISSING, read_pointer

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")


class DocumentNode(msgspec.Struct, frozen=True, eq=False, gc=False):  # a comparison creates hundreds of thousands
    """A JSON pointer into a document, and the value there, which is `MISSING` if the document has no such value.

    Nodes with the same pointer are equal.
    """

    document: Document
    """The document; parts of it may come from other files."""
    pointer: str
    """JSON pointer into the document."""
    value: Any
    """The value at the pointer; `MISSING` if the document has none."""

    # Nodes of the same document only are compared with each other. Comparing their values would visit whole subtrees.

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DocumentNode) and self.pointer == other.pointer

    def __hash__(self) -> int:
        return hash(self.pointer)

    def __repr__(self) -> str:
        return f"DocumentNode({self.pointer!r})"

    @property
    def exists(self) -> bool:
        """Whether the document has a value at the pointer."""
        return self.value is not MISSING

    @property
    def is_plain_reference(self) -> bool:
        """Whether the value is an object with nothing but a `$ref`."""
        return isinstance(self.value, dict) and self.value.keys() == {"$ref"} and isinstance(self.value["$ref"], str)

    @property
    def position(self) -> FilePosition:
        """The file and line of the value.

        If the value is missing, the line is that of the nearest parent that exists.
        """
        return find_file_position(self.document, self.pointer)

    def replace_value(self, value: Any) -> DocumentNode:
        """Return a node with the same pointer and another value."""
        return DocumentNode(self.document, self.pointer, value)

    def get_child(self, key: str | int) -> DocumentNode:
        """Return the node below `key`. Its value is `MISSING` if this node has no such key or is not a container."""
        name = str(key)
        return DocumentNode(
            self.document, f"{self.pointer}/{escape_pointer_token(name)}", self._get_value_or_missing(name)
        )

    def iterate_children(self) -> Iterator[tuple[str, DocumentNode]]:
        """Yield the key and the node of each entry of a mapping, or the index and the node of each list item."""
        if isinstance(self.value, dict):
            yield from ((key, self.get_child(key)) for key in self.value)
        elif isinstance(self.value, list):
            yield from ((str(index), self.get_child(index)) for index in range(len(self.value)))

    def get_value(self, key: str, default: Any = None) -> Any:
        """Return the value below `key`, or `default` if there is none."""
        value = self._get_value_or_missing(key)
        return default if value is MISSING else value

    def _get_value_or_missing(self, key: str) -> Any:
        return self.value.get(key, MISSING) if isinstance(self.value, dict) else read_pointer(self.value, [key])

    def resolve_references(self) -> DocumentNode:
        """Follow `$ref` from node to node, and return the first node without `$ref`.

        Raises:
            ContractError: a reference points to nothing or out of the document, or the references form a circle.
        """
        node = self
        for _ in range(MAX_REFERENCE_CHAIN_LENGTH):
            if not isinstance(node.get_value("$ref"), str):
                return node
            node = node.get_child("$ref").find_reference_target()
        raise self.document.build_error(
            self.pointer, "the references from here lead in a circle, or through a chain that is too long"
        )

    def find_reference_target(self) -> DocumentNode:
        """Return the node that the reference in this node points to.

        Raises:
            ContractError: the reference points to nothing or out of the document.
        """
        text = str(self.value)
        if not text.startswith("#/"):
            raise self.document.build_error(
                self.pointer, describe_unusable_reference(self.document, self.pointer, text)
            )
        text = unquote(text)  # a URI fragment (RFC 6901, section 6): {braces} of paths come percent-encoded
        pointer_tokens = [unescape_pointer_token(token) for token in text[2:].split("/")]
        value = read_pointer(self.document.data, pointer_tokens)
        if value is MISSING:
            raise self.document.build_error(self.pointer, f"$ref {text!r} leads nowhere")
        return DocumentNode(self.document, text[1:], value)


NodePair = tuple[DocumentNode, DocumentNode]
"""Two nodes: one of the older and one of the newer document."""


def pair_by_key(
    old_values: Mapping[_KeyT, _ValueT], new_values: Mapping[_KeyT, _ValueT]
) -> Iterator[tuple[_KeyT, _ValueT | None, _ValueT | None]]:
    """Yield each key of two mappings with the older and the newer value; a value is `None` where the key is missing."""
    for key in dict.fromkeys((*old_values, *new_values)):
        yield key, old_values.get(key), new_values.get(key)


def is_same_json(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal. 1 and 1.0 are equal, 1 and true are not, and the order of keys is ignored."""
    # Not `==`, because True equals 1 in Python, also deep inside of lists and mappings.
    # Most compared values are written alike, which is found out in a tenth of the time.
    return msgspec.json.encode(first) == msgspec.json.encode(second) or (
        encode_canonical_json(first) == encode_canonical_json(second)
    )


def encode_canonical_json(value: Any) -> bytes:
    """Encode a JSON value so that equal values have the same bytes."""
    return msgspec.json.encode(_normalize_numbers(value), order="deterministic")


def _normalize_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _normalize_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normalize_numbers(item) for item in value]
    # JSON Schema has one type of numbers, in which 1.0 is an integer (section 6.3 of its core specification).
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value

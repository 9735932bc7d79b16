"""Adds values to YAML and JSON documents and to overlays, and keeps comments, order and formatting.

The document is parsed into nodes with their positions in the text. An addition is a piece of text at one position.
Additions are collected and applied together, so that positions stay valid. A person reviews the result as a patch, so
no other character may change.

ruamel.yaml does not serve here, because it writes the whole document again: it joins mappings and lists in brackets
that extend over lines, with loss of the comments in them, writes JSON on one line and `null` as nothing, drops anchors
without aliases, and has one indentation and one column of comments for the whole file. It changes 13 of the 17 bundled
contracts, although these are written in its style.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from voicegauge.formats.located_yaml import YAML_LOADER, Document, unescape_pointer_token
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.formats.yaml_text import format_list_item, format_on_one_line, iterate_entry_lines

# Adds keys and items to a YAML or JSON document without changing its comments, order and formatting.


_YAML_MERGE_TAG = "tag:yaml.org,2002:merge"


class TextInsertion(NamedTuple):
    """A piece of text to insert into the document."""

    offset: int
    """Index of the character in the document before which the text is inserted."""
    text: str
    nesting_depth: int
    """Number of mappings and lists around the mapping or list that gets the addition. Texts with the same offset are
    inserted in the order of this number, the largest first."""


class AdditionNotPossibleError(Exception):
    """The addition is not possible, for example because there is no mapping or list at the pointer."""


class YamlEditor:
    """Collects additions to one document, and applies them."""

    def __init__(self, document_text: str, *, writes_json: bool = False) -> None:
        """Parse a document.

        Args:
            document_text: the text of the document, in YAML or JSON.
            writes_json: whether to write additions as JSON, with quotes and braces.

        Raises:
            yaml.YAMLError: the document is not valid YAML.
        """
        self._source, self._json_only = document_text, writes_json
        self._root: Any = yaml.compose(document_text, Loader=YAML_LOADER)
        self._insertions: list[TextInsertion] = []
        self._added: dict[int, set[str]] = {}
        """Additions by the `id` of the node, because one node has several pointers if YAML aliases refer to it."""

    def build_text(self) -> str:
        """Return the document with all additions."""
        end, pieces = 0, []
        for insertion in sorted(self._insertions, key=lambda insertion: (insertion.offset, -insertion.nesting_depth)):
            pieces += [self._source[end : insertion.offset], insertion.text]
            end = insertion.offset
        return "".join((*pieces, self._source[end:]))

    def has_value(self, pointer: str) -> bool:
        """Whether the document has a value at `pointer`. References are not followed."""
        try:
            self._find_node(pointer)
        except AdditionNotPossibleError:
            return False
        return True

    def add_key(self, pointer: str, key: str, value: Any) -> None:
        """Add `key: value` to the end of the mapping at `pointer`. Do nothing if the mapping already has the key.

        Raises:
            AdditionNotPossibleError: there is no mapping at `pointer`.
        """
        node = self._find_node(pointer)
        if not isinstance(node, yaml.MappingNode):
            raise AdditionNotPossibleError(f"{pointer} is not a mapping")
        if key in _map_values_by_key(node) or not self._register_addition(node, key):
            return
        if node.flow_style:
            self._insert_before_bracket(node, self._format_on_one_line({key: value})[1:-1], pointer.count("/"))
        else:
            column = node.value[0][0].start_mark.column  # not that of the node, which may begin with its anchor
            text = "".join(iterate_entry_lines(key, value, " " * column, writes_json=self._json_only))
            self._insertions.append(TextInsertion(self._find_next_line_offset(node), text, pointer.count("/")))

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` to the end of the list at `pointer`. Do nothing if the same value was already added.

        Raises:
            AdditionNotPossibleError: there is no list at `pointer`.
        """
        node = self._find_node(pointer)
        if not isinstance(node, yaml.SequenceNode):
            raise AdditionNotPossibleError(f"{pointer} is not a list")
        text = self._format_on_one_line(value)
        if not self._register_addition(node, text):
            return
        if node.flow_style:
            self._insert_before_bracket(node, text, pointer.count("/"))
        else:
            first = node.value[0].start_mark.index
            margin = self._source[self._source.rfind("\n", 0, first) + 1 : self._source.rfind("-", 0, first)]
            text = format_list_item(value, margin, writes_json=self._json_only)
            self._insertions.append(TextInsertion(self._find_next_line_offset(node), text, pointer.count("/")))

    def _register_addition(self, node: Any, text: str) -> bool:
        """Remember an addition. Return `False` if the same addition was already made to the node."""
        added = self._added.setdefault(id(node), set())
        if text in added:
            return False
        added.add(text)
        return True

    def _insert_before_bracket(self, node: Any, text: str, nesting_depth: int) -> None:
        """Add `text` before the closing bracket of a mapping or list that is written in brackets."""
        offset = node.end_mark.index - 1
        while self._source[offset - 1].isspace():  # the closing bracket may be on the next line
            offset -= 1
        is_first = not node.value and len(self._added[id(node)]) == 1
        self._insertions.append(TextInsertion(offset, text if is_first else f", {text}", nesting_depth))

    def _find_node(self, pointer: str) -> Any:
        node = self._root
        for token in map(unescape_pointer_token, pointer.split("/")[1:]):
            if isinstance(node, yaml.MappingNode):
                node = _map_values_by_key(node).get(token)
            elif isinstance(node, yaml.SequenceNode) and token.isdecimal() and int(token) < len(node.value):
                node = node.value[int(token)]
            else:
                node = None
            if node is None:
                raise AdditionNotPossibleError(f"there is nothing at {pointer}")
        return node

    def _find_next_line_offset(self, node: Any) -> int:
        """Return the offset at which the line after the last line of `node` starts."""
        newline = self._source.find("\n", self._find_end_offset(node))
        if newline < 0:
            raise AdditionNotPossibleError("the document does not end with a line break")
        return newline + 1

    def _find_end_offset(self, node: Any) -> int:
        """Return the offset of the end of the content of `node`, which is in its last line.

        PyYAML sets the end mark of a block collection after the comments and blank lines that follow the content.
        Therefore, the end of the last value in the collection is used.
        """
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            before, child = last if isinstance(last, tuple) else (node, last)
            # An alias is composed to the node that it refers to, which is earlier in the document.
            if child.start_mark.index < before.start_mark.index:
                return self._skip_space_backwards(node.end_mark.index) if before is node else int(before.end_mark.index)
            node = child
        is_block_scalar = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        return self._skip_space_backwards(node.end_mark.index) if is_block_scalar else int(node.end_mark.index)

    def _skip_space_backwards(self, offset: int) -> int:
        return len(self._source[:offset].rstrip())

    def _format_on_one_line(self, value: Any) -> str:
        return format_on_one_line(value, writes_json=self._json_only)


def _map_values_by_key(node: yaml.MappingNode) -> dict[str, Any]:
    """Return the values of a mapping by key. Keys that `<<` adds are included, but do not override its own keys."""
    entries = {key.value: value for key, value in node.value if key.tag != _YAML_MERGE_TAG}
    for key, value in node.value:
        if key.tag == _YAML_MERGE_TAG:
            for merged in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                entries = {**_map_values_by_key(merged), **entries}
    return entries


# Adds values to a document that an overlay extends, by appending actions to the overlay.


class OverlayEditor:
    """Collects additions to a document, and writes them as actions at the end of its overlay.

    It has the methods of `YamlEditor`. Pointers refer to the document that results from the overlay.
    """

    def __init__(self, overlay_text: str, document: Document, base_file: Path, *, writes_json: bool = False) -> None:
        """Parse an overlay.

        Args:
            overlay_text: the text of the overlay, in YAML or JSON.
            document: the document that results from the overlay.
            base_file: the file that the overlay extends.
            writes_json: whether to write additions as JSON, with quotes and braces.

        Raises:
            yaml.YAMLError: the overlay is not valid YAML.
        """
        self._editor = YamlEditor(overlay_text, writes_json=writes_json)
        self._document = document
        self._patchable_files = (document.path, base_file)
        self._keys_by_pointer: dict[str, dict[str, Any]] = {}
        self._items_by_pointer: dict[str, list[Any]] = {}
        self._are_written = False

    def has_value(self, pointer: str) -> bool:
        """Whether the document has a value at `pointer`. References are not followed."""
        return self._read_value_at(pointer) is not MISSING

    def add_key(self, pointer: str, key: str, value: Any) -> None:
        """Add `key: value` to the mapping at `pointer`. Do nothing if the mapping already has the key.

        Raises:
            AdditionNotPossibleError: there is no mapping at `pointer`, or the mapping is in a file to which the
                overlay does not apply.
        """
        found = self._find_container(pointer, dict, "a mapping")
        if key not in found:
            self._keys_by_pointer.setdefault(pointer, {}).setdefault(key, value)

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` to the end of the list at `pointer`. Do nothing if the same value was already added.

        Raises:
            AdditionNotPossibleError: there is no list at `pointer`, or the list is in a file to which the overlay
                does not apply.
        """
        self._find_container(pointer, list, "a list")
        items = self._items_by_pointer.setdefault(pointer, [])
        if value not in items:
            items.append(value)

    def build_text(self) -> str:
        """Return the text of the overlay with all additions. After this call, nothing can be added."""
        if not self._are_written:
            for pointer, update in (*self._keys_by_pointer.items(), *self._items_by_pointer.items()):
                self._editor.add_item("/actions", {"target": _build_json_path(pointer), "update": update})
            self._are_written = True
        return self._editor.build_text()

    def _find_container(self, pointer: str, container_type: type, type_name: str) -> Any:
        found = self._read_value_at(pointer)
        if not isinstance(found, container_type):
            raise AdditionNotPossibleError(f"{pointer} is not {type_name}")
        if self._document.find_containing_document(pointer)[0].path not in self._patchable_files:
            raise AdditionNotPossibleError(f"{pointer} is in a file to which overlays do not apply")
        return found

    def _read_value_at(self, pointer: str) -> Any:
        return read_pointer(self._document.data, _split_json_pointer(pointer))


def _split_json_pointer(pointer: str) -> list[str]:
    return [unescape_pointer_token(token) for token in pointer.split("/")[1:]]


def _build_json_path(pointer: str) -> str:
    """Return the normalized path (RFC 9535, section 2.7) of the value at a JSON pointer."""
    parts = []
    for token in _split_json_pointer(pointer):
        quoted = token.replace("\\", "\\\\").replace("'", "\\'")
        parts.append(f"['{quoted}']")
    return "".join(("$", *parts))

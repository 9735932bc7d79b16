"""Adds keys and items to a YAML or JSON document without changing its comments, order and formatting.

The document is parsed into nodes with their positions in the text. An addition is a piece of text at one position.
Additions are collected and applied together, so that positions stay valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from voicegauge.formats import YAML_LOADER, unescape_pointer_token

INDENT_SPACES = 2
_MAX_LINE_WIDTH = 120
"""Largest number of characters in a line of an added mapping. A longer mapping is written on several lines."""
_PLAIN_SCALAR_PATTERN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]|[A-Za-z_]")
"""Matches strings that need no quotes in any YAML version. Others are written as JSON, which is valid YAML."""
_YAML_MERGE_TAG = "tag:yaml.org,2002:merge"
_RESERVED_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})
"""Words that YAML 1.1 or 1.2 reads as another type than a string unless they are in quotes."""


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
            self._insert_before_bracket(node, self._format_flow_value({key: value})[1:-1], pointer.count("/"))
        else:
            column = node.value[0][0].start_mark.column  # not that of the node, which may begin with its anchor
            text = "".join(self._format_block_entry(key, value, column))
            self._insertions.append(TextInsertion(self._find_next_line_offset(node), text, pointer.count("/")))

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` to the end of the list at `pointer`. Do nothing if the same value was already added.

        Raises:
            AdditionNotPossibleError: there is no list at `pointer`.
        """
        node = self._find_node(pointer)
        if not isinstance(node, yaml.SequenceNode):
            raise AdditionNotPossibleError(f"{pointer} is not a list")
        text = self._format_flow_value(value)
        if not self._register_addition(node, text):
            return
        if node.flow_style:
            self._insert_before_bracket(node, text, pointer.count("/"))
        else:
            first = node.value[0].start_mark.index
            margin = self._source[self._source.rfind("\n", 0, first) + 1 : self._source.rfind("-", 0, first)]
            if isinstance(value, Mapping) and len(margin) + len(text) + 2 > _MAX_LINE_WIDTH:
                column = len(margin) + INDENT_SPACES
                text = "".join(
                    line for key, item in value.items() for line in self._format_block_entry(key, item, column)
                )
                text = text.strip()
            self._insertions.append(
                TextInsertion(self._find_next_line_offset(node), f"{margin}- {text}\n", pointer.count("/"))
            )

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

    def _format_block_entry(self, key: str, value: Any, indent_column: int) -> Iterator[str]:
        """Yield the lines of `key: value`, indented to `indent_column`. A mapping is written on one line if it fits."""
        margin, name = " " * indent_column, self._format_scalar(key)
        flow = self._format_flow_value(value)
        if not isinstance(value, Mapping) or not value or len(margin) + len(name) + len(flow) + 2 <= _MAX_LINE_WIDTH:
            yield f"{margin}{name}: {flow}\n"
            return
        yield f"{margin}{name}:\n"
        for child_key, child in value.items():
            yield from self._format_block_entry(child_key, child, indent_column + INDENT_SPACES)

    def _format_flow_value(self, value: Any) -> str:
        """Format a value on one line."""
        if isinstance(value, Mapping):
            return (
                "{"
                + ", ".join(f"{self._format_scalar(str(k))}: {self._format_flow_value(v)}" for k, v in value.items())
                + "}"
            )
        if isinstance(value, Sequence) and not isinstance(value, str):
            return "[" + ", ".join(self._format_flow_value(item) for item in value) + "]"
        return self._format_scalar(value)

    def _format_scalar(self, value: Any) -> str:
        is_plain = (
            isinstance(value, str) and _PLAIN_SCALAR_PATTERN.fullmatch(value) and value.lower() not in _RESERVED_WORDS
        )
        if is_plain and not self._json_only:
            return str(value)
        # YAML forbids unescaped control characters, but letters such as umlauts should stay readable.
        has_control_characters = isinstance(value, str) and not value.isprintable()
        return json.dumps(value, ensure_ascii=has_control_characters)


def _map_values_by_key(node: yaml.MappingNode) -> dict[str, Any]:
    """Return the values of a mapping by key. Keys that `<<` adds are included, but do not override its own keys."""
    entries = {key.value: value for key, value in node.value if key.tag != _YAML_MERGE_TAG}
    for key, value in node.value:
        if key.tag == _YAML_MERGE_TAG:
            for merged in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                entries = {**_map_values_by_key(merged), **entries}
    return entries

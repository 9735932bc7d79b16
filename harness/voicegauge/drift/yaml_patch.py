"""Adding to a YAML or JSON document without touching what stands there: comments, order and style stay.

The document is composed into nodes that know where they begin and end; an addition is a
piece of text at one place of the source. Additions are collected and applied at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from voicegauge.formats import LOADER, unescape

INDENT = 2
_WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]|[A-Za-z_]")
_MERGE = "tag:yaml.org,2002:merge"
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})


class TextInsertion(NamedTuple):
    """A piece of text before the character `at` of the source."""

    at: int
    text: str
    depth: int
    """Of the node it is added to: what ends on one line is added to from the inside out."""


class NotAddedError(Exception):
    """Why something cannot be added: the place is no mapping or no list."""


class YamlEditor:
    """Collects additions to one document."""

    def __init__(self, source: str, *, json_only: bool = False) -> None:
        """`source` is a YAML document; `json_only` keeps additions to JSON, quoted and braced."""
        self._source, self._json = source, json_only
        self._root: Any = yaml.compose(source, Loader=LOADER)
        self._insertions: list[TextInsertion] = []
        self._added: dict[int, set[str]] = {}
        """What was added to a node, by its identity: aliases lead to one node from several places."""

    def result(self) -> str:
        """The document with everything that was added."""
        done, pieces = 0, []
        for at, piece, _ in sorted(self._insertions, key=lambda insertion: (insertion.at, -insertion.depth)):
            pieces += [self._source[done:at], piece]
            done = at
        return "".join((*pieces, self._source[done:]))

    def has(self, pointer: str) -> bool:
        """Whether something stands at `pointer`, without following references."""
        try:
            self._node(pointer)
        except NotAddedError:
            return False
        return True

    def add_key(self, pointer: str, key: str, value: Any) -> None:
        """Add `key: value` as the last entry of the mapping at `pointer`; a key that stands there is left.

        Raises:
            NotAddedError: no mapping stands there.
        """
        node = self._node(pointer)
        if not isinstance(node, yaml.MappingNode):
            raise NotAddedError(f"{pointer} is no mapping")
        if key in _entries(node) or not self._is_new(node, key):
            return
        if node.flow_style:
            self._into_brackets(node, self._flow({key: value})[1:-1], pointer.count("/"))
        else:
            column = node.value[0][0].start_mark.column  # the node itself may begin with its anchor
            text = "".join(self._block(key, value, column))
            self._insertions.append(TextInsertion(self._line_after(node), text, pointer.count("/")))

    def add_item(self, pointer: str, value: Any) -> None:
        """Add `value` as the last item of the list at `pointer`; one that stands there is left.

        Raises:
            NotAddedError: no list stands there.
        """
        node = self._node(pointer)
        if not isinstance(node, yaml.SequenceNode):
            raise NotAddedError(f"{pointer} is no list")
        written = self._flow(value)
        if not self._is_new(node, written):
            return
        if node.flow_style:
            self._into_brackets(node, written, pointer.count("/"))
        else:
            first = node.value[0].start_mark.index
            margin = self._source[self._source.rfind("\n", 0, first) + 1 : self._source.rfind("-", 0, first)]
            self._insertions.append(TextInsertion(self._line_after(node), f"{margin}- {written}\n", pointer.count("/")))

    def _is_new(self, node: Any, written: str) -> bool:
        added = self._added.setdefault(id(node), set())
        if written in added:
            return False
        added.add(written)
        return True

    def _into_brackets(self, node: Any, text: str, depth: int) -> None:
        at = node.end_mark.index - 1
        while self._source[at - 1].isspace():  # before a bracket on a line of its own
            at -= 1
        first = not node.value and len(self._added[id(node)]) == 1
        self._insertions.append(TextInsertion(at, text if first else f", {text}", depth))

    def _node(self, pointer: str) -> Any:
        node = self._root
        for token in map(unescape, pointer.split("/")[1:]):
            if isinstance(node, yaml.MappingNode):
                node = _entries(node).get(token)
            elif isinstance(node, yaml.SequenceNode) and token.isdecimal() and int(token) < len(node.value):
                node = node.value[int(token)]
            else:
                node = None
            if node is None:
                raise NotAddedError(f"nothing stands at {pointer}")
        return node

    def _line_after(self, node: Any) -> int:
        """The beginning of the line after the last one that holds a part of `node`."""
        newline = self._source.find("\n", self._end(node))
        if newline < 0:
            raise NotAddedError("the document does not end with a line break")
        return newline + 1

    def _end(self, node: Any) -> int:
        """Where the last line of `node` is; an alias is a line of its own, what it stands for is elsewhere."""
        while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            last = node.value[-1]
            before, part = last if isinstance(last, tuple) else (node, last)
            if part.start_mark.index < before.start_mark.index:
                return self._before_space(node.end_mark.index) if before is node else int(before.end_mark.index)
            node = part
        is_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        return self._before_space(node.end_mark.index) if is_block else int(node.end_mark.index)

    def _before_space(self, index: int) -> int:
        return len(self._source[:index].rstrip())

    def _block(self, key: str, value: Any, column: int) -> Iterator[str]:
        """`key: value` on lines of their own; what fits a line stays on it."""
        margin, name = " " * column, self._scalar(key)
        flow = self._flow(value)
        if not isinstance(value, Mapping) or not value or len(margin) + len(name) + len(flow) + 2 <= _WIDTH:
            yield f"{margin}{name}: {flow}\n"
            return
        yield f"{margin}{name}:\n"
        for inner, item in value.items():
            yield from self._block(inner, item, column + INDENT)

    def _flow(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{self._scalar(str(k))}: {self._flow(v)}" for k, v in value.items()) + "}"
        if isinstance(value, Sequence) and not isinstance(value, str):
            return "[" + ", ".join(self._flow(item) for item in value) + "]"
        return self._scalar(value)

    def _scalar(self, value: Any) -> str:
        plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain and not self._json else json.dumps(value, ensure_ascii=not self._is_utf8(value))

    def _is_utf8(self, value: Any) -> bool:
        """Whether `value` may stand unescaped: letters may, control characters may not."""
        return not isinstance(value, str) or value.isprintable()


def _entries(node: yaml.MappingNode) -> dict[str, Any]:
    """The values of a mapping by key, its own and those that `<<` brings; of one key the first one counts."""
    found = {key.value: value for key, value in node.value if key.tag != _MERGE}
    for key, value in node.value:
        if key.tag == _MERGE:
            for brought in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                found = {**_entries(brought), **found}
    return found

"""Reading a YAML or JSON document with the line of every value.

Only YAML's core types are resolved (YAML 1.2): `no` stays the language code
"no" and a date stays the text that a provider sends.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from voicegauge.errors import ContractError

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest provider description known to us (OpenAI's) is under 3 MB."""


def _loader() -> type[Any]:
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = type("CoreLoader", (base,), {"yaml_implicit_resolvers": {}})
    loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
    loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
    loader.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
    )
    loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
        list("-+.0123456789"),
    )
    loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"), ["<"])
    return loader


_CoreLoader = _loader()


def escape(key: str) -> str:
    """One reference token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """The key that a reference token of a JSON pointer stands for (RFC 6901)."""
    return token.replace("~1", "/").replace("~0", "~")


class Document:
    """A parsed document: plain data, the line of each value, and the digest of its bytes."""

    def __init__(self, path: Path, data: dict[str, Any], lines: Mapping[str, int], sha256: str) -> None:
        """`lines` maps a JSON pointer to a line counted from 1."""
        self.path, self.data, self.sha256 = path, data, sha256
        self._lines = lines

    def line(self, pointer: str) -> int | None:
        """The line of `pointer`, or of its nearest ancestor that stands in the document."""
        while pointer and pointer not in self._lines:
            pointer = pointer.rpartition("/")[0]
        return self._lines.get(pointer)

    def error(self, pointer: str, reason: str) -> ContractError:
        """The error that says what is wrong at `pointer`."""
        return ContractError(self.path, self.line(pointer), reason)


def _record_lines(node: yaml.Node, pointer: str, lines: dict[str, int], path: Path) -> None:
    lines.setdefault(pointer, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ContractError(path, line, "a key must be a word, not a list or a mapping")
            if key.value in seen:
                raise ContractError(path, line, f"the key {key.value!r} stands twice")
            seen.add(key.value)
            child = f"{pointer}/{escape(key.value)}"
            lines[child] = line
            _record_lines(value, child, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _record_lines(value, f"{pointer}/{index}", lines, path)


def _keys_to_text(value: Any) -> Any:
    """Status codes written without quotes become the text that OpenAPI asks for."""
    if isinstance(value, dict):
        return {str(key): _keys_to_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_keys_to_text(item) for item in value]
    return value


def read_document(path: Path) -> Document:
    """Read `path`.

    Raises:
        ContractError: the file cannot be read, is no YAML, or is no mapping.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ContractError(path, None, f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ContractError(path, None, f"is larger than {MAX_DOCUMENT_BYTES} bytes")
    loader = None
    try:
        loader = _CoreLoader(raw)
        node = loader.get_single_node()
        lines: dict[str, int] = {}
        if node is not None:
            _record_lines(node, "", lines, path)
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ContractError(path, mark.line + 1 if mark else None, f"is no YAML: {reason}") from error
    except RecursionError as error:
        raise ContractError(path, None, "is nested too deep") from error
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict):
        raise ContractError(path, 1, "must be a mapping with the keys of an OpenAPI document")
    return Document(path, _keys_to_text(data), lines, hashlib.sha256(raw).hexdigest())

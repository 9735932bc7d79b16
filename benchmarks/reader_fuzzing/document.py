"""Valid documents to mutate: their bytes, and their structure as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from voicegauge.formats.located_yaml import YAML_LOADER, read_document


class Document(NamedTuple):
    """A valid document."""

    data: bytes
    structure: Any = None
    """The document as plain data; `None` if it is mutated as bytes only."""
    serialize: Callable[[Any], bytes] = lambda _value: b""
    """Function that writes a changed structure."""

    def __repr__(self) -> str:
        """Only the size, because Hypothesis prints the documents that it chooses from."""
        return f"Document({len(self.data)} bytes)"


def to_json(value: Any) -> bytes:
    """Write plain data as JSON with NaN, Infinity and unpaired surrogates; dates and bytes of YAML as text."""
    return json.dumps(value, default=str).encode()


def to_json_lines(values: Any) -> bytes:
    """Write each item of a list as one line of JSON."""
    items = values if isinstance(values, list) else [values]
    return b"".join(to_json(item) + b"\n" for item in items)


def to_yaml(value: Any) -> bytes:
    """Write plain data as YAML, or as JSON (a subset of YAML) if it has texts that YAML cannot contain."""
    try:
        return yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), encoding="utf-8", sort_keys=False)
    except (yaml.YAMLError, UnicodeEncodeError, RecursionError):
        return to_json(value)


def to_toml(value: Any) -> bytes:
    """Write plain data as TOML, in which unpaired surrogates are invalid UTF-8."""
    pairs = value.items() if isinstance(value, dict) else [("seed", value)]
    lines = (f"{json.dumps(str(key))} = {_toml_value(item)}\n" for key, item in pairs)
    return "".join(lines).encode("utf-8", "surrogatepass")


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False) if value is not None else '"null"'


def json_document(data: bytes) -> Document:
    """Return a JSON document."""
    return Document(data, json.loads(data), to_json)


def json_lines_document(data: bytes) -> Document:
    """Return a document with one JSON value in each line."""
    return Document(data, [json.loads(line) for line in data.splitlines()], to_json_lines)


def yaml_document(path: Path) -> Document:
    """Return a YAML document of the core schema."""
    return Document(path.read_bytes(), read_document(path).data, to_yaml)


def cassette_document(data: bytes) -> Document:
    """Return a YAML document of another tool; one with tags of a language is mutated as bytes only."""
    try:
        return Document(data, yaml.load(data, Loader=YAML_LOADER), to_yaml)  # noqa: S506 - a safe loader
    except yaml.constructor.ConstructorError:
        return Document(data)

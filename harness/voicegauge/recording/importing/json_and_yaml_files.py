"""Reads JSON and YAML files of other tools as mappings, lists, text and bytes. YAML tags never create other objects."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from voicegauge.errors import DataError
from voicegauge.files import open_file
from voicegauge.formats import YAML_LOADER, describe_json_error

MAX_PARSED_FILE_BYTES = 64 * 2**20
MAX_NESTING_DEPTH = 60
"""Maximum depth of nested YAML values. Real cassettes have 8 levels; far deeper files would exhaust the stack."""
_NULL_SCALARS = ("", "~", "null", "Null", "NULL")


def read_json_or_yaml(path: Path) -> Any:
    """Read a JSON or YAML file.

    YAML scalars other than null stay text ("200", "no"), and `!binary` becomes bytes. All other tags, such as
    `!!python/object:...` or `!ruby/struct:...`, are ignored, so the value is read as a plain mapping, list or text.

    Raises:
        DataError: the file cannot be read, is too large, or is neither JSON nor YAML.
    """
    try:
        with open_file(path) as file:
            raw = file.read(MAX_PARSED_FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_PARSED_FILE_BYTES:
        raise DataError(f"{path}: is larger than {MAX_PARSED_FILE_BYTES} bytes")
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # byte order mark
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if path.suffix.lower() in (".json", ".har"):
            raise DataError(f"{path}{describe_json_error(error, raw)}") from error
    return _read_yaml(path, raw)


def _read_yaml(path: Path, yaml_bytes: bytes) -> Any:
    try:
        return _PlainYamlBuilder(path, iter(yaml.parse(yaml_bytes, Loader=YAML_LOADER))).build_document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise DataError(f"{where}: is not valid YAML: {getattr(error, 'problem', None) or 'cannot be read'}") from error


class _PlainYamlBuilder:
    """Builds plain data from YAML events. Aliased values are shared, not copied, so that they cannot multiply."""

    def __init__(self, path: Path, events: Iterator[Any]) -> None:
        self._path, self._events = path, events
        self._anchors: dict[str, Any] = {}

    def build_document(self) -> Any:
        next(self._events)  # StreamStartEvent
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        return self._build_value(next(self._events), 1)

    def _build_position_error(self, event: Any, reason: str) -> DataError:
        return DataError(f"{self._path}:{event.start_mark.line + 1}: {reason}")

    def _build_value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._build_position_error(event, f"the alias *{event.anchor} has no anchor before it")
            return self._anchors[event.anchor]
        if depth > MAX_NESTING_DEPTH:
            raise self._build_position_error(event, f"is nested deeper than {MAX_NESTING_DEPTH}")
        if isinstance(event, yaml.ScalarEvent):
            value: Any = self._build_scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                value.append(self._build_value(item, depth + 1))
        else:
            value = self._build_mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _build_mapping(self, start_event: Any, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._build_value(event, depth + 1)
            if isinstance(key, bytes):
                key = key.decode("utf-8", "replace")
            if not isinstance(key, str):
                raise self._build_position_error(start_event, "a key is neither text nor bytes")
            mapping[key] = self._build_value(next(self._events), depth + 1)
        return mapping

    def _build_scalar(self, event: Any) -> str | bytes | None:
        tag, text = event.tag or "", event.value
        if tag.rpartition(":")[2] == "binary" or tag == "!binary":
            try:
                return base64.b64decode("".join(text.split()))
            except (binascii.Error, ValueError) as error:
                raise self._build_position_error(event, "a !binary value is not valid base64") from error
        if not tag and event.implicit[0] and text in _NULL_SCALARS:
            return None
        return str(text)

"""Reading a YAML or JSON document with the line of every value.

Only YAML's core types are resolved (YAML 1.2): `no` stays the language code
"no" and a date stays the text that a provider sends. The document is built from
the parser's events, one after another, so that a hostile file meets a limit
before it exhausts the stack or the memory.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from voicegauge.errors import ContractError

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest provider description known to us (OpenAI's) is under 3 MB."""
MAX_DEPTH = 100
"""Schemas nest to about 20; the parsers behind this one recurse."""
MAX_VALUES = 500_000
"""With every alias counted as often as it is used."""
MAX_CHARACTERS = 64 * 1024 * 1024
"""Of text, counted in the same way."""

_Event = Any
"""yaml's stubs give events no attributes."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""For every document: the two differ in what they take, and the one in C is ten times as fast."""
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SURROGATES = re.compile(rb"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WORDS: Mapping[str, Any] = {"null": None, "~": None, "": None, "true": True, "false": False}
_TAG = "tag:yaml.org,2002:"
_TAGS = ("!", *(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")))


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
        return ContractError(self.path, self.line(pointer), " ".join(reason.split()))


def _line(event: _Event) -> int:
    return int(event.start_mark.line) + 1


class _Built(NamedTuple):
    """A value, and how much it comes to with its aliases written out."""

    value: Any
    values: int
    characters: int


class _Builder:
    """Makes plain data of YAML events."""

    def __init__(self, path: Path, events: Iterator[_Event]) -> None:
        self._path, self._events = path, events
        self._anchors: dict[str, _Built | None] = {}
        self.lines: dict[str, int] = {}

    def document(self) -> Any:
        """The value of the one document; `None` for an empty stream.

        Raises:
            ContractError: there are several, or one breaks a limit.
        """
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), "", 1).value
        next(self._events)  # the document's end
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._error(following, "must be one document; a second one begins here")
        return value

    def _error(self, event: _Event, reason: str) -> ContractError:
        return ContractError(self._path, _line(event), reason)

    def _value(self, event: _Event, pointer: str, depth: int) -> _Built:
        self.lines.setdefault(pointer, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None and event.tag not in _TAGS:
            raise self._error(event, f"the tag {event.tag.removeprefix(_TAG)!r} has no meaning here")
        if depth > MAX_DEPTH:
            raise self._error(event, f"is nested deeper than {MAX_DEPTH}")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            built = _Built(self._scalar(event), 1, len(event.value))
        elif isinstance(event, yaml.SequenceStartEvent):
            built = self._sequence(event, pointer, depth)
        else:
            built = self._mapping(event, pointer, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = built
        return built

    def _alias(self, event: _Event) -> _Built:
        if event.anchor not in self._anchors:
            raise self._error(event, f"the alias *{event.anchor} has no anchor before it")
        built = self._anchors[event.anchor]
        if built is None:
            raise self._error(event, f"the alias *{event.anchor} stands inside its own anchor")
        return built

    def _sequence(self, start: _Event, pointer: str, depth: int) -> _Built:
        items: list[Any] = []
        values, characters = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            built = self._value(event, f"{pointer}/{len(items)}", depth + 1)
            items.append(built.value)
            values, characters = self._count(start, values + built.values, characters + built.characters)
        return _Built(items, values, characters)

    def _mapping(self, start: _Event, pointer: str, depth: int) -> _Built:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        values, characters = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be a word, not an alias, a list or a mapping")
            key = event.value
            if key in own:
                raise self._error(event, f"the key {key!r} is used twice")
            child = f"{pointer}/{escape(key)}"
            self.lines[child] = _line(event)
            built = self._value(next(self._events), child, depth + 1)
            if key == "<<" and event.implicit[0]:
                merged = {**self._merge(event, built.value), **merged}
            else:
                own[key] = built.value
            values, characters = self._count(start, values + built.values, characters + built.characters + len(key))
        return _Built({**merged, **own} if merged else own, values, characters)

    def _merge(self, event: _Event, value: Any) -> dict[str, Any]:
        """What `<<: *anchor` or `<<: [*first, *second]` brings; of one key the first one counts."""
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._error(event, "<< takes a mapping or a list of mappings")
        return {key: item for part in reversed(parts) for key, item in part.items()}

    def _count(self, start: _Event, values: int, characters: int) -> tuple[int, int]:
        if values > MAX_VALUES or characters > MAX_CHARACTERS:
            limit = f"{MAX_VALUES} values or {MAX_CHARACTERS} characters"
            raise self._error(start, f"comes to more than {limit} once its aliases are written out")
        return values, characters

    def _scalar(self, event: _Event) -> Any:
        text, tag = event.value, event.tag
        if tag in ("!", f"{_TAG}str") or (tag is None and not event.implicit[0]):
            return text
        if text in _WORDS:
            return _WORDS[text]
        try:
            value: Any = text
            if _INTEGER.fullmatch(text):
                value = int(text)
            elif _FLOAT.fullmatch(text):
                value = float(text)
        except ValueError as error:  # Python reads no more than 4,300 digits
            raise self._error(event, f"the number {text[:20]}... is too long") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(event, f"the number {text[:20]!r} is too large")
        if tag is not None and value is text:
            raise self._error(event, f"{text[:40]!r} is no {tag.removeprefix(_TAG)}")
        return value


def _json_as_yaml(raw: bytes) -> bytes:
    """JSON without the two things that YAML does not know: tabs that indent, and surrogate pairs."""

    def character(pair: re.Match[bytes]) -> bytes:
        return pair[1] + bytes.fromhex((pair[2] + pair[3]).decode()).decode("utf-16-be").encode()

    return _SURROGATES.sub(character, raw.replace(b"\t", b" "))


def read_document(path: Path) -> Document:
    """Read `path`.

    Raises:
        ContractError: the file cannot be read, is no YAML, is no mapping, or is larger,
            deeper or more repetitive than any document needs to be.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise ContractError(path, None, f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ContractError(path, None, f"is larger than {MAX_DOCUMENT_BYTES} bytes")
    text = _json_as_yaml(raw) if path.suffix == ".json" else raw
    try:
        builder = _Builder(path, iter(yaml.parse(text, Loader=LOADER)))
        data = builder.document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ContractError(path, mark.line + 1 if mark else None, f"is no YAML: {reason}") from error
    if not isinstance(data, dict):
        raise ContractError(path, 1, "must be a mapping: keys with values")
    return Document(path, data, builder.lines, hashlib.sha256(raw).hexdigest())

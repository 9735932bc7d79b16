"""Reads YAML and JSON documents with the line of each value, says what is wrong, and writes values for people to read.

Only the types of YAML 1.2's core schema are resolved: `no` is the language code "no", and a date is a text. The
document is built from the parser's events one by one, so that a malicious file reaches a limit before it exhausts the
stack or the memory.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from voicegauge.errors import ContractError
from voicegauge.files import open_file

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""Maximum size of a file. The largest known description of a provider (OpenAI's) is smaller than 3 MB."""
MAX_DOCUMENT_DEPTH = 100
"""Maximum nesting of mappings and lists. Schemas nest about 20 deep, and code that reads the document recurses."""
MAX_DOCUMENT_VALUES = 500_000
"""Maximum number of values. An alias counts as often as it is used, because nested aliases grow exponentially (the
"billion laughs" attack)."""
MAX_DOCUMENT_CHARACTERS = 64 * 1024 * 1024
"""Maximum number of characters of text, where an alias counts as often as it is used."""
_MAX_VALUES_PER_LINE = 10
"""If a file has more values per line than this on average, errors name the JSON pointer as well as the line."""

_YamlEvent = Any
"""An event of PyYAML's parser. The type is `Any`, because PyYAML's stubs give events no attributes."""
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's C loader if it is installed, which is ten times as fast. Use `YAML_LOADER` everywhere, because the C loader
and the Python loader accept different documents."""
_INTEGER_PATTERN = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
"""Matches an integer of the core schema in decimal; an octal or hexadecimal one is a text here."""
_FLOAT_PATTERN = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?")
_FIRST_CHARACTERS_OF_NUMBERS = frozenset("+-.0123456789")
"""Characters with which every number begins: most texts are recognized without a pattern."""
_SURROGATE_PAIR_PATTERN = re.compile(
    rb"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)
_YAML_CONSTANTS: Mapping[str, Any] = {
    "~": None,
    "": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The values of the core schema of YAML 1.2 (section 10.3.2) that are neither numbers nor texts."""
_TAG_PREFIX = "tag:yaml.org,2002:"
_SUPPORTED_TAGS = ("!", *(f"{_TAG_PREFIX}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")))
"""Tags of the core schema, and "!", which makes any value a text."""


def escape_pointer_token(key: str) -> str:
    """Escape a key as a reference token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1") if "/" in key or "~" in key else key


def unescape_pointer_token(token: str) -> str:
    """Return the key for a reference token of a JSON pointer (RFC 6901)."""
    return token.replace("~1", "/").replace("~0", "~")


def split_json_pointer(pointer: str) -> list[str]:
    """Return the keys and indices in a valid JSON pointer, outermost first; empty for the whole document."""
    return [unescape_pointer_token(token) for token in pointer.split("/")[1:]]


def format_json_pointer(pointer_tokens: Iterable[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) for keys and indices."""
    return "".join([f"/{escape_pointer_token(str(token))}" for token in pointer_tokens])


def get_inner_values(json_value: Any) -> Iterable[Any]:
    """Return the values directly in an object or a list; none for any other JSON value."""
    if isinstance(json_value, dict):
        return json_value.values()
    return json_value if isinstance(json_value, list) else ()


def get_mapping(json_value: Any, key: str) -> dict[str, Any]:
    """Return the mapping at a key of a mapping; an empty one if there is none."""
    member = json_value.get(key) if isinstance(json_value, dict) else None
    return member if isinstance(member, dict) else {}


class SourcePosition(NamedTuple):
    """A file and a line in it."""

    path: Path
    line: int | None
    """Line number, counted from 1; `None` if the position is the file as a whole."""


class Document:
    """A parsed document: its data, the position of each value, and a SHA-256 of the bytes of its files."""

    def __init__(
        self,
        path: Path,
        data: dict[str, Any],
        line_by_pointer: Mapping[str, int],
        sha256: str,
        external_part_by_pointer: Mapping[str, tuple[Document, str]] | None = None,
    ) -> None:
        """Store the parsed data.

        Args:
            path: the file; for a document of several files, the one that refers to the others.
            data: the document as plain data.
            line_by_pointer: the line of each value in `path`, counted from 1, under the value's JSON pointer.
            sha256: SHA-256 of the bytes of all files, in hexadecimal digits.
            external_part_by_pointer: for each value that comes from another file, under its JSON pointer: the other
                document, and the pointer in it. `None` if the document is a single file.
        """
        self.path, self.data, self.sha256 = path, data, sha256
        self.line_by_pointer, self._parts = line_by_pointer, external_part_by_pointer or {}

    def replace_data(self, data: dict[str, Any]) -> Document:
        """Return a document that has other `data`, but the same positions of JSON pointers as this one."""
        return Document(self.path, data, self.line_by_pointer, self.sha256, self._parts)

    def find_position(self, json_pointer: str) -> SourcePosition:
        """Return file and line of the value at `json_pointer`, or of its nearest ancestor in the document."""
        part, at = self.find_containing_document(json_pointer)
        return SourcePosition(part.path, part.line_by_pointer.get(at))

    def find_line(self, json_pointer: str) -> int | None:
        """Return the line of the value at `json_pointer`, or of its nearest ancestor; `None` if no line is known."""
        return self.find_position(json_pointer).line

    def build_error(self, json_pointer: str, reason: str) -> ContractError:
        """Return an error with file and line, which says what is wrong at `json_pointer`.

        If the file has so many values in a line that the line does not help, the reason begins with the JSON pointer.
        """
        part, at = self.find_containing_document(json_pointer)
        shown = f"{at}: " if at and part.has_long_lines else ""
        return ContractError(*self.find_position(json_pointer), f"{shown}{' '.join(reason.split())}")

    def find_containing_document(self, json_pointer: str) -> tuple[Document, str]:
        """Return the document of the file with the value at `json_pointer`, and the value's pointer in that file."""
        rest = ""
        while json_pointer not in self.line_by_pointer:
            if json_pointer in self._parts:
                part, at = self._parts[json_pointer]
                return part.find_containing_document(at + rest)
            if not json_pointer:
                break
            json_pointer, _, token = json_pointer.rpartition("/")
            rest = f"/{token}{rest}"
        return self, json_pointer

    @functools.cached_property
    def has_long_lines(self) -> bool:
        """Whether the file has many values in each line, as JSON without line breaks has."""
        return len(self.line_by_pointer) > _MAX_VALUES_PER_LINE * max(self.line_by_pointer.values(), default=1)


def _get_line_number(event: _YamlEvent) -> int:
    return int(event.start_mark.line) + 1


class _ParsedValue(NamedTuple):
    """A value of the document, and its size with all aliases expanded: how many values and characters it has."""

    value: Any
    value_count: int
    character_count: int


class _DocumentBuilder:
    """Builds plain data from YAML events."""

    def __init__(self, path: Path, events: Iterator[_YamlEvent]) -> None:
        self._path, self._events = path, events
        self._anchors: dict[str, _ParsedValue | None] = {}
        self.lines: dict[str, int] = {}

    def build_document(self) -> Any:
        """Return the data of the only document; `None` for an empty stream.

        Raises:
            ContractError: there are several documents, or the document exceeds a limit.
        """
        next(self._events)  # StreamStartEvent
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._build_value(next(self._events), "").value
        next(self._events)  # DocumentEndEvent
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise self._build_error_at_event(following, "must be a single document; a second one begins here")
        return value

    def _build_error_at_event(self, event: _YamlEvent, reason: str) -> ContractError:
        return ContractError(self._path, _get_line_number(event), reason)

    def _build_value(self, event: _YamlEvent, json_pointer: str) -> _ParsedValue:
        if json_pointer not in self.lines:  # the line of a mapping's value is that of its key
            self.lines[json_pointer] = _get_line_number(event)
        if isinstance(event, yaml.AliasEvent):
            return self._resolve_alias(event)
        if event.tag is not None and event.tag not in _SUPPORTED_TAGS:
            raise self._build_error_at_event(event, f"the tag {event.tag.removeprefix(_TAG_PREFIX)!r} is not supported")
        if event.anchor is not None:
            # Until the value is complete: an alias inside of it would lead to a value that contains itself.
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            built = _ParsedValue(self._parse_scalar(event), 1, len(event.value))
        elif isinstance(event, yaml.SequenceStartEvent):
            built = self._build_sequence(event, json_pointer)
        else:
            built = self._build_mapping(event, json_pointer)
        if event.anchor is not None:
            self._anchors[event.anchor] = built
        return built

    def _resolve_alias(self, event: _YamlEvent) -> _ParsedValue:
        if event.anchor not in self._anchors:
            raise self._build_error_at_event(event, f"the alias *{event.anchor} has no anchor before it")
        built = self._anchors[event.anchor]
        if built is None:
            raise self._build_error_at_event(event, f"the alias *{event.anchor} is inside its own anchor")
        return built

    def _build_sequence(self, start_event: _YamlEvent, json_pointer: str) -> _ParsedValue:
        items: list[Any] = []
        value_count, character_count = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            built = self._build_value(event, f"{json_pointer}/{len(items)}")
            items.append(built.value)
            value_count, character_count = self._check_expanded_size(
                start_event, value_count + built.value_count, character_count + built.character_count
            )
        return _ParsedValue(items, value_count, character_count)

    def _build_mapping(self, start_event: _YamlEvent, json_pointer: str) -> _ParsedValue:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        value_count, character_count = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._build_error_at_event(event, "a key must be a text, not an alias, a list or a mapping")
            key = event.value
            if key in own:
                raise self._build_error_at_event(event, f"the key {key!r} is used twice")
            child = f"{json_pointer}/{escape_pointer_token(key)}"
            self.lines[child] = _get_line_number(event)
            built = self._build_value(next(self._events), child)
            if key == "<<" and event.implicit[0]:
                merged = {**self._merge_mappings(event, built.value), **merged}
            else:
                own[key] = built.value
            value_count, character_count = self._check_expanded_size(
                start_event, value_count + built.value_count, character_count + built.character_count + len(key)
            )
        return _ParsedValue({**merged, **own} if merged else own, value_count, character_count)

    def _merge_mappings(self, event: _YamlEvent, mappings_to_merge: Any) -> dict[str, Any]:
        """Return the mapping for `<<: *anchor` or `<<: [*first, *second]`; of equal keys the first one counts."""
        parts = mappings_to_merge if isinstance(mappings_to_merge, list) else [mappings_to_merge]
        if not all(isinstance(part, dict) for part in parts):
            raise self._build_error_at_event(event, "<< takes a mapping or a list of mappings")
        return {key: item for part in reversed(parts) for key, item in part.items()}

    def _check_expanded_size(self, start_event: _YamlEvent, value_count: int, character_count: int) -> tuple[int, int]:
        if value_count > MAX_DOCUMENT_VALUES or character_count > MAX_DOCUMENT_CHARACTERS:
            limit = f"{MAX_DOCUMENT_VALUES} values or {MAX_DOCUMENT_CHARACTERS} characters"
            raise self._build_error_at_event(start_event, f"has more than {limit} with its aliases expanded")
        return value_count, character_count

    def _parse_scalar(self, event: _YamlEvent) -> Any:
        text, tag = event.value, event.tag
        if tag in ("!", f"{_TAG_PREFIX}str") or (tag is None and not event.implicit[0]):
            return text
        if text in _YAML_CONSTANTS:
            return _YAML_CONSTANTS[text]
        if tag is None and text[0] not in _FIRST_CHARACTERS_OF_NUMBERS:
            return text
        try:
            value: Any = text
            if _INTEGER_PATTERN.fullmatch(text):
                value = int(text)
            elif _FLOAT_PATTERN.fullmatch(text):
                value = float(text)
        except ValueError as error:  # Python converts at most 4,300 digits to an integer
            raise self._build_error_at_event(event, f"the number {text[:20]}... is too long") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._build_error_at_event(event, f"the number {text[:20]!r} is too large")
        if tag is not None and value is text:
            raise self._build_error_at_event(event, f"{text[:40]!r} is not a valid {tag.removeprefix(_TAG_PREFIX)}")
        return value


def _convert_json_to_yaml(json_bytes: bytes) -> bytes:
    """Replace the two parts of JSON that YAML does not support: tabs for indentation, and surrogate pairs."""
    return _SURROGATE_PAIR_PATTERN.sub(
        lambda pair: pair[1] + bytes.fromhex((pair[2] + pair[3]).decode()).decode("utf-16-be").encode(),
        json_bytes.replace(b"\t", b" "),
    )


def read_document(path: Path) -> Document:
    """Read a YAML document, or a JSON document if the file's suffix is .json.

    Raises:
        ContractError: the file cannot be read, is not valid YAML or JSON, is not a mapping, or exceeds a limit of size,
            depth or expanded aliases.
    """
    raw = _read_bytes(path)
    try:
        builder = _DocumentBuilder(path, _parse_events(path, raw))
        data = builder.build_document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = f" (column {mark.column + 1})" if mark else ""
        language = "JSON" if path.suffix == ".json" else "YAML"
        line = mark.line + 1 if mark else None
        raise ContractError(path, line, f"is not valid {language}: {reason}{where}") from error
    if not isinstance(data, dict):
        raise ContractError(path, 1, "must be a mapping: keys with values")
    return Document(path, data, builder.lines, hashlib.sha256(raw).hexdigest())


def find_top_level_key(path: Path, keys: Collection[str]) -> str | None:
    """Return the key of a YAML or JSON document that is the first, in its order, to be one of `keys`.

    Only keys at the top level count. The document is read up to that key only. The result is `None` if the document has
    none of them, or cannot be read.
    """
    depth, is_key = 0, True
    try:
        for event in _parse_events(path, _read_bytes(path)):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                continue
            depth -= isinstance(event, yaml.CollectionEndEvent)
            # At the top level keys and values alternate, and a nested collection is one value, which ends here.
            if depth != 1 or not isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                continue
            if is_key and isinstance(event, yaml.ScalarEvent) and event.value in keys:
                return str(event.value)
            is_key = not is_key
    except (ContractError, yaml.YAMLError):
        return None
    return None


def _read_bytes(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            raw = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise ContractError(path, None, f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ContractError(path, None, f"is larger than {MAX_DOCUMENT_BYTES} bytes")
    return raw


def _parse_events(path: Path, raw: bytes) -> Iterator[_YamlEvent]:
    """Yield the parser's events up to the maximum depth, because PyYAML's time grows with the square of the depth.

    Raises:
        ContractError: mappings and lists are nested deeper than `MAX_DOCUMENT_DEPTH`.
        yaml.YAMLError: the document is not valid YAML.
    """
    depth = 0
    for event in yaml.parse(_convert_json_to_yaml(raw) if path.suffix == ".json" else raw, Loader=YAML_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DOCUMENT_DEPTH:
            raise ContractError(path, _get_line_number(event), f"is nested deeper than {MAX_DOCUMENT_DEPTH}")
        yield event


# Says where a file is not valid JSON, and why data does not fit a record: msgspec names Python types and byte offsets.


_MSGSPEC_ERROR_PATTERN = re.compile(r"JSON is malformed: (?P<reason>.*) \(byte (?P<offset>\d+)\)")
"""Matches the message of msgspec about bytes that are not valid JSON."""


def describe_json_error(error: Exception, json_bytes: bytes) -> str:
    """Return why bytes cannot be read, to be put after the name of the file: ":3: is not valid JSON: it ends early".

    The line is left out for an error that concerns no single line.

    Args:
        error: the error that msgspec raised.
        json_bytes: the bytes that were read.
    """
    found = _MSGSPEC_ERROR_PATTERN.fullmatch(str(error))
    offset = int(found["offset"]) if found else len(json_bytes.rstrip())
    before = json_bytes[:offset]
    line, column = before.count(b"\n") + 1, offset - before.rfind(b"\n")
    if found:
        reason = f"{found['reason']}, column {column}"
    elif isinstance(error, RecursionError):
        return ": is not valid JSON: it is nested too deep"
    elif isinstance(error, UnicodeDecodeError):
        return ": is not valid JSON: it is not UTF-8"
    elif isinstance(error, msgspec.ValidationError):  # without an expected type, only such a number is one
        return ": has a number that is too large"
    else:
        reason = "it ends early"
    return f":{line}: is not valid JSON: {reason}"


_PLAIN_NAME_BY_PYTHON_TYPE: Mapping[str, str] = {
    **dict.fromkeys(("array", "list"), "a list"),
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    **dict.fromkeys(("null", "NoneType"), "null"),
    **dict.fromkeys(("object", "dict"), "a mapping"),
    "str": "a text",
}
"""The plain name of a JSON type, by the name that msgspec gives it in messages and by that of its Python class."""
_PHRASE_BY_COMPARISON_SIGN: Mapping[str, str] = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_PLAIN_WORDING_BY_PATTERN: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        r"Expected `([^`]+)`, got `([^`]+)`",
        lambda found: f"must be {_format_type_names(found[1])}, not {_format_type_names(found[2])}",
    ),
    (
        r"Expected `(array|object)` of length (>=|<=) (\S+)",
        lambda m: f"must have {_PHRASE_BY_COMPARISON_SIGN[m[2]]} {m[3]} entries",
    ),
    (
        r"Expected `str` of length (>=|<=) (\S+)",
        lambda m: f"must have {_PHRASE_BY_COMPARISON_SIGN[m[1]]} {m[2]} characters",
    ),
    (r"Expected `str` matching regex (.+)", lambda m: f"must be a text that matches {m[1]}"),
    (
        r"Expected `(int|float)` (>=|>|<=|<) (\S+)",
        lambda m: f"must be {_format_type_names(m[1])}, {_PHRASE_BY_COMPARISON_SIGN[m[2]]} {m[3]}",
    ),
    (r"Object missing required field `([^`]*)`", lambda found: f"needs the key {found[1]!r}"),
    (r"Object contains unknown field `([^`]*)`", lambda found: f"the key {found[1]!r} is not known here"),
    (r"Invalid enum value (.+)", lambda found: f"{found[1]} is not one of the possible values"),
)


def explain_type_error(reason: str) -> str:
    """Return msgspec's `reason` in plain words. A reason of an unknown form is returned unchanged."""
    for pattern, reword in _PLAIN_WORDING_BY_PATTERN:
        found = re.fullmatch(pattern, reason)
        if found:
            return reword(found)
    return reason


def describe_type(value: Any) -> str:
    """Return the plain name of the type of a JSON value: "a text"."""
    return _PLAIN_NAME_BY_PYTHON_TYPE[type(value).__name__]


def _format_type_names(type_names: str) -> str:
    """Return the plain name for types such as "str | null"."""
    return " or ".join(_PLAIN_NAME_BY_PYTHON_TYPE.get(name, name) for name in type_names.split(" | "))


# Writes values as YAML or JSON for people to read: on one line if they fit, and without needless quotes.


INDENT_SPACES = 2
"""Number of spaces by which a nested mapping or list is indented."""
MAX_LINE_WIDTH = 120
"""Largest number of characters in a line with a mapping. A longer mapping is written on several lines."""
_PLAIN_SCALAR_PATTERN = re.compile(r"[A-Za-z_/$](?:[A-Za-z0-9_./* -]|(?<! )#)*(?<! )")
"""Matches strings that need no quotes in any YAML version. Others are written as JSON, which is valid YAML."""
_RESERVED_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})
"""Words that YAML 1.1 or 1.2 reads as another type than a string unless they are in quotes."""


@dataclass(frozen=True)
class CommentedValue:
    """A value with a comment at the end of its first line. The mappings around it are written on several lines."""

    value: Any
    comment: str
    """One line without "#"."""


def format_scalar(value: Any, *, writes_json: bool = False) -> str:
    """Return a string, number, boolean or `None` as YAML, or as JSON if `writes_json` is true."""
    is_plain = (
        isinstance(value, str) and _PLAIN_SCALAR_PATTERN.fullmatch(value) and value.lower() not in _RESERVED_WORDS
    )
    if is_plain and not writes_json:
        return str(value)
    # YAML forbids unescaped control characters, but letters such as umlauts should stay readable.
    has_control_characters = isinstance(value, str) and not value.isprintable()
    return json.dumps(value, ensure_ascii=has_control_characters)


def format_on_one_line(value: Any, *, writes_json: bool = False) -> str:
    """Return a value on one line, with braces and brackets and without comments."""
    if isinstance(value, CommentedValue):
        return format_on_one_line(value.value, writes_json=writes_json)
    if isinstance(value, Mapping):
        members = (
            f"{format_scalar(str(key), writes_json=writes_json)}: {format_on_one_line(member, writes_json=writes_json)}"
            for key, member in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(format_on_one_line(item, writes_json=writes_json) for item in value) + "]"
    return format_scalar(value, writes_json=writes_json)


def iterate_entry_lines(key: str, value: Any, margin: str, *, writes_json: bool = False) -> Iterator[str]:
    """Yield the lines of `key: value`, each with `margin` before it and a line break after it.

    Any value but a mapping is written on one line, and so is a mapping that fits on it and contains no comment.
    """
    comment = f"  # {value.comment}" if isinstance(value, CommentedValue) else ""
    value = value.value if isinstance(value, CommentedValue) else value
    name, on_one_line = format_scalar(key, writes_json=writes_json), format_on_one_line(value, writes_json=writes_json)
    width = len(margin) + len(name) + len(on_one_line) + len(comment) + 2
    is_short = width <= MAX_LINE_WIDTH and not _contains_comment(value)
    if not isinstance(value, Mapping) or not value or is_short:
        yield f"{margin}{name}: {on_one_line}{comment}\n"
        return
    yield f"{margin}{name}:{comment}\n"
    for child_key, child in value.items():
        yield from iterate_entry_lines(child_key, child, margin + " " * INDENT_SPACES, writes_json=writes_json)


def format_list_item(value: Any, margin: str, *, writes_json: bool = False) -> str:
    """Return the lines of an item of a list that is not in brackets, each with `margin` before it."""
    on_one_line = format_on_one_line(value, writes_json=writes_json)
    is_short = len(margin) + len(on_one_line) + 2 <= MAX_LINE_WIDTH and not _contains_comment(value)
    if not isinstance(value, Mapping) or not value or is_short:
        return f"{margin}- {on_one_line}\n"
    inner_margin = margin + " " * INDENT_SPACES
    lines = (
        line
        for key, member in value.items()
        for line in iterate_entry_lines(key, member, inner_margin, writes_json=writes_json)
    )
    return f"{margin}- " + "".join(lines).removeprefix(inner_margin)


def _contains_comment(value: Any) -> bool:
    if isinstance(value, CommentedValue):
        return True
    return isinstance(value, Mapping) and any(map(_contains_comment, value.values()))

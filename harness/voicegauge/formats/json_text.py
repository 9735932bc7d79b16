"""Reads and quotes JSON: its errors, excerpts, lines, and a schema inferred from values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from voicegauge.formats.bodies import UnreadableBodyError, is_utf8
from voicegauge.formats.sse import MAX_MESSAGE_BYTES, MAX_STREAM_BYTES, MAX_STREAM_MESSAGES, StreamMessage

# Infers JSON Schemas from observed values.


_JSON_TYPE_BY_CLASS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_MAX_INFERRED_DEPTH = 8
"""Largest depth of inferred schemas. The schema of deeper values is empty, so that a patch is short enough to
review."""
_MAX_INFERRED_PROPERTIES = 60
"""Largest number of properties of an object. An object with more is taken for a map whose keys are data."""


def infer_schema(values: Sequence[Any], nesting_depth: int = 0) -> dict[str, Any]:
    """Infer a schema that all `values` satisfy, with types and properties only.

    Required properties, enums and ranges are left out, because a small number of samples cannot show them.

    genson would infer the same types, but requires every property that all samples have, and limits neither depth nor
    the number of properties. The strategies that change this are as long as this function.

    Args:
        values: the JSON values of one field.
        nesting_depth: number of levels of nesting above the values.
    """
    types = sorted({get_json_type(value) for value in values})
    if not types or nesting_depth > _MAX_INFERRED_DEPTH:
        return {}
    if set(types) == {"integer", "number"}:
        types = ["number"]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    objects = [value for value in values if isinstance(value, dict)]
    names = dict.fromkeys(name for one in objects for name in one)
    if names and len(names) <= _MAX_INFERRED_PROPERTIES:
        by_name = {name: [one[name] for one in objects if name in one] for name in names}
        schema["properties"] = {name: infer_schema(inner, nesting_depth + 1) for name, inner in by_name.items()}
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = infer_schema(items, nesting_depth + 1)
    return schema


def get_json_type(value: Any) -> str:
    """Return the type of a JSON value as JSON Schema names it; that of a float is "number", also of 1.0."""
    return _JSON_TYPE_BY_CLASS[type(value)]


# Describes where a file is not valid JSON.


_MSGSPEC_ERROR_PATTERN = re.compile(r"JSON is malformed: (?P<reason>.*) \(byte (?P<offset>\d+)\)")


def describe_json_error(error: Exception, json_bytes: bytes) -> str:
    """Return the line and the reason why bytes cannot be read: ":3: is not valid JSON: invalid character, ...".

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


# Quotes the beginning of a JSON value in a message, without creating the text of the whole value.


def quote_json(value: Any, max_characters: int, *, is_compact: bool = False) -> str:
    """Return the first `max_characters` characters of a value's JSON text.

    No ellipsis marks the cut, so that a secret that is cut off at the end can still be recognized.

    Args:
        value: a JSON value.
        max_characters: maximum length of the result.
        is_compact: whether to leave out the spaces after commas and colons.
    """
    comma, colon = (",", ":") if is_compact else (", ", ": ")
    text = ""
    for token in _generate_json_tokens(value, max_characters, comma, colon):
        text += token
        if len(text) >= max_characters:
            break
    return text[:max_characters]


def _generate_json_tokens(value: Any, max_characters: int, comma_text: str, colon_text: str) -> Iterator[str]:
    if isinstance(value, str):
        yield json.dumps(value[:max_characters], ensure_ascii=False)
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield comma_text if index else ""
            yield from _generate_json_tokens(item, max_characters, comma_text, colon_text)
        yield "]"
    elif isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield comma_text if index else ""
            yield json.dumps(key[:max_characters], ensure_ascii=False) + colon_text
            yield from _generate_json_tokens(item, max_characters, comma_text, colon_text)
        yield "}"
    else:
        yield json.dumps(value)


# Parses JSON Lines, also called NDJSON: one JSON value per line, each of which is one message of a stream.


JSON_LINES_MEDIA_TYPE = "application/x-ndjson"
"""The usual media type of JSON Lines; services also use application/jsonl, application/stream+json and
application/json."""


class JsonLinesParser:
    """Parses a stream of JSON Lines, which may be split into chunks anywhere. Empty lines are skipped."""

    def __init__(self) -> None:
        """Create a parser that has received nothing."""
        self._line = bytearray()
        self._read = 0
        self._count = 0

    @property
    def has_partial_message(self) -> bool:
        """Whether the last line is incomplete."""
        return bool(self._line.strip())

    def feed(self, chunk: bytes) -> list[StreamMessage]:
        """Return the messages that `chunk` completes.

        Raises:
            UnreadableBodyError: a line is larger than `MAX_MESSAGE_BYTES`, the stream is larger than
                `MAX_STREAM_BYTES`, or there are more than `MAX_STREAM_MESSAGES`.
        """
        if self._read + len(self._line) + len(chunk) > MAX_STREAM_BYTES:
            raise UnreadableBodyError(f"is a stream of more than {MAX_STREAM_BYTES} bytes")
        *lines, rest = chunk.split(b"\n")
        found: list[StreamMessage] = []
        for line in lines:
            self._line += line
            found += self._finish_line(line_end_bytes=1)
        self._line += rest
        if len(self._line) > MAX_MESSAGE_BYTES:
            raise UnreadableBodyError(f"has a line of more than {MAX_MESSAGE_BYTES} bytes")
        return found

    def finish(self) -> list[StreamMessage]:
        """Return the last message, if the stream ended without a line feed."""
        return self._finish_line(line_end_bytes=0)

    def _finish_line(self, line_end_bytes: int) -> list[StreamMessage]:
        data = bytes(self._line).strip()
        self._read += len(self._line) + line_end_bytes
        self._line.clear()
        if not data:
            return []
        self._count += 1
        if self._count > MAX_STREAM_MESSAGES:
            raise UnreadableBodyError(f"has more than {MAX_STREAM_MESSAGES} messages")
        if len(data) > MAX_MESSAGE_BYTES:
            raise UnreadableBodyError(f"has a line of more than {MAX_MESSAGE_BYTES} bytes")
        text = data if is_utf8(data) else data.decode(errors="replace").encode()
        return [StreamMessage("message", text, self._read)]


# Rewords why data does not fit a record, because msgspec's messages use names of Python types.


_PLAIN_NAME_BY_TYPE: Mapping[str, str] = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "a mapping",
    "str": "a text",
}
"""The plain name of a type, by the name that msgspec gives the type in error messages."""
_TYPE_NAME_BY_CLASS = {
    list: "array",
    bool: "bool",
    float: "float",
    int: "int",
    type(None): "null",
    dict: "object",
    str: "str",
}
"""The name that msgspec gives the type of a JSON value, by the Python class of the value."""
_BOUND_PHRASE_BY_SIGN: Mapping[str, str] = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_PLAIN_WORDING_BY_PATTERN: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (
        r"Expected `([^`]+)`, got `([^`]+)`",
        lambda found: f"must be {_format_type_names(found[1])}, not {_format_type_names(found[2])}",
    ),
    (
        r"Expected `(array|object)` of length (>=|<=) (\S+)",
        lambda m: f"must have {_BOUND_PHRASE_BY_SIGN[m[2]]} {m[3]} entries",
    ),
    (r"Expected `str` of length (>=|<=) (\S+)", lambda m: f"must have {_BOUND_PHRASE_BY_SIGN[m[1]]} {m[2]} characters"),
    (r"Expected `str` matching regex (.+)", lambda m: f"must be a text that matches {m[1]}"),
    (
        r"Expected `(int|float)` (>=|>|<=|<) (\S+)",
        lambda m: f"must be {_format_type_names(m[1])}, {_BOUND_PHRASE_BY_SIGN[m[2]]} {m[3]}",
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
    return _PLAIN_NAME_BY_TYPE[_TYPE_NAME_BY_CLASS[type(value)]]


def _format_type_names(type_names: str) -> str:
    """Return the plain name for types such as "str | null"."""
    return " or ".join(_PLAIN_NAME_BY_TYPE.get(name, name) for name in type_names.split(" | "))

"""Decodes bodies within limits: JSON, forms, multipart, subtitles, and the numbers and times that are texts in them.

Of JSON also: quotes from it, and schemas that are inferred from it.
"""

from __future__ import annotations

import base64
import codecs
import functools
import io
import json
import logging
import math
import mmap
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, Literal, NamedTuple, TypeGuard, TypeVar
from urllib.parse import parse_qsl

import msgspec

from voicegauge.formats.located_yaml import get_inner_values
from voicegauge.model.exchange import MappedFile, UploadedFile

MAX_JSON_BYTES = 32 * 2**20
"""Maximum size of a JSON body: enough for eight minutes of 16-bit speech at 24 kHz in base64."""
MAX_NON_ASCII_TEXT_BYTES = 4 * 2**20
"""Maximum size of the texts in a JSON body that contain non-ASCII characters, literally or as "\\u" escapes, because
such a text may take four times as much memory when it is parsed. Real transcripts have some hundred kilobytes."""
MAX_JSON_DEPTH = 64
"""Maximum nesting of a JSON body. No speech API nests this deep, and a malicious response must not exhaust the stack of
code that walks the JSON."""
MAX_JSON_NODES = 500_000
"""Maximum number of values and keys in a JSON body, which may take a hundred times the memory of their text. A
transcript of an hour with the time of each character has 200,000. A list of thousands of voices has about as many."""
MAX_FORM_PARTS = 1000
"""Maximum number of parts of a multipart body or fields of a form. It is far more than any API uses."""


class UnreadableBodyError(ValueError):
    """Raised when a body does not have the format of its media type."""


class BodyLimitError(UnreadableBodyError):
    """Raised when a body exceeds a limit of voicegauge, so that it may be valid but is not read."""


FieldText = str | list[str]
"""The text of a form field; for a repeated field, the list of its texts in their order."""


class Form(NamedTuple):
    """The text fields and files of a form, by name."""

    fields: dict[str, FieldText]
    files: dict[str, UploadedFile]
    """If several files have the same name, the last one counts."""

    def iterate_texts(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the text of each field, once for each repetition."""
        for name, value in self.fields.items():
            yield from ((name, text) for text in ([value] if isinstance(value, str) else value))


_FieldContentT = TypeVar("_FieldContentT")


def group_contents_by_field(
    names_and_contents: Iterable[tuple[str, _FieldContentT]],
) -> dict[str, _FieldContentT | list[_FieldContentT]]:
    """Return the content of each field of a form by its name; of a repeated one, the list of its contents in order."""
    contents_by_name: dict[str, list[_FieldContentT]] = {}
    for name, content in names_and_contents:
        contents_by_name.setdefault(name, []).append(content)
    return {name: parts if len(parts) > 1 else parts[0] for name, parts in contents_by_name.items()}


_DECODED_PIECE_BYTES = 2**20
"""Number of bytes that are decoded at a time, to limit the memory."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON_TEXT_PATTERN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""Matches a text in JSON. Quantifiers are possessive, so that matching neither backtracks nor uses memory for each
character."""
_INVALID_CONSTANT_PATTERN = re.compile(rb"(?<![\w\"])(?:NaN|-?Infinity)(?![\w\"])")
"""Matches what Python writes for numbers that JSON does not have."""
_UNPAIRED_SURROGATE_PATTERN = re.compile(rb"\\u[dD](?:[c-fC-F]|[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F]))")


def read_json(json_bytes: bytes) -> Any:
    """Parse a JSON body. The size of the body and the number of values in it are checked before any value is created.

    Raises:
        BodyLimitError: the body exceeds `MAX_JSON_BYTES`, `MAX_JSON_DEPTH`, `MAX_JSON_NODES` or
            `MAX_NON_ASCII_TEXT_BYTES`.
        UnreadableBodyError: the body is not valid JSON in UTF-8. NaN, Infinity and unpaired surrogates, which cannot be
            encoded as UTF-8 again (RFC 8259, section 8.2), are not valid.
    """
    if len(json_bytes) > MAX_JSON_BYTES:
        raise BodyLimitError(f"is larger than {MAX_JSON_BYTES // 2**20} MiB, the limit for JSON")
    # Each value takes at least one byte, so most bodies need not be counted.
    if len(json_bytes) > MAX_JSON_NODES and count_json_nodes(json_bytes, MAX_JSON_NODES) > MAX_JSON_NODES:
        raise BodyLimitError(f"has more than {MAX_JSON_NODES:,} values, the limit for JSON")
    if (
        len(json_bytes) > MAX_NON_ASCII_TEXT_BYTES
        and _count_non_ascii_text_bytes(json_bytes) > MAX_NON_ASCII_TEXT_BYTES
    ):
        limit = f"{MAX_NON_ASCII_TEXT_BYTES // 2**20} MiB"
        raise BodyLimitError(f"has more than {limit} of texts with characters outside of ASCII")
    try:
        value = msgspec.json.decode(json_bytes.removeprefix(_BYTE_ORDER_MARK))
    except RecursionError as error:
        raise BodyLimitError(f"is nested deeper than {MAX_JSON_DEPTH}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableBodyError(_describe_invalid_json(json_bytes, error)) from error
    # Walking the value is slow; a body with fewer opening brackets cannot be too deep.
    if (
        json_bytes.count(b"{") + json_bytes.count(b"[") >= MAX_JSON_DEPTH
        and _measure_json_depth(value) > MAX_JSON_DEPTH
    ):
        raise BodyLimitError(f"is nested deeper than {MAX_JSON_DEPTH}")
    return value


def read_finite_number(json_value: object) -> float | None:
    """Return a number of JSON as a float; `None` for any other value, and for a number beyond the range of floats."""
    if isinstance(json_value, bool) or not isinstance(json_value, int | float):
        return None
    try:
        number = float(json_value)
    except OverflowError:  # JSON does not limit integers
        return None
    return number if math.isfinite(number) else None


MAX_WHOLE_NUMBER_DIGITS = 15
"""Maximum number of digits of a whole number in a text. Python takes long to convert thousands of them, or refuses."""


def parse_whole_number(text: str | None) -> int | None:
    """Return the number that a text of decimal digits states; `None` for any other value, and for too many digits."""
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= MAX_WHOLE_NUMBER_DIGITS
    return int(text) if text is not None and is_number else None


def count_json_nodes(body: bytes, limit: int) -> int:
    """Return an upper bound of the number of values and keys in a JSON text, without parsing it.

    Counting stops above `limit`: such a result only says that there may be more than `limit`.
    """
    highest = 1 + _count_json_separators(body, 0, len(body))
    if highest <= limit:
        return highest
    # Count again, without the punctuation inside texts. Each text is a node too, so there are few steps.
    nodes = end = 0
    for text in _JSON_TEXT_PATTERN.finditer(body):
        nodes += max(_count_json_separators(body, end, text.start()), 1)
        end = text.end()
        if nodes > limit:
            return nodes
    return 1 + nodes + _count_json_separators(body, end, len(body))


def _count_json_separators(body: bytes, start: int, end: int) -> int:
    """Count the commas, colons and opening brackets in a part of a JSON text.

    Every value and key except the first follows such a character, so the count limits the number of nodes.
    """
    return sum(body.count(sign, start, end) for sign in (b",", b":", b"[", b"{"))


def _count_non_ascii_text_bytes(body: bytes) -> int:
    r"""Return the total size of the strings in a JSON body that contain non-ASCII characters or `\u` escapes."""
    if body.isascii() and b"\\u" not in body:
        return 0
    texts = (text[0] for text in _JSON_TEXT_PATTERN.finditer(body))
    return sum(len(text) for text in texts if not text.isascii() or b"\\u" in text)


def _describe_invalid_json(body: bytes, error: Exception) -> str:
    # Searches for patterns are slow, and a body that is not JSON may be minutes of audio.
    constant = _INVALID_CONSTANT_PATTERN.search(body) if b"NaN" in body or b"Infinity" in body else None
    if constant is not None:
        return f"has {constant[0].decode()}, which is not valid JSON"
    if b"\\u" in body and _UNPAIRED_SURROGATE_PATTERN.search(body):
        return "has an unpaired surrogate"
    reason = str(error).removeprefix("JSON is malformed: ")
    return f"is not valid JSON: {'it ends early' if reason == 'Input data was truncated' else reason}"


def _measure_json_depth(json_value: Any) -> int:
    deepest, stack = 0, [(json_value, 1)]
    while stack:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth > MAX_JSON_DEPTH:
            break
        stack.extend((member, depth + 1) for member in get_inner_values(item))
    return deepest


def is_utf8(data: bytes) -> bool:
    """Whether `data` is valid UTF-8. Decoding all of it at once could take four times its size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _DECODED_PIECE_BYTES):
            decoder.decode(data[start : start + _DECODED_PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def decode_base64(text: str) -> bytes:
    """Decode base64, in which white space is allowed.

    Raises:
        ValueError: `text` is not base64.
    """
    # Not `split`, which creates an object for each part of a hostile text.
    return base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n\v\f"), validate=True)


def is_json(media_type: str) -> bool:
    """Whether a media type, without its parameters, is one of JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


def is_form(media_type: str) -> bool:
    """Whether a media type, without its parameters, is one of a form."""
    return media_type in ("multipart/form-data", "application/x-www-form-urlencoded")


def is_text(media_type: str) -> bool:
    """Whether a body of this media type is a single text: plain text, or XML such as SSML."""
    return media_type == "text/plain" or media_type.endswith(("/xml", "+xml"))


def is_plain_text(media_type: str) -> bool:
    """Whether a body of this media type is a text for people, such as a transcript or subtitles."""
    return media_type in ("text/plain", "text/vtt", "text/srt", "application/x-subrip")


def read_text(body: bytes) -> str:
    """Decode a body that is a single text in UTF-8.

    Raises:
        UnreadableBodyError: the body is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise UnreadableBodyError("is not UTF-8") from None


def read_form(content_type: str, body: bytes) -> Form:
    """Parse a form.

    Raises:
        UnreadableBodyError: the body is not a valid form of this content type.
    """
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_PARTS)
        except ValueError as error:
            raise UnreadableBodyError(f"is not a valid form: {error}") from error
        return Form(group_contents_by_field(pairs), {})
    reader = MultipartReader(content_type)
    reader.write(body)
    return reader.finish()


logging.getLogger("python_multipart").addHandler(logging.NullHandler())
"""Without a handler, Python would print the parser's warnings about a malformed body to the terminal."""


@functools.lru_cache(maxsize=256)
def _parse_header_options(header_value: bytes | str) -> dict[bytes, bytes]:
    """Return the options after the first semicolon of a header's value: `name` and `filename` of a Content-Disposition.

    The result is cached, because the forms of one run repeat the same headers.
    """
    from python_multipart.multipart import parse_options_header

    return parse_options_header(header_value)[1]


class MultipartReader:
    """Parses a multipart form piece by piece, so that a large body need not be in memory."""

    def __init__(self, content_type: str, *, max_memory_bytes: int | None = None) -> None:
        """Start to read a body.

        Args:
            content_type: the Content-Type of the body.
            max_memory_bytes: size above which a part is written to a temporary file, and becomes a `MappedFile`; `None`
                to keep every part in memory.
        """
        self._max_memory_bytes = max_memory_bytes
        self._texts: list[tuple[str, str]] = []
        self._files: dict[str, UploadedFile] = {}
        self._error: UnreadableBodyError | None = None
        self._headers: dict[str, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._data: io.BytesIO | BinaryIO = io.BytesIO()  # returns its content without a copy
        self._part_count = 0
        boundary = _parse_header_options(content_type).get(b"boundary")
        if not boundary:
            self._error = UnreadableBodyError("is multipart, but its Content-Type has no boundary")
            return
        from python_multipart.multipart import MultipartParser

        self._parser = MultipartParser(
            boundary,
            callbacks={
                "on_header_field": lambda chunk, start, end: self._name.extend(chunk[start:end]),
                "on_header_value": lambda chunk, start, end: self._value.extend(chunk[start:end]),
                "on_header_end": self._store_header,
                "on_part_data": self._store_data,
                "on_part_end": self._store_part,
            },
        )

    def write(self, piece: bytes) -> None:
        """Parse the next piece of the body. After an error, which `finish` raises, pieces are ignored."""
        if self._error is None:
            self._run_parser(lambda: self._parser.write(piece))

    def finish(self) -> Form:
        """Return the form after the whole body was written, and release its memory.

        Raises:
            UnreadableBodyError: the body is not a valid form.
        """
        if self._error is None:
            self._run_parser(self._parser.finalize)
        if self._error is not None:
            raise self._error
        form = Form(group_contents_by_field(self._texts), self._files)
        self._texts, self._files = [], {}  # the parser refers to this reader, so it may exist for long
        return form

    def _run_parser(self, parse_step: Callable[[], Any]) -> None:
        """Run one step of the parser; keep its error, and then discard what was read."""
        from python_multipart.exceptions import FormParserError

        try:
            parse_step()
        except UnreadableBodyError as error:
            self._error = error
        except (FormParserError, UnicodeDecodeError) as error:
            self._error = UnreadableBodyError(f"is not a valid multipart body: {error}")
        if self._error is not None:
            self._texts, self._files = [], {}
            self.close()

    def close(self) -> None:
        """Discard an incomplete part and its temporary file."""
        self._data.close()
        self._data = io.BytesIO()

    def _store_header(self) -> None:
        self._headers[self._name.decode().lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _store_data(self, chunk: bytes, start: int, end: int) -> None:
        self._data.write(memoryview(chunk)[start:end])  # a slice of bytes would be a copy of many megabytes
        is_large = self._max_memory_bytes is not None and self._data.tell() > self._max_memory_bytes
        if is_large and isinstance(self._data, io.BytesIO):
            file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
            file.write(self._data.getbuffer())
            self._data = file

    def _store_part(self) -> None:
        self._part_count += 1
        if self._part_count > MAX_FORM_PARTS:
            raise UnreadableBodyError(f"has more than {MAX_FORM_PARTS} parts")
        options = _parse_header_options(self._headers.get("content-disposition", b""))
        field = options.get(b"name", b"").decode()
        if b"filename" in options:
            name = options[b"filename"].decode()
            media_type = self._headers.get("content-type", b"application/octet-stream").decode()
            if isinstance(self._data, io.BytesIO):
                file = UploadedFile(filename=name, media_type=media_type, data=self._data.getvalue())
            else:
                self._data.flush()
                mapped = mmap.mmap(self._data.fileno(), 0, access=mmap.ACCESS_READ)
                file = MappedFile(filename=name, media_type=media_type, data=b"", memory_map=mapped)
            self._files[field] = file
        else:
            self._data.seek(0)
            self._texts.append((field, self._data.read().decode()))
        self._headers.clear()
        self.close()


# Quotes JSON values, and infers their schemas.


def quote_json(json_value: Any, max_characters: int, *, is_compact: bool = False) -> str:
    """Return the first `max_characters` characters of a value's JSON text.

    No ellipsis marks the cut, so that a secret that is cut off at the end can still be recognized.

    Args:
        json_value: a JSON value.
        max_characters: maximum length of the result.
        is_compact: whether to leave out the spaces after commas and colons.
    """
    comma, colon = (",", ":") if is_compact else (", ", ": ")
    text = ""
    for token in _generate_json_tokens(json_value, max_characters, comma, colon):
        text += token
        if len(text) >= max_characters:
            break
    return text[:max_characters]


def _generate_json_tokens(json_value: Any, max_characters: int, comma_text: str, colon_text: str) -> Iterator[str]:
    if isinstance(json_value, str):
        yield json.dumps(json_value[:max_characters], ensure_ascii=False)
    elif isinstance(json_value, list):
        yield "["
        for index, item in enumerate(json_value):
            yield comma_text if index else ""
            yield from _generate_json_tokens(item, max_characters, comma_text, colon_text)
        yield "]"
    elif isinstance(json_value, dict):
        yield "{"
        for index, (key, item) in enumerate(json_value.items()):
            yield comma_text if index else ""
            yield json.dumps(key[:max_characters], ensure_ascii=False) + colon_text
            yield from _generate_json_tokens(item, max_characters, comma_text, colon_text)
        yield "}"
    else:
        yield json.dumps(json_value)


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


def infer_schema(json_values: Sequence[Any], nesting_depth: int = 0) -> dict[str, Any]:
    """Infer a schema that all `json_values` satisfy, with types and properties only; an empty one for no values.

    Required properties, enums and ranges are left out, because a small number of samples cannot show them.

    genson would infer the same types, but requires every property that all samples have, and limits neither depth nor
    the number of properties. The strategies that change this are as long as this function.

    Args:
        json_values: the JSON values of one field.
        nesting_depth: number of levels of nesting above the values.
    """
    types = sorted({get_json_type(value) for value in json_values})
    if not types or nesting_depth > _MAX_INFERRED_DEPTH:
        return {}
    if set(types) == {"integer", "number"}:
        types = ["number"]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    objects = [value for value in json_values if isinstance(value, dict)]
    names = dict.fromkeys(name for one in objects for name in one)
    if names and len(names) <= _MAX_INFERRED_PROPERTIES:
        by_name = {name: [one[name] for one in objects if name in one] for name in names}
        schema["properties"] = {name: infer_schema(inner, nesting_depth + 1) for name, inner in by_name.items()}
    items = [item for value in json_values if isinstance(value, list) for item in value]
    if items:
        schema["items"] = infer_schema(items, nesting_depth + 1)
    return schema


def get_json_type(json_value: Any) -> str:
    """Return the type of a JSON value as JSON Schema names it; that of a float is "number", also of 1.0."""
    return _JSON_TYPE_BY_CLASS[type(json_value)]


def is_number(json_value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number; `True` and `False`, which Python counts as integers, are none."""
    return isinstance(json_value, int | float) and not isinstance(json_value, bool)


# Times that are written as text, in bodies and headers, and as the cues of subtitles (SRT, WebVTT).


MAX_UNIX_TIME_S = 1e11
"""Largest Unix time that is read as seconds; larger numbers are read as milliseconds. As seconds, this value is in the
year 5138, as milliseconds, in 1973."""


def parse_timestamp(value: Any) -> datetime | None:
    """Parse a timestamp in a response, which is an ISO 8601 text or a Unix time; `None` if `value` is neither.

    A text without a time zone is read as UTC.
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > MAX_UNIX_TIME_S else value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_http_date(text: str) -> datetime | None:
    """Parse an HTTP date in any of its three forms, in UTC (RFC 9110, section 5.6.7); `None` for other texts."""
    try:
        date = parsedate_to_datetime(text.strip())
        # The asctime form has no zone and means GMT.
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


SubtitleFormat = Literal["srt", "vtt"]
"""Subtitle formats: SubRip, and WebVTT (https://www.w3.org/TR/webvtt1/)."""
_VTT_SIGNATURE = "WEBVTT"
_FIRST_WORDS_OF_VTT_BLOCKS_WITHOUT_CUES = ("NOTE", "STYLE", "REGION")
"""First words of the blocks of a WebVTT file that are not shown."""
_TIME_REGEX_BY_FORMAT = {
    "srt": r"(\d{2,}):([0-5]\d):([0-5]\d),(\d{3})",
    "vtt": r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})",
}
_CUE_TIMING_PATTERN_BY_FORMAT = {
    name: re.compile(rf"\s*{time}[ \t]+-->[ \t]+{time}(?:[ \t].*)?") for name, time in _TIME_REGEX_BY_FORMAT.items()
}
_SUBTITLE_TAG_PATTERN = re.compile(r"</?[a-zA-Z][^<>]*>|<[0-9:.]+>")
"""Matches the markup of subtitles: "<b>", "</v>" and the times within a text, "<00:01.5>"."""


class Cue(NamedTuple):
    """A subtitle and the time for which it is shown, in seconds from the start of the audio."""

    start_s: float
    end_s: float
    text: str


class UnreadableSubtitlesError(ValueError):
    """Raised for a text that violates its subtitle format; the error message says where."""


_SUBTITLES_OR_JSON_OR_TABLE_PATTERN = re.compile(
    r"\s*(?:WEBVTT\b|\d+\s*\n[\d:,.]+ --> |[{\[]\s*[\"{]|start\tend\ttext)"
)


def is_subtitles_or_json_or_table(text: str) -> bool:
    """Whether `text` is subtitles, JSON or a table of cues, and not a transcript."""
    return _SUBTITLES_OR_JSON_OR_TABLE_PATTERN.match(text) is not None


def read_subtitles(text: str, subtitle_format: SubtitleFormat) -> list[Cue]:
    """Return the cues of subtitles in their order; tags in their texts are removed.

    Raises:
        UnreadableSubtitlesError: the text does not have the format.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if subtitle_format == "vtt":
        header, _, text = text.partition("\n")
        if not re.fullmatch(rf"{_VTT_SIGNATURE}(?:[ \t].*)?", header):
            raise UnreadableSubtitlesError(f"it begins with {header[:40]!r}, not with {_VTT_SIGNATURE}")
    blocks = [block for block in re.split(r"\n[ \t]*\n", text) if block.strip()]
    if subtitle_format == "vtt":
        blocks = [block for block in blocks if not block.lstrip().startswith(_FIRST_WORDS_OF_VTT_BLOCKS_WITHOUT_CUES)]
        if blocks and "-->" not in blocks[0]:  # the rest of the header
            blocks = blocks[1:]
    return [_read_cue(block.strip("\n"), subtitle_format) for block in blocks]


def _read_cue(block: str, subtitle_format: SubtitleFormat) -> Cue:
    lines = block.split("\n")
    index = 0 if "-->" in lines[0] else 1  # a cue may have a number or a name
    found = _CUE_TIMING_PATTERN_BY_FORMAT[subtitle_format].fullmatch(lines[index]) if index < len(lines) else None
    if found is None:
        raise UnreadableSubtitlesError(f"a cue has no times: {lines[min(index, len(lines) - 1)][:60]!r}")
    numbers = [int(group or 0) for group in found.groups()]
    start_s, end_s = (
        hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
        for hours, minutes, seconds, milliseconds in (numbers[:4], numbers[4:])
    )
    return Cue(start_s, end_s, _SUBTITLE_TAG_PATTERN.sub("", " ".join(lines[index + 1 :])).strip())

"""Reads the user's own texts from a text, CSV or JSON Lines file, which lacks the version and the title of a suite.

lines.txt     one text per line
table.csv     a header, then one text per row: the column `text`, and optionally `id`, `language` and `category`
items.jsonl   one JSON object per line, with the same names

Empty lines are skipped. A text without an id is named after its line ("line-3").
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.bench.planning.suite import ID_CHARACTERS, Suite, SuiteText, explain_unusable_text
from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.formats import MAX_DOCUMENT_BYTES, explain_type_error
from voicegauge.model import Record

CATEGORY_OF_OWN_TEXTS = "own"
"""Category of texts for which the file names none."""
_CSV_DELIMITERS = (",", ";", "\t")
"""Delimiters of columns. Spreadsheets write semicolons where the comma is the decimal mark."""


class TextRow(Record, frozen=True, kw_only=True):
    """One text as the file contains it; a property that the file does not name is `None`."""

    text: str
    id: str | None = None
    language: str | None = None
    category: str | None = None


_COLUMN_NAMES = TextRow.__struct_fields__
_RowsWithLineNumbers = Iterator[tuple[int, TextRow]]
"""Rows with the numbers of their lines, which count from 1."""


def load_own_texts(file: Path, *, default_language: str = "en") -> Suite:
    """Load texts as a suite that is named after the file.

    Args:
        file: a file whose name ends in `.txt`, `.csv` or `.jsonl`, in UTF-8.
        default_language: language of the texts that name none.

    Raises:
        DataError: the file cannot be read, an id is not unique, or a text is empty, without a word or with control
            characters; the message gives file, line and reason.
    """
    reader = _READER_BY_SUFFIX.get(file.suffix.lower())
    if reader is None:
        hint = ": pass a suite with --suite" if file.suffix.lower() in {".yaml", ".yml"} else ""
        raise DataError(f"{file}: the name of a file with texts ends in {', '.join(_READER_BY_SUFFIX)}{hint}")
    texts: dict[str, SuiteText] = {}
    for line, row in reader(file, _read_text(file)):
        text = SuiteText(
            id=row.id or f"line-{line}",
            text=_normalize_line_breaks(row.text).strip(),
            category=row.category or CATEGORY_OF_OWN_TEXTS,
            language=row.language or default_language,
        )
        if not set(text.id) <= ID_CHARACTERS:
            raise DataError(f"{file}:{line}: the id {text.id!r} may only contain letters, digits, -, _ and .")
        if text.id in texts:
            raise DataError(f"{file}:{line}: the id {text.id!r} is used twice")
        if reason := explain_unusable_text(text.text):
            raise DataError(f"{file}:{line}: the text {reason}")
        texts[text.id] = text
    if not texts:
        raise DataError(f"{file}: contains no text")
    return Suite(
        id=re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem),
        version=1,
        title=f"Texts of {file.name}",
        # Of the texts and not of the file: a line of a text file has another language with another --language.
        sha256=hashlib.sha256(msgspec.json.encode(tuple(texts.values()))).hexdigest(),
        texts=tuple(texts.values()),
    )


def _read_text(file: Path) -> str:
    try:
        content = read_file(file, MAX_DOCUMENT_BYTES)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        return _normalize_line_breaks(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}:{line}: is not UTF-8: save the file in this encoding") from None


def _normalize_line_breaks(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)


def _read_lines(_: Path, content: str) -> _RowsWithLineNumbers:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, TextRow(text=line)


def _read_json_lines(file: Path, content: str) -> _RowsWithLineNumbers:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
            # msgspec takes the last of repeated keys. Numbers stay text: Python refuses whole numbers of many digits.
            json.loads(line, object_pairs_hook=_reject_repeated_keys, parse_int=str)
            yield number, msgspec.convert(value, TextRow)
        except RecursionError:
            raise DataError(f"{file}:{number}: is not valid JSON: it is nested too deeply") from None
        except _RepeatedKeyError as error:
            raise DataError(f"{file}:{number}: the key {error.key!r} occurs twice") from None
        except msgspec.ValidationError as error:
            raise DataError(f"{file}:{number}: {_explain_schema_error(error)}") from None
        except msgspec.DecodeError as error:
            raise DataError(f"{file}:{number}: is not JSON: {error}") from None


class _RepeatedKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _reject_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _RepeatedKeyError(key)
        members[key] = value
    return members


def _explain_schema_error(error: msgspec.ValidationError) -> str:
    reason, _, path = str(error).partition(" - at `$")
    key = path.strip("`.")
    known = f"; known: {', '.join(_COLUMN_NAMES)}" if "unknown field" in reason else ""
    return (f"{key} " if key else "") + explain_type_error(reason) + known


def _read_table(file: Path, content: str) -> _RowsWithLineNumbers:
    header = content.partition("\n")[0]
    delimiter = max(_CSV_DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    try:
        line = 1
        for cells in rows:
            if names is None:
                names = [name.strip() for name in cells]
                _check_column_names(file, names)
            elif any(cell.strip() for cell in cells):
                yield line, _build_table_row(file, line, names, cells)
            line = rows.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}:{rows.line_num}: is not CSV: {error}") from None


def _check_column_names(file: Path, column_names: list[str]) -> None:
    known = f"the columns are text, and optionally {', '.join(name for name in _COLUMN_NAMES if name != 'text')}"
    unknown = [name for name in column_names if name not in _COLUMN_NAMES]
    if unknown:
        raise DataError(f"{file}:1: unknown column {unknown[0]!r}: {known}")
    if "text" not in column_names:
        raise DataError(f"{file}:1: there is no column text: {known}")
    if len(set(column_names)) < len(column_names):
        raise DataError(f"{file}:1: a column occurs twice: {known}")


def _build_table_row(file: Path, line_number: int, column_names: list[str], cells: list[str]) -> TextRow:
    if len(cells) != len(column_names):
        raise DataError(
            f"{file}:{line_number}: the row has {len(cells)} cells, the header {len(column_names)}: "
            'write a text that contains the delimiter in "quotes"'
        )
    values: Mapping[str, str | None] = {
        name: cell.strip() or None for name, cell in zip(column_names, cells, strict=True) if name != "text"
    }
    return TextRow(text=cells[column_names.index("text")], **values)


_READER_BY_SUFFIX: Mapping[str, Callable[[Path, str], _RowsWithLineNumbers]] = {
    ".txt": _read_lines,
    ".csv": _read_table,
    ".jsonl": _read_json_lines,
}

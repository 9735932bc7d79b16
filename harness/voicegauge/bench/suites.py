"""Reads the texts of a benchmark, from the YAML files of suites or from the user's own text, CSV or JSON Lines file.

id: smoke                  the file's name without its ending
version: 1                 raised when a text changes
title: Eight English sentences
language: en               language of the texts that name none
texts:
  - {id: plain-1, category: plain, text: The kettle is on the stove.}
  - {id: fr-1, category: plain, language: fr, text: Il fait beau ce matin.}

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
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from voicegauge.errors import ContractError, DataError, UnknownNameError
from voicegauge.files import find_bundled_folder, read_file
from voicegauge.formats.located_yaml import MAX_DOCUMENT_BYTES, Document, explain_type_error, read_document
from voicegauge.model.base import Record
from voicegauge.model.run import MeasuredSuite

ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
"""Characters of the ids of suites and texts, which become parts of the names of folders and files."""
_SuiteOrTextId = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^[A-Za-z0-9._-]+$"})]
"""An id; editors check the pattern, and the reader checks the characters with a message of its own."""


class SuiteText(Record, frozen=True, kw_only=True):
    """One text of a suite, with its language and what is hard about it."""

    id: str
    """Id of the text, unique in the suite; consists of letters, digits, "-", "_" and "."."""
    text: str
    category: str
    """What makes the text hard to synthesize, such as "plain", "numbers" or "names"."""
    language: str


class Suite(Record, frozen=True, kw_only=True):
    """A set of texts, with the digest of the file that contains them."""

    id: str
    """Name of the suite; of the user's own texts, the name of their file."""
    version: int
    """Number that the author raises when a text changes; 1 for the user's own texts."""
    title: str
    sha256: str
    """Digest of the file of the suite; of the user's own texts, of the texts themselves."""
    texts: tuple[SuiteText, ...]

    @property
    def measured_suite(self) -> MeasuredSuite:
        """The suite's id, version, digest and number of texts, as a run's manifest contains them."""
        return MeasuredSuite(id=self.id, version=self.version, sha256=self.sha256, text_count=len(self.texts))

    def select_texts(
        self, *, languages: Sequence[str] = (), categories: Sequence[str] = (), max_texts: int | None = None
    ) -> Suite:
        """Return a suite that contains only some of the texts.

        Args:
            languages: language codes to select, spelled as in the suite; all languages if empty.
            categories: categories to select; all categories if empty.
            max_texts: maximum number of texts of each language, taken from the start of the suite; `None` for all.

        Raises:
            UnknownNameError: no text has that language or category.
            DataError: no text has both a selected language and a selected category.
        """
        self._reject_unknown_names("language", languages, {text.language for text in self.texts})
        self._reject_unknown_names("category", categories, {text.category for text in self.texts})
        by_language: dict[str, list[SuiteText]] = {}
        for text in self.texts:
            if (not languages or text.language in languages) and (not categories or text.category in categories):
                by_language.setdefault(text.language, []).append(text)
        selected = {text.id for texts in by_language.values() for text in texts[:max_texts]}
        if not selected:
            raise DataError(f"the suite {self.id} has no text of that language and category")
        return msgspec.structs.replace(self, texts=tuple(t for t in self.texts if t.id in selected))

    def _reject_unknown_names(self, value_kind: str, requested_names: Sequence[str], known_names: set[str]) -> None:
        for name in requested_names:
            if name not in known_names:
                raise UnknownNameError(
                    value_kind,
                    name,
                    known_names,
                    where=f"in the suite {self.id}",
                    advice="--texts FILE takes texts of your own",
                )


class TextEntry(Record, frozen=True, kw_only=True):
    """One text as a file contains it, be it a suite or the user's own texts; `None` stands for the default."""

    text: str
    id: _SuiteOrTextId | None = None
    """Unique in the file; letters, digits, "-", "_" and "."; by default the number of the text's line, as "line-3"."""
    language: str | None = None
    """Language of the text, such as "en"; by default that of the file, or for texts without a suite `--language`."""
    category: str | None = None
    """What makes the text hard to synthesize, such as "plain", "numbers" or "names"; by default "own"."""


class SuiteFile(Record, frozen=True, kw_only=True):
    """A suite of texts for `voicegauge bench --suite FILE`."""

    id: _SuiteOrTextId
    """Name of the suite, which is part of the names of its runs; letters, digits, "-", "_" and "."."""
    version: int
    """Version of the suite, a number that the author increases whenever a text changes."""
    title: str
    language: str
    """Language of the texts that name none, such as "en"."""
    texts: list[TextEntry]


def explain_unusable_text(text: str) -> str | None:
    """Return why `text` cannot be spoken and scored, as the end of a sentence; `None` if it can."""
    if not text.strip():
        return "is empty"
    control = next((one for one in text if unicodedata.category(one) == "Cc" and one not in "\n\t"), None)
    if control is not None:
        return f"contains the control character U+{ord(control):04X}: remove it"
    if not any(one.isalnum() for one in text):
        return "contains no word, so that there are no errors to count: leave it out"
    return None


def list_suite_names() -> list[str]:
    """Return the names of the suites that come with voicegauge."""
    return sorted(path.stem for path in (find_bundled_folder("benchmarks") / "suites").glob("*.yaml"))


def load_suite(name_or_file: str | Path) -> Suite:
    """Load a suite.

    Args:
        name_or_file: the id of a bundled suite, or the path of a YAML file.

    Raises:
        UnknownNameError: no bundled suite has that name.
        DataError: the file cannot be read or is not a valid suite; the error message gives file, line and reason.
    """
    path = Path(name_or_file)
    if path.suffix not in {".yaml", ".yml"} and "/" not in str(name_or_file):
        if str(name_or_file) not in list_suite_names():
            raise UnknownNameError("suite", str(name_or_file), list_suite_names())
        path = find_bundled_folder("benchmarks") / "suites" / f"{name_or_file}.yaml"
    try:
        document = read_document(path)
    except ContractError as error:  # the reader is shared with contracts
        raise DataError(str(error)) from error
    return _parse_suite(document)


def _parse_suite(document: Document) -> Suite:
    try:
        file = msgspec.convert(document.data, SuiteFile)
    except msgspec.ValidationError as error:
        raise _convert_schema_error(document, error) from error
    if not file.id or not set(file.id) <= ID_CHARACTERS:  # the id becomes part of a run's folder name
        reason = f"the suite id {file.id!r} may only contain letters, digits, -, _ and ."
        raise _build_error_at_pointer(document, "/id", reason)
    if not file.texts:
        raise _build_error_at_pointer(document, "/texts", "a suite needs at least one text")
    entries = ((document.find_line(f"/texts/{index}") or 1, entry) for index, entry in enumerate(file.texts))
    return Suite(
        id=file.id,
        version=file.version,
        title=file.title,
        sha256=document.sha256,
        texts=_fill_in_text_defaults(document.path, entries, file.language),
    )


def _fill_in_text_defaults(
    file: Path, entries: Iterable[tuple[int, TextEntry]], default_language: str
) -> tuple[SuiteText, ...]:
    """Return the texts of a file with their defaults.

    Args:
        file: the file, for errors.
        entries: the texts with the numbers of their lines, which count from 1.
        default_language: language of the texts that name none.

    Raises:
        DataError: an id is not unique, or a text cannot be spoken and scored; the error message gives file, line and
            reason.
    """
    texts: dict[str, SuiteText] = {}
    for line, entry in entries:
        text = SuiteText(
            id=entry.id or f"line-{line}",
            text=_normalize_line_breaks(entry.text).strip(),
            category=entry.category or CATEGORY_OF_OWN_TEXTS,
            language=entry.language or default_language,
        )
        if not set(text.id) <= ID_CHARACTERS:
            raise DataError(f"{file}:{line}: the text id {text.id!r} may only contain letters, digits, -, _ and .")
        if text.id in texts:
            raise DataError(f"{file}:{line}: the text id {text.id!r} is used twice")
        if reason := explain_unusable_text(text.text):
            raise DataError(f"{file}:{line}: the text {text.id!r} {reason}")
        texts[text.id] = text
    return tuple(texts.values())


def _convert_schema_error(document: Document, error: msgspec.ValidationError) -> DataError:
    """Return an error with the line of the first invalid value, which msgspec names by a path like `$.texts[3].id`."""
    reason, path = _split_schema_error(error)
    pointer = path.replace(".", "/").replace("[", "/").replace("]", "")
    where = f" at {pointer}" if pointer else ""
    return _build_error_at_pointer(document, pointer, f"not a valid suite: {explain_type_error(reason)}{where}")


def _split_schema_error(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the reason of an error, and the path of the invalid value, such as ".texts[3].id"; empty for the whole."""
    reason, _, path = str(error).partition(" - at `$")
    return reason, path.rstrip("`")


def _build_error_at_pointer(document: Document, pointer: str, reason: str) -> DataError:
    return DataError(f"{document.path}:{document.find_line(pointer)}: {reason}")


# Reads the user's own texts from a text, CSV or JSON Lines file, which lacks the version and the title of a suite.


CATEGORY_OF_OWN_TEXTS = "own"
"""Category of texts for which the file names none."""
_CSV_DELIMITERS = (",", ";", "\t")
"""Delimiters of columns. Spreadsheets write semicolons where the comma is the decimal mark."""


_TEXT_ENTRY_FIELD_NAMES = TextEntry.__struct_fields__
_TextEntriesWithLineNumbers = Iterator[tuple[int, TextEntry]]
"""Texts with the numbers of their lines, which count from 1."""


def load_own_texts(file: Path, *, default_language: str = "en") -> Suite:
    """Load texts as a suite that is named after the file.

    Args:
        file: a file whose name ends in `.txt`, `.csv` or `.jsonl`, in UTF-8.
        default_language: language of the texts that name none.

    Raises:
        DataError: the file cannot be read, an id is not unique, or a text is empty, without a word or with control
            characters; the error message gives file, line and reason.
    """
    reader = _READER_BY_SUFFIX.get(file.suffix.lower())
    if reader is None:
        hint = ": pass a suite with --suite" if file.suffix.lower() in {".yaml", ".yml"} else ""
        raise DataError(f"{file}: the name of a file with texts ends in {', '.join(_READER_BY_SUFFIX)}{hint}")
    texts = _fill_in_text_defaults(file, reader(file, _read_text(file)), default_language)
    if not texts:
        raise DataError(f"{file}: contains no text")
    return Suite(
        id=re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem),
        version=1,
        title=f"Texts of {file.name}",
        # Of the texts and not of the file: a line of a text file has another language with another --language.
        sha256=hashlib.sha256(msgspec.json.encode(texts)).hexdigest(),
        texts=texts,
    )


def _read_text(file: Path) -> str:
    try:
        content = read_file(file, MAX_DOCUMENT_BYTES)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        # Spreadsheets begin a file with a byte order mark.
        return _normalize_line_breaks(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}:{line}: is not UTF-8: save the file in this encoding") from None


def _normalize_line_breaks(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)


def _read_lines(_: Path, content: str) -> _TextEntriesWithLineNumbers:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, TextEntry(text=line)


def _read_json_lines(file: Path, content: str) -> _TextEntriesWithLineNumbers:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
            # msgspec takes the last of repeated keys. Numbers stay text: Python refuses whole numbers of many digits.
            json.loads(line, object_pairs_hook=_reject_repeated_keys, parse_int=str)
            yield number, msgspec.convert(value, TextEntry)
        except RecursionError:
            raise DataError(f"{file}:{number}: is not valid JSON: it is nested too deeply") from None
        except _RepeatedKeyError as error:
            raise DataError(f"{file}:{number}: the key {error.key!r} occurs twice") from None
        except msgspec.ValidationError as error:
            raise DataError(f"{file}:{number}: {_explain_schema_error(error)}") from None
        except msgspec.DecodeError as error:
            raise DataError(f"{file}:{number}: is not JSON: {error}") from None


class _RepeatedKeyError(Exception):
    """A JSON object has the same key twice."""

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
    reason, path = _split_schema_error(error)
    key = path.strip(".")
    known = f"; known: {', '.join(_TEXT_ENTRY_FIELD_NAMES)}" if "unknown field" in reason else ""
    return (f"{key} " if key else "") + explain_type_error(reason) + known


def _read_table(file: Path, content: str) -> _TextEntriesWithLineNumbers:
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
    known = (
        f"the columns are text, and optionally {', '.join(name for name in _TEXT_ENTRY_FIELD_NAMES if name != 'text')}"
    )
    unknown = [name for name in column_names if name not in _TEXT_ENTRY_FIELD_NAMES]
    if unknown:
        raise DataError(f"{file}:1: unknown column {unknown[0]!r}: {known}")
    if "text" not in column_names:
        raise DataError(f"{file}:1: there is no column text: {known}")
    if len(set(column_names)) < len(column_names):
        raise DataError(f"{file}:1: a column occurs twice: {known}")


def _build_table_row(file: Path, line_number: int, column_names: list[str], cells: list[str]) -> TextEntry:
    if len(cells) != len(column_names):
        raise DataError(
            f"{file}:{line_number}: the row has {len(cells)} cells, the header {len(column_names)}: "
            'write a text that contains the delimiter in "quotes"'
        )
    values: Mapping[str, str | None] = {
        name: cell.strip() or None for name, cell in zip(column_names, cells, strict=True) if name != "text"
    }
    return TextEntry(text=cells[column_names.index("text")], **values)


_READER_BY_SUFFIX: Mapping[str, Callable[[Path, str], _TextEntriesWithLineNumbers]] = {
    ".txt": _read_lines,
    ".csv": _read_table,
    ".jsonl": _read_json_lines,
}

"""Reads suites, which contain the texts of a benchmark, from YAML files.

id: smoke                  the file's name without its ending
version: 1                 raised when a text changes
title: Eight English sentences
language: en               language of the texts that name none
texts:
  - {id: plain-1, category: plain, text: The kettle is on the stove.}
  - {id: fr-1, category: plain, language: fr, text: Il fait beau ce matin.}
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from voicegauge.data_folders import find_bundled_folder
from voicegauge.errors import ContractError, DataError, UnknownNameError
from voicegauge.formats import Document, explain_type_error, read_document
from voicegauge.model import Record, SuiteRef

ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
"""Characters of the ids of suites and texts, which become parts of the names of folders and files."""
_Identifier = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^[A-Za-z0-9._-]+$"})]


class SuiteText(Record, frozen=True, kw_only=True):
    """One text of a suite."""

    id: str
    """Id of the text, unique in the suite; consists of letters, digits, "-", "_" and "."."""
    text: str
    category: str
    """What makes the text hard to synthesize, such as "plain", "numbers" or "names"."""
    language: str


class Suite(Record, frozen=True, kw_only=True):
    """A set of texts, with the digest of the file that contains them."""

    id: str
    version: int
    title: str
    sha256: str
    texts: tuple[SuiteText, ...]

    @property
    def ref(self) -> SuiteRef:
        """Id, version, digest and number of texts of the suite, as a run's manifest contains them."""
        return SuiteRef(id=self.id, version=self.version, sha256=self.sha256, text_count=len(self.texts))

    def select_texts(
        self, *, languages: Sequence[str] = (), categories: Sequence[str] = (), max_texts: int | None = None
    ) -> Suite:
        """Return a suite that contains only some of the texts.

        Args:
            languages: language codes to select, spelled as in the suite; all languages if empty.
            categories: categories to select; all categories if empty.
            max_texts: maximum number of texts of each language, taken from the start of the suite.

        Raises:
            UnknownNameError: no text has that language or category.
            DataError: no text has both a selected language and a selected category.
        """
        _reject_unknown_names("language", languages, {text.language for text in self.texts})
        _reject_unknown_names("category", categories, {text.category for text in self.texts})
        by_language: dict[str, list[SuiteText]] = {}
        for text in self.texts:
            if (not languages or text.language in languages) and (not categories or text.category in categories):
                by_language.setdefault(text.language, []).append(text)
        selected = {text.id for texts in by_language.values() for text in texts[:max_texts]}
        if not selected:
            raise DataError(f"the suite {self.id} has no text of that language and category")
        return msgspec.structs.replace(self, texts=tuple(t for t in self.texts if t.id in selected))


def _reject_unknown_names(value_kind: str, requested_names: Sequence[str], known_names: set[str]) -> None:
    for name in requested_names:
        if name not in known_names:
            raise UnknownNameError(value_kind, name, known_names)


class SuiteTextEntry(Record, frozen=True, kw_only=True):
    """One text in a suite file."""

    id: _Identifier
    """Unique in the file; letters, digits, "-", "_" and "."."""
    text: str
    category: str
    """What makes the text hard to synthesize, such as "plain", "numbers" or "names"."""
    language: str | None = None
    """Language of the text, such as "en"; that of the file if absent."""


class SuiteFile(Record, frozen=True, kw_only=True):
    """A suite of texts for `voicegauge bench --suite FILE`."""

    id: _Identifier
    """Name of the suite, which is part of the names of its runs; letters, digits, "-", "_" and "."."""
    version: int
    """Version of the suite, a number that the author increases whenever a text changes."""
    title: str
    language: str
    """Language of the texts that name none, such as "en"."""
    texts: list[SuiteTextEntry]


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
    """Return the names of the bundled suites."""
    return sorted(path.stem for path in (find_bundled_folder("benchmarks") / "suites").glob("*.yaml"))


def load_suite(name_or_file: str | Path) -> Suite:
    """Load a suite.

    Args:
        name_or_file: the id of a bundled suite, or the path of a YAML file.

    Raises:
        UnknownNameError: no bundled suite has that name.
        DataError: the file cannot be read or is not a valid suite; the message gives file, line and reason.
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
    _check_id(document, "/id", "suite", file.id)  # the id becomes part of a run's folder name
    seen: set[str] = set()
    for index, text in enumerate(file.texts):
        pointer = f"/texts/{index}"
        _check_id(document, pointer, "text", text.id)
        if text.id in seen:
            raise _build_error_at(document, pointer, f"the text id {text.id!r} is used twice")
        if reason := explain_unusable_text(text.text):
            raise _build_error_at(document, pointer, f"the text {text.id!r} {reason}")
        seen.add(text.id)
    if not seen:
        raise _build_error_at(document, "/texts", "a suite needs at least one text")
    return Suite(
        id=file.id,
        version=file.version,
        title=file.title,
        sha256=document.sha256,
        texts=tuple(
            SuiteText(id=t.id, text=t.text.strip(), category=t.category, language=t.language or file.language)
            for t in file.texts
        ),
    )


def _check_id(document: Document, pointer: str, object_kind: str, object_id: str) -> None:
    if not object_id or not set(object_id) <= ID_CHARACTERS:
        raise _build_error_at(
            document, pointer, f"the {object_kind} id {object_id!r} may only contain letters, digits, -, _ and ."
        )


def _convert_schema_error(document: Document, error: msgspec.ValidationError) -> DataError:
    """Return an error with the line of the first invalid value, which msgspec names by a path like `$.texts[3].id`."""
    reason, _, path = str(error).partition(" - at `")
    pointer = path.rstrip("`").removeprefix("$").replace(".", "/").replace("[", "/").replace("]", "")
    # Suites written for version 1 of the format.
    hint = ": rename `stratum` to `category`" if "stratum" in reason else ""
    return _build_error_at(
        document,
        pointer,
        f"not a valid suite: {explain_type_error(reason)}" + (f" at {pointer}" if pointer else "") + hint,
    )


def _build_error_at(document: Document, pointer: str, reason: str) -> DataError:
    return DataError(f"{document.path}:{document.find_line(pointer)}: {reason}")

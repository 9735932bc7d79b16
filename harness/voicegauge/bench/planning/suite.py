"""Suites: the texts that are spoken, as data.

id: smoke                  the file's name without its ending
version: 1                 raised when a text changes
title: Eight English sentences
language: en               of every text that names none
texts:
  - {id: plain-1, category: plain, text: The kettle is on the stove.}
  - {id: fr-1, category: plain, language: fr, text: Il fait beau ce matin.}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.data import data_dir
from voicegauge.errors import ContractError, DataError, UnknownNameError
from voicegauge.formats import Document, read_document
from voicegauge.model import Record, SuiteRef


class SuiteText(Record, frozen=True, kw_only=True):
    """One text to speak."""

    id: str
    """Unique in its suite; letters, digits, "-", "_" and "."."""
    text: str
    category: str
    """What makes it hard: "plain", "numbers", "names"."""
    language: str


class Suite(Record, frozen=True, kw_only=True):
    """Texts that belong together, and the digest of the file they stand in."""

    id: str
    version: int
    title: str
    sha256: str
    texts: tuple[SuiteText, ...]

    @property
    def ref(self) -> SuiteRef:
        """What a run's manifest keeps of it."""
        return SuiteRef(id=self.id, version=self.version, sha256=self.sha256, texts=len(self.texts))

    def select(
        self, *, languages: Sequence[str] = (), categories: Sequence[str] = (), limit: int | None = None
    ) -> Suite:
        """The suite with only the texts of `languages` and `categories` (all of them where empty).

        Args:
            languages: language codes, as the suite writes them.
            categories: names of categories.
            limit: keep that many texts of each language, in the suite's order.

        Raises:
            UnknownNameError: no text has that language or category.
            DataError: no text is left.
        """
        _check_known("language", languages, {text.language for text in self.texts})
        _check_known("category", categories, {text.category for text in self.texts})
        kept: dict[str, list[SuiteText]] = {}
        for text in self.texts:
            if (not languages or text.language in languages) and (not categories or text.category in categories):
                kept.setdefault(text.language, []).append(text)
        chosen = {text.id for group in kept.values() for text in group[:limit]}
        if not chosen:
            raise DataError(f"the suite {self.id} has no text of that language and category")
        return msgspec.structs.replace(self, texts=tuple(t for t in self.texts if t.id in chosen))


def _check_known(kind: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(kind, name, known)


class _Text(Record, frozen=True, kw_only=True):
    """A text as the file has it."""

    id: str
    text: str
    category: str
    language: str | None = None


class _File(Record, frozen=True, kw_only=True):
    """A suite as the file has it."""

    id: str
    version: int
    title: str
    language: str
    texts: list[_Text]


_ID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def suite_names() -> list[str]:
    """The bundled suites."""
    return sorted(path.stem for path in (data_dir("benchmarks") / "suites").glob("*.yaml"))


def load_suite(name: str | Path) -> Suite:
    """The bundled suite called `name`, or the one in the file `name`.

    Raises:
        UnknownNameError: no bundled suite has that name.
        DataError: the file cannot be read or is no suite; says file, line and reason.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"} and "/" not in str(name):
        if str(name) not in suite_names():
            raise UnknownNameError("suite", str(name), suite_names())
        path = data_dir("benchmarks") / "suites" / f"{name}.yaml"
    try:
        document = read_document(path)
    except ContractError as error:
        raise DataError(str(error)) from error
    return _read(document)


def _read(document: Document) -> Suite:
    try:
        file = msgspec.convert(document.data, _File)
    except msgspec.ValidationError as error:
        raise _fault(document, error) from error
    _check_id(document, "/id", "suite", file.id)  # a run's folder bears it
    seen: set[str] = set()
    for index, text in enumerate(file.texts):
        where = f"/texts/{index}"
        _check_id(document, where, "text", text.id)
        if text.id in seen:
            raise _error(document, where, f"the text id {text.id!r} stands twice")
        if not text.text.strip():
            raise _error(document, where, f"the text {text.id!r} is empty")
        seen.add(text.id)
    if not seen:
        raise _error(document, "/texts", "a suite has at least one text")
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


def _check_id(document: Document, pointer: str, what: str, name: str) -> None:
    if not name or not set(name) <= _ID:
        raise _error(document, pointer, f"the {what} id {name!r} may hold letters, digits, -, _ and . only")


def _fault(document: Document, error: msgspec.ValidationError) -> DataError:
    """The first value that does not fit: msgspec names it as a path, such as `$.texts[3].id`."""
    reason, _, path = str(error).partition(" - at `")
    pointer = path.rstrip("`").removeprefix("$").replace(".", "/").replace("[", "/").replace("]", "")
    return _error(document, pointer, f"is no suite: {reason}" + (f" at {pointer}" if pointer else ""))


def _error(document: Document, pointer: str, reason: str) -> DataError:
    place: Any = document.line(pointer)
    return DataError(f"{document.path}:{place}: {reason}")

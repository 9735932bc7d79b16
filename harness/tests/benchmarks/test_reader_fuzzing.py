"""Readers reject damaged and hostile documents with short errors; the benchmark reads many more than these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reader_fuzzing.document import Document, to_json, to_toml
from reader_fuzzing.fuzzing import fuzz
from reader_fuzzing.readers import READERS, Reader

from voicegauge.errors import MAX_ERROR_MESSAGE_CHARACTERS, ContractError, DataError, UnknownNameError


@pytest.mark.parametrize(
    "reader",
    [
        # A recording has hundreds of exchanges.
        pytest.param(reader, marks=pytest.mark.slow if reader.name == "recording" else (), id=reader.name)
        for reader in READERS
    ],
)
def test_mutated_documents_are_read_or_rejected(reader: Reader) -> None:
    result = fuzz(reader, 4)
    assert result.cases > 4


def _reader(read: object) -> Reader:
    return Reader("any", lambda: [Document(b'{"a": [1, 2]}', {"a": [1, 2]}, to_json)], read)


def test_an_undocumented_error_fails_with_the_document() -> None:
    def read(data: bytes, _folder: Path) -> None:
        if data[:1] != b"{":
            raise KeyError("a traceback")

    with pytest.raises(KeyError) as raised:
        fuzz(_reader(read), 200)
    assert "any, " in "".join(raised.value.__notes__)


def test_a_long_message_fails() -> None:
    class LongError(DataError):
        def __str__(self) -> str:
            return "x" * (MAX_ERROR_MESSAGE_CHARACTERS + 1)

    def read(data: bytes, _folder: Path) -> None:
        if data != b'{"a": [1, 2]}':
            raise LongError

    with pytest.raises(AssertionError, match="a message of 2001 characters"):
        fuzz(_reader(read), 200)


def test_a_rejected_valid_document_fails() -> None:
    def read(_data: bytes, _folder: Path) -> None:
        raise DataError("no")

    with pytest.raises(AssertionError, match="the any reader rejected a valid document"):
        fuzz(_reader(read), 1)


def test_mutations_change_structure_and_bytes() -> None:
    seen: set[bytes] = set()

    def read(data: bytes, _folder: Path) -> None:
        seen.add(data)

    fuzz(_reader(read), 60)
    assert len(seen) > 30
    assert b"" in seen or any(data.startswith(b'{"a"') for data in seen)


def test_toml_values_are_written() -> None:
    assert to_toml({"a": {"b": [1, "x", float("inf")]}, "c": True}) == b'"a" = {"b" = [1, "x", inf]}\n"c" = true\n'


def _errors() -> Iterator[Exception]:
    long = "x" * 100_000
    yield ContractError(long, 1, long)
    yield UnknownNameError("target", long, ["a"])
    yield DataError(long)


def test_messages_are_short() -> None:
    for error in _errors():
        assert len(str(error)) <= MAX_ERROR_MESSAGE_CHARACTERS
    assert len(str(ContractError("c.yaml", 1, "x" * 100_000))) < 600

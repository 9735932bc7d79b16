"""A journal of submits: what is read from it, and which line says why it cannot be read or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicegauge.client.spending_journal import Journal, SubmitNotSentEvent, read_events
from voicegauge.errors import DataError, StorageError

LINE = b'{"event":"submit_not_sent","id":"%s"}\n'


def read_ids(path: Path) -> list[str]:
    return [event.id for event in read_events(path, SubmitNotSentEvent)]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b"", []),
        (LINE % b"a" + LINE % b"b", ["a", "b"]),
        (LINE % b"a" + b"\n\n" + LINE % b"b", ["a", "b"]),
        (LINE % b"a" + (LINE % b"b")[:-1], ["a"]),
        (LINE % b"a" + b"{", ["a"]),
    ],
)
def test_complete_lines_are_read(tmp_path: Path, content: bytes, ids: list[str]) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    assert read_ids(path) == ids
    with Journal(path, is_durable=False) as journal:
        journal.write(SubmitNotSentEvent(id="last"))
    assert read_ids(path) == [*ids, "last"]


def test_a_journal_that_does_not_exist_has_no_events(tmp_path: Path) -> None:
    assert read_ids(tmp_path / "journal.jsonl") == []


@pytest.mark.parametrize("damaged", [b"{broken", b"\xff", b"[]"])
def test_a_damaged_line_is_named_by_its_number(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINE % b"a" + b"\n" + damaged + b"\n" + LINE % b"b")
    with pytest.raises(DataError) as caught:
        read_ids(path)
    assert str(caught.value).startswith(f"{path}:3: is damaged: ")


def test_a_journal_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "journal.jsonl"
    with pytest.raises(DataError) as caught:
        read_ids(path)
    assert str(caught.value) == f"{path}: cannot be read: Not a directory"


def test_a_journal_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    path = tmp_path / "none" / "journal.jsonl"
    with pytest.raises(StorageError) as caught:
        Journal(path, is_durable=True)
    assert str(caught.value) == f"cannot write {path}: No such file or directory"


def test_a_journal_that_is_in_use_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, is_durable=False), pytest.raises(DataError) as caught:
        Journal(path, is_durable=False)
    assert str(caught.value) == f"{path}: in use by another process: wait until it has ended"

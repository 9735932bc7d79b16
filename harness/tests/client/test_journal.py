"""A journal of submits: what is read from it, and which line says why it cannot be read or written."""

from __future__ import annotations

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voicegauge.client.spending_journal import Journal, SubmitNotSentEvent, read_events
from voicegauge.errors import DataError, StorageError

LINE = b'{"event":"submit_not_sent","id":"%s"}\n'


def read_ids(path: Path) -> list[str]:
    return [event.sample_or_case_id for event in read_events(path, SubmitNotSentEvent)]


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
        journal.write(SubmitNotSentEvent(sample_or_case_id="last"))
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
    assert str(caught.value).startswith(f"{path}: in use by another process, which pays for requests")
    assert "wait until it has ended, then repeat this command, or name other targets" in str(caught.value)


def test_lines_of_several_threads_reach_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_begins, may_end, sync_count = threading.Event(), threading.Event(), 0

    def sync(_file: int) -> None:
        nonlocal sync_count
        sync_count += 1
        sync_begins.set()
        assert may_end.wait(10)

    monkeypatch.setattr("os.fsync", sync)
    path = tmp_path / "journal.jsonl"
    with Journal(path, is_durable=True) as journal, ThreadPoolExecutor(10) as pool:
        written = [pool.submit(journal.write, SubmitNotSentEvent(sample_or_case_id="0"))]
        assert sync_begins.wait(10)
        written += [
            pool.submit(journal.write, SubmitNotSentEvent(sample_or_case_id=str(number))) for number in range(1, 10)
        ]
        while len(read_ids(path)) < 10:
            time.sleep(0.001)
        assert not any(one.done() for one in written), "no line is reported as written before it is on disk"
        may_end.set()
        for one in written:
            one.result(10)
    assert sync_count == 2


def test_no_line_counts_as_written_if_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "journal.jsonl"
    with Journal(path, is_durable=True) as journal:
        journal.write(SubmitNotSentEvent(sample_or_case_id="kept"))
        monkeypatch.setattr("os.fsync", fail)
        for _ in range(2):
            with pytest.raises(StorageError, match="Input/output error"):
                journal.write(SubmitNotSentEvent(sample_or_case_id="lost"))
    assert read_ids(path) == ["kept"]


def test_deferred_events_are_written_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, is_durable=False) as journal:
        journal.defer(SubmitNotSentEvent(sample_or_case_id="first"))
        assert read_ids(path) == []
        journal.write(SubmitNotSentEvent(sample_or_case_id="second"))
        assert read_ids(path) == ["first", "second"]
        journal.defer(SubmitNotSentEvent(sample_or_case_id="third"))
        journal.flush()
        assert read_ids(path) == ["first", "second", "third"]

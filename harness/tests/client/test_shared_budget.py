"""One budget in a file for several processes, each of which uses it in turn."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import pytest

from voicegauge.client.daily_spending import SharedBudget
from voicegauge.errors import BudgetError, StorageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "budget.jsonl"


def test_a_budget_goes_on_where_the_last_process_left_it(file: Path) -> None:
    for spent_usd in (0.0, 0.25, 0.5):
        with SharedBudget(file, 0.75).open_ledger() as ledger:
            assert ledger.spent_usd == spent_usd
            ledger.reserve(0.25).settle(may_be_charged=True)
    with SharedBudget(file, 0.75).open_ledger() as ledger, pytest.raises(BudgetError):
        ledger.reserve(0.01)


def test_what_is_still_reserved_at_the_end_is_spent(file: Path) -> None:
    with SharedBudget(file, 1.0).open_ledger() as ledger:
        ledger.reserve(0.25).settle(may_be_charged=True)
        ledger.reserve(0.5)
    with SharedBudget(file, 1.0).open_ledger() as ledger:
        assert (ledger.spent_usd, ledger.reserved_usd) == (0.75, 0.0)


def test_an_error_while_spending_gives_the_rest_of_the_budget_back(file: Path) -> None:
    with contextlib.suppress(RuntimeError), SharedBudget(file, 1.0).open_ledger() as ledger:
        ledger.reserve(0.25).settle(may_be_charged=True)
        raise RuntimeError
    with SharedBudget(file, 1.0).open_ledger() as ledger:
        assert ledger.spent_usd == 0.25


def test_no_other_process_uses_the_budget_at_the_same_time(file: Path) -> None:
    lock = file.with_suffix(".lock")
    with SharedBudget(file, 1.0).open_ledger(), lock.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_each_change_is_written_before_it_takes_effect(file: Path) -> None:
    budget = SharedBudget(file, 1.0)
    with budget.open_ledger() as ledger:
        first = ledger.reserve(0.25)
        assert budget.spent_usd == 0.25
        first.settle(may_be_charged=False)
        assert budget.spent_usd == 0.0
        ledger.reserve(0.5).settle(may_be_charged=True, charged_usd=0.125)
        assert budget.spent_usd == 0.125
        ledger.reserve(0.0).settle(may_be_charged=True)
    assert len(file.read_bytes().splitlines()) == 4


def test_a_budget_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "budget.jsonl"
    with pytest.raises(StorageError) as caught, SharedBudget(file, 1.0).open_ledger():
        pass
    assert str(caught.value) == f"cannot write {file.with_suffix('.lock')}: No such file or directory"


def test_each_change_is_on_disk_before_it_takes_effect(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines_on_disk: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: lines_on_disk.append(file.read_bytes().count(b"\n")))
    with SharedBudget(file, 1.0).open_ledger() as ledger:
        ledger.reserve(0.5).settle(may_be_charged=True)
    assert lines_on_disk == [1, 2]

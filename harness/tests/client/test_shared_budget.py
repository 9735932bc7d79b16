"""One budget in a file for several processes, each of which uses it in turn."""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path

import pytest

from voicegauge.client import SharedBudget
from voicegauge.errors import BudgetError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "budget"


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


def test_a_shorter_amount_replaces_a_longer_one(file: Path) -> None:
    file.write_text("0.123456".ljust(32))
    with SharedBudget(file, 1.0).open_ledger() as ledger:
        ledger.reserve(0.376544).settle(may_be_charged=True)
    assert file.read_text() == "0.5".ljust(32)


def test_the_file_is_locked_and_marked_while_the_budget_is_in_use(file: Path) -> None:
    with SharedBudget(file, 1.0).open_ledger():
        assert file.read_text() == "held".ljust(32)
        with file.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with file.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_budget_of_a_process_that_died_stays_held(file: Path) -> None:
    file.write_text("held".ljust(32))
    for _ in range(2):
        with pytest.raises(BudgetError) as caught, SharedBudget(file, 1.0).open_ledger():
            pass
        assert str(caught.value) == "a process died while it was spending, so the rest of the budget is unknown"

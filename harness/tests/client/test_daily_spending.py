"""What all commands of a machine spend at a provider in a day, whatever ends them."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.tests.builders.small_disk import small_disk

from voicegauge.client.daily_spending import MAX_DAY_FILE_AGE_DAYS, DailyBudget, ProviderLedger
from voicegauge.client.ledger import Ledger, LedgerShare
from voicegauge.errors import BudgetError, DataError, StorageError

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


class Calendar:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def budget(folder: Path, limit: float | None = 0.1, *, clock: Calendar | None = None) -> DailyBudget:
    return DailyBudget(folder, "acme", limit, get_now=clock or Calendar())


def test_the_budgets_of_all_commands_end_together(tmp_path: Path) -> None:
    first, second = (ProviderLedger(Ledger(100.0), budget(tmp_path)) for _ in range(2))
    for ledger in (first, second, first, second):
        LedgerShare(ledger).reserve(0.02).settle(may_be_charged=True)
    second.reserve(0.02)
    with pytest.raises(BudgetError, match=r"\$0\.02 are needed, but \$0\.10 of \$0\.10 for acme are spent today"):
        first.reserve(0.02)
    assert first.reserved_usd == 0
    assert budget(tmp_path).spent_today_usd == pytest.approx(0.1)


def test_what_is_not_charged_is_given_back_and_a_charge_counts(tmp_path: Path) -> None:
    ledger = ProviderLedger(Ledger(100.0), budget(tmp_path))
    ledger.reserve(0.1).settle(may_be_charged=False)
    ledger.reserve(0.1).settle(may_be_charged=True, charged_usd=0.04)
    assert budget(tmp_path).spent_today_usd == pytest.approx(0.04)
    with pytest.raises(BudgetError):
        ledger.reserve(0.07)


def test_a_request_counts_on_the_day_on_which_it_was_sent(tmp_path: Path) -> None:
    clock = Calendar()
    ledger = ProviderLedger(Ledger(100.0), budget(tmp_path, clock=clock))
    clock.now = NOON.replace(hour=23, minute=59)
    sent = ledger.reserve(0.1)
    clock.now += timedelta(minutes=2)
    tomorrow = ledger.reserve(0.1)
    sent.settle(may_be_charged=True, charged_usd=0.06)
    tomorrow.settle(may_be_charged=True)
    assert budget(tmp_path, clock=clock).spent_today_usd == pytest.approx(0.1)
    clock.now -= timedelta(minutes=2)  # the clock is set back
    assert budget(tmp_path, clock=clock).spent_today_usd == pytest.approx(0.06)
    with pytest.raises(BudgetError):
        ledger.reserve(0.05)


def test_a_run_that_crosses_midnight_spends_from_the_budgets_of_both_days(tmp_path: Path) -> None:
    clock = Calendar()
    clock.now = NOON.replace(hour=23, minute=50)
    ledger = ProviderLedger(Ledger(100.0), budget(tmp_path, clock=clock))
    sent_count_by_day = {14: 0, 15: 0}
    for _ in range(20):  # a request of $0.02 each minute
        clock.now += timedelta(minutes=1)
        try:
            ledger.reserve(0.02).settle(may_be_charged=True)
        except BudgetError:
            continue
        sent_count_by_day[clock.now.day] += 1
    assert sent_count_by_day == {14: 5, 15: 5}, "$0.10 a day"
    assert ledger.spent_usd == pytest.approx(0.2)


def test_a_day_begins_at_midnight_utc(tmp_path: Path) -> None:
    clock = Calendar()
    clock.now = datetime.fromisoformat("2026-03-15T01:00:00+09:00")
    budget(tmp_path, clock=clock).reserve(1)
    assert [path.name for path in tmp_path.rglob("*.jsonl")] == ["2026-03-14.jsonl"]


def test_old_days_are_removed(tmp_path: Path) -> None:
    clock = Calendar()
    budget(tmp_path, clock=clock).reserve(1)
    clock.now += timedelta(days=MAX_DAY_FILE_AGE_DAYS + 1)
    budget(tmp_path, clock=clock).reserve(1)
    assert [path.name for path in tmp_path.rglob("*.jsonl")] == ["2026-04-15.jsonl"]


def spend(folder: Path, count: int) -> int:
    """Reserve a cent up to `count` times; return how often it was possible."""
    ledger, done = ProviderLedger(Ledger(), budget(folder, 0.5)), 0
    for _ in range(count):
        try:
            ledger.reserve(0.01).settle(may_be_charged=True)
        except BudgetError:
            break
        done += 1
    return done


def test_processes_and_threads_never_overspend_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=spend, args=(tmp_path, 40)) for _ in range(2)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: spend(tmp_path, 40), range(2)))
    for process in processes:
        process.join()
    assert budget(tmp_path, 0.5).spent_today_usd == pytest.approx(0.5)
    assert spend(tmp_path, 1) == 0


def test_a_line_that_a_crash_cut_short_is_removed(tmp_path: Path) -> None:
    one = budget(tmp_path)
    one.reserve(50_000)
    (file,) = tmp_path.rglob("*.jsonl")
    with file.open("ab") as journal:
        journal.write(b'{"event":"amounts_ch')
    assert one.spent_today_usd == 0.05
    one.reserve(10_000)
    assert budget(tmp_path).spent_today_usd == pytest.approx(0.06)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    budget(tmp_path).reserve(1)
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_bytes(b"not json\n")
    with pytest.raises(DataError, match=r"2026-03-14\.jsonl: is damaged"):
        budget(tmp_path).reserve(1)


def test_without_a_limit_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    errors: list[StorageError] = []
    one = DailyBudget(tmp_path / "file", "acme", on_storage_error=errors.append)
    for _ in range(3):
        ProviderLedger(Ledger(1.0), one).reserve(0.01).settle(may_be_charged=True)
    assert len(errors) == 1


def test_with_a_limit_a_folder_that_cannot_be_written_stops_the_command(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        ProviderLedger(Ledger(1.0), budget(tmp_path / "file")).reserve(0.01)


def test_on_a_full_disk_nothing_is_reserved(tmp_path: Path) -> None:
    one = budget(tmp_path)
    one.reserve(1_000)
    with small_disk(max_file_bytes=110), pytest.raises(StorageError, match="free some disk space"):
        one.reserve(1_000)
    assert budget(tmp_path).spent_today_usd == pytest.approx(0.001)

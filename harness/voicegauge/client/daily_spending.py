"""Shares budgets between processes: of one test run, and of all commands of a machine at a provider on one day.

For a day, the state folder has one file for each provider, with one line for each change, in millionths of a dollar:

    {"event": "amounts_changed", "reserved_change_micro_usd": 1000, "spent_change_micro_usd": 0}

A price is reserved before its request is sent. What a process had reserved when it died counts as spent on that day,
because it may have been charged. A request that is sent before midnight counts on the day on which it was sent.

Lines survive the death of the process. They are not forced to disk, which would take milliseconds of the event loop and
distort the times of a benchmark: after a power failure, the last seconds may be missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec

from voicegauge.client.ledger import Ledger, LedgerShare
from voicegauge.client.spending_journal import Journal, read_events
from voicegauge.errors import BudgetError, DataError, StorageError
from voicegauge.files import check_writable
from voicegauge.model.base import MICRO_USD_PER_USD, Record, convert_budget_to_micro_usd, sum_usd
from voicegauge.model.price import format_price_usd

# Shares one budget between several processes, and remembers what was spent if they are killed.


class AmountsChangedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="amounts_changed"):
    """The reserved and the spent amount of a ledger have changed."""

    reserved_change_micro_usd: int
    """Change of the reserved amount, in millionths of a dollar; negative if a reservation ended."""
    spent_change_micro_usd: int
    """Change of the spent amount, in millionths of a dollar."""


class SharedBudget:
    """A budget that several processes use, one at a time. A journal records what they spend.

    What a process had reserved when it died counts as spent, because it may have been charged.
    """

    def __init__(self, journal_path: Path, max_cost_usd: float) -> None:
        """Share the budget of `max_cost_usd` dollars through the journal at `journal_path`.

        The file is created if it does not exist; its folder must exist.
        """
        self._file, self._limit = journal_path, max_cost_usd

    @property
    def spent_usd(self) -> float:
        """Dollars that were or may have been charged, according to the journal.

        Raises:
            DataError: the journal is damaged.
        """
        changes: Iterator[AmountsChangedEvent] = read_events(self._file, AmountsChangedEvent)
        return (
            sum(change.reserved_change_micro_usd + change.spent_change_micro_usd for change in changes)
            / MICRO_USD_PER_USD
        )

    @contextmanager
    def open_ledger(self) -> Iterator[Ledger]:
        """Wait until no other process uses the budget, and yield its ledger, which writes the journal.

        Raises:
            DataError: the journal is damaged.
            StorageError: the journal cannot be written.
        """
        with self._lock(), Journal(self._file, is_durable=True) as journal:
            yield _JournaledLedger(journal, self._limit, spent_usd=self.spent_usd)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        # A file of its own, because a process that finds the journal locked is rejected instead of waiting.
        path = self._file.with_suffix(".lock")
        try:
            file = path.open("a")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class _JournaledLedger(Ledger):
    """A ledger that writes each change to a journal before it takes effect."""

    def __init__(self, journal: Journal, max_cost_usd: float, *, spent_usd: float) -> None:
        super().__init__(max_cost_usd, spent_usd=spent_usd)
        self._journal = journal

    def change_amounts(self, reserved_change_micro_usd: int, spent_change_micro_usd: int) -> None:
        if reserved_change_micro_usd or spent_change_micro_usd:
            self._journal.write(
                AmountsChangedEvent(
                    reserved_change_micro_usd=reserved_change_micro_usd, spent_change_micro_usd=spent_change_micro_usd
                )
            )
        super().change_amounts(reserved_change_micro_usd, spent_change_micro_usd)


# Counts what all commands of a machine spend at a provider on one day, and keeps the sum below a limit.


MAX_DAY_FILE_AGE_DAYS = 31
"""Number of days after which the file of a day is removed."""


@dataclass
class _DaySpending:
    """What was reserved and spent on one day: the sum of the lines of its file that were read so far."""

    size_bytes: int = 0
    """Size of the lines that were read."""
    micro_usd: int = 0
    """What was reserved or spent, in millionths of a dollar."""


class DailyBudget:
    """What all commands spend at one provider, day by day. Several processes and threads may use it at once."""

    def __init__(
        self,
        folder: Path,
        provider: str,
        max_cost_usd: float | None = None,
        *,
        get_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_storage_error: Callable[[StorageError], None] | None = None,
    ) -> None:
        """Create a budget whose amounts are counted in <folder>/<provider>/<day>.jsonl.

        Args:
            folder: the folder of all providers.
            provider: id of the provider.
            max_cost_usd: limit for each day in dollars; `None` counts without a limit.
            get_now: returns the current time, with its time zone.
            on_storage_error: without a limit, called with the first error when a file cannot be written, after which
                nothing more is counted; `None` calls nothing. With a limit, the error is raised.
        """
        self._folder, self._provider, self._get_now = folder / provider, provider, get_now
        self._limit = None if max_cost_usd is None else convert_budget_to_micro_usd(max_cost_usd)
        self._on_storage_error = on_storage_error
        self._spending_by_day: dict[date, _DaySpending] = {}
        self._lock = threading.Lock()
        self._is_off = False
        """Whether nothing is counted any more, because the file of a day could not be written."""

    @property
    def spent_today_usd(self) -> float:
        """Dollars that were or may have been charged today, by all commands. Reading them creates no file.

        Raises:
            DataError: the file of the day is damaged.
            StorageError: the state folder cannot be written.
        """
        day = self._get_today()
        if not self._get_day_file_path(day).exists():
            return 0.0
        with self._open_day_file(day) as file:
            return self._sum_amounts_in_day_file(day, file) / MICRO_USD_PER_USD

    def reserve(self, amount_micro_usd: int) -> Callable[[int], None]:
        """Reserve an amount, and return the function that settles it with the amount that was spent.

        Raises:
            BudgetError: less is left for today.
            DataError: the file of the day is damaged.
            StorageError: the amount cannot be written, and there is a limit or no `on_storage_error`.
        """
        day = self._get_today()  # that of the reservation, also if it is settled after midnight
        self._change_amounts_of_day(day, amount_micro_usd, 0, is_new=True)

        def settle(spent_micro_usd: int) -> None:
            self._change_amounts_of_day(day, -amount_micro_usd, spent_micro_usd)

        return settle

    def _get_today(self) -> date:
        return self._get_now().astimezone(UTC).date()

    def _get_day_file_path(self, day: date) -> Path:
        return self._folder / f"{day.isoformat()}.jsonl"

    def _change_amounts_of_day(
        self, day: date, reserved_micro_usd: int, spent_micro_usd: int, *, is_new: bool = False
    ) -> None:
        """Change the reserved and spent amounts of a day; a new reservation must fit into the limit."""
        if self._is_off:
            return
        try:
            with self._open_day_file(day) as file:
                total = self._sum_amounts_in_day_file(day, file)
                if is_new:
                    self._require_remaining_budget(reserved_micro_usd, total)
                self._append_amounts(day, file, reserved_micro_usd, spent_micro_usd)
        except StorageError as error:
            if self._limit is not None or self._on_storage_error is None:
                raise
            self._is_off = True
            self._on_storage_error(error)

    def _require_remaining_budget(self, amount_micro_usd: int, total_micro_usd: int) -> None:
        """Check that `amount_micro_usd` fits into the limit beside the total of the day."""
        if self._limit is not None and total_micro_usd + amount_micro_usd > self._limit:
            needed, spent, limit = (
                format_price_usd(one / MICRO_USD_PER_USD, is_exact=True)
                for one in (amount_micro_usd, total_micro_usd, self._limit)
            )
            raise BudgetError(
                f"{needed} are needed, but {spent} of {limit} for {self._provider} are spent today (UTC), by all "
                "commands: wait until tomorrow, or raise --max-cost-per-day"
            )

    @contextmanager
    def _open_day_file(self, day: date) -> Iterator[BinaryIO]:
        """Open the file of a day, and lock it as long as the context lasts."""
        path = self._get_day_file_path(day)
        # Two locks: this one for the sums, which threads share, and that of the file for other processes.
        with self._lock:
            # Once a day only, because both look at the file system while requests are timed.
            if day not in self._spending_by_day:
                check_writable(path)
                self._remove_old_day_files(day)
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                file = path.open("a+b", buffering=0)  # unbuffered: each line is written before the lock ends
            except OSError as error:
                raise StorageError(f"cannot write {path}: {error.strerror}") from error
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file

    def _sum_amounts_in_day_file(self, day: date, file: BinaryIO) -> int:
        """Return what was reserved or spent on a day, in millionths of a dollar: the sum of all lines of its file.

        A last line that a crash cut short is removed: its request was never sent.
        """
        day_spending = self._spending_by_day.setdefault(day, _DaySpending())
        if os.fstat(file.fileno()).st_size < day_spending.size_bytes:
            # Another process has removed a line that was cut short.
            day_spending.size_bytes = day_spending.micro_usd = 0
        # Only what was added since the last look is read: a day may have thousands of lines, and each request asks.
        file.seek(day_spending.size_bytes)
        added_lines, _, rest = file.read().rpartition(b"\n")
        if rest:
            os.ftruncate(file.fileno(), day_spending.size_bytes + len(added_lines) + bool(added_lines))
        for line in added_lines.split(b"\n") if added_lines else ():
            try:
                change = msgspec.json.decode(line, type=AmountsChangedEvent)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise DataError(
                    f"{self._folder / day.isoformat()}.jsonl: is damaged: {error}: remove the line"
                ) from error
            day_spending.micro_usd += change.reserved_change_micro_usd + change.spent_change_micro_usd
        day_spending.size_bytes += len(added_lines) + bool(added_lines)
        return day_spending.micro_usd

    def _append_amounts(self, day: date, file: BinaryIO, reserved_micro_usd: int, spent_micro_usd: int) -> None:
        """Write a change to the file of a day, and add it to the day's sum."""
        event = AmountsChangedEvent(
            reserved_change_micro_usd=reserved_micro_usd, spent_change_micro_usd=spent_micro_usd
        )
        line, before = msgspec.json.encode(event) + b"\n", self._spending_by_day[day]
        try:
            written = file.write(line)
            if written != len(line):
                file.write(line[written:])  # raises the error that cut the first write short
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), before.size_bytes)
            raise StorageError(
                f"cannot write {self._folder}: {error.strerror}: free some disk space, then repeat the command"
            ) from error
        before.size_bytes += len(line)
        before.micro_usd += reserved_micro_usd + spent_micro_usd

    def _remove_old_day_files(self, day: date) -> None:
        oldest = (day - timedelta(days=MAX_DAY_FILE_AGE_DAYS)).isoformat()
        with contextlib.suppress(OSError):
            for path in self._folder.glob("????-??-??.jsonl"):
                if path.stem < oldest:
                    path.unlink()


class ProviderLedger(LedgerShare):
    """One provider's share of a ledger. It may have a budget of its own, and counts in the daily budget too."""

    def __init__(
        self,
        ledger: Ledger,
        daily_budget: DailyBudget | None = None,
        *,
        provider: str = "PROVIDER",
        max_cost_usd: float | None = None,
        spent_usd: float = 0.0,
    ) -> None:
        """Spend from `ledger` and from `daily_budget`.

        Args:
            ledger: the ledger of all providers.
            daily_budget: what all commands spend at the provider in a day; `None` to count nothing else.
            provider: id of the provider, which an error about its budget names.
            max_cost_usd: the provider's part of the budget, in dollars; `None` if it has none of its own.
            spent_usd: the part of `max_cost_usd` that an interrupted run has spent already; `ledger` counts it too.
        """
        super().__init__(ledger, max_cost_usd, spent_usd=spent_usd, budget_option=f"--max-cost {provider}=USD")
        self._daily_budget = daily_budget

    def reserve_in_outer_budgets(self, amount_micro_usd: int) -> Callable[[int], None] | None:
        """Reserve an amount for today, and return a function that settles it, as `DailyBudget.reserve` does.

        `None` if the amount is 0 or there is no budget for a day.
        """
        return self._daily_budget.reserve(amount_micro_usd) if amount_micro_usd and self._daily_budget else None


def open_provider_ledgers(
    ledger: Ledger | None,
    providers: Iterable[str],
    *,
    daily_budget_by_provider: Mapping[str, DailyBudget] = {},
    max_cost_usd_by_provider: Mapping[str, float] = {},
    spent_usd_by_provider: Mapping[str, float] = {},
) -> dict[str, Ledger]:
    """Return the ledger with which each provider is paid, by provider id; empty if nothing is paid.

    Versions of one provider, such as "acme" and "acme@staging.example", share its budget `max_cost_usd_by_provider`.

    Args:
        ledger: the ledger of all providers; `None` if nothing is paid.
        providers: ids of the providers.
        daily_budget_by_provider: what all commands spend in a day.
        max_cost_usd_by_provider: budgets of single providers in dollars.
        spent_usd_by_provider: dollars that interrupted runs have spent already, and that `ledger` counts.
    """
    if ledger is None:
        return {}
    names = list(providers)
    spent_usd: dict[str, float] = {}
    for name in names:
        home = remove_provider_version(name)
        spent_usd[home] = sum_usd((spent_usd.get(home, 0.0), spent_usd_by_provider.get(name, 0.0)))
    shares = {
        name: ProviderLedger(
            ledger,
            provider=name,
            max_cost_usd=max_cost_usd_by_provider.get(name),
            spent_usd=spent_usd.get(name, 0.0),
        )
        for name in spent_usd
    }
    return {
        name: ProviderLedger(shares[remove_provider_version(name)], daily_budget_by_provider.get(name))
        for name in names
    }


def remove_provider_version(provider: str) -> str:
    """Return the id of the provider without a version: all versions of a provider ("acme@2") share its budget."""
    return provider.partition("@")[0]

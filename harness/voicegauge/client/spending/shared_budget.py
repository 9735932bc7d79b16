"""Shares one budget between several processes, and remembers what was spent if they are killed.

A journal (`journal.py`) has one line for each change of the ledger, in millionths of a dollar. A price is reserved
before its request is sent, and settled when the outcome of the request is known:

    {"event": "amounts_changed", "reserved_micro_usd": 1000, "spent_micro_usd": 0}
    {"event": "amounts_changed", "reserved_micro_usd": -1000, "spent_micro_usd": 1000}
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from voicegauge.client.spending.journal import Journal, read_events
from voicegauge.client.spending.ledger import MICRO_USD_PER_USD, Ledger
from voicegauge.errors import StorageError
from voicegauge.model import Record


class AmountsChangedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="amounts_changed"):
    """The reserved and the spent amount of a ledger have changed."""

    reserved_change_micro_usd: int = msgspec.field(name="reserved_micro_usd")
    """Change of the reserved amount, in millionths of a dollar; negative if a reservation ended."""
    spent_change_micro_usd: int = msgspec.field(name="spent_micro_usd")
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

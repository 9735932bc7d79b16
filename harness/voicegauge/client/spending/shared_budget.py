"""One budget for several processes: spent sums in a file, and a lock on it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from voicegauge.client.spending.ledger import Ledger
from voicegauge.errors import BudgetError

_WIDTH = 32
"""Characters of the file: more than any sum has."""


class SharedBudget:
    """A budget in a file; one process at a time has it.

    While it is had, the file says that its process has all of it: a process that dies
    leaves nothing to the others, for nobody knows what it spent.
    """

    def __init__(self, file: Path, max_cost_usd: float) -> None:
        """All processes name the same `file`, which need not be there, and the same budget in dollars."""
        self._file, self._limit = file, max_cost_usd

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """What is left of the budget, for as long as the context lasts; waits for its turn.

        Raises:
            BudgetError: a process died that had it.
        """
        with os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT), "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            spent = file.read().strip() or "0"
            if spent == "held":
                raise BudgetError("a process died while it was spending; nobody knows what is left of the budget")
            _write(file, "held")
            ledger = Ledger(self._limit, spent_usd=float(spent))
            try:
                yield ledger
            finally:
                _write(file, repr(ledger.spent_usd + ledger.reserved_usd))


def _write(file: TextIO, text: str) -> None:
    """In the place of what stood there, which stays where the disk is full: an empty file would be a new budget."""
    file.seek(0)
    file.write(text.ljust(_WIDTH))
    file.flush()

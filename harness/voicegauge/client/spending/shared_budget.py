"""Shares one budget between several processes: a locked file contains the amount spent."""

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
"""Fixed size of the file in characters, so that a shorter amount overwrites a longer one completely."""


class SharedBudget:
    """A budget in a file, used by one process at a time.

    While a process uses the budget, the file marks it as held. If that process dies, the budget stays held, because
    the amount that the process spent is unknown and other processes must not spend the rest.
    """

    def __init__(self, file: Path, max_cost_usd: float) -> None:
        """Share the budget of `max_cost_usd` dollars through `file`, which is created if it does not exist."""
        self._file, self._limit = file, max_cost_usd

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Wait until no other process uses the budget, and yield its ledger.

        Raises:
            BudgetError: an earlier process died while it used the budget.
        """
        with os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT), "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            spent = file.read().strip() or "0"
            if spent == "held":
                raise BudgetError("a process died while it was spending, so the rest of the budget is unknown")
            _write(file, "held")
            ledger = Ledger(self._limit, spent_usd=float(spent))
            try:
                yield ledger
            finally:
                _write(file, repr(ledger.spent_usd + ledger.reserved_usd))


def _write(file: TextIO, text: str) -> None:
    """Overwrite the text in place.

    Truncating first would leave an empty file if the disk is full, and an empty file means a new budget.
    """
    file.seek(0)
    file.write(text.ljust(_WIDTH))
    file.flush()

"""One budget for several processes: spent sums in a file, and a lock on it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voicegauge.client.ledger import Ledger
from voicegauge.errors import BudgetError


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
        with self._file.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            spent = file.read() or "0"
            if spent == "held":
                raise BudgetError("a process died while it was spending; nobody knows what is left of the budget")
            _write(self._file, "held")
            ledger = Ledger(self._limit, spent_usd=float(spent))
            try:
                yield ledger
            finally:
                _write(self._file, repr(ledger.spent_usd + ledger.reserved_usd))


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")

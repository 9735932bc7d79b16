"""A search for broken rules: Hypothesis draws, shrinks and remembers; the event loop sends."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Flaky, Unsatisfiable

from voicegauge.conformance.running import CaseRunner
from voicegauge.errors import BudgetError, NothingMeasuredError, TransportError, VoicegaugeError
from voicegauge.model import Finding, Severity

MAX_BUGS = 3
"""Rounds of search: after a find the search goes on for another rule that is broken."""
MAX_STEPS = 16
"""Of one example of a state machine."""
MAX_SHRINKING = 150
"""Requests after a find that look for a smaller one: at a live service they may be paid for."""
T = TypeVar("T")
Test = Callable[[], None]
Make = Callable[[hypothesis.settings, int], Test]


class _Over(BaseException):
    """The search ends here; Hypothesis lets it through at once."""


class RuleBroken(Exception):  # noqa: N818 - what Hypothesis shrinks
    """What was sent broke a rule."""


@dataclass(frozen=True)
class FuzzEffort:
    """How much is tried."""

    examples: int
    seed: int
    """Decides every example, but for those that failed before."""
    failures: Path | None = None
    """A folder of what failed: it is tried first, and forgotten when it holds; `None` keeps nothing."""

    def below(self, *names: str) -> FuzzEffort:
        """The same with the failures in a folder further down."""
        return FuzzEffort(self.examples, self.seed, self.failures.joinpath(*names) if self.failures else None)


class RuleSearch:
    """One search, in a thread of its own."""

    def __init__(self, runner: CaseRunner, effort: FuzzEffort) -> None:
        """Made in the event loop that sends; findings go to the runner's collector."""
        self._runner, self._effort = runner, effort
        self._loop = asyncio.get_running_loop()
        self._known: set[tuple[str, int | None]] = set()
        self._last: list[Finding] = []
        self._stopped: VoicegaugeError | None = None
        self._shrinking = 0

    async def run(self, make: Make) -> None:
        """Search until nothing new is broken.

        Args:
            make: from settings and a seed to a test that calls `ask` and `judge`. The settings come
                after the seed: `hypothesis.seed` takes the failures away.

        Raises:
            BudgetError: the next request costs more than is left.
            TransportError: the service is away.
        """
        try:
            await asyncio.to_thread(self._rounds, make)
        except asyncio.CancelledError:
            # The thread goes on by itself: its next question ends it.
            self._stopped = NothingMeasuredError("interrupted")
            raise

    def _rounds(self, make: Make) -> None:
        for turn in range(MAX_BUGS):
            self._last, self._shrinking = [], 0
            try:
                make(self._settings(turn), self._effort.seed)()
            except (RuleBroken, Flaky, _Over):
                pass  # what was found is noted: the smallest example last, or one that does not break again
            except Unsatisfiable:
                return  # nothing of the kind can be drawn
            self._known |= {(finding.rule, finding.where.line) for finding in self._last}
            self._runner.keep(self._last)
            if self._stopped is not None:
                raise self._stopped
            if not self._last:
                return

    def _settings(self, turn: int) -> hypothesis.settings:
        """Each round has failures of its own: what is known already must not be forgotten for holding there."""
        folder = self._effort.failures
        database = None if folder is None else DirectoryBasedExampleDatabase(folder / str(turn + 1))
        return hypothesis.settings(
            max_examples=self._effort.examples,
            database=database,
            derandomize=False,  # which it would be under CI: the seed decides
            deadline=None,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            print_blob=False,
            stateful_step_count=MAX_STEPS,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """What comes of `question`, awaited in the event loop.

        An example that met no answer is given up; where there is no more to be had, the search is over.
        """
        self._shrinking += bool(self._last)
        try:
            if self._stopped is not None or self._shrinking > MAX_SHRINKING:
                question.close()
            else:
                return asyncio.run_coroutine_threadsafe(question, self._loop).result()
        except TransportError as error:
            if not self._runner.is_away(error):
                hypothesis.reject()
            self._stopped = error
        except BudgetError as error:
            self._stopped = error
        except concurrent.futures.CancelledError:
            self._stopped = NothingMeasuredError("interrupted")
        raise _Over

    def judge(self, findings: Sequence[Finding]) -> None:
        """Take note of errors that are new.

        Raises:
            Broken: there are some.
        """
        new = [f for f in findings if f.severity is Severity.ERROR and (f.rule, f.where.line) not in self._known]
        if new:
            self._last = new
            raise RuleBroken

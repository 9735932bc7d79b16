"""Searches for broken rules: Hypothesis generates, shrinks and remembers examples, and the event loop sends them."""

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
from voicegauge.errors import BudgetError, NothingMeasuredError, StorageError, TransportError, VoicegaugeError
from voicegauge.model import Finding, Severity

MAX_SEARCH_ROUNDS = 3
"""Maximum number of rounds in one search. After a finding, the next round searches for another broken rule."""
MAX_STEPS_PER_SEQUENCE = 16
"""Maximum number of steps in one example of a state machine."""
MAX_SHRINKING_EXAMPLES = 150
"""Maximum number of requests that search for a smaller example after a finding. A live service may charge for them."""
_hypothesis_thread_pool = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="hypothesis")
"""Threads for all searches. In each new thread, Hypothesis first collects all garbage, which takes as long as many
requests."""
ResultT = TypeVar("ResultT")
FuzzTest = Callable[[], None]
"""A function that runs all examples of one round."""
FuzzTestFactory = Callable[[hypothesis.settings, int], FuzzTest]
"""A function that makes the test of one round from Hypothesis settings and a seed."""


class _SearchEndedSignal(BaseException):
    """Raised in an example to end the whole search. As a `BaseException` it also ends the shrinking by Hypothesis."""


class RuleBrokenSignal(Exception):  # noqa: N818 - it is not an error of this program
    """Tells Hypothesis that the example broke a rule. Hypothesis shrinks examples that raise an exception."""


@dataclass(frozen=True)
class FuzzSettings:
    """How long to search, with which seed, and where failing examples are saved."""

    example_count: int
    """Number of examples per round."""
    seed: int
    """Seed of the random numbers. It determines every example except the saved ones that failed before."""
    failures_folder: Path | None = None
    """Folder for failing examples. They are tried first, and deleted when they pass. `None` to save nothing."""

    def copy_with_failures_subfolder(self, *folder_names: str) -> FuzzSettings:
        """Return the same settings, with failing examples saved in a subfolder."""
        return FuzzSettings(
            self.example_count,
            self.seed,
            self.failures_folder.joinpath(*folder_names) if self.failures_folder else None,
        )


class ViolationSearch:
    """One search for examples that break a rule. It runs in a thread, because Hypothesis is synchronous."""

    def __init__(self, case_runner: CaseRunner, fuzz_settings: FuzzSettings) -> None:
        """Prepare a search. Call this in the event loop that sends requests; `case_runner` collects the findings."""
        self._runner, self._fuzz_settings = case_runner, fuzz_settings
        self._loop = asyncio.get_running_loop()
        self._known: set[tuple[str, int | None]] = set()
        self._latest: list[Finding] = []
        self._stopped: VoicegaugeError | None = None
        self._shrinking = 0

    async def search_violations(self, build_round_test: FuzzTestFactory) -> None:
        """Search until no further rule is broken, or for `MAX_SEARCH_ROUNDS` rounds.

        Args:
            build_round_test: returns a test that calls `run_in_event_loop` and `raise_if_new_errors`. It must apply the
                settings after the seed, because `hypothesis.seed` drops the saved failures.

        Raises:
            BudgetError: the next request costs more than is left in the budget.
            TransportError: the service cannot be reached.
            StorageError: what is paid for could not be saved.
        """
        try:
            await self._loop.run_in_executor(_hypothesis_thread_pool, self._run_rounds, build_round_test)
        except asyncio.CancelledError:
            # A thread cannot be cancelled. It ends when it tries to send the next request.
            self._stopped = NothingMeasuredError("interrupted")
            raise

    def _run_rounds(self, build_round_test: FuzzTestFactory) -> None:
        for number in range(MAX_SEARCH_ROUNDS):
            self._latest, self._shrinking = [], 0
            try:
                build_round_test(self._build_hypothesis_settings(number), self._fuzz_settings.seed)()
            except (RuleBrokenSignal, Flaky, _SearchEndedSignal):
                pass  # the findings are in `_latest`: of the smallest example, or of one that did not fail again
            except Unsatisfiable:
                return  # no example fits the strategy
            self._known |= {(finding.rule, finding.where.contract_line) for finding in self._latest}
            self._runner.collect_findings(self._latest)
            if self._stopped is not None:
                raise self._stopped
            if not self._latest:
                return

    def _build_hypothesis_settings(self, round_number: int) -> hypothesis.settings:
        """Return the Hypothesis settings of a round.

        Each round saves failures in its own folder. In a shared folder, a later round, which ignores the rules that
        earlier rounds found broken, would see their failures pass and delete them.
        """
        folder = self._fuzz_settings.failures_folder
        database = None if folder is None else DirectoryBasedExampleDatabase(folder / str(round_number + 1))
        return hypothesis.settings(
            max_examples=self._fuzz_settings.example_count,
            database=database,
            derandomize=False,  # Hypothesis sets it under CI, where it would replace the seed
            deadline=None,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            print_blob=False,
            stateful_step_count=MAX_STEPS_PER_SEQUENCE,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )

    def run_in_event_loop(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run `coroutine` in the thread of the event loop, and return its result.

        If there is no response, Hypothesis discards the example. If no further response can be expected, the search
        ends.
        """
        self._shrinking += bool(self._latest)
        try:
            if self._stopped is not None or self._shrinking > MAX_SHRINKING_EXAMPLES:
                coroutine.close()
            else:
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        except TransportError as error:
            if not self._runner.must_stop_after_error(error):
                hypothesis.reject()
            self._stopped = error
        except (BudgetError, StorageError) as error:
            self._stopped = error
        except concurrent.futures.CancelledError:
            self._stopped = NothingMeasuredError("interrupted")
        raise _SearchEndedSignal

    def raise_if_new_errors(self, findings: Sequence[Finding]) -> None:
        """Remember the errors in `findings` that no earlier round has found, and stop the example if there is one.

        Raises:
            RuleBrokenSignal: there is at least one such error.
        """
        new = [
            f for f in findings if f.severity is Severity.ERROR and (f.rule, f.where.contract_line) not in self._known
        ]
        if new:
            self._latest = new
            raise RuleBrokenSignal

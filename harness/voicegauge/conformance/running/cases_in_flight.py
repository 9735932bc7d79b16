"""Sends several cases at once, and hands over what was received in the order of the plan.

Judging occupies this process. Meanwhile the service works on other cases. Cases that share state at the service are in
one lane: they are sent one after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from voicegauge.conformance.cases import ConformanceCase
from voicegauge.conformance.running.sending import SentCase

MAX_UNJUDGED_RESPONSE_BYTES = 32 * 2**20
"""Size of the responses that may wait to be judged. Above it, no further case is sent until the next one was judged."""


@dataclass
class _PlannedCase:
    """A case in the window of cases that are sent or wait to be judged."""

    case: ConformanceCase
    lane: str | None
    must_run_alone: bool
    task: asyncio.Task[SentCase] | None = None
    """The task that sends the case; `None` before it is started."""

    @property
    def is_sent(self) -> bool:
        return self.task is not None and self.task.done()

    @property
    def response_size_bytes(self) -> int:
        """Size of the responses in bytes; 0 if they are not complete, or if an error of this program ended the case."""
        if self.task is None or not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return 0
        return sum(len(exchange.response.body) for exchange in self.task.result().exchanges)


class CasesInFlight:
    """Sends the cases of a plan, at most `concurrency` of them at once."""

    def __init__(
        self,
        concurrency: int,
        send_case: Callable[[ConformanceCase], Coroutine[Any, Any, SentCase]],
        *,
        max_cases_ahead_of_judging: int,
        find_lane: Callable[[ConformanceCase], str | None],
        must_run_alone: Callable[[ConformanceCase], bool],
    ) -> None:
        """Prepare to send cases.

        Args:
            concurrency: number of cases in flight; with 1, a case is sent after the one before it was handed over.
            send_case: sends a case; raises no error of the tool or of the network.
            max_cases_ahead_of_judging: number of cases after the next one to be judged that may be sent already. A
                slow case holds up the judgement of those after it, but not their sending.
            find_lane: returns the lane of a case, in which cases are sent in order; `None` if its order does not
                matter.
            must_run_alone: returns whether no other case may be in flight at the same time as a case.
        """
        self._concurrency, self._send_case = concurrency, send_case
        self._max_cases = 1 + max_cases_ahead_of_judging
        self._find_lane, self._must_be_alone = find_lane, must_run_alone
        self._window: deque[_PlannedCase] = deque()
        self._interrupted_case: SentCase | None = None
        """What was received for a case that was interrupted; only with a concurrency of 1."""

    async def send_cases(self, cases: Iterable[ConformanceCase], take_result: Callable[[SentCase], None]) -> None:
        """Send `cases`, and call `take_result` with each result, in the order of `cases`.

        If `take_result` raises an error, or the task is cancelled, no further case is sent; what is in flight is left
        to `finish`.
        """
        if self._concurrency == 1:
            await self._send_one_by_one(cases, take_result)
            return
        waiting = iter(cases)
        while True:
            self._extend_window(waiting)
            if not self._window:
                return
            self._start_cases()
            first = self._window[0]
            if not first.is_sent:
                await asyncio.wait(self._tasks_in_flight, return_when=asyncio.FIRST_COMPLETED)
                continue
            assert first.task is not None
            sent = first.task.result()
            if sent.exceeds_budget and not first.must_run_alone:
                # The others may have reserved more than they will be charged.
                first.must_run_alone, first.task = True, None
                continue
            if self._tasks_in_flight:
                await asyncio.sleep(0)  # requests of the cases just started are written before this process judges
            self._window.popleft()
            take_result(sent)

    async def _send_one_by_one(self, cases: Iterable[ConformanceCase], take_result: Callable[[SentCase], None]) -> None:
        """Send each case after the result of the one before it was taken, without the cost of a task for each case."""
        this_task = asyncio.current_task()
        for case in cases:
            sent = await self._send_case(case)
            if this_task is not None and this_task.cancelling():
                self._interrupted_case = sent
                raise asyncio.CancelledError
            take_result(sent)
            await asyncio.sleep(0)  # an application in this process may respond without letting other tasks run

    async def finish(self, take_result: Callable[[SentCase], None], *, cancel_cases: bool) -> None:
        """Wait for the cases in flight, and call `take_result` with each result, in the order of the plan.

        Args:
            take_result: is called with each result.
            cancel_cases: whether to cancel the cases instead of waiting for them. They are also cancelled if this task
                is.
        """
        if not cancel_cases:
            try:
                await self._wait_for_all()
            except asyncio.CancelledError:
                await self._cancel_all()
                raise
            finally:
                self._hand_over_results(take_result)
        else:
            await self._cancel_all()
            self._hand_over_results(take_result)

    def _extend_window(self, remaining_cases: Iterator[ConformanceCase]) -> None:
        while len(self._window) < self._max_cases and (case := next(remaining_cases, None)) is not None:
            self._window.append(_PlannedCase(case, self._find_lane(case), self._must_be_alone(case)))

    def _start_cases(self) -> None:
        in_flight, waiting_bytes = len(self._tasks_in_flight), 0
        busy_lanes: set[str] = set()
        for planned in self._window:
            if planned.is_sent:
                waiting_bytes += planned.response_size_bytes
                continue
            places = 1 if planned.must_run_alone else self._concurrency
            if in_flight >= places or waiting_bytes > MAX_UNJUDGED_RESPONSE_BYTES:
                return
            if planned.task is None and planned.lane not in busy_lanes:
                planned.task = asyncio.create_task(self._send_case(planned.case))
                in_flight += 1
            if planned.must_run_alone:
                return
            busy_lanes |= {planned.lane} if planned.lane is not None else set()

    @property
    def _tasks_in_flight(self) -> list[asyncio.Task[SentCase]]:
        return [planned.task for planned in self._window if planned.task is not None and not planned.task.done()]

    async def _wait_for_all(self) -> None:
        if self._tasks_in_flight:
            await asyncio.wait(self._tasks_in_flight)

    async def _cancel_all(self) -> None:
        for task in self._tasks_in_flight:
            task.cancel()
        await self._wait_for_all()

    def _hand_over_results(self, take_result: Callable[[SentCase], None]) -> None:
        if self._interrupted_case is not None:
            take_result(self._interrupted_case)
        for planned in self._window:
            task = planned.task
            if task is not None and not task.cancelled() and task.exception() is None:
                take_result(task.result())
        self._window.clear()

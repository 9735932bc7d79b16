"""Records of a ramp: the highest load at which a target met a goal, and how it was found."""

from __future__ import annotations

from typing import Literal

import msgspec

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record


def format_load(load_type: Literal["concurrency", "rate"], *loads: float) -> str:
    """Return one or several loads with their unit.

    >>> format_load("concurrency", 1, 2)
    '1, 2 requests in flight'
    """
    noun = "request" if loads == (1,) else "requests"
    unit = " in flight" if load_type == "concurrency" else "/s"
    return f"{', '.join(f'{load:g}' for load in loads)} {noun}{unit}"


class RampStep(Record, frozen=True, kw_only=True):
    """The results of the requests that were sent under one load."""

    load: NonNegativeNumber = msgspec.field(name="level")
    """The load: requests in flight, or requests per second."""
    request_count: Count = msgspec.field(name="requests")
    duration_s: NonNegativeNumber
    requests_per_s: NonNegativeNumber
    """Throughput: number of all requests divided by the duration of the step."""
    goodput_per_s: NonNegativeNumber
    """Number of requests per second that succeeded and met the time limits of the goal."""
    success_rate: NonNegativeNumber | None = msgspec.field(name="success")
    """Share of requests that succeeded at the first attempt; `None` if none was sent."""
    ttfa_p95_ms: NonNegativeNumber | None
    """95th percentile of the time to first audio of the successful requests, in ms; `None` if none succeeded."""
    total_latency_p95_ms: NonNegativeNumber | None
    """95th percentile of the total latency of the successful requests, in ms; `None` if none succeeded."""
    value_by_condition: dict[str, Number | None] = msgspec.field(name="values")
    """The measured value of each condition of the goal."""
    meets_goal: bool = msgspec.field(name="is_met")
    """Whether the goal was met at this load; `False` for an invalid step."""
    sent_load_share: NonNegativeNumber | None = msgspec.field(default=None, name="sent_share")
    """Share of the planned load that this machine sent, from 0 to 1: of the rate, or of the requests in flight; `None`
    if it is not known."""
    is_valid: bool = True
    """Whether this machine sent the planned load. An invalid step says nothing about the target under that load."""

    @property
    def verdict(self) -> str:
        """In words: whether the goal was met, or that the step is invalid and why."""
        if not self.is_valid and self.sent_load_share is not None:
            return f"invalid: {self.sent_load_share:.0%} of the load sent"
        return "met" if self.meets_goal else "missed"


class RampResult(Record, frozen=True, kw_only=True):
    """The steps of a ramp, and the highest load that met the goal."""

    load_type: Literal["concurrency", "rate"] = msgspec.field(name="by")
    """What the ramp raises: `concurrency`, the number of requests in flight, or `rate`, the requests per second."""
    goal: str
    """The goal, as the user wrote it."""
    highest_load: NonNegativeNumber | None = msgspec.field(name="highest_level")
    """The highest load that met the goal; `None` if even the lowest one missed it."""
    meets_goal_at_max_load: bool = msgspec.field(name="is_limited")
    """Whether the goal was met even at the highest load that may be tried, so that the target may bear more."""
    is_search_complete: bool = msgspec.field(name="is_complete")
    """Whether the search came to its end. It ends early if the budget is spent, or if the user stops it."""
    steps: tuple[RampStep, ...]

    @property
    def best_step_numbers(self) -> frozenset[int]:
        """Numbers, from 1, of the steps at the highest load that met the goal; empty if no load met it."""
        numbered = enumerate(self.steps, 1)
        return frozenset(number for number, step in numbered if step.meets_goal and step.load == self.highest_load)

    @property
    def unit(self) -> str:
        """Unit of a load in words, such as "requests/s"."""
        return "in flight" if self.load_type == "concurrency" else "requests/s"

    def describe(self) -> str:
        """Return the result of the ramp in one line.

        >>> RampResult(
        ...     load_type="rate",
        ...     goal="rtf<=1",
        ...     highest_load=8,
        ...     meets_goal_at_max_load=False,
        ...     is_search_complete=True,
        ...     steps=(),
        ... ).describe()
        '8 requests/s meet rtf<=1'
        """
        unfinished = "" if self.is_search_complete else "; the search was stopped before its end"
        invalid = self._find_invalid_step_above_highest_load()
        if self.highest_load is None:
            found = f"no load meets {self.goal}" if invalid is None else f"no load is known to meet {self.goal}"
        else:
            limit = ", the highest that may be tried," if self.meets_goal_at_max_load else ""
            found = f"{self.highest_load:g} {self.unit}{limit} meet {self.goal}"
        if invalid is None or invalid.sent_load_share is None:
            return found + unfinished
        sent = f"this machine sent only {invalid.sent_load_share:.0%} of {invalid.load:g} {self.unit}"
        return f"{found}; {sent}, so the target may bear more{unfinished}"

    def _find_invalid_step_above_highest_load(self) -> RampStep | None:
        """Return the last step at the lowest load above `highest_load` if that step is invalid, else `None`.

        If no load met the goal, the step is the last one at the lowest load of all. Steps without requests are ignored.
        """
        bound: RampStep | None = None
        for step in self.steps:
            is_above = self.highest_load is None or step.load > self.highest_load
            if is_above and step.request_count and (bound is None or step.load <= bound.load):
                bound = step
        return None if bound is None or bound.is_valid else bound

"""Records of a ramp: the highest load at which a target met a goal, and how it was found."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record


def format_load(by: Literal["concurrency", "rate"], *levels: float) -> str:
    """Return one or several loads with their unit.

    >>> format_load("concurrency", 1, 2)
    '1, 2 requests in flight'
    """
    noun = "request" if levels == (1,) else "requests"
    return f"{', '.join(f'{level:g}' for level in levels)} {noun}{' in flight' if by == 'concurrency' else '/s'}"


class RampStep(Record, frozen=True, kw_only=True):
    """The results of the requests at one level of load."""

    level: NonNegativeNumber
    """The load: requests in flight, or requests per second."""
    requests: Count
    duration_s: NonNegativeNumber
    requests_per_s: NonNegativeNumber
    """Throughput: number of all requests divided by the duration of the step."""
    goodput_per_s: NonNegativeNumber
    """Requests per second that succeeded and met the limits of time of the goal."""
    success: NonNegativeNumber | None
    """Share of requests that succeeded at the first attempt; `None` if none was sent."""
    ttfa_p95_ms: NonNegativeNumber | None
    """95th percentile of the time to first audio of the successful requests, in ms; `None` if none succeeded."""
    total_latency_p95_ms: NonNegativeNumber | None
    """95th percentile of the total latency of the successful requests, in ms; `None` if none succeeded."""
    values: dict[str, Number | None]
    """The measured value of each condition of the goal."""
    is_met: bool
    """Whether the goal was met at this level, which it is not in an invalid step."""
    sent_share: NonNegativeNumber | None = None
    """How much of the planned load this machine sent: of the rate, or of the requests in flight, at most 1; `None` if
    it is not known."""
    is_valid: bool = True
    """Whether the planned load was sent, so that the step says something about it."""

    @property
    def verdict(self) -> str:
        """Whether the goal was met, or why the step does not tell, in words."""
        if not self.is_valid and self.sent_share is not None:
            return f"invalid: {self.sent_share:.0%} of the load sent"
        return "met" if self.is_met else "missed"


class RampResult(Record, frozen=True, kw_only=True):
    """The steps of a ramp, and the highest level of load that met the goal."""

    by: Literal["concurrency", "rate"]
    goal: str
    """The goal, as the user wrote it."""
    highest_level: NonNegativeNumber | None
    """The highest level that met the goal; `None` if the lowest one missed it."""
    is_limited: bool
    """Whether even the highest level that may be tried met the goal, so that the target may bear more load."""
    is_complete: bool
    """Whether the search came to its end. It ends early if the budget is spent, or if the user stops it."""
    steps: tuple[RampStep, ...]

    @property
    def best_step_numbers(self) -> frozenset[int]:
        """Numbers, from 1, of the steps at the highest level that met the goal; empty if no level met it."""
        numbered = enumerate(self.steps, 1)
        return frozenset(number for number, step in numbered if step.is_met and step.level == self.highest_level)

    @property
    def unit(self) -> str:
        """Unit of a level in words, such as "requests/s"."""
        return "in flight" if self.by == "concurrency" else "requests/s"

    def describe(self) -> str:
        """Return the result of the ramp in one line.

        >>> found = RampResult(by="rate", goal="rtf<=1", highest_level=8, is_limited=False, is_complete=True, steps=())
        >>> found.describe()
        '8 requests/s meet rtf<=1'
        """
        unfinished = "" if self.is_complete else "; the search was stopped before its end"
        invalid = self._find_invalid_bound()
        if self.highest_level is None:
            found = f"no load meets {self.goal}" if invalid is None else f"no load is known to meet {self.goal}"
        else:
            limit = ", the highest that may be tried," if self.is_limited else ""
            found = f"{self.highest_level:g} {self.unit}{limit} meet {self.goal}"
        if invalid is None or invalid.sent_share is None:
            return found + unfinished
        sent = f"this machine sent only {invalid.sent_share:.0%} of {invalid.level:g} {self.unit}"
        return f"{found}; {sent}, so the target may bear more{unfinished}"

    def _find_invalid_bound(self) -> RampStep | None:
        """Return the last step at the lowest level above the highest one that met the goal; `None` if it is valid."""
        bound: RampStep | None = None
        for step in self.steps:
            is_above = self.highest_level is None or step.level > self.highest_level
            if is_above and step.requests and (bound is None or step.level <= bound.level):
                bound = step
        return None if bound is None or bound.is_valid else bound

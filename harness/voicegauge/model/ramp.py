"""Records of a ramp, and of a benchmark that stops when its targets are known to differ or to be equally fast."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record


class TargetDecision(Record, frozen=True, kw_only=True):
    """What the samples so far show about the total latency of one target compared with the baseline target."""

    target: str
    """Id of the target."""
    decision: Literal["slower", "faster", "equal"] | None
    """Whether the target is faster or slower than the baseline target, or `equal`: any difference is smaller than
    `EarlyStop.equivalence_margin`. `None` if this is not decided yet."""
    pair_count: Count
    """Number of compared pairs of samples; both samples of a pair are of the same round."""
    latency_change: Number | None
    """Relative difference of total latency from the baseline target: the geometric mean of the latency ratios of the
    pairs, minus 1. A ratio above 2 counts as 2, one below 1/2 as 1/2. `None` without a pair."""
    change_lower_bound: Number | None
    """Lower end of the confidence interval of `latency_change`. The interval is valid however often it is computed.
    `None` with too few pairs."""
    change_upper_bound: Number | None
    """Upper end of the same confidence interval; `None` with too few pairs."""


class EarlyStop(Record, frozen=True, kw_only=True):
    """Whether and why sampling ended before the end of the plan."""

    baseline_target: str
    """Target that the others are compared with."""
    equivalence_margin: float
    """Relative difference of total latency below which two targets count as equally fast, such as 0.05 for 5%."""
    false_decision_probability: NonNegativeNumber
    """Highest probability that any decision is wrong, however often the samples are evaluated."""
    has_stopped_early: bool
    """Whether planned samples were not sent because there is a decision about every target."""
    sent_request_count: Count
    """Number of requests that were sent, including warm-up and excluding retries."""
    planned_request_count: Count
    """Number of requests in the whole plan, including warm-up and excluding retries."""
    targets: tuple[TargetDecision, ...]
    """The decision about each target other than the baseline target."""

    def describe(self) -> str:
        """Return in one sentence what was decided, and how many requests that took."""
        decisions = "; ".join(self._describe_target(one) for one in self.targets)
        sent = f"after {self.sent_request_count:,} of {self.planned_request_count:,} requests"
        state = f"sampling stopped {sent}" if self.has_stopped_early else f"sampling did not stop early ({sent})"
        return f"{state}: {decisions} (looked at after every request, {self.false_decision_probability:.0%} error)"

    def _describe_target(self, target_decision: TargetDecision) -> str:
        if target_decision.decision is None:
            return f"{target_decision.target} is not decided"
        if target_decision.decision == "equal":
            margin = f"{self.equivalence_margin:.0%}"
            return f"{target_decision.target} takes as long as {self.baseline_target}, within {margin}"
        return f"{target_decision.target} is {target_decision.decision} than {self.baseline_target}"


# Records of a ramp: the highest load at which a target met a goal, and how it was found.


def format_load(load_type: Literal["concurrency", "rate"], *loads: float) -> str:
    """Return one or several loads with their unit.

    >>> format_load("concurrency", 1, 2)
    '1, 2 requests in flight'
    """
    noun = "request" if loads == (1,) else "requests"
    unit = " in flight" if load_type == "concurrency" else "/s"
    return f"{', '.join(map(format_load_number, loads))} {noun}{unit}"


def format_load_number(load: float) -> str:
    """Return a load with as many digits as it has meaning: the load that a step achieved is the quotient of two counts.

    >>> format_load_number(57.4466), format_load_number(8), format_load_number(12000)
    ('57.45', '8', '12000')
    """
    return f"{load:.4g}" if load < 1000 else f"{load:g}"


class RampStep(Record, frozen=True, kw_only=True):
    """The results of the requests that were sent under one load."""

    load: NonNegativeNumber
    """The load: requests in flight, or requests per second."""
    request_count: Count
    """Number of requests that were sent."""
    duration_s: NonNegativeNumber
    """Time from the start of the step to the end of its last request, in seconds."""
    requests_per_s: NonNegativeNumber
    """Throughput: number of all requests divided by the duration of the step."""
    goodput_per_s: NonNegativeNumber
    """Number of requests per second that succeeded and met the time limits of the goal."""
    success_rate: NonNegativeNumber | None
    """Share of requests that succeeded at the first attempt; `None` if none was sent."""
    ttfa_p95_ms: NonNegativeNumber | None
    """95th percentile of the time to first audio of the successful requests, in ms; `None` if none succeeded."""
    total_latency_p95_ms: NonNegativeNumber | None
    """95th percentile of the total latency of the successful requests, in ms; `None` if none succeeded."""
    value_by_condition: dict[str, Number | None]
    """The measured value of each condition of the goal; `None` if it could not be measured."""
    meets_goal: bool
    """Whether the goal was met at this load, without saturation; `False` for an invalid step."""
    achieved_load: NonNegativeNumber | None = None
    """The load that this machine sent, in the unit of `load`, and by which the step is judged; `None` if unknown."""
    is_saturated: bool = False
    """Whether the service did not keep up: at a rate, the latency rose during the step; with more requests in flight,
    the throughput did not rise."""
    latency_growth: Number | None = None
    """At a rate: by how much the latency rose, in seconds per second of the step; otherwise `None`."""
    sent_load_share: NonNegativeNumber | None = None
    """Share of the planned load that this machine sent, from 0 to 1: of the rate, or of the requests in flight; `None`
    if it is not known."""
    max_start_delay_s: NonNegativeNumber | None = None
    """At a rate: the longest time by which this machine sent a request later than it was due, in seconds; otherwise
    `None`."""
    is_valid: bool = True
    """Whether this machine sent the planned load, and the latencies are regular enough to see whether they rise. An
    invalid step says nothing about the target under that load."""

    @property
    def verdict(self) -> str:
        """In words: whether the goal was met, or that the step is invalid and why."""
        if not self.is_valid and self.sent_load_share is not None:
            if not self.is_fully_sent:
                return f"invalid: {self.sent_load_share:.0%} of the load sent"
            if 0 < (self.latency_growth or 0.0) * self.duration_s <= (self.max_start_delay_s or 0.0):
                return f"invalid: requests were sent up to {self.max_start_delay_s:.2g} s late"
            return "invalid: the latency varies too much"
        if self.is_saturated:
            return "saturated"
        if not self.meets_goal:
            return "missed"
        return "met" if self.is_fully_sent else f"met at {self.achieved_load:.4g}"

    @property
    def is_fully_sent(self) -> bool:
        """Whether this machine sent the planned load, or nearly so."""
        return self.sent_load_share is None or self.achieved_load == self.load


class LoadCapacity(Record, frozen=True, kw_only=True):
    """The load above which a service does not keep up, estimated from the steps that saturated it."""

    load: NonNegativeNumber
    """The estimate: requests in flight, or requests per second."""
    low: NonNegativeNumber
    """Lower end of the 95% interval."""
    high: NonNegativeNumber
    """Upper end of the 95% interval."""


RampOutcome = Literal[
    "capacity", "goal_met_at_max_load", "highest_load", "no_load_met_goal", "inconclusive", "unfinished"
]
"""What a ramp found: the capacity of the service; that the goal is met even at the highest load that may be tried; the
highest load that meets the goal, without the capacity; that no load meets it; nothing certain, because this machine
did not send what it should have; or what was found until the ramp was stopped."""


class RampResult(Record, frozen=True, kw_only=True):
    """The steps of a ramp, and the highest load that met the goal."""

    load_type: Literal["concurrency", "rate"]
    """What the ramp raises: `concurrency`, the number of requests in flight, or `rate`, the requests per second."""
    goal: str
    """The goal, as the user wrote it."""
    highest_load: NonNegativeNumber | None
    """The highest load that met the goal; `None` if none is known to meet it."""
    lowest_missed_load: NonNegativeNumber | None = None
    """The lowest load above `highest_load` at which a valid step missed the goal or saturated the service; `None` if
    there is none."""
    capacity: LoadCapacity | None = None
    """The capacity of the service; `None` if no load saturated it."""
    meets_goal_at_max_load: bool
    """Whether the goal was met even at the highest load that may be tried, so that the target may sustain a higher
    one."""
    is_search_complete: bool
    """Whether the search came to its end. It ends early if the budget is spent, or if the user stops it."""
    steps: tuple[RampStep, ...]
    outcome: RampOutcome | None = None
    """What the ramp found; `None` in runs of earlier versions."""
    outcome_reason: str = ""
    """The result in one line, with what limits it: the line that the terminal prints."""

    @property
    def best_step_numbers(self) -> frozenset[int]:
        """Numbers, from 1, of the steps at the highest load that met the goal; empty if no load met it."""
        numbered = enumerate(self.steps, 1)
        return frozenset(
            number
            for number, step in numbered
            if step.meets_goal and self.highest_load in (step.load, step.achieved_load)
        )

    @property
    def is_conclusive(self) -> bool:
        """Whether the service limits the result, and not this machine, which may be unable to send a higher load."""
        return self.find_outcome() not in ("inconclusive", "unfinished")

    def find_outcome(self) -> RampOutcome:
        """Return what the ramp found, as its steps show it."""
        if not self.is_search_complete:
            return "unfinished"
        # The capacity counts first: what limits the service is known even if this machine failed at a higher load.
        if self.capacity is not None:
            return "capacity"
        if self._find_invalid_step_above_highest_load() is not None:
            return "inconclusive"
        if self.highest_load is None:
            return "no_load_met_goal"
        return "goal_met_at_max_load" if self.meets_goal_at_max_load else "highest_load"

    @property
    def load_unit(self) -> str:
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
            is_known = invalid is None and any(step.request_count for step in self.steps)
            found = f"no load meets {self.goal}" if is_known else f"no load is known to meet {self.goal}"
        else:
            limit = ", the highest that may be tried," if self.meets_goal_at_max_load else ""
            found = f"{format_load_number(self.highest_load)} {self.load_unit}{limit} meet {self.goal}"
        if self.capacity is not None:
            one = self.capacity
            found += f"; the capacity is {one.load:.3g} {self.load_unit} ({one.low:.3g} to {one.high:.3g})"
            return found + unfinished
        if self.highest_load is not None and self.lowest_missed_load is not None and invalid is None:
            found += f", {format_load_number(self.lowest_missed_load)} do not"
        if invalid is None or invalid.sent_load_share is None:
            return found + unfinished
        load = f"{format_load_number(invalid.load)} {self.load_unit}"
        if invalid.is_fully_sent:
            reason = invalid.verdict.removeprefix("invalid: ")
            return f"inconclusive: {found}; {reason} at {load}{unfinished}"
        most_per_s = max(step.requests_per_s for step in self.steps)
        sent = f"this machine sent only {invalid.sent_load_share:.0%} of {load}"
        sent += f" (at most {most_per_s:.3g} requests/s)"
        return f"inconclusive: {found}; {sent}, so the target may bear more{unfinished}"

    def _find_invalid_step_above_highest_load(self) -> RampStep | None:
        """Return the last step at the lowest load above `highest_load` if this machine is why it missed, else `None`.

        If no load met the goal, the step is the last one at the lowest load of all. Steps without requests are ignored.
        """
        bound: RampStep | None = None
        for step in self.steps:
            is_above = self.highest_load is None or step.load > self.highest_load
            is_missed = not step.meets_goal or not step.is_fully_sent
            if is_above and is_missed and step.request_count and (bound is None or step.load <= bound.load):
                bound = step
        return None if bound is None or (bound.is_valid and not bound.meets_goal) else bound

"""Searches the highest load that meets a goal and does not saturate the target: a ramp.

A step sends requests under one load for a minimum duration (`MIN_STEP_DURATION_S`) and for many times the latency,
because a queue grows slowly: a service that is sent 5% more than it can do delays each request by 5% of the time since
the step began.
A load is too high if the goal is missed, or if the service is saturated:

- At a rate, the latency rises during the step, or fewer requests end than are sent. The slope of the latency is what is
  sent beyond the capacity: if requests that are sent at 84/s take longer by 50 ms each second, the service ends
  84 / 1.05 = 80 of them in a second. A step whose latencies vary too much to see such a slope says nothing, and so does
  one whose latency rises by no more than this machine was late with a request: those that it sends all at once after a
  pause wait for each other.
- With a number of requests in flight, the throughput does not rise any more. The capacity is then the number at which
  they would be in flight without a queue: the highest throughput, multiplied by the latency under low load (Denning and
  Buzen 1978, "The operational analysis of queueing network models").

The capacity has an interval, and is tried itself in the last step.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from voicegauge.bench.target_samples import find_audio_ready_bounds
from voicegauge.errors import UsageError
from voicegauge.model.base import Record
from voicegauge.model.ramp import LoadCapacity, RampResult, RampStep
from voicegauge.model.sample import Sample

# Goals that the samples under one load must meet, such as "success>=0.99,ttfa:p95<=500ms,rtf:p95<=1".


_SUCCESS_METRIC = "success"
_TIME_METRICS = ("ttfb", "ttfa", "total")
_RTF_METRIC = "rtf"
_CONDITION_PATTERN = re.compile(
    r"(?P<metric>[a-z]+)(?::p(?P<percentile>\d{1,2}(?:\.\d+)?))?(?P<comparison>>=|<=)(?P<limit>\d+(?:\.\d+)?)(?P<unit>ms|s|%)?"
)
"""Matches a condition of a goal, such as `ttfb:p95<=500ms`."""


class GoalCondition(Record, frozen=True, kw_only=True):
    """One condition of a goal, such as that 95% of requests have their first byte within 300 ms."""

    metric: Literal["success", "ttfb", "ttfa", "total", "rtf"]
    """The metric that the condition limits. `success` is the share of requests that succeed at the first attempt, so
    that a 429 counts against it; the others are times and the real-time factor of these requests."""
    percentile: float | None
    """The percentile that must stay within the limit; `None` for `success`."""
    limit: float
    """The limit: a share for `success`, a factor for `rtf`, otherwise milliseconds."""

    @property
    def name(self) -> str:
        """The metric and the percentile of the condition, without its limit, such as "ttfb:p95"."""
        return self.metric if self.percentile is None else f"{self.metric}:p{self.percentile:g}"


class Goal(Record, frozen=True, kw_only=True):
    """A goal of a ramp: conditions that must all be met."""

    text: str
    """The goal as the user gave it."""
    conditions: tuple[GoalCondition, ...]

    def measure_conditions(self, samples: Sequence[Sample]) -> dict[str, float | None]:
        """Return the measured value of each condition by `GoalCondition.name`; `None` if no request has one."""
        return {one.name: _measure_condition(one, samples) for one in self.conditions}

    def is_met(self, samples: Sequence[Sample]) -> bool:
        """Whether `samples` meet every condition of the goal."""
        return all(_meets_condition(one, _measure_condition(one, samples)) for one in self.conditions)

    def count_samples_meeting_goal(self, samples: Sequence[Sample]) -> int:
        """Return the number of requests that succeeded at the first attempt and met every limit on their own times."""
        limits = [one for one in self.conditions if one.metric != _SUCCESS_METRIC]
        return sum(
            succeeded_at_first_attempt(sample)
            and all(_meets_condition(one, _get_metric_value(one.metric, sample)) for one in limits)
            for sample in samples
        )


def parse_goal(text: str) -> Goal:
    """Parse a goal.

    Args:
        text: conditions separated by commas: `success>=SHARE`, or `METRIC:pN<=LIMIT` with the metric `ttfb`, `ttfa`,
            `total` (in `ms` or `s`) or `rtf`, and the percentile N, 50 by default.

    Raises:
        UsageError: a condition cannot be read.
    """
    return Goal(text=text, conditions=tuple(_parse_condition(part.strip()) for part in text.split(",")))


def _parse_condition(text: str) -> GoalCondition:
    match = _CONDITION_PATTERN.fullmatch(text.replace(" ", ""))
    known_metrics = (_SUCCESS_METRIC, *_TIME_METRICS, _RTF_METRIC)
    if match is None or match["metric"] not in known_metrics:
        raise UsageError(
            f"--goal: {text!r} is not a condition: write success>=0.99, rtf:p95<=1, or a time such as ttfa:p95<=500ms "
            f"(metrics: {', '.join(known_metrics)})"
        )
    metric, unit, limit = match["metric"], match["unit"], float(match["limit"])
    expected = ">=" if metric == _SUCCESS_METRIC else "<="
    units = {_SUCCESS_METRIC: (None, "%"), _RTF_METRIC: (None,)}.get(metric, ("ms", "s"))
    if match["comparison"] != expected or unit not in units or (metric == _SUCCESS_METRIC and match["percentile"]):
        example = {_SUCCESS_METRIC: "success>=0.99", _RTF_METRIC: "rtf:p95<=1"}.get(metric, f"{metric}:p95<=500ms")
        raise UsageError(f"--goal: {text!r} cannot be read: write it like {example}")
    factor = {"s": 1000.0, "%": 0.01}.get(unit or "", 1.0)
    if metric == _SUCCESS_METRIC and limit * factor > 1:
        raise UsageError(f"--goal: {text!r} asks for a share above 1, which is impossible: write it like success>=0.99")
    percentile = None if metric == _SUCCESS_METRIC else float(match["percentile"] or 50)
    return GoalCondition(metric=metric, percentile=percentile, limit=limit * factor)  # type: ignore[arg-type]  # checked


def succeeded_at_first_attempt(sample: Sample) -> bool:
    """Whether a request succeeded at the first attempt: a rejection that a retry overcomes shows too much load."""
    return sample.failure is None and sample.submit_count == 1


def _meets_condition(condition: GoalCondition, value: float | None) -> bool:
    if value is None:
        return False
    return value >= condition.limit if condition.metric == _SUCCESS_METRIC else value <= condition.limit


def _measure_condition(condition: GoalCondition, samples: Sequence[Sample]) -> float | None:
    if condition.metric == _SUCCESS_METRIC:
        return sum(map(succeeded_at_first_attempt, samples)) / len(samples) if samples else None
    return (
        None if condition.percentile is None else find_time_percentile(condition.metric, condition.percentile, samples)
    )


def find_time_percentile(metric: str, percentile: float, samples: Sequence[Sample]) -> float | None:
    """Return a nearest-rank percentile of a time or factor; `None` if no request succeeded at the first attempt.

    Args:
        metric: a metric of goals other than `success`.
        percentile: 95 for the 95th percentile.
        samples: the samples; those that failed or were retried are left out.
    """
    values = sorted(
        value
        for sample in samples
        if succeeded_at_first_attempt(sample) and (value := _get_metric_value(metric, sample)) is not None
    )
    return values[max(math.ceil(len(values) * percentile / 100) - 1, 0)] if values else None


def _get_metric_value(metric: str, sample: Sample) -> float | None:
    """Return a time or factor of a sample; `None` if it does not have it."""
    latency = sample.latency
    if latency is None:
        return None
    if metric == _RTF_METRIC:
        audio_s = sample.audio.audio_duration_s if sample.audio is not None else None
        ready = find_audio_ready_bounds(latency)  # as in summaries: without the wait for the poll that saw a job's end
        return ready.high_ms / 1000 / audio_s if audio_s and ready is not None else None
    return {"ttfb": latency.ttfb_ms, "ttfa": latency.ttfa_ms, "total": latency.total_latency_ms}[metric]


# Measures whether a service is saturated by the load of a step.


MIN_SENT_LOAD_SHARE = 0.75
"""Smallest share of the planned load that a step of a ramp must send. A step that sends less is invalid, because it
says nothing about the planned load."""
FULL_LOAD_SHARE = 0.95
"""A step that sends less than this share of the planned load is judged as a step under the load that it achieved."""


def get_latency_s(sample: Sample) -> float | None:
    """Return the total latency of a sample, or that of its submit if it has no audio, in seconds; `None` if unknown."""
    latency = sample.latency
    if latency is None:
        return None
    return (latency.submit_latency_ms if latency.total_latency_ms is None else latency.total_latency_ms) / 1000


MAX_LATENCY_GROWTH = 0.03
"""Largest growth of the latency, in seconds for each second of a step, with which a service keeps up with a rate."""
MAX_UNCERTAIN_LATENCY_GROWTH = 0.25
"""Growth of the latency that a step must exclude (by two standard errors) to show that the service is not saturated."""
MIN_COMPLETED_SHARE = 0.95
"""Smallest share of the sent rate at which requests end if the service keeps up."""
MIN_THROUGHPUT_GAIN = 0.5
"""Smallest share of additional requests in flight that must become additional throughput."""
MIN_LATENCY_RISE = 1.15
"""Smallest factor by which the mean latency of a saturated service exceeds that under lower load."""
STANDARD_ERRORS_PER_HALF_INTERVAL = 2.3
"""Half the width of a 95% interval in standard errors, which are estimated from ten parts of a step."""
MIN_RELATIVE_STANDARD_ERROR = 0.005
"""Smallest standard error of a throughput, relative to the throughput: equal parts of a step may be equal by chance."""
THROUGHPUT_BATCH_COUNT = 10
"""Number of parts of a step whose throughputs are compared to estimate its precision."""


class StepMeasurements(NamedTuple):
    """The measurements of one step of a ramp."""

    samples: Sequence[Sample]
    duration_s: float
    """Duration of the step, from its first request to the end of its last one, in seconds."""
    sent_load_share: float | None = None
    """Share of the planned load that this machine sent; `None` if it is not known."""
    starts_s: Sequence[float] = ()
    """When the latency of each sample begins, in seconds; empty if it is not known."""
    max_start_delay_s: float | None = None
    """The longest time by which this machine sent a request later than it was due; `None` if none was due."""
    has_late_slots: bool = False
    """Whether requests waited for others whose responses this machine had received, but not yet read."""

    def list_latencies_s(self) -> list[float]:
        """Return the latencies that are known, also of failed requests, in seconds."""
        return [latency_s for sample in self.samples if (latency_s := get_latency_s(sample)) is not None]

    def pair_starts_with_latencies(self) -> list[tuple[float, float]]:
        """Return when each request that succeeded was sent, and its latency, in seconds."""
        return [
            (start_s, latency_s)
            for start_s, sample in zip(self.starts_s, self.samples, strict=False)
            if sample.failure is None and (latency_s := get_latency_s(sample)) is not None
        ]


class EstimateWithError(NamedTuple):
    """An estimated number with its standard error."""

    value: float
    standard_error: float


def measure_latency_growth(step_measurements: StepMeasurements) -> EstimateWithError | None:
    """Return the slope of the latency over the time of sending, in seconds per second; `None` if it is not known.

    The requests of the first and the last seconds count alike. Failed requests are left out.
    """
    pairs = step_measurements.pair_starts_with_latencies()
    if len(pairs) < 10:
        return None
    times_s, latencies_s = np.array(pairs).T
    centered = times_s - times_s.mean()
    squares = float(centered @ centered)
    if squares == 0:
        return None
    slope = float(centered @ latencies_s) / squares
    residuals = latencies_s - latencies_s.mean() - slope * centered
    # Waits in a queue resemble each other: the error is that of the means of batches.
    batches = [part.mean() for part in np.array_split(residuals, min(THROUGHPUT_BATCH_COUNT, len(pairs) // 5 or 1))]
    spread = float(np.var(batches, ddof=1)) * len(pairs) / len(batches) if len(batches) > 1 else float(residuals.var())
    return EstimateWithError(slope, math.sqrt(max(spread, float(residuals.var())) / squares))


def is_rise_due_to_late_requests(latency_growth: float, step_measurements: StepMeasurements) -> bool:
    """Whether the latency of a step rose, but by no more than this machine was late with a request."""
    rise_s = latency_growth * step_measurements.duration_s
    return latency_growth >= MAX_LATENCY_GROWTH and rise_s <= (step_measurements.max_start_delay_s or 0.0)


def measure_closed_loop_throughput(step_measurements: StepMeasurements, concurrency: float) -> EstimateWithError:
    """Return the requests per second of a step with a number of requests in flight."""
    later = sorted(step_measurements.starts_s)[round(concurrency) :]
    if len(later) < 2 * THROUGHPUT_BATCH_COUNT or later[-1] <= later[0]:
        value = len(step_measurements.samples) / max(step_measurements.duration_s, 1e-9)
        return EstimateWithError(value, value / math.sqrt(max(len(step_measurements.samples), 1)))
    return _measure_event_rate(later)


def measure_completion_rate(step_measurements: StepMeasurements) -> EstimateWithError:
    """Return how many requests succeed per second, without the first quarter and the last tenth of them."""
    ends_s = (start_s + latency_s for start_s, latency_s in step_measurements.pair_starts_with_latencies())
    return _measure_event_rate(_drop_first_quarter_and_last_tenth(ends_s))


def _drop_first_quarter_and_last_tenth(times_s: Iterable[float]) -> Sequence[float]:
    """Return times in ascending order, without the first quarter and the last tenth.

    At the beginning of a step the queue is not full yet, and its last requests do not keep the whole service busy.
    """
    ordered = sorted(times_s)
    return ordered[len(ordered) // 4 : len(ordered) - len(ordered) // 10]


def completes_fewer_than_sent(step_measurements: StepMeasurements) -> bool:
    """Whether requests end at a lower rate than they are sent, by more than chance explains."""
    if len(step_measurements.starts_s) < MIN_REQUESTS_PER_STEP:
        return False
    sent = _measure_event_rate(_drop_first_quarter_and_last_tenth(step_measurements.starts_s))
    completed = measure_completion_rate(step_measurements)
    difference = MIN_COMPLETED_SHARE * sent.value - completed.value
    return difference > STANDARD_ERRORS_PER_HALF_INTERVAL * math.hypot(sent.standard_error, completed.standard_error)


def _measure_event_rate(times_s: Sequence[float]) -> EstimateWithError:
    """Return the number of events per second, with an error estimated from parts with equally many events."""
    last = len(times_s) - 1
    value = last / max(times_s[-1] - times_s[0], 1e-9)
    edges = [times_s[index * last // THROUGHPUT_BATCH_COUNT] for index in range(THROUGHPUT_BATCH_COUNT + 1)]
    durations = np.diff(edges)
    relative = float(durations.std(ddof=1) / max(durations.mean(), 1e-9)) / math.sqrt(THROUGHPUT_BATCH_COUNT)
    return EstimateWithError(value, value * max(relative, MIN_RELATIVE_STANDARD_ERROR))


# Searches the highest load (concurrency or rate) that meets a goal by doubling, and then by bisection.


MIN_REQUESTS_PER_STEP = 40
"""Smallest number of requests of one step."""
STEP_REQUESTS_PER_REQUEST_IN_FLIGHT = 4
"""A step sends at least this number of requests, multiplied by the number of requests in flight."""
MIN_STEP_DURATION_S = {"rate": 4.0, "concurrency": 1.0}
"""Shortest time, in seconds, for which a step sends requests, by load type: at a rate, a queue needs time to grow."""
MIN_MEDIAN_LATENCIES_PER_STEP = 8
"""A step sends requests for at least this number of median latencies."""
MAX_REQUESTS_PER_STEP = 2000
"""Largest number of requests of one step."""
RELATIVE_LOAD_RESOLUTION = 0.05
"""The search stops at this relative distance between the highest load that met the goal and the lowest that missed it.
"""
TRIED_SHARE_OF_CAPACITY = 0.96
"""Share of the estimated capacity that is tried as a rate: at the capacity itself, a queue has no mean length."""
MIN_GAIN_OF_SENT_LOAD = 1.1
"""Factor by which this machine must send more at a load than at lower loads, or it has reached its own limit."""
MAX_LOADS_AT_LIMIT_OF_MACHINE = 2
"""Number of loads at which this machine may send no more than at lower loads before the search ends: further steps
would only repeat it."""
MAX_STEPS_PER_LOAD = 2
"""Largest number of steps under one load, if it was sent in full: if the first misses the goal, a second decides."""
MAX_STEPS_OF_BUSY_MACHINE = 4
"""Largest number of steps under one load, if this machine sent less than planned although the service was not
saturated: other programs use it for seconds at a time."""
MAX_CAPACITY_ERROR = 0.1
"""Half the width of the interval of a capacity, relative to it, above which the load that saturated the service is
tried again: parts of the step differ by more than they do at a service that is left alone."""
MAX_EXTRA_STEPS = 6
"""Largest number of steps of a search beyond `MAX_STEPS_PER_LOAD`: they are paid for, too."""


LoadMeasurer = Callable[[float, int], Awaitable[StepMeasurements]]
"""Function (load, number of requests) that sends this number of requests under a load and returns the measurements."""
RampResultListener = Callable[[RampResult], None]
"""Function that is called before the first step of a ramp and after each step with what was found so far."""


async def search_highest_load(
    measure_load: LoadMeasurer,
    goal: Goal,
    *,
    load_type: Literal["concurrency", "rate"],
    first_load: float,
    max_load: float,
    on_step_result: RampResultListener = lambda _unfinished: None,
) -> RampResult:
    """Search the highest load that meets `goal` and does not saturate the service.

    Args:
        measure_load: sends the requests of one step.
        goal: what the samples of a step must meet.
        load_type: "concurrency" if the load is a number of requests in flight, which is a whole number; "rate" if it
            is a number of requests per second.
        first_load: the load of the first step.
        max_load: the highest load that may be tried, such as the limit of the account's plan.
        on_step_result: called before the first step and after each step with what was found so far.
    """
    search = _LoadSearch(measure_load, goal, load_type, max_load, on_step_result)
    on_step_result(search.build_result(is_search_complete=False))
    load: float | None = min(first_load, max_load)
    while load is not None and search.has_sent_requests_in_last_step:
        await search.try_load(load)
        load = search.choose_next_load()
    return search.build_result(is_search_complete=search.has_sent_requests_in_last_step)


@dataclass
class _LoadSearch:
    """State of a search: the steps so far, and between which loads the result lies."""

    _measure_load: LoadMeasurer
    _goal: Goal
    _load_type: Literal["concurrency", "rate"]
    _max_load: float
    _on_step_result: RampResultListener
    _steps: list[RampStep] = field(default_factory=list)
    _highest_met_load: float | None = None
    """The highest load that met the goal: what this machine sent, which may be less than what was planned."""
    _planned_load_of_highest_met_load: float | None = None
    """The load that was planned for the step that sent `_highest_met_load`."""
    _lowest_missed_load: float | None = None
    """The lowest load that was planned and missed the goal."""
    _extra_step_count: int = 0
    """Number of steps beyond `MAX_STEPS_PER_LOAD`, of all loads together."""
    _machine_limited_load_count: int = 0
    """Number of loads at which this machine sent no more than at a lower planned load."""
    _capacity: LoadCapacity | None = None
    """The most precise estimate of the capacity so far; `None` before the first one."""
    _has_tried_capacity: bool = False
    _unsaturated_latencies_s: list[float] = field(default_factory=list)
    """Latencies of the steps that did not saturate the service."""
    _highest_unsaturated_load_and_throughput: tuple[float, EstimateWithError] | None = None
    """The load and the throughput of the highest load that did not saturate the service."""
    _typical_latency_s: float | None = None
    """Median latency of the last step that did not saturate the service; `None` before it."""

    @property
    def has_sent_requests_in_last_step(self) -> bool:
        """Whether the last step sent a request; true if there is no step. A step sends none if the run was stopped."""
        return not self._steps or self._steps[-1].request_count > 0

    async def try_load(self, load: float) -> None:
        """Send a step, and a second one if the first misses the goal; more if this machine sent less than planned."""
        self._has_tried_capacity |= self._capacity is not None
        sent_before = max((step.achieved_load or step.load for step in self._steps if step.load < load), default=0.0)
        for step_count in itertools.count(1):
            step_measurements = await self._measure_load(load, self._choose_request_count(load))
            step = self._judge_step(load, step_measurements)
            self._steps.append(step)
            achieved_load = step.achieved_load or 0.0
            if step.meets_goal and achieved_load > (self._highest_met_load or 0.0):
                self._highest_met_load, self._planned_load_of_highest_met_load = achieved_load, load
            self._on_step_result(self.build_result(is_search_complete=False))
            if step.meets_goal and step.is_fully_sent:
                return
            if not step_measurements.samples or (step.is_saturated and self._is_capacity_precise()):
                break
            if step_count >= MAX_STEPS_PER_LOAD:
                is_at_limit = step_count >= MAX_STEPS_OF_BUSY_MACHINE or self._extra_step_count >= MAX_EXTRA_STEPS
                if (step.is_fully_sent and step.is_valid) or is_at_limit:
                    break
                self._extra_step_count += 1
        if self._planned_load_of_highest_met_load != load:
            self._lowest_missed_load = load
        sent = max(step.achieved_load or step.load for step in self._steps if step.load == load)
        is_short = not any(step.is_saturated or step.is_fully_sent for step in self._steps if step.load == load)
        self._machine_limited_load_count += is_short and sent < MIN_GAIN_OF_SENT_LOAD * sent_before

    def _choose_request_count(self, load: float) -> int:
        minimum = MIN_REQUESTS_PER_STEP
        if self._load_type == "concurrency":
            minimum = max(minimum, round(STEP_REQUESTS_PER_REQUEST_IN_FLIGHT * load))
        if self._typical_latency_s is None:
            return minimum
        duration_s = max(MIN_STEP_DURATION_S[self._load_type], MIN_MEDIAN_LATENCIES_PER_STEP * self._typical_latency_s)
        rate = load / max(self._typical_latency_s, 1e-3) if self._load_type == "concurrency" else load
        return max(minimum, min(math.ceil(rate * duration_s), MAX_REQUESTS_PER_STEP))

    def _judge_step(self, load: float, step_measurements: StepMeasurements) -> RampStep:
        samples, share = step_measurements.samples, step_measurements.sent_load_share
        is_sent = share is None or share >= MIN_SENT_LOAD_SHARE
        achieved_load = load if share is None or share >= FULL_LOAD_SHARE else load * share
        latency_growth = measure_latency_growth(step_measurements) if self._load_type == "rate" else None
        is_late = step_measurements.has_late_slots or (
            latency_growth is not None and is_rise_due_to_late_requests(latency_growth.value, step_measurements)
        )
        can_judge = is_sent and bool(samples) and not is_late
        is_saturated = can_judge and self._detect_saturation(achieved_load, step_measurements, latency_growth)
        is_clear = not is_late and (
            latency_growth is None
            or latency_growth.value + 2 * latency_growth.standard_error <= MAX_UNCERTAIN_LATENCY_GROWTH
        )
        is_valid = is_sent and (is_saturated or is_clear)
        is_met = is_valid and bool(samples) and not is_saturated and self._goal.is_met(samples)
        if is_met:
            self._record_unsaturated_step(achieved_load, step_measurements)
        return RampStep(
            load=load,
            achieved_load=achieved_load,
            request_count=len(samples),
            duration_s=step_measurements.duration_s,
            requests_per_s=len(samples) / max(step_measurements.duration_s, 1e-9),
            goodput_per_s=self._goal.count_samples_meeting_goal(samples) / max(step_measurements.duration_s, 1e-9),
            success_rate=sum(map(succeeded_at_first_attempt, samples)) / len(samples) if samples else None,
            ttfa_p95_ms=find_time_percentile("ttfa", 95.0, samples),
            total_latency_p95_ms=find_time_percentile("total", 95.0, samples),
            value_by_condition=self._goal.measure_conditions(samples),
            meets_goal=is_met,
            is_saturated=is_saturated,
            latency_growth=None if latency_growth is None else latency_growth.value,
            sent_load_share=share,
            max_start_delay_s=step_measurements.max_start_delay_s,
            is_valid=is_valid,
        )

    def _record_unsaturated_step(self, achieved_load: float, step_measurements: StepMeasurements) -> None:
        latencies_s = step_measurements.list_latencies_s()
        self._unsaturated_latencies_s += latencies_s
        if latencies_s:
            self._typical_latency_s = statistics.median(latencies_s)
        if self._load_type == "concurrency":
            throughput = measure_closed_loop_throughput(step_measurements, achieved_load)
            if (
                self._highest_unsaturated_load_and_throughput is None
                or achieved_load > self._highest_unsaturated_load_and_throughput[0]
            ):
                self._highest_unsaturated_load_and_throughput = achieved_load, throughput

    def _detect_saturation(
        self, achieved_load: float, step_measurements: StepMeasurements, latency_growth: EstimateWithError | None
    ) -> bool:
        """Return whether a load saturates the service, and then record the capacity; a rate needs `latency_growth`."""
        if self._load_type == "rate":
            if latency_growth is None or latency_growth.value < MAX_LATENCY_GROWTH:
                return False
            is_certain = latency_growth.value >= 3 * latency_growth.standard_error
            if not is_certain and not completes_fewer_than_sent(step_measurements):
                return False
            throughput = measure_completion_rate(step_measurements)
            margin = STANDARD_ERRORS_PER_HALF_INTERVAL * throughput.standard_error
            self._record_capacity(throughput.value, throughput.value - margin, throughput.value + margin)
            return True
        if (
            self._highest_unsaturated_load_and_throughput is None
            or achieved_load <= self._highest_unsaturated_load_and_throughput[0]
        ):
            return False
        best_load, best_throughput = self._highest_unsaturated_load_and_throughput
        throughput = measure_closed_loop_throughput(step_measurements, achieved_load)
        has_failures = not all(map(succeeded_at_first_attempt, step_measurements.samples))
        ratio = throughput.value / best_throughput.value
        gain = (ratio - 1) / (achieved_load / best_load - 1)
        relative_error = math.hypot(
            throughput.standard_error / throughput.value, best_throughput.standard_error / best_throughput.value
        )
        gain_error = ratio * relative_error / (achieved_load / best_load - 1)
        latencies_s = np.array(self._unsaturated_latencies_s)
        base_latency_s = float(latencies_s.mean())
        # A throughput that does not rise while requests take as long as before is the limit of this machine.
        own_latencies_s = step_measurements.list_latencies_s() or [0.0]
        is_slower = sum(own_latencies_s) / len(own_latencies_s) > MIN_LATENCY_RISE * base_latency_s
        if has_failures or gain + gain_error >= MIN_THROUGHPUT_GAIN or not is_slower:
            return False
        relative_load_error = math.hypot(
            throughput.standard_error / throughput.value,
            float(latencies_s.std()) / base_latency_s / math.sqrt(len(latencies_s)),
        )
        capacity = throughput.value * base_latency_s
        # A number of requests in flight is whole: steps cannot tell a capacity from one nearer than half of one.
        margin = max(STANDARD_ERRORS_PER_HALF_INTERVAL * relative_load_error * capacity, 0.5)
        self._record_capacity(capacity, capacity - margin, capacity + margin)
        return True

    def _is_capacity_precise(self) -> bool:
        known = self._capacity
        return known is not None and (known.high - known.low) / 2 <= max(MAX_CAPACITY_ERROR * known.load, 0.5)

    def _record_capacity(self, load: float, low: float, high: float) -> None:
        """Store a capacity and its interval, from `low` to `high`, if it is more precise than the one so far."""
        known = self._capacity
        if known is None or high - low < known.high - known.low:
            self._capacity = LoadCapacity(load=load, low=max(low, 0.0), high=high)

    def choose_next_load(self) -> float | None:
        """Return the next load to try; `None` if the search is over."""
        met, missed = self._planned_load_of_highest_met_load, self._lowest_missed_load
        if met is None or self._machine_limited_load_count >= MAX_LOADS_AT_LIMIT_OF_MACHINE:
            return None
        if missed is None:
            return None if met >= self._max_load else min(met * 2, self._max_load)
        if self._capacity is not None and not self._has_tried_capacity:
            is_rate = self._load_type == "rate"
            load = TRIED_SHARE_OF_CAPACITY * self._capacity.load if is_rate else max(round(self._capacity.load), 1)
            if met < load < missed:
                return float(load)
        if self._capacity is not None and (self._highest_met_load or 0.0) >= 0.9 * self._capacity.load:
            return None
        is_whole = self._load_type == "concurrency"
        if missed - met <= (1 if is_whole else RELATIVE_LOAD_RESOLUTION * met):
            return None
        return float((met + missed) // 2) if is_whole else (met + missed) / 2

    def build_result(self, *, is_search_complete: bool) -> RampResult:
        """Return the result of the search so far: all steps, and the highest load that met the goal."""
        result = RampResult(
            load_type=self._load_type,
            goal=self._goal.text,
            highest_load=self._highest_met_load,
            lowest_missed_load=self._find_lowest_load_of_valid_miss(),
            capacity=self._capacity,
            meets_goal_at_max_load=self._highest_met_load is not None and self._highest_met_load >= self._max_load,
            is_search_complete=is_search_complete,
            steps=tuple(self._steps),
        )
        return msgspec.structs.replace(result, outcome=result.find_outcome(), outcome_reason=result.describe())

    def _find_lowest_load_of_valid_miss(self) -> float | None:
        """Return the lowest load above the highest that met the goal at which a valid step missed it, or `None`."""
        highest_met = self._planned_load_of_highest_met_load or 0.0
        missed = (step for step in self._steps if step.is_valid and step.request_count and not step.meets_goal)
        return min((step.load for step in missed if step.load > highest_met), default=None)

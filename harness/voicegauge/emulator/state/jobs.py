"""Defines jobs, with the states that they pass through and the time of each state."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicegauge.contract import Target
from voicegauge.contract.extension import JobSpec, JobState
from voicegauge.formats import Location

if TYPE_CHECKING:
    from voicegauge.emulator.audio import SynthesisRequest
    from voicegauge.emulator.state.accounts import EmulatedAccount
    from voicegauge.emulator.state.clock import EmulatedClock

TERMINAL_STATE_DURATION_S = 0.5
"""Duration in seconds of a terminal state that is not the last one. Only fault injection creates such states."""


@dataclass
class EmulatedJob:
    """An accepted job. Its states and their durations are fixed when it is created."""

    id: str
    target: Target
    account: EmulatedAccount
    synthesis: SynthesisRequest
    state_sequence: tuple[str, ...]
    """The states that the job passes through, in order. The job stays in the last one."""
    state_durations_s: tuple[float, ...]
    """Duration of each state except the last, in seconds."""
    created_at_s: float
    """Unix time at which the job was created."""
    charge: float | None = None
    """Amount charged, in credits if the provider uses credits, else in US dollars; `None` if there is no price."""
    constants: Mapping[Location, object] = field(default_factory=dict)
    """Fixed values of responses about the job, each under its location."""
    poll_count: int = 0
    """Number of status requests so far. They are counted only if the clock advances with each poll."""
    state_start_times_s: list[float] = field(default_factory=list)
    """For each state that the job has entered so far, the Unix time at which it did."""
    is_refunded: bool = False
    """Whether the charge was returned to the account, because the job failed."""

    def __post_init__(self) -> None:
        """Enter the first state."""
        self.state_start_times_s = [self.created_at_s]

    def update_state(self, clock: EmulatedClock, *, is_poll: bool) -> str:
        """Move the job on to its current state, and return that state.

        With a "per-poll" clock, the job moves on only if `is_poll` is set.
        """
        if clock.advances_per_poll:
            self.poll_count += is_poll
            while len(self.state_start_times_s) <= min(self.poll_count, len(self.state_sequence) - 1):
                self.state_start_times_s.append(clock.now())
        else:
            self._enter_states_until(clock.now())
        return self.state

    def _enter_states_until(self, now_s: float) -> None:
        while len(self.state_start_times_s) < len(self.state_sequence):
            following = self.state_start_times_s[-1] + self.state_durations_s[len(self.state_start_times_s) - 1]
            if following > now_s:
                return
            self.state_start_times_s.append(following)

    def cancel(self, state: str, job_spec: JobSpec, now_s: float) -> None:
        """Enter the terminal state `state`, unless the job has ended."""
        known = job_spec.states.get(self.state)
        if known is not None and known.terminal_outcome is None:
            past = self.state_sequence[: len(self.state_start_times_s)]
            self.state_sequence, self.state_durations_s = (
                (*past, state),
                (*self.state_durations_s[: len(past) - 1], 0.0),
            )
            self.state_start_times_s.append(now_s)

    def find_end_time(self, job_spec: JobSpec) -> float | None:
        """Return the Unix time at which the job entered a terminal state; `None` if it has entered none."""
        known = (job_spec.states.get(name) for name in self.state_sequence)
        return next(
            (
                at
                for at, state in zip(self.state_start_times_s, known, strict=False)
                if state and state.terminal_outcome
            ),
            None,
        )

    @property
    def has_ended(self) -> bool:
        """Whether the job has entered its last state."""
        return len(self.state_start_times_s) == len(self.state_sequence)

    @property
    def state(self) -> str:
        """The state at the last update."""
        return self.state_sequence[len(self.state_start_times_s) - 1]


def find_shortest_state_sequence(job_spec: JobSpec, end_state: str | None = None) -> tuple[str, ...]:
    """Return the shortest sequence of states from the initial one to `end_state`, by default to any successful state.

    If there is no such sequence, only the initial state is returned.
    """
    first = next(iter(job_spec.states))
    waiting: deque[tuple[str, ...]] = deque([(first,)])
    seen = {first}
    while waiting:
        path = waiting.popleft()
        if path[-1] == end_state or (end_state is None and job_spec.states[path[-1]].terminal_outcome == "success"):
            return path
        for following in job_spec.states[path[-1]].successor_names:
            if following not in seen:
                seen.add(following)
                waiting.append((*path, following))
    return (first,)


def find_failure_states(job_spec: JobSpec) -> Mapping[str, JobState]:
    """Return the terminal states that mean failure."""
    return {name: state for name, state in job_spec.states.items() if state.terminal_outcome == "failure"}


def compute_state_durations_s(
    job_spec: JobSpec, state_sequence: tuple[str, ...], queue_time_s: float, processing_time_s: float
) -> tuple[float, ...]:
    """Return the duration in seconds of each state of `state_sequence` except the last.

    The initial state gets the queue time; the states between the initial and the terminal one share the
    processing time. If there are no states between them, the initial one gets both times.
    """
    ended = next(
        (
            i
            for i, name in enumerate(state_sequence)
            if name in job_spec.states and job_spec.states[name].terminal_outcome
        ),
        len(state_sequence) - 1,
    )
    between = max(ended - 1, 0)
    found = [
        queue_time_s if between else queue_time_s + processing_time_s,
        *[processing_time_s / between for _ in range(between)],
    ]
    found += [TERMINAL_STATE_DURATION_S] * (len(state_sequence) - 1 - len(found))
    return tuple(found[: len(state_sequence) - 1])

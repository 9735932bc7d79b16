"""Jobs: which states they pass through, and when."""

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
    from voicegauge.emulator.state.accounts import Account
    from voicegauge.emulator.state.clock import EmulatedClock

HELD_S = 0.5
"""How long a state after the documented end lasts: only planted faults have one."""


@dataclass
class EmulatedJob:
    """One accepted request. Its whole life is laid down when it is made."""

    id: str
    target: Target
    account: Account
    synthesis: SynthesisRequest
    path: tuple[str, ...]
    """States in order; the last one is kept."""
    state_durations_s: tuple[float, ...]
    """How long each state but the last is held."""
    created: float
    charge: float | None = None
    constants: Mapping[Location, object] = field(default_factory=dict)
    """Places of the answers with their value."""
    polls: int = 0
    entered_at: list[float] = field(default_factory=list)
    """Unix time at which each state so far was entered."""
    refunded: bool = False

    def __post_init__(self) -> None:
        """The first state begins with the job."""
        self.entered_at = [self.created]

    def update_state(self, clock: EmulatedClock, *, poll: bool) -> str:
        """The state the job is in now; `poll` moves it on where polls do."""
        if clock.is_per_poll:
            self.polls += poll
            while len(self.entered_at) <= min(self.polls, len(self.path) - 1):
                self.entered_at.append(clock.now())
        else:
            self._catch_up(clock.now())
        return self.state

    def _catch_up(self, now: float) -> None:
        while len(self.entered_at) < len(self.path):
            following = self.entered_at[-1] + self.state_durations_s[len(self.entered_at) - 1]
            if following > now:
                return
            self.entered_at.append(following)

    def cancel(self, state: str, spec: JobSpec, now: float) -> None:
        """End in `state` unless it has ended already."""
        known = spec.states.get(self.state)
        if known is not None and known.end is None:
            past = self.path[: len(self.entered_at)]
            self.path, self.state_durations_s = (*past, state), (*self.state_durations_s[: len(past) - 1], 0.0)
            self.entered_at.append(now)

    def ended_at(self, spec: JobSpec) -> float | None:
        """The Unix time at which it was seen to end; `None` while it has not."""
        known = (spec.states.get(name) for name in self.path)
        return next((at for at, state in zip(self.entered_at, known, strict=False) if state and state.end), None)

    @property
    def state(self) -> str:
        """The state it was last seen in."""
        return self.path[len(self.entered_at) - 1]


def shortest_path(spec: JobSpec, end: str | None = None) -> tuple[str, ...]:
    """The shortest way from the first state to `end`, or to a success where none is named.

    The first state alone where no way leads there.
    """
    first = next(iter(spec.states))
    waiting: deque[tuple[str, ...]] = deque([(first,)])
    seen = {first}
    while waiting:
        path = waiting.popleft()
        if path[-1] == end or (end is None and spec.states[path[-1]].end == "success"):
            return path
        for following in spec.states[path[-1]].next:
            if following not in seen:
                seen.add(following)
                waiting.append((*path, following))
    return (first,)


def failure_states(spec: JobSpec) -> Mapping[str, JobState]:
    """The states in which a job has failed."""
    return {name: state for name, state in spec.states.items() if state.end == "failure"}


def state_durations(spec: JobSpec, path: tuple[str, ...], queue_s: float, work_s: float) -> tuple[float, ...]:
    """How long each state of `path` but the last is held.

    Waiting is spent in the first state, the work is shared by the states between it and
    the end; where there are none, the first state has both.
    """
    ended = next((i for i, name in enumerate(path) if name in spec.states and spec.states[name].end), len(path) - 1)
    between = max(ended - 1, 0)
    found = [queue_s if between else queue_s + work_s, *[work_s / between for _ in range(between)]]
    found += [HELD_S] * (len(path) - 1 - len(found))
    return tuple(found[: len(path) - 1])

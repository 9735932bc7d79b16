"""The state of a provider: accounts, jobs, batches and stored audio files, on a clock that tests can advance."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import JobSpec, JobState
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.formats.locations import Location

if TYPE_CHECKING:
    from voicegauge.emulator._speech_synthesis import SynthesisRequest


KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class BoundedDict(OrderedDict[KeyT, ValueT]):
    """A dictionary that drops its oldest entries, so that memory stays bounded in long runs."""

    def __init__(self, max_entry_count: int) -> None:
        """Create a dictionary that keeps at most `max_entry_count` entries."""
        super().__init__()
        self._max_count = max_entry_count

    def __setitem__(self, key: KeyT, value: ValueT) -> None:
        """Store an entry, and drop the oldest one above the limit."""
        super().__setitem__(key, value)
        if len(self) > self._max_count:
            self.popitem(last=False)


# Stores generated audio that clients download by name.


MAX_STORED_AUDIO_BYTES = 256 * 2**20
"""Maximum size of all stored audio; the oldest files are dropped first, so that long runs do not exhaust memory."""


class GeneratedAudio(NamedTuple):
    """Generated audio, encoded as an audio file."""

    audio_bytes: bytes
    audio_format: str
    """Name of the audio format, one of `OUTPUT_FORMATS` of `emulator._output_audio`."""


class AudioFileStore:
    """Stores audio files under their names, up to a total size."""

    def __init__(self) -> None:
        """Create a store without files."""
        self._files: OrderedDict[str, GeneratedAudio] = OrderedDict()
        self._total_bytes = 0

    def store_file(self, name: str, audio: GeneratedAudio) -> None:
        """Store audio under `name`, and drop the oldest files if the limit is exceeded."""
        self._files[name] = audio
        self._total_bytes += len(audio.audio_bytes)
        while self._total_bytes > MAX_STORED_AUDIO_BYTES and len(self._files) > 1:
            self._total_bytes -= len(self._files.popitem(last=False)[1].audio_bytes)

    def find_file(self, name: str) -> GeneratedAudio | None:
        """Return the file `name`; `None` if it was never stored or has been dropped."""
        return self._files.get(name)


# Keeps the emulated time, which is real, virtual or advanced by each poll.


VIRTUAL_START_TIME_S = 1_767_225_600.0
"""Start time of clocks that are not real (2026-01-01T00:00:00Z), which is fixed so that responses are reproducible."""
CLOCK_ADVANCE_PER_POLL_S = 1.0
"""Seconds that each poll adds to a "per-poll" clock, so that timestamps of successive states differ."""


class EmulatedClock:
    """The time of an emulator, in seconds."""

    def __init__(self, settings: EmulatorSettings) -> None:
        """Use the `clock` mode and `time_scale` of `settings`."""
        self._mode, self._time_scale = settings.clock, settings.time_scale
        self._advanced_s = 0.0

    @property
    def mode(self) -> str:
        """The mode of the clock: "real", "virtual" or "per-poll"."""
        return self._mode

    @property
    def advances_per_poll(self) -> bool:
        """Whether jobs move to their next state with each poll instead of with time."""
        return self._mode == "per-poll"

    def now(self) -> float:
        """Return the emulated time, as Unix time in seconds."""
        start = time.time() if self._mode == "real" else VIRTUAL_START_TIME_S
        return start + self._advanced_s

    def advance(self, seconds: float) -> None:
        """Add `seconds` to the emulated time."""
        self._advanced_s += seconds

    def scale_duration(self, seconds: float) -> float:
        """Return an emulated duration multiplied by the time scale."""
        return seconds * self._time_scale

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` (already scaled) if the clock is real; return immediately otherwise."""
        if self._mode != "real" or seconds <= 0:
            return
        end_s = self.now() + seconds
        # Some event loops round timers down and wake up early, but jobs must have ended afterwards.
        while (remaining_s := end_s - self.now()) > 0:  # noqa: ASYNC110 - no event could say that time has passed
            await asyncio.sleep(remaining_s)


# Defines jobs, with the states that they pass through and the time of each state.


TERMINAL_STATE_DURATION_S = 0.5
"""Duration in seconds of a terminal state that is not the last one. Only fault injection creates such states."""


@dataclass
class EmulatedJob:
    """An accepted job. Unless it is cancelled, it has the states and durations with which it was created."""

    id: str
    target: Target
    account: EmulatedAccount
    synthesis: SynthesisRequest
    """What is synthesized when the audio of the job is requested."""
    state_sequence: tuple[str, ...]
    """The states that the job passes through, in order. The job stays in the last one."""
    state_durations_s: tuple[float, ...]
    """Duration of each state except the last, in seconds."""
    created_at_s: float
    """Unix time at which the job was created."""
    charge: float | None = None
    """Amount charged, in credits if the provider uses credits, else in US dollars; `None` if there is no price."""
    response_constants: Mapping[Location, object] = field(default_factory=dict)
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
        """Name of the state that the job was in at the last update."""
        return self.state_sequence[len(self.state_start_times_s) - 1]


def find_shortest_state_sequence(job_spec: JobSpec, end_state: str | None = None) -> tuple[str, ...]:
    """Return the shortest sequence of states from the initial one to `end_state`.

    `None` as `end_state` stands for any successful state. If there is no such sequence, only the initial state is
    returned.
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

    The initial state lasts for the queue time; the states between the initial and the terminal state share the
    processing time. Without such states, the initial state lasts for both times. States from the first terminal one on
    last for `TERMINAL_STATE_DURATION_S` each.
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


# Defines batches: jobs whose items are jobs.


@dataclass
class EmulatedBatch(EmulatedJob):
    """A job that completes once all of its items have ended."""

    items: list[EmulatedJob] = field(default_factory=list)
    """The jobs of the batch, in the order of the request."""

    def update_state(self, clock: EmulatedClock, *, is_poll: bool) -> str:
        """Update the items, then the batch, and return the state of the batch.

        With a "per-poll" clock, a poll moves only half of the items on, so that clients see a partly completed batch.
        """
        waiting = [item for item in self.items if not item.has_ended]
        moved_count = math.ceil(len(self.items) / 2)
        for index, item in enumerate(waiting):
            item.update_state(clock, is_poll=is_poll and index < moved_count)
        if not clock.advances_per_poll:
            return super().update_state(clock, is_poll=is_poll)
        if is_poll and not self.has_ended and all(item.has_ended for item in self.items):
            self.state_start_times_s.append(clock.now())
        return self.state


# Defines the accounts to which jobs belong.


RATE_WINDOW_S = 60.0
"""Length of a rate window in seconds, because documented rates are requests per minute."""


@dataclass
class RateWindow:
    """Fixed one-minute window that counts the requests of one account."""

    start_s: float = -math.inf
    """Unix time at which the window started; minus infinity before the first request."""
    request_count: int = 0
    """Number of accepted requests in the window."""

    def restart_if_ended(self, now_s: float) -> None:
        """Start a new window of the rate limit, without requests, if the current one has ended at `now_s`."""
        if now_s >= self.start_s + RATE_WINDOW_S:
            self.start_s, self.request_count = now_s, 0


@dataclass
class EmulatedAccount:
    """State of the account of one API key, or of one client address that sends no key."""

    name: str
    """The API key, or "keyless:" and the client address."""
    is_keyless: bool
    """Whether the account belongs to a client address that sends no key."""
    credit_balance: float | None
    """The balance in credits, or in US dollars if the provider uses no credits. `None` means that it is unlimited,
    because neither the contract nor the settings state an initial balance."""
    spent_credits: float = 0.0
    """All charges so far without those refunded, in credits, or in US dollars if the provider uses no credits."""
    rate_window: RateWindow = field(default_factory=RateWindow)
    requests_in_flight_count: int = 0
    """Number of requests that are being answered and that a limit of concurrent requests counts."""
    keyless_allowance_day: int = -1
    """Day, as days since 1970, on which `keyless_character_count` was counted; -1 before the first request."""
    keyless_character_count: int = 0
    """Number of characters counted against the allowance without a key on `keyless_allowance_day`."""

    def subtract_from_balance(self, amount: float | None) -> None:
        """Subtract `amount` from the balance; a negative amount is a refund, and `None` changes nothing."""
        if amount:
            self.spent_credits += amount
            if self.credit_balance is not None:
                self.credit_balance -= amount

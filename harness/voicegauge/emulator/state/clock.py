"""Keeps the emulated time, which is real, virtual or advanced by each poll."""

from __future__ import annotations

import asyncio
import time

from voicegauge.emulator.settings import EmulatorSettings

VIRTUAL_START_TIME_S = 1_767_225_600.0
"""Start time of clocks that are not real (2026-01-01T00:00:00Z), which is fixed so that responses are reproducible."""
CLOCK_ADVANCE_PER_POLL_S = 1.0
"""Seconds that each poll adds to a "per-poll" clock, so that timestamps of successive states differ."""


class EmulatedClock:
    """The time of an emulator, in seconds."""

    def __init__(self, settings: EmulatorSettings) -> None:
        """Use the `clock` mode and `time_scale` of `settings`."""
        self._kind, self._scale = settings.clock, settings.time_scale
        self._moved_s = 0.0

    @property
    def mode(self) -> str:
        """The mode of the clock: "real", "virtual" or "per-poll"."""
        return self._kind

    @property
    def advances_per_poll(self) -> bool:
        """Whether jobs move to their next state with each poll instead of with time."""
        return self._kind == "per-poll"

    def now(self) -> float:
        """Return Unix time in seconds."""
        start = time.time() if self._kind == "real" else VIRTUAL_START_TIME_S
        return start + self._moved_s

    def advance(self, seconds: float) -> None:
        """Add `seconds` to the emulated time."""
        self._moved_s += seconds

    def scale_duration(self, seconds: float) -> float:
        """Return an emulated duration multiplied by the time scale."""
        return seconds * self._scale

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` (already scaled) if the clock is real; return immediately otherwise."""
        if self._kind != "real" or seconds <= 0:
            return
        end_s = self.now() + seconds
        # Some event loops round timers down and wake up early, but jobs must have ended afterwards.
        while (remaining_s := end_s - self.now()) > 0:  # noqa: ASYNC110 - no event could say that time has passed
            await asyncio.sleep(remaining_s)

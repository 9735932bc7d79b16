"""The emulator's time: real, virtual, or moved on by each poll."""

from __future__ import annotations

import asyncio
import time

from voicegauge.emulator.settings import EmulatorSettings

EPOCH_S = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where clocks that are not real begin, so that answers repeat."""
POLL_STEP_S = 1.0
"""How far a poll moves the clock on where polls do: timestamps must differ from state to state."""


class EmulatedClock:
    """Wall time in seconds, and waiting."""

    def __init__(self, settings: EmulatorSettings) -> None:
        """The settings' `clock` and `time_scale` decide."""
        self._kind, self._scale = settings.clock, settings.time_scale
        self._moved_s = 0.0

    @property
    def kind(self) -> str:
        """As `EmulatorSettings.clock` has it."""
        return self._kind

    @property
    def is_per_poll(self) -> bool:
        """Whether jobs move on by polls and not by time."""
        return self._kind == "per-poll"

    def now(self) -> float:
        """Unix time in seconds."""
        start = time.time() if self._kind == "real" else EPOCH_S
        return start + self._moved_s

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._moved_s += seconds

    def scale(self, seconds: float) -> float:
        """A made-up time as this emulator takes it."""
        return seconds * self._scale

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` (already scaled) pass for a caller who waits; only a real clock waits."""
        if self._kind == "real" and seconds > 0:
            await asyncio.sleep(seconds)

"""Defines batches: jobs whose items are jobs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from voicegauge.emulator.state.clock import EmulatedClock
from voicegauge.emulator.state.jobs import EmulatedJob


@dataclass
class EmulatedBatch(EmulatedJob):
    """A job that completes once all of its items have ended."""

    items: list[EmulatedJob] = field(default_factory=list)

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

    @property
    def ended_item_count(self) -> int:
        """Number of items that have ended."""
        return sum(item.has_ended for item in self.items)

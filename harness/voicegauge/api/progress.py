"""Reports the progress of functions of the API to the caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from voicegauge.model import Sample


class ProgressListener:
    """Receives progress and notices while a function runs.

    Subclass it and override what you need: every method does nothing by default. Methods are called from the thread
    that runs the function's event loop.
    """

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        """Called when a phase begins, for example "sending requests".

        Args:
            name: name of the phase.
            total_count: number of items; `None` if it is not known yet.
            done_count: number of items that an earlier, interrupted call has finished.
        """

    def phase_progressed(self, done_count: int, total_count: int | None, item_name: str = "") -> None:
        """Called when `done_count` of `total_count` items are finished; `item_name` names the latest one."""

    def phase_ended(self) -> None:
        """Called when the phase is over, or was aborted by an error."""

    def samples_planned(self, sample_count_by_target: Mapping[str, int]) -> None:
        """Called when a benchmark is about to send requests.

        Args:
            sample_count_by_target: number of planned samples by target id, with warm-up; 0 if the number depends on
                the results.
        """

    def sample_finished(self, sample: Sample) -> None:
        """Called when a sample of a benchmark is finished, now or by an earlier, interrupted call."""

    def ramp_step_started(self, step_number: int, load_description: str) -> None:
        """Called when a step of a ramp begins.

        Args:
            step_number: number of the step, from 1.
            load_description: load of the step, such as "4 requests in flight".
        """

    def notice(self, message: str) -> None:
        """Called with one line for the user, such as the cost of a plan, a rate limit, or the run that is resumed."""


class PhaseProgress:
    """The progress of one phase, reported to a listener."""

    def __init__(self, listener: ProgressListener, total_count: int | None, done_count: int) -> None:
        """See `ProgressListener.phase_started` for `total_count` and `done_count`."""
        self._listener, self._total_count, self._done_count = listener, total_count, done_count

    def advance(self, finished_item: object = None) -> None:
        """Count one more finished item, and report the new number to the listener.

        The item is named by its `id`, or by the item as text if it has no attribute `id`; without an item, the name is
        empty.
        """
        self._done_count += 1
        self._listener.phase_progressed(
            self._done_count,
            self._total_count,
            "" if finished_item is None else str(getattr(finished_item, "id", finished_item)),
        )

    def update(self, done_count: int, total_count: int) -> None:
        """Set the number of finished items and of all items."""
        self._done_count, self._total_count = done_count, total_count
        self._listener.phase_progressed(done_count, total_count)


@contextmanager
def report_phase(
    listener: ProgressListener, name: str, total_count: int | None = None, done_count: int = 0
) -> Iterator[PhaseProgress]:
    """Report a phase to `listener` while the context lasts.

    See `ProgressListener.phase_started` for the arguments.
    """
    listener.phase_started(name, total_count, done_count)
    try:
        yield PhaseProgress(listener, total_count, done_count)
    finally:
        listener.phase_ended()

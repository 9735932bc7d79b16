"""Shows progress and notices of the API on standard error, and the live view of a running benchmark."""

from __future__ import annotations

import bisect
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voicegauge.api.progress import ProgressListener
from voicegauge.cli._console import create_console
from voicegauge.model.price import format_price_usd
from voicegauge.model.sample import Sample
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import Progress, TaskID


PLAIN_LINE_INTERVAL_S = 30.0
"""Time, in seconds, between two lines of progress on a pipe, or on a terminal that cannot move its cursor."""


class TerminalProgress(ProgressListener):
    """Prints notices and the progress of each phase on standard error, with the time that the phase will still take.

    The progress is a bar, or a line from time to time if standard error is not a terminal.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._lines: _ProgressLines | None = None
        self._clock = clock

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        """Show a progress bar, whose end is open if `total_count` is `None`."""
        console = create_console(to_stderr=True)
        if not sys.stderr.isatty() or console.is_dumb_terminal:
            self._lines = _ProgressLines(name, done_count, self._clock)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        columns = (
            TextColumn("{task.description}", markup=False),
            # The name at the end says more than the bar, which shows what the numbers say.
            *([BarColumn(bar_width=40 if console.width >= 120 else 10)] if console.width >= 80 else []),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            # It takes what the others leave; otherwise a long name would press the bar out of a narrow terminal.
            TextColumn("{task.fields[item]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        )
        self._bar = Progress(*columns, console=console, transient=True, expand=True)
        self._task = self._bar.add_task(name, total=total_count, completed=done_count, item="")
        self._bar.start()

    def phase_progressed(self, done_count: int, total_count: int | None, item_name: str = "") -> None:
        """Move the progress bar, whose end is open if `total_count` is `None`.

        Without a terminal, print a line if it is time for one.
        """
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done_count, total=total_count, item=item_name)
        elif self._lines is not None and (line := self._lines.describe_if_due(done_count, total_count)):
            self.notice(line)

    def phase_ended(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = self._lines = None

    def notice(self, message: str) -> None:
        """Print a line above the progress bar."""
        out = self._bar.console if self._bar is not None else create_console(to_stderr=True)
        out.print(message)


class _ProgressLines:
    """Describes the progress of a phase every `PLAIN_LINE_INTERVAL_S`."""

    def __init__(self, phase_name: str, done_count: int, clock: Callable[[], float]) -> None:
        self._name, self._counted_from, self._clock = phase_name, done_count, clock
        self._counted_since_s: float | None = None
        """When the first item was finished. Until then the phase may have loaded a model, so its pace is not known."""
        self._last_s = clock()

    def describe_if_due(self, done_count: int, total_count: int | None) -> str:
        """Return the next line if it is time for one, otherwise an empty text. `total_count` is `None` if not known."""
        now_s = self._clock()
        if self._counted_since_s is None and done_count > self._counted_from:
            self._counted_since_s, self._counted_from = now_s, done_count
        if now_s - self._last_s < PLAIN_LINE_INTERVAL_S:
            return ""
        self._last_s = now_s
        if total_count is None:
            return f"{self._name}: {done_count}"
        left_s = None
        if self._counted_since_s is not None and done_count > self._counted_from:
            pace_s = (now_s - self._counted_since_s) / (done_count - self._counted_from)
            left_s = pace_s * (total_count - done_count)
        return f"{self._name}: {done_count} of {total_count}" + (
            f", about {format_duration(left_s)} left" if left_s else ""
        )


def format_duration(seconds: float) -> str:
    """Return a duration that is estimated, such as "1 min 30 s" or "25 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {rest} s"


# Shows a running benchmark: finished and failed samples, median latency and cost of each target, and the time left.


REFRESHES_PER_S = 1
"""Number of times per second that the table is drawn. Drawing takes a few milliseconds, in which no response is
noticed, so it is done rarely."""
MAX_TARGETS_SHOWN = 20
"""Largest number of targets in the table. If there are more, targets without open samples are left out first."""


@dataclass
class TargetProgress:
    """The finished samples of one target so far."""

    planned_sample_count: int = 0
    """Number of planned samples; 0 if it is not known."""
    finished_sample_count: int = 0
    failed_sample_count: int = 0
    """Number of finished samples without a result."""
    spent_usd: float = 0.0
    """What the samples cost in dollars, as charged or else by the price."""
    latencies_ms: list[float] = field(default_factory=list)
    """Total latencies of the successful samples without warm-up, sorted."""

    def add_sample(self, sample: Sample) -> None:
        """Count a finished sample in the numbers of its target."""
        self.finished_sample_count += 1
        self.failed_sample_count += sample.failure is not None
        cost = sample.cost
        self.spent_usd += (cost.price_usd if cost.charged_usd is None else cost.charged_usd) or 0.0
        latency_ms = sample.latency.total_latency_ms if sample.latency and not sample.failure else None
        if latency_ms is not None and not sample.is_warmup:
            bisect.insort(self.latencies_ms, latency_ms)

    @property
    def median_latency_ms(self) -> float | None:
        """Median total latency of the successful samples without warm-up, in milliseconds; `None` without any."""
        count = len(self.latencies_ms)
        if not count:
            return None
        return (self.latencies_ms[(count - 1) // 2] + self.latencies_ms[count // 2]) / 2


class BenchProgress(TerminalProgress):
    """Draws a table of the targets while requests are sent; if it cannot draw, it prints a line from time to time."""

    def __init__(self, *, is_live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Create a listener that has drawn nothing yet.

        Args:
            is_live: whether requests cost money, so that the cost is shown.
            clock: current time in seconds.
        """
        super().__init__(clock=clock)
        self._is_live = is_live
        self._targets: dict[str, TargetProgress] = {}
        self._table: Live | None = None
        self._is_sending = False
        self._started_s = self._printed_s = 0.0
        self._done_before = 0
        self._ramp_step = ""

    def samples_planned(self, sample_count_by_target: Mapping[str, int]) -> None:
        """Store the targets and their numbers of samples, which the table shows from this call on."""
        self._targets = {
            target: TargetProgress(planned_sample_count=count) for target, count in sample_count_by_target.items()
        }

    def sample_finished(self, sample: Sample) -> None:
        """Count a finished sample in the row of its target."""
        self._targets.setdefault(sample.target, TargetProgress()).add_sample(sample)
        if not self._is_sending:
            self._done_before += 1  # by an earlier, interrupted call: it says nothing about how fast this one is
        elif self._table is None and self._clock() - self._printed_s >= PLAIN_LINE_INTERVAL_S:
            self._printed_s = self._clock()
            create_console(to_stderr=True).print(self.describe_progress())

    def ramp_step_started(self, step_number: int, load_description: str) -> None:
        """Store the step of a ramp, which the line about all targets names from this call on."""
        self._ramp_step = f"step {step_number}: {load_description}"

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        """Draw the table while requests are sent, and a progress bar in other phases.

        The end of the bar is open if `total_count` is `None`.
        """
        if not self._targets or self._is_sending:
            super().phase_started(name, total_count, done_count)
            return
        self._is_sending = True
        self._started_s = self._printed_s = self._clock()
        console = create_console(to_stderr=True)
        if not sys.stderr.isatty() or console.is_dumb_terminal:
            return
        from rich.live import Live

        # As for the bar of other phases, what is drawn is removed at the end, and so is the hidden cursor.
        self._table = Live(
            console=console,
            get_renderable=lambda: self.build_table(console),
            refresh_per_second=REFRESHES_PER_S,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._table.start()

    def phase_ended(self) -> None:
        """Remove the table or the progress bar."""
        if self._is_sending:
            if self._table is not None:
                self._table.stop()
                self._table = None
            self._is_sending, self._targets = False, {}
            return
        super().phase_ended()

    def notice(self, message: str) -> None:
        """Print a line above the table or the progress bar."""
        if self._table is None:
            super().notice(message)
        else:
            self._table.console.print(message)

    def describe_progress(self) -> str:
        """Return the progress in one line."""
        done, planned = self._count_finished_and_planned_samples()
        requests = f"{done} of {planned} requests" if planned else format_count(done, "request")
        failed = sum(target.failed_sample_count for target in self._targets.values())
        step = [self._ramp_step] if self._ramp_step else []
        parts = [*step, requests, f"{failed} failed"]
        if self._is_live:
            parts.append(f"{format_price_usd(sum(target.spent_usd for target in self._targets.values()))} spent")
        left_s = self._estimate_remaining_seconds()
        if left_s is not None:
            parts.append(f"about {format_duration(left_s)} left")
        return ", ".join(parts)

    def build_table(self, console: Console) -> Group:
        """Return the table: a row for each target that fits on the screen, and a line about all of them."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        headings = ["target", "done", "failed", "p50 ms", *(["spent"] if self._is_live else [])]
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in headings[1:]:
            table.add_column(justify="right", no_wrap=True)
        table.add_row(*(Text(heading, style="dim") for heading in headings))
        max_rows = max(1, min(MAX_TARGETS_SHOWN, console.height - 4))
        unfinished_first = sorted(
            self._targets.items(),
            key=lambda item: (
                item[1].planned_sample_count > 0 and item[1].finished_sample_count >= item[1].planned_sample_count
            ),
        )
        for name, target in unfinished_first[:max_rows]:
            done = (
                f"{target.finished_sample_count}/{target.planned_sample_count}"
                if target.planned_sample_count
                else str(target.finished_sample_count)
            )
            failed = Text(str(target.failed_sample_count), style="red" if target.failed_sample_count else "")
            median = "" if target.median_latency_ms is None else f"{target.median_latency_ms:,.0f}"
            spent = [Text(format_price_usd(target.spent_usd))] if self._is_live else []
            table.add_row(Text(name), Text(done), failed, Text(median), *spent)
        more = len(self._targets) - max_rows
        lines = [Text(f"and {more} more targets", style="dim")] if more > 0 else []
        return Group(table, *lines, Text(self.describe_progress(), style="bold", no_wrap=True, overflow="ellipsis"))

    def _count_finished_and_planned_samples(self) -> tuple[int, int]:
        """Return the numbers of finished and of planned samples; the latter is 0 if it is not known."""
        planned = [target.planned_sample_count for target in self._targets.values()]
        return sum(target.finished_sample_count for target in self._targets.values()), sum(planned) if all(
            planned
        ) else 0

    def _estimate_remaining_seconds(self) -> float | None:
        done, planned = self._count_finished_and_planned_samples()
        done_now = done - self._done_before
        if not planned or not done_now:
            return None
        return (planned - done) * (self._clock() - self._started_s) / done_now

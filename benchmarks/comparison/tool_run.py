"""The result of one run of one tool against one provider."""

from __future__ import annotations

from typing import Protocol

from mutation.mutant import Mutant

from voicegauge.model import Record


class ToolRun(Record, frozen=True, kw_only=True):
    """What one run reported, and when."""

    first_reports: dict[str, int]
    """For each kind of report: the number of paid calls up to the request that it is about."""
    sent: int
    """Number of requests."""
    paid: int
    """Number of speech requests with a 2xx response, for which a live service would charge."""

    def paid_until_found(self, false_alarms: frozenset[str]) -> int | None:
        """Return the number of paid calls until the first report that is not a false alarm; `None` if there is none."""
        paid = [count for report, count in self.first_reports.items() if report not in false_alarms]
        return min(paid, default=None)


class Tool(Protocol):
    """A tool with one fixed configuration."""

    @property
    def name(self) -> str:
        """A short name for tables."""

    @property
    def command_line(self) -> str:
        """The options that are the same in every run."""

    def run(self, mutant: Mutant | None, seed: int, *, to_the_end: bool) -> ToolRun:
        """Run the tool once against a faulty provider, or against the correct one for `None`.

        Args:
            mutant: the faulty provider.
            seed: seed of the tool's random generator.
            to_the_end: whether the run goes on after its first report.
        """

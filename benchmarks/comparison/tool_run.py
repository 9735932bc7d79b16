"""The result of one run of one tool against one provider."""

from __future__ import annotations

from typing import Protocol

from mutation.mutant import Mutant

from voicegauge.model.base import Record


class ToolRun(Record, frozen=True, kw_only=True):
    """What one run reported, and when."""

    first_reports: dict[str, int]
    """For each kind of report: the number of paid calls up to the request that it is about."""
    sent: int
    """Number of requests until the run ended or was stopped."""
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

    def can_observe(self, mutant: Mutant, /) -> bool:
        """Whether the tool sends requests whose responses the fault may change."""

    def run_to_the_end(self, seed: int) -> ToolRun:
        """Run the tool once against the correct provider.

        Args:
            seed: seed of the tool's random generator.
        """

    def run_until_found(self, mutant: Mutant, seed: int, false_alarms: frozenset[str]) -> ToolRun:
        """Run the tool once against a faulty provider.

        The run is stopped at a report that is not in `false_alarms`, or at the largest number of paid calls that is
        compared, since nothing after that counts.

        Args:
            mutant: the faulty provider.
            seed: seed of the tool's random generator.
            false_alarms: kinds of reports about the correct provider.
        """

"""Saved runs, and what they say: faults found within a number of paid calls, by tool and seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from comparison.tool_run import ToolRun
from voicegauge.model.base import Record

BUDGETS = (10, 20, 40, 100, 300)
"""Numbers of paid calls for which the faults found are counted."""


class SavedRun(Record, frozen=True, kw_only=True):
    """One run, as a line of the file of results."""

    tool: str
    seed: int
    fault: str | None
    """Kind and id of the fault; `None` for the correct provider."""
    run: ToolRun


class RunFile:
    """The saved runs of a comparison. After an interruption, a comparison continues with the missing runs."""

    def __init__(self, path: Path) -> None:
        """Read the runs in `path`, if it exists, and remove a line that was not written completely."""
        self._path = path
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
            path.write_bytes(b"".join(lines))
        self.runs = [msgspec.json.decode(line, type=SavedRun) for line in lines]

    def contains(self, tool: str, seed: int, fault: str | None) -> bool:
        """Whether the file has a run of this tool, seed and fault."""
        return any((saved.tool, saved.seed, saved.fault) == (tool, seed, fault) for saved in self.runs)

    def add(self, saved: SavedRun) -> None:
        """Append a run to the file."""
        self.runs.append(saved)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(saved) + b"\n")


class Quartiles(NamedTuple):
    """The quartiles of the numbers of faults found, over the seeds."""

    low: float
    median: float
    high: float


class ToolResult(NamedTuple):
    """The faults that one tool found."""

    tool: str
    paid_until_found: Mapping[str, Sequence[int | None]]
    """For each fault and seed, the number of paid calls until it was found; `None` if it was not found."""
    median_paid: float
    """Median number of paid calls of a whole run against the correct provider."""
    false_alarms: frozenset[str]
    """Reports about the correct provider in any run, which count for no fault."""

    def count_found(self, budget: int) -> list[int]:
        """Return the number of faults found within `budget` paid calls, one for each seed."""
        by_seed = zip(*self.paid_until_found.values(), strict=True)
        return [sum(count is not None and count <= budget for count in counts) for counts in by_seed]

    def quartiles(self, budget: int) -> Quartiles:
        """Return the quartiles of `count_found`."""
        return Quartiles(*statistics.quantiles(self.count_found(budget), n=4, method="inclusive"))


class EffectSize(NamedTuple):
    """How one sample compares with another."""

    a12: float
    """Vargha-Delaney A12: the probability that a value of the first sample is larger, plus half of that of a tie."""
    p_value: float
    """p-value of the two-sided Mann-Whitney U test."""


def find_false_alarms(tool: str, runs: Iterable[SavedRun]) -> frozenset[str]:
    """Return what `tool` reported about the correct provider in any run."""
    return frozenset(
        report for saved in runs if saved.tool == tool and saved.fault is None for report in saved.run.first_reports
    )


def summarize_tool(tool: str, runs: Sequence[SavedRun], faults: Iterable[str], seeds: Sequence[int]) -> ToolResult:
    """Count which of `faults` the tool found, without its false alarms; a fault without a run was not found."""
    of_tool = [saved for saved in runs if saved.tool == tool and saved.seed in seeds]
    false_alarms = find_false_alarms(tool, of_tool)
    paid = {(saved.fault, saved.seed): saved.run.paid_until_found(false_alarms) for saved in of_tool}
    return ToolResult(
        tool,
        {fault: [paid.get((fault, seed)) for seed in seeds] for fault in faults},
        statistics.median(saved.run.paid for saved in of_tool if saved.fault is None),
        false_alarms,
    )


def compare_samples(first: Sequence[int], second: Sequence[int]) -> EffectSize:
    """Compare two samples, one value for each seed."""
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(first, second, alternative="two-sided")
    return EffectSize(float(test.statistic) / (len(first) * len(second)), float(test.pvalue))

"""Saved runs, and what they say: faults found within a number of paid calls, by tool and seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from comparison.tool_run import ToolRun
from voicegauge.model import Record

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
    """The runs of an interrupted benchmark, which continues with those that are missing."""

    def __init__(self, path: Path) -> None:
        """Read the runs in `path`, if it exists."""
        self._path = path
        lines = path.read_bytes().splitlines() if path.exists() else []
        self.runs = [msgspec.json.decode(line, type=SavedRun) for line in lines]

    def find(self, tool: str, seed: int, fault: str | None) -> ToolRun | None:
        """Return the saved run; `None` if there is none."""
        return next((s.run for s in self.runs if (s.tool, s.seed, s.fault) == (tool, seed, fault)), None)

    def add(self, saved: SavedRun) -> None:
        """Append a run to the file."""
        self.runs.append(saved)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(saved) + b"\n")


class ToolResult(NamedTuple):
    """The faults that one tool found."""

    tool: str
    found: Mapping[int, Sequence[int]]
    """Number of faults found within each of `BUDGETS`, one for each seed."""
    paid_until_found: Mapping[str, Sequence[int | None]]
    """For each fault and seed, the number of paid calls until it was found; `None` if it was not found."""
    median_paid: float
    """Median number of paid calls of a whole run against the correct provider."""
    false_alarms: frozenset[str]
    """Reports about the correct provider in any run, which count for no fault."""

    def median(self, budget: int) -> float:
        """Return the median number of faults found within `budget` paid calls."""
        return statistics.median(self.found[budget])


class EffectSize(NamedTuple):
    """How one sample compares with another."""

    a12: float
    """Vargha-Delaney A12: the probability that a value of the first sample is larger, plus half of that of a tie."""
    p_value: float
    """Of the two-sided Mann-Whitney U test."""


def summarize_tool(tool: str, runs: Iterable[SavedRun]) -> ToolResult:
    """Count the faults that `tool` found, without its false alarms."""
    of_tool = [saved for saved in runs if saved.tool == tool]
    clean = [saved.run for saved in of_tool if saved.fault is None]
    false_alarms = frozenset(report for run in clean for report in run.first_reports)
    seeds = sorted({saved.seed for saved in of_tool})
    by_fault: dict[str, dict[int, int | None]] = {}
    for saved in of_tool:
        if saved.fault is not None:
            by_fault.setdefault(saved.fault, {})[saved.seed] = saved.run.paid_until_found(false_alarms)
    paid = {fault: [by_seed.get(seed) for seed in seeds] for fault, by_seed in by_fault.items()}
    found = {
        budget: [_count_within(budget, (counts[index] for counts in paid.values())) for index in range(len(seeds))]
        for budget in BUDGETS
    }
    return ToolResult(tool, found, paid, statistics.median(run.paid for run in clean), false_alarms)


def _count_within(budget: int, paid: Iterable[int | None]) -> int:
    return sum(count is not None and count <= budget for count in paid)


def compare_samples(first: Sequence[int], second: Sequence[int]) -> EffectSize:
    """Compare two samples, one value for each seed."""
    from scipy.stats import mannwhitneyu

    test = mannwhitneyu(first, second, alternative="two-sided")
    return EffectSize(float(test.statistic) / (len(first) * len(second)), float(test.pvalue))

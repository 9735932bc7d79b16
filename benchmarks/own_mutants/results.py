"""Keeps the results of mutants in a file, and prints them as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from own_mutants.derivation import Mutant
from own_mutants.execution import Outcome, Result

MIN_KILLED = 0.9
"""Smallest share of killed mutants in all modules together."""
REASONS_FILE = Path(__file__).with_name("survivors.yaml")


class Survivor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that no test can tell from the original."""

    function: str
    """Name of the module's file and qualified name of the function: `ledger.py Ledger.reserve`."""
    before: str
    after: str
    reason: str


class SavedResult(msgspec.Struct, frozen=True):
    """One line of the file of results."""

    key: str
    outcome: Outcome
    test: str | None


class ResultFile:
    """Results by mutant; the last line about a mutant counts."""

    def __init__(self, path: Path) -> None:
        """Read the results of earlier runs from `path`, if it exists."""
        self._path = path
        text = path.read_bytes() if path.exists() else b""
        saved = msgspec.json.Decoder(SavedResult).decode_lines(text)
        self._results = {one.key: one for one in saved}

    def outcome_of(self, mutant: Mutant) -> Outcome | None:
        """Return what became of the mutant; `None` if it has not been run."""
        saved = self._results.get(mutant.key)
        return saved.outcome if saved else None

    def add(self, result: Result) -> None:
        """Append a result."""
        saved = SavedResult(result.mutant.key, result.outcome, result.test)
        self._results[saved.key] = saved
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(saved) + b"\n")


def read_reasons() -> dict[tuple[str, str, str], str]:
    """Return the reasons why mutants survive, by function, line and changed line."""
    survivors = msgspec.yaml.decode(REASONS_FILE.read_bytes(), type=list[Survivor])
    return {(one.function, one.before, one.after): one.reason for one in survivors}


def print_table(
    areas: Mapping[str, Sequence[str]],
    mutants: Sequence[Mutant],
    results: ResultFile,
    reasons: Mapping[tuple[str, str, str], str],
) -> int:
    """Print the results as Markdown; return the exit status.

    Args:
        areas: the paths of the modules by what they are about.
        mutants: all mutants of these modules.
        results: what became of them.
        reasons: see `read_reasons`.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    surviving: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        outcome = results.outcome_of(mutant) or "not run"
        module = mutant.function.module
        counts[module]["killed" if outcome == "timeout" else outcome] += 1
        if outcome in {"survived", "not executed"}:
            surviving[module].append(mutant)
    print("| area | module | mutants | run | killed | survived | killed, % |\n|---|---|--:|--:|--:|--:|--:|")
    for area, modules in areas.items():
        for module in modules:
            _print_row(area, f"`{module.removeprefix('harness/voicegauge/')}`", counts[module])
    total = sum(counts.values(), Counter[str]())
    _print_row("all", "", total)
    unexplained = 0
    for module, group in surviving.items():
        print(f"\n{module}")
        for mutant in group:
            reason = reasons.get(_identity(mutant))
            unexplained += reason is None
            mark = "" if results.outcome_of(mutant) == "survived" else " (no test executes it)"
            print(f"- {mutant.function.name}:{mutant.lines[0]}{mark}\n    {mutant.before}\n    {mutant.after}")
            print(f"    {reason or 'NO REASON'}")
    print(f"\n{unexplained} survivors without a reason")
    run = total.total() - total["not run"]
    return 1 if unexplained or total["killed"] < MIN_KILLED * run else 0


def _identity(mutant: Mutant) -> tuple[str, str, str]:
    return f"{Path(mutant.function.module).name} {mutant.function.name}", mutant.before, mutant.after


def _print_row(area: str, module: str, counts: Counter[str]) -> None:
    killed, survived = counts["killed"], counts["survived"] + counts["not executed"]
    run = killed + survived
    print(
        f"| {area} | {module} | {counts.total()} | {run} | {killed} | {survived} | {100 * killed / max(run, 1):.1f} |"
    )

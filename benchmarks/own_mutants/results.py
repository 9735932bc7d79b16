"""Keeps the results of mutants in a file, and prints them as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from own_mutants.derivation import Mutant
from own_mutants.execution import Outcome, Result

MIN_KILLED = 0.9
"""Smallest share of killed mutants in each module."""
REASONS_FILE = Path(__file__).with_name("survivors.yaml")


Identity = tuple[str, str, str]
"""A mutant in the file of reasons: its function, the lines as they are, and the changed lines."""


class Survivor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that no test can tell from the original."""

    function: str
    """Path of the module and qualified name of the function: `client/spending/ledger.py Ledger.reserve`."""
    before: str
    after: str


class SurvivorGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mutants that survive for the same reason."""

    reason: str
    survivors: tuple[Survivor, ...]


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


def read_reasons() -> dict[Identity, str]:
    """Return the reasons why mutants survive."""
    groups = msgspec.yaml.decode(REASONS_FILE.read_bytes(), type=list[SurvivorGroup])
    return {(one.function, one.before, one.after): group.reason for group in groups for one in group.survivors}


def print_table(
    areas: Mapping[str, Sequence[str]],
    mutants: Sequence[Mutant],
    results: ResultFile,
    reasons: Mapping[Identity, str],
) -> int:
    """Print the results as Markdown.

    Returns:
        The exit status: 1 if a mutant has not been run, survives without a reason, or has a reason although it does not
        survive, or if less than `MIN_KILLED` of a module are killed.

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
            _print_row(area, f"`{_short_path(module)}`", counts[module])
    total = sum(counts.values(), Counter[str]())
    _print_row("all", "", total)
    unexplained, explained = 0, set()
    for module, group in surviving.items():
        print(f"\n{module}")
        for mutant in group:
            reason = reasons.get(_identity(mutant))
            unexplained += reason is None
            explained.add(_identity(mutant))
            mark = "" if results.outcome_of(mutant) == "survived" else " (no test executes it)"
            print(f"- {mutant.function.name}:{mutant.lines[0]}{mark}\n    {mutant.before}\n    {mutant.after}")
            print(f"    {reason or 'NO REASON'}")
    below = [module for module, count in counts.items() if count["killed"] < MIN_KILLED * _count_run(count)]
    paths = {_short_path(module) for modules in areas.values() for module in modules}
    outdated = [one for one in reasons if one[0].split(" ")[0] in paths and one not in explained]
    print(f"\n{total['not run']} not run, {unexplained} survivors without a reason, {len(below)} modules below 90%")
    for function, before, after in outdated:
        print(f"a reason for a mutant that does not survive: {function}\n    {before}\n    {after}")
    return 1 if total["not run"] or unexplained or below or outdated else 0


def _short_path(module: str) -> str:
    return module.removeprefix("harness/voicegauge/")


def _identity(mutant: Mutant) -> Identity:
    return f"{_short_path(mutant.function.module)} {mutant.function.name}", mutant.before, mutant.after


def _count_run(counts: Counter[str]) -> int:
    return counts.total() - counts["not run"]


def _print_row(area: str, module: str, counts: Counter[str]) -> None:
    run, killed = _count_run(counts), counts["killed"]
    share = f"{100 * killed / run:.1f}" if run else ""
    print(f"| {area} | {module} | {counts.total()} | {run} | {killed} | {run - killed} | {share} |")

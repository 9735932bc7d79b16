"""Mutation tests of voicegauge's own code: `make mutants`, or `PYTHONPATH=benchmarks python -m own_mutants`.

mutmut changes one operator, constant, condition, argument or call at a time in the modules that count money, follow
jobs and judge audio. Each mutant runs in a forked process with the tests that execute the changed lines. Prints how
many mutants each module has and how many were killed, and each surviving one with the reason why no test can tell it
from the original. Ends with exit status 1 if less than 90% of a module are killed, if a mutant has not been run, or if
one survives without a reason.

Results are kept in a folder. A later run continues: a killed mutant of a function that did not change is not run again.
Survivors are run first, and the others in random order, so that an interrupted run has a sample of all mutants.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import pytest

from own_mutants.areas import AREAS, TESTS
from own_mutants.derivation import derive_mutants
from own_mutants.execution import MutantRunner
from own_mutants.results import ResultFile, print_table, read_reasons

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the mutants and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m own_mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="part of the path of a module (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutants", help="where results are kept")
    parser.add_argument("--again", action="store_true", help="run killed mutants again as well")
    parser.add_argument("--no-run", action="store_true", help="only print the results of earlier runs")
    options = parser.parse_args()
    os.chdir(ROOT)
    chosen = {area: [m for m in paths if _is_chosen(m, options.modules)] for area, paths in AREAS.items()}
    mutants = [mutant for paths in chosen.values() for module in paths for mutant in derive_mutants(ROOT, module)]
    options.folder.mkdir(exist_ok=True)
    results = ResultFile(options.folder / "results.jsonl")
    noticed = {"killed", "timeout"}
    waiting = [mutant for mutant in mutants if options.again or results.outcome_of(mutant) not in noticed]
    waiting.sort(key=lambda mutant: (results.outcome_of(mutant) is None, mutant.key))
    if waiting and not options.no_run:
        print(f"{len(waiting)} of {len(mutants)} mutants to run", file=sys.stderr)
        runner = MutantRunner(
            ROOT,
            [module for paths in AREAS.values() for module in paths],
            waiting,
            jobs=options.jobs,
            measurements=options.folder / "measurements.json",
            on_result=results.add,
        )
        with tempfile.TemporaryDirectory(prefix="voicegauge-mutants-") as folder:
            _run_pytest(runner, Path(folder))
    return print_table(chosen, mutants, results, read_reasons())


def _is_chosen(module: str, parts: list[str]) -> bool:
    return not parts or any(part in module for part in parts)


def _run_pytest(runner: MutantRunner, folder: Path) -> None:
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:faulthandler", "-m", "not slow"]
    options += ["-o", "tmp_path_retention_policy=none"]
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)  # in which each process makes a folder of its own
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main([*options, *TESTS], plugins=[runner])


if __name__ == "__main__":
    sys.exit(main())

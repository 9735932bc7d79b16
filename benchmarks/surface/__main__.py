"""Prints how much of each provider's documents is in its contract, and how much of that its own clients call.

`PYTHONPATH=benchmarks python -m surface --documents FOLDER` runs the tests of the clients; with `--tests FILE` it reads
their results from JUnit XML instead. Ends with exit status 1 if a difference from a document has no reason.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from surface import ProviderSurface, list_surfaces
from voicegauge.cli._console import create_console
from voicegauge.errors import UsageError

TESTS = ("test_sdk_surface.py", "test_node_sdk_surface.py", "test_cloud_sdks.py")
NOTHING = "-"


def main() -> int:
    """Print the table, and what was left out or differs with the reason; return 1 if there is no reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, help="folder of official documents, each named as deepgram.yaml")
    parser.add_argument("--tests", type=Path, action="append", help="results of the clients' tests, in JUnit XML")
    parser.add_argument("--no-tests", action="store_true", help="neither run nor read tests of clients")
    parser.add_argument("--reasons", action="store_true", help="print what is left out or differs, with the reason")
    arguments = parser.parse_args()
    if arguments.documents is not None and not arguments.documents.is_dir():
        parser.error(f"{arguments.documents} is not a folder")
    try:
        with TemporaryDirectory() as scratch:
            results = [] if arguments.no_tests else arguments.tests or run_tests(Path(scratch) / "tests.xml")
            surfaces = list_surfaces(arguments.documents, results)
    except UsageError as error:
        parser.error(str(error))
    console = create_console()
    console.print(build_table(surfaces))
    for surface in surfaces:
        if surface.missing_reason:
            print(f"{surface.contract.id}: not compared: {surface.missing_reason}")
    if arguments.reasons:
        for surface in surfaces:
            print_reasons(surface)
    return int(any(surface.unexplained_count for surface in surfaces))


def run_tests(result: Path) -> list[Path]:
    """Run the tests of the official clients, and return the file with their results; say which failed."""
    folder = Path(__file__).parents[2] / "harness" / "tests" / "emulator"
    files = [str(folder / name) for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", *files, f"--junit-xml={result}"]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode not in (0, 1):
        raise UsageError(f"pytest ended with status {done.returncode}: name results of the tests with --tests")
    return [result]


def build_table(surfaces: list[ProviderSurface]) -> Table:
    """Return the table, one row for each provider."""
    columns = ("documented", "in contract", "left out", "called by clients", "explained", "unexplained", "compared on")
    table = Table("provider")
    for column in columns:
        table.add_column(column, justify="left" if column == "called by clients" else "right")
    for surface in surfaces:
        one = surface.comparison
        counts = (
            (NOTHING,) * 3
            if one is None
            else (len(one.left_out_operations), len(one.known_differences), surface.unexplained_count)
        )
        compared = [source.compared_on for source in surface.contract.provider.sources.values() if source.compared_on]
        documented = surface.documented_operation_count
        table.add_row(
            surface.contract.id,
            NOTHING if documented is None else str(documented),
            describe_contract(surface),
            str(counts[0]),
            describe_clients(surface),
            str(counts[1]),
            str(counts[2]),
            str(max(compared, default=NOTHING)),
        )
    return table


def describe_contract(surface: ProviderSurface) -> str:
    """Return how many operations the contract has, and how many of them are from other documents than the compared."""
    total = len(surface.contract.operations)
    if surface.comparison is None or surface.comparison.described_operation_count == total:
        return str(total)
    compared = surface.comparison.described_operation_count
    return f"{compared} + {total - compared} of others"


def describe_clients(surface: ProviderSurface) -> str:
    """Return how many operations of the contract each client called."""
    total = len(surface.contract.operations)
    counts = {
        client: len(called & set(surface.contract.operations)) for client, called in surface.called_operations.items()
    }
    return ", ".join(f"{count} of {total} {client}" for client, count in counts.items()) or NOTHING


def print_reasons(surface: ProviderSurface) -> None:
    """Print why operations are left out and why facts differ, each reason once with its number."""
    one = surface.comparison
    if one is None:
        return
    print(f"\n{surface.contract.id}: {one.official_document.title if one.official_document else ''} {one.url}")
    for reason, count in Counter(known.reason for known in one.left_out_operations).items():
        print(f"  left out ({count}): {reason}")
    for reason, count in Counter(known.reason for known in one.known_differences).items():
        print(f"  differs ({count}): {reason}")
    for operation in one.undescribed_operations:
        print(f"  WITHOUT A REASON: {operation} is not in the contract")
    for change in one.differences:
        print(f"  WITHOUT A REASON: {change.qualified_location}: {change.message}")


if __name__ == "__main__":
    sys.exit(main())

"""Agreement with oasdiff: `PYTHONPATH=benchmarks python -m drift_agreement`.

Exits with status 1 if less than 98% of oasdiff's rules are reported with id and level, outside of the designed
differences in `docs/drift.md`, or if anything is reported for documents that mean the same.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from drift_agreement.comparison import (
    RuleAndLevel,
    build_pairs,
    find_pairs,
    find_reason,
    list_changes,
    list_oasdiff_changes,
    read_designed_differences,
    read_oasdiff_rules,
    write_pair,
)
from drift_agreement.equivalent_pairs import EQUIVALENT_SCHEMAS, build_equivalent_pairs
from voicegauge.drift.drift_report import DriftLevel
from voicegauge.errors import VoicegaugeError

REQUIRED_SHARE = 0.98


class Agreement(NamedTuple):
    """How many of the expected rules were reported."""

    expected: int
    designed: int
    """Rules that voicegauge does not report by design."""
    missing: tuple[str, ...]
    """Rules that it should report, but does not."""

    @property
    def share(self) -> float:
        """The share of the rules that were reported, without those that differ by design."""
        relevant = self.expected - self.designed
        return 1 - len(self.missing) / relevant if relevant else 1.0


def measure_own_pairs(folder: Path, oasdiff: str | None) -> tuple[Agreement, list[str]]:
    """Compare our own pairs; return the agreement, and the rules that oasdiff itself does not report for our pairs."""
    level_by_rule, reasons = read_oasdiff_rules(), read_designed_differences()
    pairs = build_pairs(list(level_by_rule))
    designed, missing, unconfirmed = 0, [], []
    for index, pair in enumerate(pairs):
        old, new = write_pair(pair, folder, index)
        expected = RuleAndLevel(pair.rule, level_by_rule[pair.rule])
        if oasdiff and expected not in (list_oasdiff_changes(oasdiff, old, new) or ()):
            unconfirmed.append(pair.rule)
        if expected not in list_changes(old, new):
            is_designed = find_reason(pair.rule, reasons) is not None
            designed += is_designed
            missing += [] if is_designed else [pair.rule]
    return Agreement(len(pairs), designed, tuple(missing)), unconfirmed


def list_false_alarms(folder: Path) -> list[str]:
    """Return the rules that are reported for pairs of documents that mean the same."""
    alarms = []
    for index, pair in enumerate(build_equivalent_pairs()):
        old, new = write_pair(pair, folder, index)
        alarms += [f"{new}: {change.rule}" for change in list_changes(old, new)]
    return alarms


def measure_other_pairs(folder: Path, oasdiff: str) -> None:
    """Print the agreement with oasdiff on the pairs of files in a folder, such as the test data of oasdiff."""
    always, sometimes = read_designed_differences(), read_designed_differences(in_some_documents=True)
    totals: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for old, new in find_pairs(folder):
        theirs = list_oasdiff_changes(oasdiff, old, new)
        if theirs is None:
            totals["pairs that oasdiff does not read"] += 1
            continue
        try:
            ours = list_changes(old, new)
        except VoicegaugeError as error:
            totals["pairs that voicegauge does not read"] += 1
            print(f"  {error}")
            continue
        totals["pairs"] += 1
        totals["changes of oasdiff"] += len(theirs)
        totals["reported with id and level"] += len(theirs & ours)
        is_alarm = any(change.level is not DriftLevel.COMPATIBLE for change in ours)
        totals["pairs without a change of oasdiff"] += not theirs
        totals["of them, with a change that may break a client"] += not theirs and is_alarm
        if not theirs and is_alarm:
            print(f"  {new}: {', '.join(change.rule for change in ours)}")
        for change in theirs - ours:
            reason = find_reason(change.rule, always)
            totals["different by design"] += reason is not None
            reason = reason or find_reason(change.rule, sometimes)
            totals["missing"] += reason is None
            reasons[reason or f"MISSING: {change.rule}, {change.level}, {new}"] += 1
    print(f"\n| pairs in {folder} | |\n|---|--:|")
    for name, number in (*totals.items(), *reasons.most_common()):
        print(f"| {name} | {number} |")


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="drift_agreement", description=__doc__)
    parser.add_argument("--oasdiff", metavar="PROGRAM", help="path of oasdiff, to compare its results side by side")
    parser.add_argument(
        "--pairs", metavar="FOLDER", type=Path, help="also compare pairs of files in this folder (needs --oasdiff)"
    )
    arguments = parser.parse_args()
    if arguments.pairs and not arguments.oasdiff:
        parser.error("--pairs needs --oasdiff, whose results are the expected ones")
    with tempfile.TemporaryDirectory() as name:
        agreement, unconfirmed = measure_own_pairs(Path(name), arguments.oasdiff)
        alarms = list_false_alarms(Path(name))
    found = agreement.expected - agreement.designed - len(agreement.missing)
    print("| | |\n|---|--:|")
    print(f"| rules of oasdiff | {len(read_oasdiff_rules())} |")
    print(f"| of them, applied without configuration: one pair each | {agreement.expected} |")
    print(f"| reported with id and level | {found} |")
    print(f"| different by design | {agreement.designed} |")
    print(f"| missing | {len(agreement.missing)} |")
    print(f"| reported, without those that differ by design | {agreement.share:.1%} |")
    print(f"| pairs that mean the same | {len(EQUIVALENT_SCHEMAS)} |")
    print(f"| of them, with a change | {len(alarms)} |")
    for line in (*agreement.missing, *alarms):
        print(f"  {line}")
    if arguments.oasdiff:
        print(f"\nRules that oasdiff does not report for their pair: {', '.join(unconfirmed) or 'none'}")
    if arguments.pairs:
        measure_other_pairs(arguments.pairs, arguments.oasdiff)
    return int(agreement.share < REQUIRED_SHARE or bool(alarms))


if __name__ == "__main__":
    raise SystemExit(main())

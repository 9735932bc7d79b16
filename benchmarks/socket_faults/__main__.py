"""Plants faults of WebSockets, and checks correct services: `PYTHONPATH=benchmarks python -m socket_faults`.

Each fault is planted at the target that its rule names, and the whole check runs: turns, contexts, formats, keys, and
20 interruptions in a row. Then 100 checks of correct services run, with other seeds and paces of the emulator. It fails
if a rule misses a fault that it names, or if a correct service has a finding.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import voicegauge
from voicegauge.contract.contract import SocketTarget
from voicegauge.contract.loading import load_catalogue
from voicegauge.rules.registry import RULE_BY_ID

PACES: tuple[dict[str, object], ...] = (
    {"clock": "per-poll"},
    {"time_scale": 0.2},
    {"time_scale": 0.25},
    {"time_scale": 0.3},
    {"time_scale": 0.35},
)
"""Settings of emulators: as fast as possible, and at a fifth to a third of the times of the contracts. Time limits are
scaled too: at a twentieth, a context would expire after 50 ms, which a busy machine does not keep."""


def list_planted_faults() -> list[tuple[str, str, str]]:
    """Return the fault, the rule that must find it, and the target, for every fault of speech over WebSockets."""
    targets = load_catalogue().socket_targets
    return sorted(
        (example.fault_id, rule.id, example.target_id)
        for rule in RULE_BY_ID.values()
        for example in rule.shown_by
        if example.found_in == "turns" and example.target_id in targets
    )


def plant_faults() -> Iterator[str]:
    """Check a target with each fault; print what is found, and yield each fault that its rule misses."""
    for fault_id, rule_id, target_id in list_planted_faults():
        report = voicegauge.check(target_id, emulated=True, faults=[fault_id])
        count = len(report.interruptions_by_target.get(target_id, ()))
        found = {finding.rule for finding in report.findings}
        is_found = rule_id in found
        print(f"{fault_id:26} {target_id:32} {count:3} interruptions  {rule_id}: {'found' if is_found else 'MISSED'}")
        if not is_found:
            yield f"{rule_id} misses {fault_id} at {target_id}"


def check_correct_services(run_count: int, paces: Sequence[int]) -> Iterator[str]:
    """Check correct services with other seeds, at the paces with these numbers, and yield each finding."""
    targets = [name for name, one in load_catalogue().socket_targets.items() if isinstance(one, SocketTarget)]
    providers = sorted({name.partition("/")[0] for name in targets})
    per_pace = -(-run_count // len(PACES))
    for index in paces:
        with voicegauge.emulate(providers, seed=1000 + index, enforce_rate_limits=False, **PACES[index]) as emulator:
            interruptions = 0
            for seed in range(index * per_pace, (index + 1) * per_pace):
                target_id = targets[seed % len(targets)]
                report = voicegauge.check(target_id, emulated=emulator, seed=seed)
                interruptions += len(report.interruptions_by_target.get(target_id, ()))
                yield from (f"{target_id}, seed {seed}: {one.rule}: {one.message}" for one in report.findings)
        print(f"{PACES[index]}: {per_pace} checks, {interruptions} interruptions")


def main() -> int:
    """Print what is found, and return 1 if a fault is missed or a correct service is accused."""
    parser = argparse.ArgumentParser(description=__doc__)
    paces = range(len(PACES))
    parser.add_argument("--only", choices=("faults", "correct"), help="one of both parts")
    parser.add_argument("--pace", type=int, choices=paces, help="one of the paces of the emulator, by its number")
    parser.add_argument("--runs", type=int, default=100, help="number of checks of correct services")
    options = parser.parse_args()
    started_s = time.perf_counter()
    failures = list[str]()
    if options.only != "correct":
        failures += plant_faults()
    if options.only != "faults":
        failures += check_correct_services(options.runs, paces if options.pace is None else [options.pace])
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{time.perf_counter() - started_s:.0f} s, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""Compares the throughput of this version with that of another checkout, in one run.

Both versions send the same requests, those that both of them plan, each version in a process of its own. The responses
are replayed from memory, so that only voicegauge's own work is timed. The rounds of the versions alternate, time is CPU
time, and the fastest round counts, since other processes only slow a round down.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_CHECKOUT = Path(__file__).parents[2]
GROUP_SIZE = 40
"""Maximum number of cases of one kind and provider, evenly from those that both versions plan."""
ROUNDS = 15
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "whole": (),
    "without coverage": ("coverage",),
    "without audio": ("audio",),
    "without both": ("coverage", "audio"),
}
"""The parts of a check that this version leaves out, by name of the column. Coverage is counted for each exchange;
"audio" means that audio in the response to a single call is decoded and judged."""


class GroupRatio(NamedTuple):
    """The cost of the cases of one kind and provider in both versions."""

    kind: int
    """Index of the kind of case."""
    cases: int
    """Number of cases that both versions plan; a part of them was timed."""
    before_s: float
    """CPU seconds per case in the other checkout."""
    now_s: dict[str, float]
    """CPU seconds per case in this version, by variant."""


class _Worker:
    """A process that times the cases of one version."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended while it executed {command!r}; its message is above")
        return json.loads(line)


@contextlib.contextmanager
def _running_worker(checkout: Path, left_out: Sequence[str]) -> Iterator[_Worker]:
    folders = os.pathsep.join(str(checkout / name) for name in ("harness", "benchmarks"))
    script = checkout / "benchmarks" / "throughput" / "timed_worker.py"
    with subprocess.Popen(
        [sys.executable, "-P", script, *left_out],
        cwd=checkout,
        # The command sets the second variable too: idle threads of matrix products would count as CPU time.
        env={**os.environ, "PYTHONPATH": folders, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield _Worker(process)


def compare_versions(other: Path, providers: Collection[str] = ()) -> list[GroupRatio]:
    """Time the cases that this version and the checkout `other` have in common.

    Args:
        other: root folder of another checkout, which needs the same installed packages.
        providers: ids of the providers to compare; empty for all.
    """
    with contextlib.ExitStack() as stack:
        before = stack.enter_context(_running_worker(other.resolve(), ()))
        now = {
            variant: stack.enter_context(_running_worker(_CHECKOUT, left_out)) for variant, left_out in VARIANTS.items()
        }
        old_keys, new_keys = before.ask("keys"), now["whole"].ask("keys")
        common = {
            group: _find_common(old_keys[group], new_keys[group])
            for group in old_keys.keys() & new_keys.keys()
            if not providers or group.partition("|")[0] in providers
        }
        common = {group: pairs for group, pairs in sorted(common.items()) if pairs}
        timed = {group: pairs[:: -(-len(pairs) // GROUP_SIZE)] for group, pairs in common.items()}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _prepare([before], folder / "before.json", {group: [old for old, _ in timed[group]] for group in timed})
        _prepare(now.values(), folder / "now.json", {group: [new for _, new in timed[group]] for group in timed})
        return [_time_group(group, len(common[group]), len(pairs), before, now) for group, pairs in timed.items()]


def _find_common(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the indices of equal keys in both sequences, in the order of `new`."""
    index = {key: position for position, key in reversed(list(enumerate(old)))}
    return [(index[key], position) for position, key in enumerate(new) if key in index]


def _prepare(workers: Collection[_Worker], file: Path, indices: Mapping[str, Sequence[int]]) -> None:
    file.write_text(json.dumps(indices))
    for worker in workers:
        worker.ask(f"prepare {file}")


def _time_group(group: str, cases: int, timed: int, before: _Worker, now: Mapping[str, _Worker]) -> GroupRatio:
    seconds: dict[str, list[float]] = {name: [] for name in ("before", *now)}
    for _ in range(ROUNDS):
        for name, worker in {"before": before, **now}.items():
            seconds[name].append(worker.ask(f"time {group}") / timed)
    best = {name: min(rounds) for name, rounds in seconds.items()}
    return GroupRatio(int(group.partition("|")[2]), cases, best.pop("before"), best)


def print_comparison(kinds: Sequence[str], groups: Sequence[GroupRatio]) -> None:
    """Print the CPU time of a case, and the throughput of this version relative to the other one, by kind of case."""
    print("in process, responses replayed: CPU time of a case, and throughput relative to the other checkout")
    print(f"  {'':18}{'cases':>7}{'before':>12}{'now':>12}" + "".join(f"{name:>18}" for name in VARIANTS))
    for index, kind in enumerate(kinds):
        _print_row(kind, [group for group in groups if group.kind == index])
    _print_row("all", groups)


def _print_row(name: str, groups: Sequence[GroupRatio]) -> None:
    if not groups:
        return
    cases = sum(group.cases for group in groups)
    before_s = sum(group.cases * group.before_s for group in groups)
    now_s = {variant: sum(group.cases * group.now_s[variant] for group in groups) for variant in VARIANTS}
    times = f"{before_s / cases * 1e6:>9,.0f} µs{now_s['whole'] / cases * 1e6:>9,.0f} µs"
    print(f"  {name:18}{cases:>7,}{times}" + "".join(f"{before_s / seconds:>18.2f}" for seconds in now_s.values()))

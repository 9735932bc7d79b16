"""Runs a command, and measures time and peak memory of its process and of each process that it starts."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

INTERVAL_S = 0.05
MIB = 2**20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ProcessUsage(NamedTuple):
    """What a command and the processes that it started used."""

    wall_s: float
    cpu_s: float
    """CPU time of all processes."""
    peak_mib: float
    """Largest sum of the memory of all processes at one moment, measured every `INTERVAL_S`."""
    peak_mib_by_program: dict[str, float]
    """Largest peak of a process of each program, which the system notes."""
    cpu_s_by_program: dict[str, float]
    busy_processors: float
    """Number of processors that the command keeps busy on an idle machine, at most all of this machine: the mean number
    of its threads that run or wait for a processor. Other programs on the machine prolong the command, but hardly
    change this number, unlike CPU time divided by elapsed time."""


def run_voicegauge(*arguments: str, cwd: Path | None = None) -> ProcessUsage:
    """Run the command line, and measure it.

    Raises:
        RuntimeError: the command failed.
    """
    return run_measured([sys.executable, "-m", "voicegauge", *arguments], cwd=cwd)


def run_measured(command: list[str], *, cwd: Path | None = None, allowed: tuple[int, ...] = (0, 1)) -> ProcessUsage:
    """Run `command`, and measure it; Linux only, because it reads /proc.

    Raises:
        RuntimeError: the command ended with another status than `allowed`.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start_s = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peaks: dict[str, float] = {}
    cpu_s: dict[tuple[str, int], float] = {}
    peak_mib = 0.0
    busy: list[int] = []
    processors = os.cpu_count() or 1
    while True:
        found = {pid: _read_usage(pid) for pid in [process.pid, *_list_descendants(process.pid)]}
        for pid, usage in found.items():
            if usage is not None:
                peaks[usage.program] = max(usage.peak_mib, peaks.get(usage.program, 0.0))
                cpu_s[usage.program, pid] = usage.cpu_s
        peak_mib = max(peak_mib, sum(usage.share_mib for usage in found.values() if usage is not None))
        busy.append(min(processors, sum(usage.ready_threads for usage in found.values() if usage is not None)))
        # The status stays unread until the loop has seen the process for the last time.
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        time.sleep(INTERVAL_S)
    _, errors = process.communicate()
    if process.returncode not in allowed:
        raise RuntimeError(f"{command}: exit status {process.returncode}: {errors.decode()[-500:]}")
    wall_s = time.monotonic() - start_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    by_program: defaultdict[str, float] = defaultdict(float)
    for (program, _), used in cpu_s.items():
        by_program[program] += used
    return ProcessUsage(wall_s, used_s, peak_mib, peaks, dict(by_program), sum(busy) / len(busy))


def _list_descendants(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(one) for thread in threads for one in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [pid for child in children for pid in (child, *_list_descendants(child))]


class _Usage(NamedTuple):
    program: str
    peak_mib: float
    share_mib: float
    """Resident memory; what several processes share counts in parts."""
    cpu_s: float
    ready_threads: int
    """Number of threads that run or wait for a processor."""


def _read_usage(pid: int) -> _Usage | None:
    """Return what a process uses; `None` if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        times = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        states = [_read_thread_state(thread) for thread in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return None
    peak_kib = _find_number(status, "VmHWM:")
    if peak_kib == 0:
        return None
    program = next((one.rsplit("/")[-1] for one in reversed(arguments) if "voicegauge" in one), "other")
    cpu_s = (int(times[11]) + int(times[12])) / TICKS_PER_S
    return _Usage(program, peak_kib / 1024, _find_number(rollup, "Pss:") / 1024, cpu_s, states.count("R"))


def _read_thread_state(thread_folder: Path) -> str:
    """Return the state of a thread, such as "R" if it runs or waits for a processor; empty if it has ended."""
    try:
        return (thread_folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


def _find_number(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)

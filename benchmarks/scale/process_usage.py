"""Runs a command, and measures time and peak memory of its process and of each process that it starts."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
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
    peak_mib_by_process: dict[str, float]
    """Peak resident memory of each process, the command first."""
    cpu_s_by_process: dict[str, float]

    @property
    def peak_mib(self) -> float:
        """Sum of the peaks, which is at least the peak of the sum."""
        return sum(self.peak_mib_by_process.values())


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
    cpu_s: dict[str, float] = {}
    while True:
        for pid in [process.pid, *_list_descendants(process.pid)]:
            if (usage := _read_usage(pid)) is not None:
                name = "command" if pid == process.pid else f"{usage[0]} {pid}"
                peaks[name], cpu_s[name] = max(usage[1], peaks.get(name, 0.0)), usage[2]
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
    return ProcessUsage(wall_s, used_s, peaks, cpu_s)


def _list_descendants(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(one) for thread in threads for one in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [pid for child in children for pid in (child, *_list_descendants(child))]


def _read_usage(pid: int) -> tuple[str, float, float] | None:
    """Return the last argument of a process, its peak memory in MiB, and its CPU time in seconds."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        times = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    peak_kib = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), None)
    if peak_kib is None:
        return None
    name = next((one.rsplit("/")[-1] for one in reversed(arguments) if "voicegauge" in one or "espeak" in one), "other")
    return name, peak_kib / 1024, (int(times[11]) + int(times[12])) / TICKS_PER_S
